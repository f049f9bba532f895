//! Keeping the end of what a command prints, however much that is.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};

/// The last bytes of a stream.
#[derive(Clone, Default)]
pub(super) struct Tail(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    bytes: VecDeque<u8>,
    cut: bool,
    ended: bool,
}

impl Tail {
    /// Reads a stream to its end, keeping its last `max` bytes.
    pub(super) fn follow(&self, mut stream: impl Read, max: usize) {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => self.push(&buffer[..read], max),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.lock().ended = true;
    }

    fn push(&self, bytes: &[u8], max: usize) {
        let mut kept = self.lock();
        kept.bytes.extend(bytes);
        let surplus = kept.bytes.len().saturating_sub(max);
        if surplus > 0 {
            kept.bytes.drain(..surplus);
            kept.cut = true;
        }
    }

    /// Whether the stream has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// The last `max` bytes as text.
    pub(super) fn text(&self, max: usize) -> String {
        let kept = self.lock();
        let from = kept.bytes.len().saturating_sub(max);
        let bytes: Vec<u8> = kept.bytes.iter().skip(from).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last line that is not blank; none if there is none, or if its beginning was not kept.
    pub(super) fn last_line(&self) -> Option<String> {
        let kept = self.lock();
        let bytes: Vec<u8> = kept.bytes.iter().copied().collect();
        let text = bytes.trim_ascii_end();
        let from = text.iter().rposition(|byte| *byte == b'\n');
        if text.is_empty() || (from.is_none() && kept.cut) {
            return None;
        }
        Some(String::from_utf8_lossy(&text[from.map_or(0, |newline| newline + 1)..]).into_owned())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_printed_its_end_is_kept_within_bounds(
            printed in prop::collection::vec(prop_oneof![Just(b'\n'), Just(0xc3), any::<u8>()], 0..300),
            piece in 1_usize..40,
            max in 1_usize..100,
        ) {
            let tail = Tail::default();
            for piece in printed.chunks(piece) {
                tail.follow(piece, max);
            }
            let end = &printed[printed.len().saturating_sub(max)..];
            prop_assert_eq!(tail.text(usize::MAX), String::from_utf8_lossy(end).into_owned());
            let text = printed.trim_ascii_end();
            let begin = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
            let whole = String::from_utf8_lossy(&text[begin..]).into_owned();
            // None, or all of the line: never a part of it.
            prop_assert!(tail.last_line().is_none_or(|line| line == whole));
        }
    }

    #[test]
    fn the_last_line_is_known_only_whole() {
        let tail = Tail::default();
        tail.follow(&b"first\nsecond\n\n"[..], 12);
        assert_eq!(tail.last_line().as_deref(), Some("second"));
        assert_eq!(tail.text(3), "d\n\n");
        let tail = Tail::default();
        tail.follow(&b"{\"a\": 1, \"b\": 2}"[..], 10);
        assert_eq!(tail.last_line(), None);
        assert!(tail.has_ended());
    }
}
