//! A model of assignments and leases, explored exhaustively: what the design promises of two engines and one instance
//! is checked in every state that two engines, two leaders and a provider can come to, in whatever order things happen.
//!
//! **What is modelled.** Two engines, two leaders of which the second takes over from the first, and one or two
//! instances, of which the second requires the first. Heartbeats and answers that take their time, leases on clocks of
//! which one may run slow, a leader cut off from its quorum that does not know it; expiries and registrations that are
//! proposed at one moment and committed at another, or lost; assignments whose token is the log index; replicas that
//! lag; calls that are begun, land, end, break off, or leave something on its way that lands later; reports that are
//! late, doubled, or lost with their process; looks, two of them before absent is believed; processes that die and
//! register anew. An engine that pauses past its lease and wakes is one that does nothing for some ticks.
//!
//! **What is abstracted away.** Raft (a log whose entries are committed in any order that they could be); updates,
//! deletes, chunks, revocation, back-off, deadlines of calls other than the lease, hosts, and what an engine does that
//! applies nothing. A provider honours no keys, so that making twice makes two. Effects end with the lease (and what
//! was sent before dies out within a tick), except where a test says otherwise; a margin of one tick covers a clock
//! that misses one. It is a model of the protocol and not the code: the rows are judged by the simulation in
//! `statemachine/tests/simulation/`, the arithmetic of leases by the tests in `node/src/lease/`.
//!
//! **How to read it.** `params.rs` says what may go wrong, `step.rs` what may happen next, `apply.rs` what the state
//! machine makes of it, `laws.rs` what must hold; `heal.rs` turns all faults off in *every* state reached, and asks that
//! what is wanted comes to be there, once. Run it with `cargo test -p anneal-tests --test lease_model -- --nocapture`;
//! it prints the states of each run. All together they are 5.7 million, up to some 90 steps deep, in about 35 s. A law that
//! breaks is shown with a short way there, and the state that it ends in.
//!
//! **What it would take to fool it.** `each_mistake_is_found` leaves out one rule at a time and asks for a
//! counterexample: a model that can't say no has shown nothing.

mod apply;
mod heal;
mod laws;
mod params;
mod state;
mod step;

use params::{Faults, Mistake, Params};
use stateright::{Checker, HasDiscoveries, Model};

const NONE: Faults = Faults {
    expiries: 0,
    crashes: 0,
    elections: 0,
    slow_ticks: 0,
    doubled: 0,
    broken_calls: 0,
    asked_again: 0,
};

/// One instance, an engine that falters and one that takes over.
const PLAIN: Params = Params {
    instances: 1,
    other_is_steady: true,
    faults: NONE,
    effects_outlive_lease: false,
    provider_fences: false,
    mistake: None,
};

/// What a law's breach looks like: the steps that lead to it, and the state that they end in.
fn story(found: stateright::Path<state::State, step::Step>) -> String {
    let steps = found.into_vec();
    let end = steps.last().map(|(state, _)| format!("{state:#?}"));
    let steps: Vec<String> = steps
        .iter()
        .filter_map(|(_, step)| step.as_ref())
        .map(|step| format!("  {step:?}"))
        .collect();
    format!("{}\n{}", steps.join("\n"), end.unwrap_or_default())
}

/// Explores everything, and fails with the shortest story of a breach.
fn explore(name: &str, params: Params) {
    let began = std::time::Instant::now();
    let explored = params.checker().threads(2).spawn_bfs().join();
    println!(
        "{name}: {} states, {} steps taken, depth {}, {:?}",
        explored.unique_state_count(),
        explored.state_count(),
        explored.max_depth(),
        began.elapsed()
    );
    for property in explored.model().properties() {
        let met = explored.discovery(property.name);
        match property.expectation {
            stateright::Expectation::Sometimes => {
                let due = params.faults.expiries > 0 || property.name == laws::CONVERGED;
                assert!(
                    met.is_some() || !due,
                    "{name}: never met: {}",
                    property.name
                );
            }
            _ => {
                if let Some(found) = met {
                    panic!("{name}: broken: {}\n{}", property.name, story(found));
                }
            }
        }
    }
}

#[test]
fn an_engine_falls_silent_and_another_takes_over() {
    let faults = Faults {
        expiries: 2,
        slow_ticks: 1,
        ..NONE
    };
    let params = Params {
        instances: 2,
        faults,
        ..PLAIN
    };
    explore("silent", params);
}

#[test]
fn an_engine_dies_and_registers_anew() {
    let faults = Faults {
        expiries: 1,
        crashes: 1,
        ..NONE
    };
    let params = Params {
        instances: 2,
        faults,
        ..PLAIN
    };
    explore("dies", params);
}

