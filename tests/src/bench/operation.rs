//! One operation on one stack, measured.

use std::time::{Duration, Instant};

use serde::Serialize;

use super::{
    ground::Ground,
    pace::{Account, Pace, accounts, pace},
    shape::{Change, Shape},
    usage::Usage,
};

/// The name of the stack that is measured.
pub(super) const STACK: &str = "bench";

/// What is done to the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Create,
    UpdateOne,
    UpdatePercent,
    Unchanged,
    UpdateAll,
    Delete,
}

impl Operation {
    /// All of them, in an order in which each changes what the one before left, and little has to be taken back.
    pub(super) const ALL: [Self; 6] = [
        Self::Create,
        Self::UpdateOne,
        Self::UpdatePercent,
        Self::Unchanged,
        Self::UpdateAll,
        Self::Delete,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::UpdateOne => "update of 1",
            Self::UpdatePercent => "update of 1 %",
            Self::UpdateAll => "update of 100 %",
            Self::Unchanged => "unchanged update",
            Self::Delete => "delete",
        }
    }

    /// Before each update the stack is as its template without a change says.
    pub(super) fn change(self) -> Change {
        match self {
            Self::UpdateOne => Change::One,
            Self::UpdatePercent => Change::Percent,
            Self::UpdateAll => Change::All,
            Self::Create | Self::Unchanged | Self::Delete => Change::Nothing,
        }
    }

    /// Resources that providers are called for.
    pub(super) fn touched(self, size: usize) -> usize {
        match self {
            Self::Create | Self::Delete => size,
            _ => self.change().touched(size),
        }
    }
}

/// What it took.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measured {
    pub members: usize,
    pub shape: Shape,
    pub resources: usize,
    pub operation: &'static str,
    /// Resources that providers are called for.
    pub touched: usize,
    /// Of `anneal validate` of the same template: it is read and compiled, and no cluster is asked. Only of a create; seconds.
    pub compiled_seconds: Option<f64>,
    /// Until the command line returned: read, compiled, compared, committed. Seconds.
    pub committed_seconds: f64,
    /// Until the stack was seen to be as declared, or gone. Seconds.
    pub converged_seconds: f64,
    /// Of all members, seconds.
    pub cpu_seconds: f64,
    /// Of all members and for each resource of the stack, microseconds.
    pub cpu_us_per_resource: f64,
    pub log_entries: u64,
    /// By all members, as the kernel counts them.
    pub bytes_written: u64,
    /// Peak resident memory (VmHWM) of each member since it started, KiB.
    pub peak_kib: Vec<u64>,
    /// How much that of the member that grew most is above what it was before the stack was there, by resource, bytes.
    pub growth_bytes_per_resource: f64,
    /// Given to the log of Raft by the member that was given most, bytes.
    pub log_bytes: u64,
    /// How much more the member that grew most holds than before the stack was there, by resource, bytes.
    pub held_bytes_per_resource: f64,
    /// How often the member that did so most has asked for memory, by resource.
    pub allocations_per_resource: f64,
    /// Since the members started.
    #[serde(flatten)]
    pub pace: Pace,
}

/// What the members have used.
pub(super) struct Standing {
    usage: Usage,
    /// By their own account.
    accounts: Vec<Account>,
}

impl Standing {
    pub(super) fn of(ground: &Ground) -> Result<Self, String> {
        Ok(Self {
            accounts: accounts(&ground.cluster),
            usage: Usage::of(ground)?,
        })
    }

    /// The largest difference of a member.
    fn most_since(&self, earlier: &Self, of: fn(&Account) -> u64) -> u64 {
        let each = self.accounts.iter().zip(&earlier.accounts);
        let more = each.map(|(now, then)| of(now).saturating_sub(of(then)));
        more.max().unwrap_or(0)
    }
}

/// The ground, and what a stack of that shape and size is measured against.
pub(super) struct Subject<'a> {
    pub(super) ground: &'a Ground,
    pub(super) shape: Shape,
    pub(super) size: usize,
    /// Before the stack was there.
    pub(super) empty: Standing,
}

impl Subject<'_> {
    /// Does it and waits for its end.
    pub(super) fn measure(&self, operation: Operation) -> Result<Measured, String> {
        self.prepare(operation)?;
        let compiled = match operation {
            Operation::Create => Some(self.ground.timed(&["validate", "-f", "bench.json"])?),
            _ => None,
        };
        let before = Standing::of(self.ground)?;
        let began = Instant::now();
        let verb = match operation {
            Operation::Create => "create",
            Operation::Delete => "delete",
            _ => "update",
        };
        let mut args = vec!["stack", verb, STACK];
        if operation != Operation::Delete {
            args.extend(["-f", "bench.json"]);
        }
        let committed = self.ground.timed(&args)?;
        let converged = match operation {
            Operation::Delete => self.ground.gone(STACK, began)?,
            _ => self.ground.converged(STACK, began)?,
        };
        let measured = self.result(operation, &before, committed, converged)?;
        Ok(Measured {
            compiled_seconds: compiled.map(|it| it.as_secs_f64()),
            ..measured
        })
    }

    /// Brings the stack to its template without a change, and writes the one that is to be submitted.
    fn prepare(&self, operation: Operation) -> Result<(), String> {
        let put = |change| {
            let text = self.shape.template(self.size, change);
            self.ground.put("bench.json", &text)
        };
        put(Change::Nothing)?;
        if ![Operation::Create, Operation::Delete].contains(&operation) {
            self.ground
                .timed_to_end(&["stack", "update", STACK, "-f", "bench.json"])?;
        }
        put(operation.change())
    }

    fn result(
        &self,
        operation: Operation,
        before: &Standing,
        committed: Duration,
        converged: Duration,
    ) -> Result<Measured, String> {
        // In this order: waiting for the members' next word takes a moment, which is not the operation's.
        let after = Standing {
            usage: Usage::of(self.ground)?,
            accounts: accounts(&self.ground.cluster),
        };
        let by_resource = |count: u64| count as f64 / self.size as f64;
        let (used, used_before) = (&after.usage, &before.usage);
        let cpu_seconds = used.cpu_total_seconds() - used_before.cpu_total_seconds();
        let grown = used.peak_kib.iter().zip(&self.empty.usage.peak_kib);
        let grown_kib = grown
            .map(|(after, empty)| after.saturating_sub(*empty))
            .max();
        Ok(Measured {
            members: self.ground.cluster.members.len(),
            shape: self.shape,
            resources: self.size,
            operation: operation.name(),
            touched: operation.touched(self.size),
            compiled_seconds: None,
            committed_seconds: committed.as_secs_f64(),
            converged_seconds: converged.max(committed).as_secs_f64(),
            cpu_seconds,
            cpu_us_per_resource: cpu_seconds * 1e6 / self.size as f64,
            log_entries: used.log_index.saturating_sub(used_before.log_index),
            bytes_written: used.bytes_written.saturating_sub(used_before.bytes_written),
            growth_bytes_per_resource: by_resource(grown_kib.unwrap_or(0) * 1024),
            log_bytes: after.most_since(before, |it| it.log_bytes),
            held_bytes_per_resource: by_resource(after.most_since(&self.empty, |it| it.allocated)),
            allocations_per_resource: by_resource(after.most_since(before, |it| it.allocations)),
            peak_kib: after.usage.peak_kib,
            pace: pace(&self.ground.cluster),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_touched_follows_from_the_operation() {
        let touched = Operation::ALL.map(|operation| operation.touched(1_000));
        assert_eq!(touched, [1_000, 1, 10, 0, 1_000, 1_000]);
    }
}
