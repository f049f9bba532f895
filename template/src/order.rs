//! Puts compiled resources in order, what is needed first, and tells the circles that make that impossible.

use crate::definition::{CompiledResource, Definition};
use crate::graph::Needs;
use crate::lookup::LookupTable;
use crate::problem::{Collector, Position, Reported, SourceId};

/// Sorts resources, what is needed first, and those that a condition leaves out last. The order depends on
/// nothing but the set. `positions`: where each stands in the text.
pub(crate) fn in_order(
    resources: &mut [CompiledResource],
    positions: &[Position],
    source: SourceId,
    collector: &mut Collector,
) -> Result<(), Reported> {
    let mut by_name: Vec<usize> = (0..resources.len()).collect();
    by_name.sort_unstable_by(|a, b| resources[*a].name.cmp(&resources[*b].name));
    match needs(resources, &by_name).order() {
        Ok(ranks) => {
            let mut order: Vec<usize> = ranks.into_iter().map(|rank| by_name[rank]).collect();
            // These have no edges, so that the graph puts them anywhere.
            order.sort_by_key(|at| resources[*at].definition.is_none());
            permute(resources, &order);
            Ok(())
        }
        Err(circles) => {
            for circle in circles {
                let mut names: Vec<&str> = circle
                    .iter()
                    .map(|rank| resources[by_name[*rank]].name.as_str())
                    .collect();
                names.push(names[0]);
                tell_circle(&names, positions[by_name[circle[0]]], source, collector);
            }
            Err(Reported)
        }
    }
}

/// Names of what a definition needs, some more than once.
pub(crate) fn needed(definition: &Definition) -> impl Iterator<Item = &str> {
    let references = definition
        .references
        .iter()
        .map(|reference| reference.resource.as_str());
    references.chain(definition.depends_on.iter().map(String::as_str))
}

/// The graph of the resources, each called by its rank in the alphabet.
fn needs(resources: &[CompiledResource], by_name: &[usize]) -> Needs {
    let ranks: LookupTable<&str, usize> = by_name
        .iter()
        .enumerate()
        .map(|(rank, at)| (resources[*at].name.as_str(), rank))
        .collect();
    let mut needs = Needs::among(resources.len());
    for (rank, at) in by_name.iter().enumerate() {
        let Some(definition) = &resources[*at].definition else {
            continue;
        };
        let mut last = None;
        for name in needed(definition) {
            // Several attributes of one resource follow each other. One that is not there is broken, and
            // that has been told, or stored and not touched.
            if last != Some(name)
                && let Some(needed) = ranks.get(name)
            {
                needs.add(rank, *needed);
            }
            last = Some(name);
        }
    }
    needs
}

/// Moves what is at `order[n]` to n, for all n.
fn permute(resources: &mut [CompiledResource], order: &[usize]) {
    let mut goes_to = vec![0; order.len()];
    for (to, from) in order.iter().enumerate() {
        goes_to[*from] = to;
    }
    for at in 0..goes_to.len() {
        while goes_to[at] != at {
            let to = goes_to[at];
            resources.swap(at, to);
            goes_to.swap(at, to);
        }
    }
}

/// How many resources of a circle are named.
const CIRCLE_NAMES: usize = 50;

/// Tells a circle: its names in order, the first once more at the end.
pub(crate) fn tell_circle(
    names: &[&str],
    position: Position,
    source: SourceId,
    collector: &mut Collector,
) {
    let shown = if names.len() > CIRCLE_NAMES {
        format!(
            "{} → … → {}",
            names[..CIRCLE_NAMES].join(" → "),
            names[names.len() - 1]
        )
    } else {
        names.join(" → ")
    };
    let path = format!("resources.{}", names[0]);
    collector.error(
        source,
        position,
        path,
        format!("resources need each other in a circle: {shown}"),
    );
}