#[test]
fn the_leader_is_cut_off_and_another_one_takes_over() {
    let faults = Faults {
        expiries: 1,
        elections: 1,
        ..NONE
    };
    let params = Params {
        instances: 2,
        faults,
        ..PLAIN
    };
    explore("election", params);
}

#[test]
fn the_leader_changes_while_an_engine_s_clock_is_slow() {
    let faults = Faults {
        expiries: 1,
        elections: 1,
        slow_ticks: 1,
        ..NONE
    };
    explore("slow at an election", Params { faults, ..PLAIN });
}

#[test]
fn the_leader_changes_while_an_engine_dies() {
    let faults = Faults {
        expiries: 1,
        elections: 1,
        crashes: 1,
        ..NONE
    };
    explore("dies at an election", Params { faults, ..PLAIN });
}

#[test]
fn calls_break_off_and_reports_come_twice() {
    let faults = Faults {
        expiries: 1,
        doubled: 1,
        broken_calls: 1,
        ..NONE
    };
    explore("doubled", Params { faults, ..PLAIN });
}

#[test]
fn both_engines_falter() {
    let faults = Faults {
        expiries: 1,
        ..NONE
    };
    let params = Params {
        other_is_steady: false,
        faults,
        ..PLAIN
    };
    explore("both falter", params);
}

/// Calls that outlive their lease for as long as they like: a provider that fences refuses what comes late.
#[test]
fn with_a_fence_effects_may_outlive_the_lease() {
    let faults = Faults {
        expiries: 1,
        crashes: 1,
        slow_ticks: 1,
        ..NONE
    };
    let params = Params {
        effects_outlive_lease: true,
        provider_fences: true,
        faults,
        ..PLAIN
    };
    explore("fenced", params);
}

/// The promise says as much: without a fence, a call that outlives its lease may land late. The model knows it too.
#[test]
fn without_a_fence_they_may_not() {
    let faults = Faults {
        expiries: 1,
        ..NONE
    };
    let params = Params {
        effects_outlive_lease: true,
        faults,
        ..PLAIN
    };
    found("late effects without a fence", params);
}

/// An engine gave up waiting for its registration, asked again and got its lease; then the first one is committed after
/// all. It names the incarnation that it was to follow, which is not the present one any more, and is refused. Without
/// that it would end the second one while something runs under it, and two engines could hold an action until the
/// engine's replica learns of it.
#[test]
fn a_registration_that_comes_late_does_not_end_the_one_that_overtook_it() {
    let faults = Faults {
        crashes: 1,
        asked_again: 1,
        ..NONE
    };
    explore("registrations", Params { faults, ..PLAIN });
}

/// Explores until a law breaks, and fails if none does.
fn found(name: &str, params: Params) {
    let broken = HasDiscoveries::AnyFailures;
    let explored = params
        .checker()
        .threads(2)
        .finish_when(broken)
        .spawn_bfs()
        .join();
    let found: Vec<(&str, usize)> = explored
        .discoveries()
        .into_iter()
        .filter(|(law, _)| {
            let property = explored.model().property(law);
            !matches!(property.expectation, stateright::Expectation::Sometimes)
        })
        .map(|(law, path)| (law, path.into_actions().len()))
        .collect();
    println!(
        "{name}: {found:?} within {} states",
        explored.unique_state_count()
    );
    assert!(!found.is_empty(), "{name}: no law breaks");
}

#[test]
fn each_mistake_is_found() {
    use Mistake::*;
    let faults = Faults {
        expiries: 1,
        ..NONE
    };
    let crash = Faults {
        crashes: 1,
        ..faults
    };
    let election = Faults {
        elections: 1,
        ..faults
    };
    let slow = Faults {
        slow_ticks: 1,
        ..faults
    };
    let asked_again = Faults {
        crashes: 1,
        asked_again: 1,
        ..NONE
    };
    let mistakes = [
        (RenewAfterProposedExpiry, faults),
        (LeaseFromReceipt, faults),
        (NoFullPeriodForNewLeader, election),
        (NoQuorumCheck, election),
        (SkipOwnLeaseCheck, faults),
        (UnknownAsAbsent, faults),
        (OneLookIsEnough, crash),
        (RequiredMayBeUnknown, faults),
        (NoMargin, slow),
        (ExpiryOfAnyIncarnation, crash),
        (RegistrationEndsNothing, crash),
        (LateReportCounts, faults),
        (ReportSentOnce, faults),
        (RegistrationNamesNobody, asked_again),
    ];
    for (mistake, faults) in mistakes {
        let params = Params {
            instances: if mistake == RequiredMayBeUnknown {
                2
            } else {
                1
            },
            faults,
            mistake: Some(mistake),
            ..PLAIN
        };
        found(&format!("{mistake:?}"), params);
    }
}
