//! The `Resources` service.

use anneal_proto::v1::{
    self, resolve_request::Verdict, resources_client::ResourcesClient, resources_server::Resources,
};
use anneal_statemachine::{
    command::CommandKind,
    id::{InstanceId, Text},
};
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{
    Api,
    explain::no_resource,
    forward::{Place, place},
    resource::{Detail, Seen, declared_only, see},
    stacks::{asked, on_leader},
    status::{refused, storage},
    submissions::changed,
    token,
};
use crate::submit::Refused;

/// Resources read under one lock,
const AT_ONCE: usize = 50;
/// and neighbours of them: whoever reaches this is the last.
const NEIGHBOURS_AT_ONCE: usize = 10_000;

#[tonic::async_trait]
impl Resources for Api {
    async fn list(
        &self,
        request: Request<v1::ListResourcesRequest>,
    ) -> Result<Response<v1::ListResourcesReply>, Status> {
        let message = request.into_inner();
        let stack = self.find(message.stack.as_ref()).await?;
        let detail = Detail {
            brief: message.brief,
            show_secrets: message.stack.is_some_and(|stack| stack.show_secrets),
        };
        let limit = token::page_items(message.page_size);
        let start = token::read::<1>(&message.page_token)?;
        let mut after = start.map(|[after]| Text::from(after));
        let mut resources = Vec::new();
        let mut bytes = 0;
        loop {
            let (page, last) = self.replica.read(|state| {
                let mut page: Vec<Seen> = Vec::new();
                let (mut last, mut neighbours) = (None, 0);
                for id in state.resources_after(stack, after.as_ref()).take(AT_ONCE) {
                    let resource = state.resource(id);
                    last = resource.map(|resource| resource.name.clone()).or(last);
                    let Some(seen) = see(state, id, detail) else {
                        continue;
                    };
                    neighbours += seen.neighbours();
                    page.push(seen);
                    if neighbours >= NEIGHBOURS_AT_ONCE {
                        break;
                    }
                }
                (page, last)
            });
            let Some(last) = last else {
                return Ok(Response::new(v1::ListResourcesReply {
                    resources,
                    next_page_token: String::new(),
                }));
            };
            after = Some(last);
            let reader = self.replica.rows();
            let rows = reader.newest();
            for seen in page {
                let resource = seen.complete(&self.replica, &rows, &self.registry, detail);
                let resource = resource.map_err(storage)?;
                bytes += resource.encoded_len();
                let next_page_token = token::write(&[&resource.name]);
                resources.push(resource);
                if resources.len() >= limit || bytes >= token::PAGE_BYTES {
                    return Ok(Response::new(v1::ListResourcesReply {
                        resources,
                        next_page_token,
                    }));
                }
            }
        }
    }

    async fn show(
        &self,
        request: Request<v1::ResourceRef>,
    ) -> Result<Response<v1::Resource>, Status> {
        let message = request.into_inner();
        let stack = self.find(message.stack.as_ref()).await?;
        let detail = Detail {
            brief: false,
            show_secrets: message.stack.is_some_and(|stack| stack.show_secrets),
        };
        let resource = self.replica.read_then(
            |state| see(state, state.resource_named(stack, &message.name)?, detail),
            |seen, rows| {
                let complete =
                    |seen: Seen| seen.complete(&self.replica, rows, &self.registry, detail);
                seen.map(complete).transpose()
            },
        );
        let declared = || {
            let name = &message.name;
            self.replica.read(|state| declared_only(state, stack, name))
        };
        let resource = resource.map_err(storage)?.or_else(declared);
        resource
            .map(Response::new)
            .ok_or_else(|| no_resource(&message.name))
    }

    async fn retry(
        &self,
        request: Request<v1::ResourceVerbRequest>,
    ) -> Result<Response<v1::ChangeReply>, Status> {
        let message = on_leader!(self, request, ResourcesClient, retry);
        let asked = asked(
            &message.request_id,
            &message.namespace,
            &message.stack,
            None,
        )?;
        let resource = Text::from(message.name);
        let answer = self
            .submitter
            .about(&asked, |request, stack| CommandKind::Retry {
                request,
                stack,
                resource,
            })
            .await;
        answer.map(changed).map_err(refused)
    }

    async fn resolve(
        &self,
        request: Request<v1::ResolveRequest>,
    ) -> Result<Response<v1::ChangeReply>, Status> {
        let message = on_leader!(self, request, ResourcesClient, resolve);
        let asked = asked(
            &message.request_id,
            &message.namespace,
            &message.stack,
            None,
        )?;
        let physical_id = match message.verdict.clone() {
            Some(Verdict::Absent(true)) => None,
            Some(Verdict::Present(id)) => {
                // What is known here must be what was decided.
                self.submitter.make_sure().await.map_err(refused)?;
                Some(self.physical_id(&asked.namespace, &message, id)?)
            }
            Some(Verdict::Absent(false)) | None => {
                let text = "a verdict is either absent, or present under a physical id";
                return Err(refused(Refused::Argument(text.to_owned())));
            }
        };
        let resource = Text::from(message.name);
        let instance = Some(message.instance).filter(|id| *id != 0).map(InstanceId);
        let answer = self
            .submitter
            .about(&asked, |request, stack| CommandKind::Resolve {
                request,
                stack,
                resource,
                instance,
                physical_id,
            })
            .await;
        answer.map(changed).map_err(refused)
    }
}

impl Api {
    /// The physical id that a verdict means: the given one, or the one that is known already.
    fn physical_id(
        &self,
        namespace: &str,
        message: &v1::ResolveRequest,
        given: String,
    ) -> Result<Text, Status> {
        if !given.is_empty() {
            return Ok(given.into());
        }
        let known = self.replica.read(|state| {
            let stack = state.stack_named(namespace, &message.stack)?;
            let resource = state.resource(state.resource_named(stack, &message.name)?)?;
            let instance = match message.instance {
                0 => resource.current?,
                id => state.instance(InstanceId(id))?,
            };
            instance.row.physical_id.clone()
        });
        known.ok_or_else(|| {
            let text = "no physical id is known: say under which one it is there";
            refused(Refused::Argument(text.to_owned()))
        })
    }
}
