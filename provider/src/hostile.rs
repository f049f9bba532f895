//! Spoilt bytes for tests: whatever a process prints, or a damaged disk gives back.

use proptest::prelude::*;

/// A sample with some bytes changed, cut away or put in, or bytes that are made up.
pub(crate) fn spoilt(sample: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let harm = (any::<usize>(), any::<u8>(), 0_usize..6);
    let spoilt = prop::collection::vec(harm, 0..4).prop_map(move |harms| {
        harms.iter().fold(sample.clone(), |mut bytes, harm| {
            let (at, byte, kind) = *harm;
            let at = at % (bytes.len() + 1);
            match kind {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, byte),
                2 => bytes.splice(at..at, *b"9999999999").for_each(drop),
                3 => bytes.splice(at..at, *b"[{\"").for_each(drop),
                _ if at < bytes.len() => bytes[at] = byte,
                _ => {}
            }
            bytes
        })
    });
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200),
        4 => spoilt,
    ]
}
