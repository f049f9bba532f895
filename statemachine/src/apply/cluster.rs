//! Cluster-wide settings, the feature level, member ids, deadlines.

use crate::command::Settings;
use crate::id::{RequestId, StackId};
use crate::outcome::{Outcome, Rejection};
use crate::row::Deadline;
use crate::turn::Turn;

impl Turn<'_> {
    pub(crate) fn set_settings(&mut self, settings: Settings) -> Outcome {
        self.state.cluster.settings = settings;
        self.touch_cluster();
        Outcome::Taken
    }

    pub(crate) fn raise_feature_level(&mut self, level: u32) -> Outcome {
        let present = self.state.cluster.feature_level;
        if level < present {
            return Outcome::Rejected(Rejection::FeatureLevelShrinks { present });
        }
        self.state.cluster.feature_level = level;
        self.touch_cluster();
        Outcome::Taken
    }

    pub(crate) fn allocate_member(&mut self) -> Outcome {
        self.state.cluster.last_member += 1;
        self.touch_cluster();
        Outcome::Member(self.state.cluster.last_member)
    }

    /// Everything whose deadline lies before the stamp.
    pub(crate) fn fire_deadlines(&mut self) -> Outcome {
        let now_ms = self.stamp.state_ms;
        let passed = |deadline: Option<Deadline>| matches!(deadline, Some(Deadline::At(at_ms)) if at_ms <= now_ms);
        let stacks = &self.state.stacks;
        let stacks: Vec<StackId> = stacks
            .iter()
            .filter(|(_, stack)| passed(stack.row.deadline))
            .map(|(id, _)| *id)
            .collect();
        let stages: Vec<RequestId> = self
            .state
            .stages
            .iter()
            .filter(|(_, stage)| stage.row.expires_ms.is_some_and(|at_ms| at_ms <= now_ms))
            .map(|(id, _)| *id)
            .collect();
        let count = (stacks.len() + stages.len()) as u64;
        for id in stacks {
            self.time_out(id);
        }
        for id in stages {
            self.drop_staged(id, self.items_per_entry());
        }
        Outcome::Fired { count }
    }
}
