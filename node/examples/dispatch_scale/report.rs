//! The figures of one size, and the table of all. Pure.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::numbers::Spread;

/// What was measured with one number of engines.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) engines: u64,
    pub(crate) resources: u64,
    pub(crate) stacks: u64,
    /// Everything had converged before the measurement was ended.
    pub(crate) converged: bool,
    /// Items that were given to engines.
    pub(crate) assigned: u64,
    /// Items that the state machine refused.
    pub(crate) refused: u64,
    /// Engines that were expired, and came back.
    pub(crate) expired: u64,
    /// One decision; those that found nothing to give are not among them.
    pub(crate) decision: Spread,
    /// The same for each of its items.
    pub(crate) item: Spread,
    /// Decisions that found nothing to give.
    pub(crate) idle: Spread,
    /// Gathering who takes work.
    pub(crate) candidates: Spread,
    /// Being told of one entry that was applied.
    pub(crate) applied: Spread,
    /// Being told of the answer to a batch.
    pub(crate) decided: Spread,
    /// Applying one batch of assignments; the state machine's, for comparison.
    pub(crate) apply: Spread,
    /// Counting anew with this many actions in flight.
    pub(crate) count_all: Spread,
    pub(crate) most_in_flight: u64,
    /// The longest that a stack of ten waited for its first action, and for its last, in decisions that gave something.
    pub(crate) longest_wait_first: u64,
    pub(crate) longest_wait_last: u64,
    /// How many such stacks there were.
    pub(crate) small_stacks: u64,
    pub(crate) peak_bytes: u64,
    /// Of the state and the dispatcher, by resident memory.
    pub(crate) bytes_per_engine: u64,
    /// Of the dispatcher, by resident memory.
    pub(crate) bytes_per_assignment: u64,
}

/// One row for each size.
pub(crate) fn table(all: &[Figures]) -> String {
    let mut table = String::from(
        "| engines | decisions | decision µs p50 / p99 / max | item µs p50 / p99 | none to give µs p50 / max \
         | who takes work µs p50 / max | applied µs p50 / p99 | decided µs p50 / p99 | apply µs p50 / p99 \
         | count_all ms (in flight) | items (refused) | expired | wait first / last (small stacks) \
         | B/engine | B/assignment | peak MiB |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for figures in all {
        row(&mut table, figures);
    }
    table
}

fn row(table: &mut String, of: &Figures) {
    let line = format!(
        "| {} | {}{} | {:.0} / {:.0} / {:.0} | {:.2} / {:.2} | {:.0} / {:.0} | {:.0} / {:.0} | {:.0} / {:.0} \
         | {:.0} / {:.0} | {:.0} / {:.0} | {:.1} ({}) | {} ({}) | {} | {} / {} ({}) | {} | {} | {} |",
        of.engines,
        of.decision.count,
        if of.converged { "" } else { " (cut short)" },
        of.decision.p50_us,
        of.decision.p99_us,
        of.decision.max_us,
        of.item.p50_us,
        of.item.p99_us,
        of.idle.p50_us,
        of.idle.max_us,
        of.candidates.p50_us,
        of.candidates.max_us,
        of.applied.p50_us,
        of.applied.p99_us,
        of.decided.p50_us,
        of.decided.p99_us,
        of.apply.p50_us,
        of.apply.p99_us,
        of.count_all.max_us / 1_000.0,
        of.most_in_flight,
        of.assigned,
        of.refused,
        of.expired,
        of.longest_wait_first,
        of.longest_wait_last,
        of.small_stacks,
        of.bytes_per_engine,
        of.bytes_per_assignment,
        of.peak_bytes >> 20,
    );
    let _ = writeln!(table, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_as_many_columns_as_the_head_and_says_if_it_was_cut_short() {
        let converged = Figures {
            converged: true,
            ..Figures::default()
        };
        let table = table(&[converged, Figures::default()]);
        let columns: Vec<usize> = table
            .lines()
            .map(|line| line.matches('|').count())
            .collect();
        assert!(
            columns.iter().all(|count| *count == columns[0]),
            "{columns:?}"
        );
        assert_eq!(table.matches("cut short").count(), 1);
    }
}
