//! The shapes of the graphs that are measured, and their templates.

use std::fmt::Write as _;

use clap::ValueEnum;
use serde::Serialize;

use crate::Chance;

/// Layers of the layered shape.
const LAYERS: usize = 10;
/// Edges that each resource of the random graph has, as far as there are resources before it.
const DAG_EDGES: usize = 3;
/// The random graph is the same one in every run.
const DAG_SEED: u64 = 0x0061_6e6e_6561_6c21;
/// A chain and a sink are not measured above this size: one is bound by latency, the other is one very long definition.
const LARGEST_LOPSIDED: usize = 100_000;

/// How the resources of a stack depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Shape {
    /// No dependency.
    Flat,
    /// Ten layers; each resource depends on one of the layer above.
    Layers,
    /// A binary tree; each resource depends on its parent.
    Tree,
    /// Each resource depends on the one before it.
    Chain,
    /// The last resource depends on all others.
    Sink,
    /// All others depend on the first resource.
    Source,
    /// A random graph without cycles: each resource depends on three earlier ones.
    Dag,
}

impl Shape {
    /// As it is typed and printed.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Layers => "layers",
            Self::Tree => "tree",
            Self::Chain => "chain",
            Self::Sink => "sink",
            Self::Source => "source",
            Self::Dag => "dag",
        }
    }

    /// Why it is not measured at this size, if it is not.
    pub(super) fn left_out(self, size: usize) -> Option<String> {
        let why = match self {
            Self::Chain => "its time is its length times the latency of one hop",
            Self::Sink => "one definition would hold all the names of the others",
            _ => return None,
        };
        (size > LARGEST_LOPSIDED).then(|| format!("{} of {size} left out: {why}", self.name()))
    }

    /// For each of `size` resources in order, the numbers of those that it depends on. All are smaller than its own.
    pub(super) fn edges(self, size: usize) -> impl Iterator<Item = Vec<usize>> {
        let width = size.div_ceil(LAYERS);
        let mut chance = Chance::of(DAG_SEED);
        (0..size).map(move |n| match self {
            Self::Flat => Vec::new(),
            Self::Layers => n.checked_sub(width).into_iter().collect(),
            Self::Tree => n
                .checked_sub(1)
                .map(|below| below / 2)
                .into_iter()
                .collect(),
            Self::Chain => n.checked_sub(1).into_iter().collect(),
            Self::Sink if n + 1 == size => (0..n).collect(),
            Self::Sink => Vec::new(),
            Self::Source => (n > 0).then_some(0).into_iter().collect(),
            Self::Dag => earlier(&mut chance, n),
        })
    }

    /// The template as JSON on one line, which every reader of YAML reads too. The resources that `change` names have
    /// another property than in the template without it.
    pub(super) fn template(self, size: usize, change: Change) -> String {
        let mut text = String::from("{\"heat_template_version\": \"2021-04-16\", \"resources\": {");
        for (n, edges) in self.edges(size).enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            let value = u8::from(change.touches(n, size));
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "{comma}\"r{n}\": {{\"type\": \"OS::Heat::None\", \"properties\": {{\"value\": {value}}}"
            );
            if !edges.is_empty() {
                text += ", \"depends_on\": [";
                for (at, edge) in edges.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    let _ = write!(text, "{comma}\"r{edge}\"");
                }
                text.push(']');
            }
            text.push('}');
        }
        text + "}}"
    }
}

fn earlier(chance: &mut Chance, n: usize) -> Vec<usize> {
    let wanted = DAG_EDGES.min(n);
    let mut edges = Vec::with_capacity(wanted);
    while edges.len() < wanted {
        let edge = usize::try_from(chance.between(0, n as u64)).unwrap_or(0);
        if !edges.contains(&edge) {
            edges.push(edge);
        }
    }
    edges
}

/// How much of a template is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing.
    Nothing,
    /// The last resource; in every shape nothing depends on it.
    One,
    /// Every hundredth resource, counted from the last.
    Percent,
    /// Every resource.
    All,
}

impl Change {
    /// Between two resources that are changed.
    fn stride(self, size: usize) -> Option<usize> {
        match self {
            Self::Nothing => None,
            Self::One => Some(size),
            Self::Percent => Some(100),
            Self::All => Some(1),
        }
    }

    /// Whether resource number `n` out of `size` is changed.
    pub(super) fn touches(self, n: usize, size: usize) -> bool {
        self.stride(size)
            .is_some_and(|stride| (size - 1 - n).is_multiple_of(stride))
    }

    /// Resources that are changed out of `size`.
    pub(super) fn touched(self, size: usize) -> usize {
        self.stride(size).map_or(0, |stride| size.div_ceil(stride))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn no_shape_has_a_cycle_and_nothing_depends_on_the_last() {
        for &shape in Shape::value_variants() {
            let edges: Vec<_> = shape.edges(100).collect();
            assert_eq!(edges.len(), 100, "{shape:?}");
            for (n, edges) in edges.iter().enumerate() {
                assert!(edges.iter().all(|&edge| edge < n), "{shape:?}");
                assert!(!edges.contains(&99), "{shape:?}");
            }
        }
    }

    #[test]
    fn the_shapes_are_what_they_are_called() {
        let count = |shape: Shape| shape.edges(1_000).map(|edges| edges.len()).sum::<usize>();
        assert_eq!(count(Shape::Flat), 0);
        assert_eq!(count(Shape::Layers), 900);
        assert_eq!(count(Shape::Tree), 999);
        assert_eq!(count(Shape::Chain), 999);
        assert_eq!(count(Shape::Sink), 999);
        assert_eq!(count(Shape::Source), 999);
        assert_eq!(count(Shape::Dag), 3 * 1_000 - 3 - 2 - 1);
    }

    #[test]
    fn the_random_graph_is_the_same_one_every_time() {
        assert!(Shape::Dag.edges(500).eq(Shape::Dag.edges(500)));
    }

    #[test]
    fn a_change_touches_as_many_as_it_says() {
        for change in [Change::Nothing, Change::One, Change::Percent, Change::All] {
            for size in [1, 10, 100, 1_050] {
                let read: Value =
                    serde_json::from_str(&Shape::Dag.template(size, change)).expect("JSON");
                let resources = read["resources"].as_object().expect("resources");
                let changed = resources
                    .values()
                    .filter(|it| it["properties"]["value"] == 1);
                assert_eq!(resources.len(), size);
                assert_eq!(
                    changed.count(),
                    change.touched(size),
                    "{change:?} of {size}"
                );
            }
        }
    }
}
