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

/// The ground, and what a stack of that shape and size is measured against.
pub(super) struct Subject<'a> {
    pub(super) ground: &'a Ground,
    pub(super) shape: Shape,
    pub(super) size: usize,
    /// Before the stack was there.
    pub(super) empty: Usage,
    /// The same, by the members' own account.
    pub(super) empty_accounts: Vec<Account>,
}

impl Subject<'_> {
    /// Does it and waits for its end.
    pub(super) fn measure(&self, operation: Operation) -> Result<Measured, String> {
        self.prepare(operation)?;
        let compiled = match operation {
            Operation::Create => Some(self.ground.timed(&["validate", "-f", "bench.json"])?),
            _ => None,
        };
        let accounts = accounts(&self.ground.cluster);
        let before = Usage::of(self.ground)?;
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
        let measured = self.accounted(&accounts, measured);
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
        before: &Usage,
        committed: Duration,
        converged: Duration,
    ) -> Result<Measured, String> {
        let after = Usage::of(self.ground)?;
        let cpu_seconds = after.cpu_total_seconds() - before.cpu_total_seconds();
        let grown = after.peak_kib.iter().zip(&self.empty.peak_kib);
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
            log_entries: after.log_index.saturating_sub(before.log_index),
            bytes_written: after.bytes_written.saturating_sub(before.bytes_written),
            growth_bytes_per_resource: grown_kib.unwrap_or(0) as f64 * 1024.0 / self.size as f64,
            peak_kib: after.peak_kib,
            log_bytes: 0,
            held_bytes_per_resource: 0.0,
            allocations_per_resource: 0.0,
            pace: pace(&self.ground.cluster),
        })
    }

    /// Adds what the members say themselves.
    fn accounted(&self, before: &[Account], measured: Measured) -> Measured {
        let after = accounts(&self.ground.cluster);
        let most = |earlier: &[Account], of: fn(&Account) -> u64| {
            let each = after.iter().zip(earlier);
            let more = each.map(|(after, earlier)| of(after).saturating_sub(of(earlier)));
            more.max().unwrap_or(0)
        };
        let by_resource = |count: u64| count as f64 / self.size as f64;
        Measured {
            log_bytes: most(before, |it| it.log_bytes),
            held_bytes_per_resource: by_resource(most(&self.empty_accounts, |it| it.allocated)),
            allocations_per_resource: by_resource(most(before, |it| it.allocations)),
            ..measured
        }
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
