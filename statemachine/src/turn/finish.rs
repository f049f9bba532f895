//! The end of an entry: what was touched becomes rows.

use crate::id::Subject;
use crate::outcome::{Applied, Outcome};
use crate::row::{RowChange, RowKey, RowValue, TroubleRow};
use crate::turn::Turn;

/// A trouble row. Memory keeps all of it but the words, so it is written whole, once.
pub(crate) fn trouble_row(turn: &mut Turn<'_>, subject: Subject, row: TroubleRow) {
    turn.put(RowKey::Trouble(subject), RowValue::Trouble(row));
}

impl Turn<'_> {
    /// Ends the entry.
    pub(crate) fn finish(mut self, outcome: Outcome) -> Applied {
        assert!(
            self.examine.is_empty(),
            "nothing is left to be examined when an entry ends"
        );
        self.collect_content();
        self.write_touched();
        let rows = std::mem::take(&mut self.rows)
            .into_iter()
            .map(|(key, value)| RowChange { key, value })
            .collect();
        Applied {
            outcome,
            rows,
            events: self.events,
        }
    }

    /// Stacks whose counts moved in this entry.
    pub(crate) fn take_moved(&mut self) -> Vec<crate::id::StackId> {
        std::mem::take(&mut self.touched.moved)
            .into_iter()
            .collect()
    }

    fn write_touched(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        let state = &*self.state;
        let rows = &mut self.rows;
        if touched.cluster {
            rows.insert(
                RowKey::Cluster,
                Some(RowValue::Cluster(state.cluster.clone())),
            );
        }
        for id in touched.stacks {
            let stack = state.stacks.get(&id);
            let value = stack.map(|stack| RowValue::Stack(Box::new(stack.row.clone())));
            rows.insert(RowKey::Stack(id), value);
        }
        for id in touched.resources {
            let resource = state.resources.get(&id);
            let value = resource.map(|resource| RowValue::Resource(Box::new(resource.row.clone())));
            rows.insert(RowKey::Resource(id), value);
        }
        for id in touched.instances {
            let instance = state.instances.get(&id);
            let value = instance.map(|instance| RowValue::Instance(Box::new(instance.row.clone())));
            rows.insert(RowKey::Instance(id), value);
        }
        for member in touched.engines {
            let engine = state.engines.get(&member);
            let value = engine.map(|engine| RowValue::Engine(Box::new(engine.row.clone())));
            rows.insert(RowKey::Engine(member), value);
        }
        for id in touched.requests {
            let value = state.requests.get(&id).cloned().map(RowValue::Request);
            rows.insert(RowKey::Request(id), value);
        }
        for id in touched.stages {
            let value = state
                .stages
                .get(&id)
                .map(|stage| RowValue::Stage(stage.row.clone()));
            rows.insert(RowKey::Stage(id), value);
        }
        for id in touched.tombstones {
            let tombstone = state.tombstones.get(&id).cloned();
            let value = tombstone.map(|row| RowValue::Tombstone(Box::new(row)));
            rows.insert(RowKey::Tombstone(id), value);
        }
    }
}
