//! Staged changes: parts do the heavy work as they arrive, one last entry switches, all or nothing.

use crate::apply::change::Cause;
use crate::apply::compare::Next;
use crate::command::{Change, CommitStaged, Difference, SetResource, StagePart};
use crate::id::{RequestId, Revision, StackId, Text};
use crate::outcome::{Outcome, Rejection};
use crate::row::{Pending, RowKey, RowValue, StageRow, StagedRow};
use crate::state::{Stage, Tally};
use crate::turn::Turn;

impl Turn<'_> {
    pub(crate) fn stage_part(&mut self, part: StagePart) -> Outcome {
        let present = self
            .state
            .stages
            .get(&part.stage)
            .map_or(0, |stage| stage.row.parts);
        if part.part < present {
            return Outcome::Staged { parts: present };
        }
        let incomplete = Rejection::StageIncomplete {
            stage: part.stage,
            present,
            expected: part.part,
        };
        if part.part > present {
            return Outcome::Rejected(incomplete);
        }
        let stage = self.state.stages.get(&part.stage);
        let is_closed = |stage: &Stage| stage.row.expires_ms.is_none() || stage.row.done > 0;
        if stage.is_some_and(is_closed) {
            return Outcome::Rejected(incomplete);
        }
        if let Some(name) = repeated(stage, &part) {
            return Outcome::Rejected(Rejection::DuplicateResource { name });
        }
        let known = part.stack.filter(|id| self.state.stacks.contains_key(id));
        // It may set as many as there may be, and remove as many: all of one stack for all of another. Where there are more
        // already, as the limit was lowered, it may be about all of them.
        let there = known.map_or(0, |id| self.state.stack(id).declared.names);
        let (sets, removes) = stage.map_or((0, 0), Stage::size);
        let larger = (sets + part.set.len() as u64).max(removes + part.remove.len() as u64);
        if larger > there
            && let Err(rejection) = self.check_size(larger)
        {
            return Outcome::Rejected(rejection);
        }
        let compared = self.compare(known, Next::of(&part.set, &part.remove));
        self.stage_items(part.stage, &part.set, &part.remove);
        self.stage_entry(part.stage).add_compared(compared);
        Outcome::Staged { parts: present + 1 }
    }

    /// Adds a part to a staged change.
    pub(crate) fn stage_items(&mut self, id: RequestId, set: &[SetResource], remove: &[Text]) {
        let mut items = Vec::with_capacity(set.len() + remove.len());
        for item in set {
            items.push(StagedRow {
                name: item.name.clone(),
                desired: Some(self.take_item(item, Revision(0))),
            });
        }
        items.extend(remove.iter().map(|name| StagedRow {
            name: name.clone(),
            desired: None,
        }));
        let items = items.into_boxed_slice();
        let now_ms = self.stamp.state_ms;
        let lifetime_ms = self.state.cluster.settings.stage_lifetime_ms;
        let stage = self.stage_entry(id);
        let first = stage.row.items;
        stage.row.parts += 1;
        stage.row.items += items.len() as u32;
        stage.row.expires_ms = Some(now_ms.saturating_add(lifetime_ms));
        self.touch_stage(id);
        if !items.is_empty() {
            self.stage_entry(id).add(first, items.clone());
            self.put(RowKey::Staged(id, first), RowValue::Staged(items));
        }
    }

    fn stage_entry(&mut self, id: RequestId) -> &mut Stage {
        let row = StageRow {
            parts: 0,
            items: 0,
            done: 0,
            expires_ms: None,
        };
        let stages = &mut self.state.stages;
        stages.entry(id).or_insert_with(|| Stage::new(row))
    }

    pub(crate) fn commit_staged(&mut self, commit: CommitStaged) -> Outcome {
        let CommitStaged {
            stage,
            parts,
            change,
        } = commit;
        let present = self
            .state
            .stages
            .get(&stage)
            .filter(|stage| stage.row.expires_ms.is_some() && stage.row.done == 0);
        let present = present.map_or(0, |stage| stage.row.parts);
        if present != parts || parts == 0 {
            return Outcome::Rejected(Rejection::StageIncomplete {
                stage,
                present,
                expected: parts,
            });
        }
        let id = self.state.stack_named(&change.namespace, &change.name);
        let name = change.name.clone();
        let checked = match (id, change.change) {
            (None, Change::Create { difference }) => {
                self.check_commit(None, stage, difference, Cause::Declared)
            }
            (Some(_), Change::Create { .. }) => Err(Rejection::AlreadyExists { name }),
            (None, _) => Err(Rejection::StackNotFound { name }),
            (Some(id), Change::Update { base, difference }) => self
                .check_base(id, base)
                .and_then(|()| self.check_commit(Some(id), stage, difference, Cause::Declared)),
            (
                Some(id),
                Change::Rollback {
                    base,
                    to,
                    difference,
                    failed,
                },
            ) => self
                .check_base(id, base)
                .and_then(|()| self.check_rollback(id, to, failed))
                .and_then(|()| {
                    self.check_commit(
                        Some(id),
                        stage,
                        difference,
                        Cause::Rollback(to, failed.is_some()),
                    )
                }),
            _ => Err(Rejection::NotACommit),
        };
        match checked {
            Ok((difference, cause, declared)) => {
                let id = id.unwrap_or_else(|| self.add_stack(change.namespace, change.name));
                let revision = self.revise(id, &difference, cause, declared);
                self.commit_stage(id, stage, revision);
                self.work_off(id, self.items_per_entry());
                self.answer(id, false)
            }
            Err(rejection) => {
                self.drop_stage_later(stage);
                Outcome::Rejected(rejection)
            }
        }
    }

    fn check_commit(
        &self,
        id: Option<StackId>,
        stage: RequestId,
        difference: Difference,
        cause: Cause,
    ) -> Result<(Difference, Cause, Tally), Rejection> {
        if !difference.set.is_empty() || !difference.remove.is_empty() {
            return Err(Rejection::NotACommit);
        }
        let declared = self.check_staged(id, &self.state.stages[&stage], cause)?;
        Ok((difference, cause, declared))
    }

    /// What the parts were compared to as they came is not looked up again: a commit must not cost what its parts did. It does
    /// if that is not known, after a restart, or was another revision.
    fn check_staged(
        &self,
        id: Option<StackId>,
        stage: &Stage,
        cause: Cause,
    ) -> Result<Tally, Rejection> {
        let now = id.map(|id| (id, self.state.stack(id).row.revision));
        let compared = stage.compared.clone().filter(|it| it.to == now);
        let compared = compared.unwrap_or_else(|| {
            let items = stage.after(None).map(|(_, item)| self.next_of(item));
            self.compare(id, items)
        });
        self.check_compared(compared, cause)
    }

    /// The staged change is a revision from now on, and is taken in when its turn comes.
    pub(crate) fn commit_stage(&mut self, id: StackId, stage: RequestId, revision: Revision) {
        self.stage_entry(stage).commit();
        self.touch_stage(stage);
        self.edit_stack(id)
            .queue
            .push(Pending::Switch { stage, revision });
        self.state.queues.insert(id);
    }

    /// The staged change is of no use any more.
    fn drop_stage_later(&mut self, id: RequestId) {
        self.stage_entry(id).row.expires_ms = Some(0);
        self.touch_stage(id);
    }

    /// Drops up to `budget` items of a staged change that nobody commits.
    pub(crate) fn drop_staged(&mut self, id: RequestId, budget: usize) {
        for _ in 0..budget {
            match self.take_staged(id) {
                Some(StagedRow {
                    desired: Some(desired),
                    ..
                }) => self.drop_desired(&desired),
                Some(_) => {}
                None => return,
            }
        }
    }

    /// Takes the next item out of a staged change; after the last one, the staged change is gone.
    pub(crate) fn take_staged(&mut self, id: RequestId) -> Option<StagedRow> {
        self.touch_stage(id);
        let stage = self.state.stages.get_mut(&id)?;
        let taken = stage.take();
        if stage.is_empty() {
            self.state.stages.remove(&id);
        }
        let (item, ended) = taken?;
        if let Some(first) = ended {
            self.remove(RowKey::Staged(id, first));
        }
        Some(item)
    }
}

/// A name that a part repeats, or that an earlier part has given.
fn repeated(stage: Option<&Stage>, part: &StagePart) -> Option<Text> {
    let mut names = std::collections::BTreeSet::new();
    let all = part.set.iter().map(|item| &item.name).chain(&part.remove);
    for name in all {
        if !names.insert(name) || stage.is_some_and(|stage| stage.names.contains_key(name)) {
            return Some(name.clone());
        }
    }
    None
}
