//! One file per family of commands. Each checks, changes the state through a [`Turn`], and answers.
//! What follows from a change is the rules' business.

mod advance;
mod assign;
mod change;
mod cluster;
mod compare;
mod desire;
mod engine;
mod history;
mod observe;
mod person;
mod report;
mod request;
mod stage;

use crate::command::{Command, CommandKind};
use crate::outcome::{Applied, Outcome};
use crate::state::State;
use crate::turn::Turn;

/// Applies one log entry.
pub(crate) fn apply(state: &mut State, index: u64, command: Command) -> Applied {
    let mut turn = Turn::new(state, index, command.stamp);
    let outcome = turn.dispatch(command.kind);
    turn.drain();
    turn.put_off_spreading();
    turn.settle_stacks();
    turn.finish(outcome)
}

impl Turn<'_> {
    fn dispatch(&mut self, kind: CommandKind) -> Outcome {
        match kind {
            CommandKind::RegisterEngine(engine) => self.register_engine(engine),
            CommandKind::ExpireEngine(engine) => self.expire_engine(engine),
            CommandKind::DrainEngine(engine) => self.drain_engine(engine),
            CommandKind::ForgetHost { request, host } => {
                self.once(request, |turn| turn.forget_host(&host))
            }
            CommandKind::ChangeStack(change) => {
                self.once(change.request, |turn| turn.change_stack(change))
            }
            CommandKind::StagePart(part) => self.stage_part(part),
            CommandKind::CommitStaged(commit) => {
                self.once(commit.change.request, |turn| turn.commit_staged(commit))
            }
            CommandKind::Advance => self.advance(),
            CommandKind::Assign { items } => self.assign(&items),
            CommandKind::Report { items } => self.report(items),
            CommandKind::Observe { items } => self.observe(&items),
            CommandKind::Retry {
                request,
                stack,
                resource,
            } => self.once(request, |turn| turn.retry(stack, &resource)),
            CommandKind::Resolve {
                request,
                stack,
                resource,
                instance,
                physical_id,
            } => self.once(request, |turn| {
                turn.resolve(stack, &resource, instance, physical_id)
            }),
            CommandKind::FireDeadlines => self.fire_deadlines(),
            CommandKind::ExpireHistory {
                stack,
                revisions_through,
                events_before,
            } => self.expire_history(stack, revisions_through, events_before),
            CommandKind::ExpireRequests => self.expire_requests(),
            CommandKind::ClusterSettings { request, settings } => {
                self.once(request, |turn| turn.set_settings(settings))
            }
            CommandKind::FeatureLevel { level } => self.raise_feature_level(level),
            CommandKind::AllocateMemberId { request } => self.once(request, Turn::allocate_member),
        }
    }
}
