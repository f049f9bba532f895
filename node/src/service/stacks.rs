//! The `Stacks` service.

use std::{pin::Pin, sync::Arc};

use anneal_proto::v1::{self, stacks_client::StacksClient, stacks_server::Stacks};
use anneal_statemachine::{
    command::Change,
    id::{Revision, StackId},
};
use tokio_stream::Stream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    Api,
    forward::{Place, place},
    outputs::Showing,
    reads::{begin, outage},
    stack::{Seen, dress, see},
    status::{refused, status},
    submissions::changed,
    token,
};
use crate::{
    observe::{Checked, NotChecked},
    submit::{Asked, Refused, namespace, request_id, stored_head},
};

pub(crate) type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Who asks for what of which stack.
pub(crate) fn asked(
    request: &str,
    given_namespace: &str,
    name: &str,
    base: Option<u64>,
) -> Result<Asked, Status> {
    Ok(Asked {
        request: request_id(request).map_err(refused)?,
        namespace: namespace(given_namespace).map_err(refused)?.to_owned(),
        name: name.to_owned(),
        base: base.map(Revision),
    })
}

impl Api {
    /// The stack that a reference means, after the read has begun as it asks.
    pub(crate) async fn find(&self, reference: Option<&v1::StackRef>) -> Result<StackId, Status> {
        let missing = || refused(Refused::Argument("a request without a stack".to_owned()));
        let reference = reference.ok_or_else(missing)?;
        begin(&self.replica, reference.local).await?;
        let namespace = namespace(&reference.namespace).map_err(refused)?;
        let found = self
            .replica
            .read(|state| state.stack_named(namespace, &reference.name));
        found.ok_or_else(|| no_stack(&reference.name))
    }

    pub(crate) fn showing(&self, stack: StackId, show_secrets: bool) -> Showing<'_> {
        Showing {
            replica: &self.replica,
            registry: &self.registry,
            stack,
            show_secrets,
        }
    }

    async fn verb(
        &self,
        message: &v1::StackVerbRequest,
        change: Change,
    ) -> Result<Response<v1::ChangeReply>, Status> {
        let asked = asked(&message.request_id, &message.namespace, &message.name, None)?;
        let answer = self.submitter.change(&asked, change).await;
        answer.map(changed).map_err(refused)
    }

    async fn check_here(&self, message: &v1::StackVerbRequest) -> Result<v1::CheckReply, Status> {
        let reference = v1::StackRef {
            namespace: message.namespace.clone(),
            name: message.name.clone(),
            ..Default::default()
        };
        let stack = self.find(Some(&reference)).await?;
        let observer = self.observer.borrow().clone();
        let Some(observer) = observer else {
            return Err(outage(&self.replica, "this member has only just begun to lead").await);
        };
        match observer.check(stack).await {
            Ok(checked) => Ok(check_reply(checked)),
            Err(error @ NotChecked::LeadershipOver) => {
                Err(outage(&self.replica, &error.to_string()).await)
            }
            Err(error @ NotChecked::Busy) => Err(status(
                tonic::Code::ResourceExhausted,
                "busy",
                &error.to_string(),
            )),
        }
    }
}

pub(crate) fn no_stack(name: &str) -> Status {
    let name = name.into();
    refused(anneal_statemachine::outcome::Rejection::StackNotFound { name }.into())
}

fn check_reply(checked: Checked) -> v1::CheckReply {
    let drifts = checked.drifts.into_iter().map(|drift| v1::Drift {
        resource: drift.resource.to_string(),
        vanished: drift.vanished,
        differences: drift
            .differences
            .into_iter()
            .map(|difference| v1::PropertyDifference {
                path: difference.path,
                desired: difference.desired,
                found: difference.found,
            })
            .collect(),
    });
    let failures = checked
        .failures
        .into_iter()
        .map(|failure| v1::CheckFailure {
            resource: failure.resource.to_string(),
            message: failure.message,
        });
    v1::CheckReply {
        read: checked.read,
        index: checked.index,
        drifts: drifts.collect(),
        failures: failures.collect(),
    }
}

