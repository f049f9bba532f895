//! What the members say of themselves in their logs: the longest that something has taken so far and how many bytes the log of
//! Raft has been given (target `anneal_node::pace`), and what memory is used (target `anneal::memory`).

use std::{
    str::FromStr,
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{Cluster, MemberProcess};

/// For what a member tells next.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks at its log.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The longest times that any member told of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(super) struct Pace {
    /// One `apply` of a batch, milliseconds.
    pub longest_apply_ms: Option<f64>,
    /// Between two messages of the leader, milliseconds.
    pub longest_leader_silence_ms: Option<f64>,
}

/// Of all members since they started.
pub(super) fn pace(cluster: &Cluster) -> Pace {
    let logs: Vec<String> = cluster
        .members
        .iter()
        .map(crate::MemberProcess::log)
        .collect();
    let longest = |what: &str| {
        let lines = logs.iter().flat_map(|log| log.lines());
        lines
            .filter_map(|line| told(line, PACE, what, "ms"))
            .max_by(f64::total_cmp)
    };
    Pace {
        longest_apply_ms: longest("longest apply so far"),
        longest_leader_silence_ms: longest("longest silence of the leader so far"),
    }
}

/// What one member uses, by its own account.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Account {
    /// Given to the log of Raft since the member started, bytes.
    pub log_bytes: u64,
    /// Held, bytes.
    pub allocated: u64,
    /// How often memory was asked for since it started.
    pub allocations: u64,
}

/// Of each member, as it tells next: of its memory twice a second, of its log for every 16 KiB. If it tells nothing more, as
/// it told last.
pub(super) fn accounts(cluster: &Cluster) -> Vec<Account> {
    let members = cluster.members.iter();
    members.map(next_account).collect()
}

fn next_account(member: &MemberProcess) -> Account {
    let times_told = || {
        let log = member.log();
        log.lines().filter(|line| line.contains(MEMORY)).count()
    };
    let (began, before) = (Instant::now(), times_told());
    while times_told() == before && began.elapsed() < PATIENCE {
        thread::park_timeout(LOOK_EVERY);
    }
    account(&member.log())
}

fn account(log: &str) -> Account {
    let last = |target, what, field| {
        let mut lines = log.lines().rev();
        let told = lines.find_map(|line| told(line, target, what, field));
        told.unwrap_or(0)
    };
    Account {
        log_bytes: last(PACE, "bytes written to the log so far", "bytes"),
        allocated: last(MEMORY, "memory", "allocated"),
        allocations: last(MEMORY, "memory", "allocations"),
    }
}

const PACE: &str = "anneal_node::pace:";
const MEMORY: &str = "anneal::memory:";

/// A field of what is told of this, if the line tells of it.
fn told<T: FromStr>(line: &str, target: &str, what: &str, field: &str) -> Option<T> {
    let (_, told) = line.split_once(target)?;
    let mut fields = told.trim().strip_prefix(what)?.split_whitespace();
    let value = fields.find_map(|it| it.strip_prefix(field)?.strip_prefix('='));
    value?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_line_that_is_meant_is_read() {
        let line = "2026-11-26T12:00:00Z DEBUG anneal_node::pace: longest apply so far ms=12.5";
        let ms = |line, what| told::<f64>(line, PACE, what, "ms");
        assert_eq!(ms(line, "longest apply so far"), Some(12.5));
        assert_eq!(ms(line, "longest silence of the leader so far"), None);
        let other = "INFO other: longest apply so far ms=1";
        assert_eq!(ms(other, "longest apply so far"), None);
    }

    #[test]
    fn the_last_account_counts() {
        let log = "DEBUG anneal::memory: memory allocated=1 resident=2 allocations=3\n\
                   DEBUG anneal_node::pace: bytes written to the log so far bytes=16400\n\
                   DEBUG anneal::memory: memory allocated=10 resident=20 allocations=30\n";
        let expected = Account {
            log_bytes: 16_400,
            allocated: 10,
            allocations: 30,
        };
        assert_eq!(account(log), expected);
        assert_eq!(account(""), Account::default());
    }
}
