//! The graph of a stack, node by node in the order of names. Drawing it is the client's.

use anneal_proto::v1;
use anneal_statemachine::{
    StateMachine,
    id::{ResourceId, StackId, Text},
};
use futures_util::Stream;
use tonic::Status;

use crate::{replica::Replica, submit::PAGE};

/// The nodes in pages; each is read when the one before was taken.
pub(crate) fn chunks(
    replica: Replica,
    stack: StackId,
) -> impl Stream<Item = Result<v1::GraphChunk, Status>> + Send {
    let start = Some(None);
    futures_util::stream::unfold(start, move |after: Option<Option<Text>>| {
        let replica = replica.clone();
        async move {
            let after = after?;
            let (nodes, last) = page(&replica, stack, after.as_ref());
            let next = last.map(Some);
            Some((Ok(v1::GraphChunk { nodes }), next))
        }
    })
}

fn page(
    replica: &Replica,
    stack: StackId,
    after: Option<&Text>,
) -> (Vec<v1::GraphNode>, Option<Text>) {
    replica.read(|state| {
        let ids: Vec<ResourceId> = state.resources_after(stack, after).take(PAGE).collect();
        let last = ids.last().and_then(|id| state.resource(*id));
        let last = last
            .filter(|_| ids.len() == PAGE)
            .map(|view| view.name.clone());
        (ids.iter().filter_map(|id| node(state, *id)).collect(), last)
    })
}

fn node(state: &StateMachine, id: ResourceId) -> Option<v1::GraphNode> {
    let view = state.resource(id)?;
    let requires = state.requires(id).iter();
    let mut requires: Vec<String> = requires
        .filter_map(|id| Some(state.resource(*id)?.name.to_string()))
        .collect();
    requires.sort();
    Some(v1::GraphNode {
        name: view.name.to_string(),
        r#type: view.type_name.map(Text::to_string).unwrap_or_default(),
        phase: view.phase?.word().to_owned(),
        requires,
    })
}
