//! The laws, and what a run must have come across.

use stateright::{Model, Property};

use crate::params::Params;
use crate::state::{INSTANCES, Observed, State, Work, Wrong};
use crate::step::Step;

/// What every run comes across; the rest needs an expiry.
pub(crate) const CONVERGED: &str = "it converged";

impl Model for Params {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::first(self)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        // Nothing is learnt behind a broken law, nor when nothing can change any more.
        if state.wrong.is_none() && !state.at_rest(self) {
            state.steps(self, steps);
        }
    }

    fn next_state(&self, state: &State, step: Step) -> Option<State> {
        let mut next = state.clone();
        next.take(self, step);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("who runs a call holds the action", holds),
            Property::always("tokens of effects grow", |_, state: &State| {
                state.wrong != Some(Wrong::TokenWentBack)
            }),
            Property::always("what is required is there first", |_, state: &State| {
                state.wrong != Some(Wrong::CreatedWithoutRequired)
            }),
            Property::always(
                "a late report brings an id and nothing else",
                |_, state: &State| state.wrong != Some(Wrong::LateReportChanged),
            ),
            Property::always("unknown is never absent", absent_is_absent),
            Property::always("known as present is there", |_, state: &State| {
                INSTANCES.iter().all(|instance| {
                    state.rows[*instance].observed != Observed::Present
                        || state.world.objects[*instance] > 0
                })
            }),
            Property::always("nothing is made twice", |_, state: &State| {
                state.world.objects.iter().all(|objects| *objects <= 1)
            }),
            Property::always(
                "with faults off it converges",
                |params: &Params, state: &State| state.heals(params),
            ),
            Property::sometimes(CONVERGED, |params: &Params, state: &State| {
                state.converged(params)
            }),
            Property::sometimes("a late report brought an id", |_, state: &State| {
                state.met.late_id
            }),
            Property::sometimes("an effect came after its call", |_, state: &State| {
                state.met.late_effect
            }),
        ]
    }
}

/// Two engines never hold an action on one instance at once: whoever runs a call is the one that the replicated state
/// names, with the token that it names.
fn holds(_: &Params, state: &State) -> bool {
    state.engines.iter().enumerate().all(|(engine, it)| {
        it.call.is_none_or(|call| {
            state.rows[call.instance].flight().is_some_and(|held| {
                (held.engine, held.token) == (engine, call.token) && held.work == call.work
            })
        })
    })
}

/// What the state has as absent is not there, and nothing that could make it is on its way.
fn absent_is_absent(params: &Params, state: &State) -> bool {
    INSTANCES.iter().all(|instance| {
        let row = &state.rows[*instance];
        if row.observed != Observed::Absent || row.flight().is_some() {
            return true;
        }
        let makes = |engine: &crate::state::Engine| {
            engine
                .call
                .is_some_and(|call| call.instance == *instance && call.work == Work::Create)
        };
        let lands = |echo: &crate::state::Echo| {
            echo.instance == *instance && state.accepts(params, echo.instance, echo.token)
        };
        state.world.objects[*instance] == 0
            && !state.engines.iter().any(makes)
            && !state.echoes.iter().any(lands)
    })
}
