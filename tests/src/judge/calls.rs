//! The journal as calls: what came, what it did, how it was answered.

use std::collections::BTreeMap;

use crate::cloud::{Did, Fault, Happened, Operation, Record};

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What it asked for.
    pub operation: Operation,
    /// For which stack.
    pub stack: String,
    /// And resource.
    pub name: String,
    /// And instance.
    pub instance: String,
    /// By which key.
    pub key: Option<String>,
    /// Under which token; 0: none.
    pub token: u64,
    /// Whether the token was to fence.
    pub fencing: bool,
    /// When it came. Microseconds since 1970.
    pub in_us: u64,
    /// When it was answered, if it was.
    pub out_us: Option<u64>,
    /// What the cloud did wrong.
    pub fault: Option<Fault>,
    /// What it did.
    pub did: Option<Did>,
}

/// Every call by its number.
pub fn calls(journal: &[Record]) -> BTreeMap<u64, Call> {
    let mut calls = BTreeMap::new();
    for record in journal {
        match &record.what {
            Happened::In {
                operation,
                stack,
                name,
                instance,
                key,
                token,
                fencing,
                fault,
                ..
            } => {
                let call = Call {
                    operation: *operation,
                    stack: stack.clone(),
                    name: name.clone(),
                    instance: instance.clone(),
                    key: key.clone(),
                    token: *token,
                    fencing: *fencing,
                    in_us: record.at_us,
                    out_us: None,
                    fault: *fault,
                    did: None,
                };
                calls.insert(record.call, call);
            }
            Happened::Effect(did) => {
                if let Some(call) = calls.get_mut(&record.call) {
                    call.did = Some(did.clone());
                }
            }
            Happened::Out { .. } => {
                if let Some(call) = calls.get_mut(&record.call) {
                    call.out_us = Some(record.at_us);
                }
            }
            Happened::RemovedByHand { .. } | Happened::ChangedByHand { .. } => {}
        }
    }
    calls
}
