//! The product's own dispatcher leads random histories of the product's own state machine: engines lost, leaders changed,
//! reports slow, late and doubled, little capacity, few calls at a time. What it proposes must be admissible unless a
//! race explains it, engines must never have more than they can carry, and everything must converge.
//!
//! The world, the engines, the people and the laws are those of `statemachine/tests/simulation/`; see there for the
//! environment. A crowd of stacks of very different sizes, for fairness, is in `dispatch/crowd.rs`.

#![allow(
    unreachable_pub,
    reason = "a test is a crate of its own that nobody reaches into"
)]
#![allow(dead_code, reason = "the simulation's own leader is not asked here")]

#[path = "../../statemachine/tests/simulation/blueprint.rs"]
mod blueprint;
#[path = "../../statemachine/tests/simulation/calls.rs"]
mod calls;
#[path = "../../statemachine/tests/simulation/changes.rs"]
mod changes;
#[path = "../../statemachine/tests/simulation/config.rs"]
mod config;
#[path = "../../statemachine/tests/simulation/coverage.rs"]
mod coverage;
#[path = "dispatch/crowd.rs"]
mod crowd;
#[path = "../../statemachine/tests/simulation/dice.rs"]
mod dice;
#[path = "../../statemachine/tests/simulation/engines.rs"]
mod engines;
#[path = "../../statemachine/tests/simulation/finale.rs"]
mod finale;
#[path = "../../statemachine/tests/simulation/harness.rs"]
mod harness;
#[path = "../../statemachine/tests/simulation/incremental.rs"]
mod incremental;
#[path = "../../statemachine/tests/simulation/laws.rs"]
mod laws;
#[path = "../../statemachine/tests/simulation/leader.rs"]
mod leader;
#[path = "../../statemachine/tests/simulation/leads.rs"]
mod leads;
#[path = "dispatch/mind.rs"]
mod mind;
#[path = "../../statemachine/tests/reference/mod.rs"]
mod reference;
#[path = "../../statemachine/tests/simulation/requests.rs"]
mod requests;
#[path = "../../statemachine/tests/simulation/sim.rs"]
mod sim;
#[path = "../../statemachine/tests/simulation/steps.rs"]
mod steps;
#[path = "../../statemachine/tests/simulation/story.rs"]
mod story;
#[path = "../../statemachine/tests/simulation/troubles.rs"]
mod troubles;
#[path = "dispatch/types.rs"]
mod types;
#[path = "../../statemachine/tests/simulation/users.rs"]
mod users;
#[path = "../../statemachine/tests/simulation/world.rs"]
mod world;

use config::Config;
use dice::Dice;
use leads::Leads;
use mind::Mind;

/// Histories of an ordinary test run: some seconds.
const ORDINARY_SEEDS: u64 = 300;

/// What must have happened at least once in so many.
const DEMANDED: &[&str] = &[
    "a decision is overtaken",
    "another leader takes over",
    "an engine is expired",
    "an engine is lost",
    "a report arrives twice",
    "a report is late",
    "the leader decides on a batch",
    "the leader decides on a chunk",
    "the leader waits for its time",
];

/// The simulation's shape, with engines that soon have enough to do.
fn shape(seed: u64) -> Config {
    let mut config = Config::draw(seed);
    let mut dice = Dice::new(seed ^ 0xd15b);
    config.capacity = dice.within(1, 4) as u32;
    if dice.percent(40) {
        config.most_resources = dice.within(6, 12);
    }
    config
}

fn product(config: &Config) -> Option<Box<dyn Leads>> {
    Some(Box::new(Mind::new(config)))
}

#[test]
fn random_histories_under_the_products_own_dispatcher_keep_every_law() {
    let (coverage, count) = harness::examine_many(ORDINARY_SEEDS, shape, product);
    if count >= ORDINARY_SEEDS {
        let missing = coverage.missing(DEMANDED);
        assert_eq!(missing, Vec::<&str>::new(), "never happened");
    }
}
