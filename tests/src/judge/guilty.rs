//! Journals for tests, written as they read: who came, with which key and token, and what was done.

use crate::cloud::{Body, Did, Happened, Operation, Record};

/// A journal being made up.
#[derive(Default)]
pub(crate) struct Story {
    records: Vec<Record>,
    calls: u64,
}

impl Story {
    fn note(&mut self, what: Happened) {
        self.records.push(Record {
            at_us: self.records.len() as u64 + 1,
            call: self.calls,
            what,
        });
    }

    /// A call that is answered as soon as it is done.
    pub(crate) fn call(
        mut self,
        operation: Operation,
        instance: &str,
        key: Option<&str>,
        token: u64,
        did: Did,
    ) -> Self {
        self.calls += 1;
        self.note(Happened::In {
            operation,
            stack: "s".to_owned(),
            name: "r".to_owned(),
            instance: instance.to_owned(),
            key: key.map(str::to_owned),
            token,
            fencing: true,
            id: None,
            fault: None,
        });
        self.note(Happened::Effect(did));
        self.note(Happened::Out { status: 200 });
        self
    }

    pub(crate) fn creates(self, instance: &str, key: &str, token: u64, id: &str) -> Self {
        let did = created(id, &[]);
        self.call(Operation::Create, instance, Some(key), token, did)
    }

    pub(crate) fn deletes(self, instance: &str, token: u64, id: &str) -> Self {
        let did = Did::Deleted { id: id.to_owned() };
        self.call(Operation::Delete, instance, Some("d"), token, did)
    }

    pub(crate) fn looks(self, instance: &str, token: u64, found: usize) -> Self {
        let did = Did::Looked { found };
        self.call(Operation::Find, instance, None, token, did)
    }

    pub(crate) fn removed_by_hand(mut self, id: &str) -> Self {
        self.calls += 1;
        self.note(Happened::RemovedByHand { id: id.to_owned() });
        self
    }

    pub(crate) fn told(self) -> Vec<Record> {
        self.records
    }
}

pub(crate) fn created(id: &str, refs: &[&str]) -> Did {
    Did::Created {
        id: id.to_owned(),
        body: body(refs),
    }
}

pub(crate) fn body(refs: &[&str]) -> Body {
    Body {
        stack: "s".to_owned(),
        name: "r".to_owned(),
        refs: refs.iter().map(|&id| id.to_owned()).collect(),
        ..Body::default()
    }
}
