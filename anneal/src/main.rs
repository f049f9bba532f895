//! Anneal: a convergence engine for infrastructure stacks.

fn main() {}
