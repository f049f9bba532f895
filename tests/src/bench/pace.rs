//! What the members say of their pace: in its log (target `anneal_node::pace`), each tells the longest that something has
//! taken so far.

use serde::Serialize;

use crate::Cluster;

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
        let told = logs.iter().flat_map(|log| log.lines());
        told.filter_map(|line| told_ms(line, what))
            .max_by(f64::total_cmp)
    };
    Pace {
        longest_apply_ms: longest("longest apply so far"),
        longest_leader_silence_ms: longest("longest silence of the leader so far"),
    }
}

fn told_ms(line: &str, what: &str) -> Option<f64> {
    let (_, told) = line.split_once("anneal_node::pace:")?;
    let fields = told.trim().strip_prefix(what)?;
    let field = fields
        .split_whitespace()
        .find_map(|field| field.strip_prefix("ms="));
    field?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_line_that_is_meant_is_read() {
        let line = "2026-11-26T12:00:00Z DEBUG anneal_node::pace: longest apply so far ms=12.5";
        assert_eq!(told_ms(line, "longest apply so far"), Some(12.5));
        assert_eq!(told_ms(line, "longest silence of the leader so far"), None);
        assert_eq!(
            told_ms(
                "INFO other: longest apply so far ms=1",
                "longest apply so far"
            ),
            None
        );
    }
}
