//! What the members have used so far, as the kernel and `cluster status` tell.

use crate::{Cluster, MemberProcess};

use super::ground::Ground;

/// One clock tick of `/proc/PID/stat` in seconds (USER_HZ is 100 on Linux).
const TICK_SECONDS: f64 = 0.01;

/// Since the members started.
#[derive(Clone, Debug)]
pub(super) struct Usage {
    /// User and system time of each member, seconds.
    pub cpu_seconds: Vec<f64>,
    /// Peak resident memory of each member (VmHWM), KiB.
    pub peak_kib: Vec<u64>,
    /// Bytes that all members caused to be written to storage.
    pub bytes_written: u64,
    /// The last log index.
    pub log_index: u64,
}

impl Usage {
    pub(super) fn of(ground: &Ground) -> Result<Self, String> {
        let each = |read: fn(&MemberProcess) -> Option<u64>| each(&ground.cluster, read);
        let ticks = each(MemberProcess::cpu_ticks);
        let status = ground.json(&["cluster", "status"])?;
        let log_index = status["last_log_index"]
            .as_u64()
            .ok_or_else(|| format!("`cluster status` tells no last_log_index: {status}"))?;
        Ok(Self {
            cpu_seconds: ticks
                .iter()
                .map(|&ticks| ticks as f64 * TICK_SECONDS)
                .collect(),
            peak_kib: each(MemberProcess::peak_memory_kib),
            bytes_written: each(MemberProcess::bytes_written).iter().sum(),
            log_index,
        })
    }

    /// Of all members, seconds.
    pub(super) fn cpu_total_seconds(&self) -> f64 {
        self.cpu_seconds.iter().sum()
    }

    /// Of the largest member, MiB.
    pub(super) fn peak_mib(&self) -> f64 {
        self.peak_kib.iter().max().copied().unwrap_or(0) as f64 / 1024.0
    }
}

fn each(cluster: &Cluster, read: fn(&MemberProcess) -> Option<u64>) -> Vec<u64> {
    let members = cluster.members.iter();
    members.map(|member| read(member).unwrap_or(0)).collect()
}
