//! Order and circles among resources. Knows numbers and edges only; the questions are petgraph's.

use std::collections::VecDeque;

use petgraph::Direction;
use petgraph::algo::{kosaraju_scc, toposort};
use petgraph::graph::{DiGraph, NodeIndex};

/// Which resources, by their numbers, need which.
#[derive(Debug, Default)]
pub struct Needs {
    /// An edge leads from what is needed to what needs it.
    graph: DiGraph<(), ()>,
}

impl Needs {
    /// Resources from 0 on that need nothing yet.
    pub fn among(count: usize) -> Self {
        let mut graph = DiGraph::with_capacity(count, count);
        for _ in 0..count {
            graph.add_node(());
        }
        Self { graph }
    }

    /// Lets one need another.
    ///
    /// # Panics
    /// There are not so many resources.
    pub fn add(&mut self, resource: usize, needed: usize) {
        self.graph
            .add_edge(NodeIndex::new(needed), NodeIndex::new(resource), ());
    }

    /// All resources, what is needed first: by the length of the longest way to each, then by number.
    ///
    /// Neighbours in this order are mostly neighbours by number too. Whoever keeps them by name finds the next one near the last.
    ///
    /// # Errors
    /// The circles: each as the resources of a shortest one, every one needing the next, the last the first.
    pub fn order(&self) -> Result<Vec<usize>, Vec<Vec<usize>>> {
        let Ok(mut order) = toposort(&self.graph, None) else {
            return Err(self.circles());
        };
        let mut steps = vec![0_u32; order.len()];
        for at in &order {
            for next in self.graph.neighbors(*at) {
                steps[next.index()] = steps[next.index()].max(steps[at.index()] + 1);
            }
        }
        order.sort_unstable_by_key(|at| (steps[at.index()], at.index()));
        Ok(order.into_iter().map(NodeIndex::index).collect())
    }

    fn circles(&self) -> Vec<Vec<usize>> {
        let mut circles: Vec<Vec<usize>> = Vec::new();
        // Not Tarjan's algorithm: petgraph's recurses as deep as the chain is long.
        for component in kosaraju_scc(&self.graph) {
            let Some(start) = component.iter().min().copied() else {
                continue;
            };
            if component.len() > 1 || self.graph.contains_edge(start, start) {
                circles.push(self.circle_through(start));
            }
        }
        circles.sort();
        circles
    }

    /// A shortest way from a resource back to itself, along what it needs.
    fn circle_through(&self, start: NodeIndex) -> Vec<usize> {
        let mut came_from = vec![None; self.graph.node_count()];
        let mut open = VecDeque::from([start]);
        while let Some(at) = open.pop_front() {
            let mut needed: Vec<NodeIndex> = self
                .graph
                .neighbors_directed(at, Direction::Incoming)
                .collect();
            needed.sort_unstable();
            for next in needed {
                if next == start {
                    return way_back(&came_from, start, at);
                }
                if came_from[next.index()].is_none() {
                    came_from[next.index()] = Some(at);
                    open.push_back(next);
                }
            }
        }
        unreachable!("a resource in a circle leads back to itself")
    }
}

fn way_back(came_from: &[Option<NodeIndex>], start: NodeIndex, end: NodeIndex) -> Vec<usize> {
    let mut circle = vec![end.index()];
    let mut at = end;
    while at != start {
        at = came_from[at.index()].expect("every resource on the way was come to from another");
        circle.push(at.index());
    }
    circle.reverse();
    circle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_comes_first_and_a_long_chain_is_no_trouble() {
        let count = 100_000;
        let mut needs = Needs::among(count);
        for n in 1..count {
            needs.add(n - 1, n);
        }
        let order = needs.order().unwrap();
        assert_eq!(order, (0..count).rev().collect::<Vec<_>>());
        needs.add(count - 1, 0);
        assert_eq!(needs.order().unwrap_err()[0].len(), count);
    }

    #[test]
    fn what_could_come_at_once_comes_by_number() {
        let mut needs = Needs::among(6);
        for (resource, needed) in [(0, 5), (3, 1), (2, 3), (2, 5)] {
            needs.add(resource, needed);
        }
        assert_eq!(needs.order().unwrap(), [1, 4, 5, 0, 3, 2]);
    }

    #[test]
    fn a_circle_is_told_as_the_shortest_way_round() {
        let mut needs = Needs::among(6);
        for (resource, needed) in [(0, 1), (1, 2), (2, 0), (2, 3), (3, 1), (5, 5), (4, 0)] {
            needs.add(resource, needed);
        }
        assert_eq!(needs.order().unwrap_err(), vec![vec![0, 1, 2], vec![5]]);
    }
}