/// Answers here, or passes the call on to the leader.
macro_rules! on_leader {
    ($api:expr, $request:expr, $client:ident, $call:ident) => {
        on_leader!($api, $request, $client, $call, ask)
    };
    ($api:expr, $request:expr, $client:ident, $call:ident, $how:ident) => {{
        let request = $request;
        match place(&$api.replica, request.metadata()).await? {
            Place::Here => request.into_inner(),
            Place::There(leader) => {
                return leader
                    .$how(request.into_inner(), |channel, request| async move {
                        $client::new(channel).$call(request).await
                    })
                    .await;
            }
        }
    }};
}
pub(crate) use on_leader;

#[tonic::async_trait]
impl Stacks for Api {
    type PreviewStream = Replies<v1::PreviewItem>;
    type TemplateStream = Replies<v1::TextChunk>;
    type GraphStream = Replies<v1::GraphChunk>;

    async fn submit(
        &self,
        request: Request<Streaming<v1::SubmitChunk>>,
    ) -> Result<Response<v1::SubmitReply>, Status> {
        self.take_submission(request).await
    }

    async fn preview(
        &self,
        request: Request<Streaming<v1::SubmitChunk>>,
    ) -> Result<Response<Self::PreviewStream>, Status> {
        let (received, _share) = self.receive(request.into_inner()).await?;
        begin(&self.replica, false).await?;
        let preview = crate::preview::preview(&self.submitter, Arc::new(received)).await;
        let items = preview.map_err(refused)?;
        let items = futures_util::stream::iter(items.into_iter().map(Ok));
        Ok(Response::new(Box::pin(items)))
    }

    async fn validate(
        &self,
        request: Request<Streaming<v1::SubmitChunk>>,
    ) -> Result<Response<v1::ValidateReply>, Status> {
        let (received, _share) = self.receive(request.into_inner()).await?;
        let problems = match self.submitter.validate(received).await {
            Ok(warnings) => warnings,
            Err(Refused::Invalid(invalid)) => invalid.problems,
            Err(other) => return Err(refused(other)),
        };
        Ok(Response::new(v1::ValidateReply { problems }))
    }

    async fn delete(
        &self,
        request: Request<v1::DeleteRequest>,
    ) -> Result<Response<v1::ChangeReply>, Status> {
        let message = on_leader!(self, request, StacksClient, delete);
        let (request, name) = (&message.request_id, &message.name);
        let asked = asked(request, &message.namespace, name, message.base_revision)?;
        let change = Change::Delete { base: asked.base };
        let answer = self.submitter.change(&asked, change).await;
        answer.map(changed).map_err(refused)
    }

    async fn pause(
        &self,
        request: Request<v1::StackVerbRequest>,
    ) -> Result<Response<v1::ChangeReply>, Status> {
        let message = on_leader!(self, request, StacksClient, pause);
        self.verb(&message, Change::Pause).await
    }

    async fn resume(
        &self,
        request: Request<v1::StackVerbRequest>,
    ) -> Result<Response<v1::ChangeReply>, Status> {
        let message = on_leader!(self, request, StacksClient, resume);
        self.verb(&message, Change::Resume).await
    }

    async fn cancel(
        &self,
        request: Request<v1::CancelRequest>,
    ) -> Result<Response<v1::ChangeReply>, Status> {
        let message = on_leader!(self, request, StacksClient, cancel, ask_patiently);
        let asked = asked(&message.request_id, &message.namespace, &message.name, None)?;
        let answer = match message.rollback {
            true => self.submitter.rollback(&asked, None).await,
            false => self.submitter.change(&asked, Change::Cancel).await,
        };
        answer.map(changed).map_err(refused)
    }

    async fn rollback(
        &self,
        request: Request<v1::RollbackRequest>,
    ) -> Result<Response<v1::ChangeReply>, Status> {
        let message = on_leader!(self, request, StacksClient, rollback, ask_patiently);
        let (request, name) = (&message.request_id, &message.name);
        let asked = asked(request, &message.namespace, name, message.base_revision)?;
        let to = message.to_revision.map(Revision);
        let answer = self.submitter.rollback(&asked, to).await;
        answer.map(changed).map_err(refused)
    }

    async fn check(
        &self,
        request: Request<v1::StackVerbRequest>,
    ) -> Result<Response<v1::CheckReply>, Status> {
        let message = on_leader!(self, request, StacksClient, check, ask_patiently);
        self.check_here(&message).await.map(Response::new)
    }

