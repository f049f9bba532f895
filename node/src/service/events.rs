//! The `Events` service, and events as the wire has them.

use std::collections::HashMap;

use anneal_proto::v1::{self, events_server::Events};
use anneal_statemachine::{
    StateMachine,
    event::Event,
    id::{StackId, Text},
};
use tonic::{Code, Request, Response, Status};

use super::{
    Api,
    stacks::Replies,
    status::{status, storage},
    token, watch,
};

/// Events looked at for one page of a resource's own, so that a page ends in bounded time.
const LOOKED_AT: usize = 20_000;

/// The names of stacks, also of those that have gone since.
#[derive(Default)]
pub(crate) struct Names(HashMap<StackId, (Text, Text)>);

impl Names {
    /// Those of these stacks, as they are now.
    pub(crate) fn now(state: &StateMachine, ids: impl IntoIterator<Item = StackId>) -> Self {
        let names = |id| {
            let row = state.stack(id)?.row;
            Some((id, (row.namespace.clone(), row.name.clone())))
        };
        Self(ids.into_iter().filter_map(names).collect())
    }

    /// Namespace and name of a stack, if they are known.
    pub(crate) fn get(&self, id: StackId) -> Option<&(Text, Text)> {
        self.0.get(&id)
    }

    /// Takes in what is known of a stack.
    pub(crate) fn learn(&mut self, id: StackId, names: &(Text, Text)) {
        self.0.entry(id).or_insert_with(|| names.clone());
    }

    /// Takes in what is known of others.
    pub(crate) fn learn_all(&mut self, others: Self) {
        self.0.extend(others.0);
    }
}

/// An event as the wire has it.
pub(crate) fn shown(event: &Event, (namespace, stack): &(Text, Text)) -> v1::Event {
    let resource = event.resource.as_ref();
    v1::Event {
        index: event.index,
        sequence: event.ordinal,
        time_ms: event.wall_ms,
        namespace: namespace.to_string(),
        stack: stack.to_string(),
        resource: resource
            .map(|(_, name)| name.to_string())
            .unwrap_or_default(),
        kind: event.kind.word().to_owned(),
        text: event.text.clone(),
        stack_id: event.stack.map_or(0, |id| id.0),
    }
}

#[tonic::async_trait]
impl Events for Api {
    type WatchStream = Replies<v1::WatchReply>;

    async fn list(
        &self,
        request: Request<v1::ListEventsRequest>,
    ) -> Result<Response<v1::ListEventsReply>, Status> {
        let message = request.into_inner();
        let stack = self.find(message.stack.as_ref()).await?;
        let limit = token::page_items(message.page_size);
        let mut after = place(&message.page_token)?;
        let names = self.replica.read(|state| Names::now(state, [stack]));
        let Some(names) = names.get(stack) else {
            return Ok(Response::new(v1::ListEventsReply::default()));
        };
        let mut events = Vec::new();
        let mut looked_at = 0;
        loop {
            let rows = self.replica.rows();
            let page = rows
                .newest()
                .events(Some(stack), after, limit)
                .map_err(storage)?;
            let ended = page.len() < limit;
            looked_at += page.len();
            for event in page {
                after = (event.index, event.ordinal);
                let of = event.resource.as_ref().map(|(_, name)| &**name);
                if message.resource.is_empty() || of == Some(&message.resource) {
                    events.push(shown(&event, names));
                }
                if events.len() == limit {
                    break;
                }
            }
            let full = events.len() == limit;
            if full || ended || looked_at >= LOOKED_AT {
                let next_page_token = match ended && !full {
                    true => String::new(),
                    false => token::write(&[&after.0.to_string(), &after.1.to_string()]),
                };
                return Ok(Response::new(v1::ListEventsReply {
                    events,
                    next_page_token,
                }));
            }
        }
    }

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let replies = watch::start(self, request.into_inner()).await?;
        Ok(Response::new(Box::pin(replies)))
    }
}

fn place(page_token: &str) -> Result<(u64, u32), Status> {
    let Some([index, ordinal]) = token::read::<2>(page_token)? else {
        return Ok((0, 0));
    };
    match (index.parse(), ordinal.parse()) {
        (Ok(index), Ok(ordinal)) => Ok((index, ordinal)),
        _ => Err(status(
            Code::InvalidArgument,
            "page_token",
            "this page token is none of ours",
        )),
    }
}
