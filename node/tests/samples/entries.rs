//! Log entries.

use std::collections::{BTreeMap, BTreeSet};

use anneal_node::replica::types::{
    Entry, EntryPayload, LeadershipId, LogId, MemberNode, Membership, Proposal,
};
use bytes::Bytes;

use super::{Sample, sample};

pub(crate) fn all() -> Vec<Sample<Entry>> {
    let entry = |payload| Entry {
        log_id: LogId::new(
            LeadershipId {
                term: 5,
                node_id: 2,
            },
            1234,
        ),
        payload,
    };
    let nodes = BTreeMap::from([
        (
            1,
            MemberNode {
                address: "one:7400".into(),
                becomes_voter: true,
            },
        ),
        (
            2,
            MemberNode {
                address: "two:7400".into(),
                becomes_voter: false,
            },
        ),
        (
            300,
            MemberNode {
                address: "three:7400".into(),
                becomes_voter: true,
            },
        ),
    ]);
    let voters = vec![BTreeSet::from([1, 2]), BTreeSet::from([1, 300])];
    let membership = Membership::new(voters, nodes).unwrap();
    let command = Bytes::from_static(b"an encoded command");
    vec![
        sample("blank", entry(EntryPayload::Blank)),
        sample("command", entry(EntryPayload::Normal(Proposal { command }))),
        sample("membership", entry(EntryPayload::Membership(membership))),
    ]
}
