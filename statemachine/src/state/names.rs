//! Who holds which physical id. No two instances hold the same (type, host, physical id). Knows
//! nothing of what happens when two want to.

use crate::digest::Digest;
use crate::id::InstanceId;
use std::collections::BTreeMap;

/// The index of physical ids.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// Keyed by the first half of a digest: at 10^6 names a collision within 128 bits is out of reach.
    by_name: BTreeMap<[u8; 16], InstanceId>,
}

fn key(type_name: &str, host: Option<&str>, physical_id: &str) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in [type_name, host.unwrap_or_default(), physical_id] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = Digest(*hasher.finalize().as_bytes());
    let mut key = [0; 16];
    key.copy_from_slice(&digest.0[..16]);
    key
}

impl Held {
    pub(crate) fn holder(
        &self,
        type_name: &str,
        host: Option<&str>,
        physical_id: &str,
    ) -> Option<InstanceId> {
        self.by_name
            .get(&key(type_name, host, physical_id))
            .copied()
    }

    pub(crate) fn take(
        &mut self,
        type_name: &str,
        host: Option<&str>,
        physical_id: &str,
        by: InstanceId,
    ) {
        let before = self.by_name.insert(key(type_name, host, physical_id), by);
        assert!(
            before.is_none_or(|holder| holder == by),
            "no two instances hold the same physical id"
        );
    }

    pub(crate) fn free(
        &mut self,
        type_name: &str,
        host: Option<&str>,
        physical_id: &str,
        by: InstanceId,
    ) {
        let key = key(type_name, host, physical_id);
        if self.by_name.get(&key) == Some(&by) {
            self.by_name.remove(&key);
        }
    }
}