    async fn show(&self, request: Request<v1::StackRef>) -> Result<Response<v1::Stack>, Status> {
        let message = request.into_inner();
        let id = self.find(Some(&message)).await?;
        let seen = self.replica.read(|state| see(state, id));
        let seen = seen.ok_or_else(|| no_stack(&message.name))?;
        let stack = dress(seen, &self.showing(id, message.show_secrets));
        Ok(Response::new(stack))
    }

    async fn list(
        &self,
        request: Request<v1::ListStacksRequest>,
    ) -> Result<Response<v1::ListStacksReply>, Status> {
        let message = request.into_inner();
        begin(&self.replica, message.local).await?;
        self.list_page(&message).map(Response::new)
    }

    async fn template(
        &self,
        request: Request<v1::StackRef>,
    ) -> Result<Response<Self::TemplateStream>, Status> {
        let show_secrets = request.get_ref().show_secrets;
        let id = self.find(Some(request.get_ref())).await?;
        let text = super::template::render(&self.replica, id, show_secrets).await?;
        let chunks = super::template::chunks(text);
        Ok(Response::new(Box::pin(futures_util::stream::iter(chunks))))
    }

    async fn outputs(
        &self,
        request: Request<v1::OutputsRequest>,
    ) -> Result<Response<v1::OutputsReply>, Status> {
        let message = request.into_inner();
        let id = self.find(message.stack.as_ref()).await?;
        let show_secrets = message.stack.is_some_and(|stack| stack.show_secrets);
        let head = self.replica.read(|state| state.stack(id)?.row.head);
        let outputs = match head {
            Some(digest) => stored_head(&self.replica, digest).map_err(refused)?.outputs,
            None => Vec::new(),
        };
        let unknown = message
            .names
            .iter()
            .find(|name| outputs.iter().all(|output| output.name != **name));
        if let Some(name) = unknown {
            let text = format!("there is no output {name}");
            return Err(status(tonic::Code::NotFound, "output_not_found", &text));
        }
        let showing = self.showing(id, show_secrets);
        let wanted = |name: &String| message.names.is_empty() || message.names.contains(name);
        let outputs = outputs
            .iter()
            .filter(|output| wanted(&output.name))
            .map(|output| showing.output(output))
            .collect();
        Ok(Response::new(v1::OutputsReply { outputs }))
    }

    async fn graph(
        &self,
        request: Request<v1::StackRef>,
    ) -> Result<Response<Self::GraphStream>, Status> {
        let id = self.find(Some(request.get_ref())).await?;
        let chunks = super::graph::chunks(self.replica.clone(), id);
        Ok(Response::new(Box::pin(chunks)))
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::ExplainReply>, Status> {
        let message = request.into_inner();
        let id = self.find(message.stack.as_ref()).await?;
        super::explain::explain(&self.replica, id, &message.resource).map(Response::new)
    }
}

impl Api {
    fn list_page(&self, message: &v1::ListStacksRequest) -> Result<v1::ListStacksReply, Status> {
        let limit = token::page_items(message.page_size);
        let start = token::read::<2>(&message.page_token)?;
        let only = match message.all_namespaces {
            true => None,
            false => Some(namespace(&message.namespace).map_err(refused)?.to_owned()),
        };
        let ids = self.replica.read(|state| {
            let mut ids = Vec::new();
            let namespaces = state.namespaces().filter(|name| match (&only, &start) {
                (Some(only), _) => ***name == **only,
                (None, Some([from, _])) => ***name >= **from,
                (None, None) => true,
            });
            for namespace in namespaces {
                let after = match &start {
                    Some([from, after]) if **from == **namespace => after.as_str(),
                    _ => "",
                };
                let left = limit + 1 - ids.len();
                ids.extend(state.stacks_after(namespace, after).take(left));
                if ids.len() > limit {
                    break;
                }
            }
            ids
        });
        let mut stacks = Vec::new();
        // One at a time: a reason may take a look at many resources.
        for id in ids.iter().take(limit) {
            let seen = self.replica.read(|state| see(state, *id));
            stacks.extend(seen.map(|seen: Seen| seen.stack));
        }
        let next_page_token = match stacks.last() {
            Some(last) if ids.len() > limit => token::write(&[&last.namespace, &last.name]),
            _ => String::new(),
        };
        Ok(v1::ListStacksReply {
            stacks,
            next_page_token,
        })
    }
}
