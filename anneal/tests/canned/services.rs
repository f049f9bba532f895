//! The services that give the answers.

use std::pin::Pin;

use anneal_client::v1;
use anneal_client::v1::cluster_server::Cluster;
use anneal_client::v1::events_server::Events;
use anneal_client::v1::resources_server::Resources;
use anneal_client::v1::stacks_server::Stacks;
use anneal_client::v1::submit_chunk::Chunk;
use anneal_client::v1::watch_reply::Reply;
use tokio_stream::{Stream, StreamExt};
use tonic::{Code, Request, Response, Status, Streaming};

use super::messages::{events, not_found, outputs, problems, refusal, resources, stack};

type Answer<T> = Result<Response<T>, Status>;
type Many<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// All services.
#[derive(Clone, Copy)]
pub(crate) struct Canned;

fn many<T: Send + 'static>(items: Vec<T>) -> Many<T> {
    Box::pin(tokio_stream::iter(items.into_iter().map(Ok)))
}

fn changed(name: &str) -> Answer<v1::ChangeReply> {
    stack(name)?;
    Ok(Response::new(v1::ChangeReply {
        stack_id: 12,
        revision: 3,
        changed: true,
        index: 42,
    }))
}

async fn header(chunks: Streaming<v1::SubmitChunk>) -> Result<v1::SubmitHeader, Status> {
    let mut chunks = chunks;
    let mut header = None;
    while let Some(chunk) = chunks.next().await {
        if let Some(Chunk::Header(found)) = chunk?.chunk {
            header = Some(found);
        }
    }
    let header = header.ok_or_else(|| Status::invalid_argument("no header"))?;
    if header.name == "bad" {
        let message = "the template does not compile".to_string();
        return Err(refusal(Code::InvalidArgument, "invalid_template", message));
    }
    if header.base_revision.is_some_and(|base| base != 3) {
        let message = "the stack is at revision 3".to_string();
        return Err(refusal(Code::Aborted, "base_moved", message));
    }
    Ok(header)
}

#[tonic::async_trait]
impl Stacks for Canned {
    type PreviewStream = Many<v1::PreviewItem>;
    type TemplateStream = Many<v1::TextChunk>;
    type GraphStream = Many<v1::GraphChunk>;

    async fn submit(
        &self,
        request: Request<Streaming<v1::SubmitChunk>>,
    ) -> Answer<v1::SubmitReply> {
        let header = header(request.into_inner()).await?;
        if header.verb() == v1::Verb::Create && header.name == "web" {
            let message = "stack web exists already in namespace default".to_string();
            return Err(refusal(Code::AlreadyExists, "stack_exists", message));
        }
        stack(&header.name)?;
        Ok(Response::new(v1::SubmitReply {
            stack_id: 12,
            revision: 3,
            changed: header.name != "web" || !header.parameters.is_empty(),
            created: false,
            index: 42,
            warnings: Vec::new(),
        }))
    }

    async fn preview(
        &self,
        request: Request<Streaming<v1::SubmitChunk>>,
    ) -> Answer<Self::PreviewStream> {
        use v1::preview_item::Item;
        header(request.into_inner()).await?;
        let resource = |name: &str, action: &str, properties: &[&str], because: &str| {
            Item::Resource(v1::PreviewResource {
                name: name.into(),
                r#type: "Anneal::File".into(),
                action: action.into(),
                properties: properties.iter().map(ToString::to_string).collect(),
                because: because.into(),
                depends_on_unknown: false,
            })
        };
        let items = vec![
            Item::Summary(v1::PreviewSummary {
                plan_id: "p-1".into(),
                base_revision: 3,
                create: 1,
                update: 1,
                replace: 1,
                delete: 1,
                take_back: 1,
                unchanged: 1,
                warnings: Vec::new(),
            }),
            resource("a", "create", &[], ""),
            resource("b", "update", &["content", "mode"], ""),
            resource("c", "replace", &["path"], "path cannot be changed in place"),
            resource("d", "delete", &[], ""),
            resource("e", "take_back", &[], ""),
            resource("f", "unchanged", &[], ""),
        ];
        let items = items
            .into_iter()
            .map(|item| v1::PreviewItem { item: Some(item) })
            .collect();
        Ok(Response::new(many(items)))
    }

    async fn validate(
        &self,
        _request: Request<Streaming<v1::SubmitChunk>>,
    ) -> Answer<v1::ValidateReply> {
        Ok(Response::new(v1::ValidateReply {
            problems: problems(),
        }))
    }

    async fn delete(&self, request: Request<v1::DeleteRequest>) -> Answer<v1::ChangeReply> {
        changed(&request.into_inner().name)
    }

    async fn pause(&self, request: Request<v1::StackVerbRequest>) -> Answer<v1::ChangeReply> {
        changed(&request.into_inner().name)
    }

    async fn resume(&self, request: Request<v1::StackVerbRequest>) -> Answer<v1::ChangeReply> {
        changed(&request.into_inner().name)
    }

    async fn cancel(&self, request: Request<v1::CancelRequest>) -> Answer<v1::ChangeReply> {
        changed(&request.into_inner().name)
    }

    async fn rollback(&self, request: Request<v1::RollbackRequest>) -> Answer<v1::ChangeReply> {
        changed(&request.into_inner().name)
    }

    async fn check(&self, request: Request<v1::StackVerbRequest>) -> Answer<v1::CheckReply> {
        stack(&request.into_inner().name)?;
        Ok(Response::new(v1::CheckReply {
            read: 3,
            index: 42,
            drifts: vec![
                v1::Drift {
                    resource: "page".into(),
                    vanished: false,
                    differences: vec![v1::PropertyDifference {
                        path: "/content".into(),
                        desired: "\"hello\"".into(),
                        found: "\"edited by hand\"".into(),
                    }],
                },
                v1::Drift {
                    resource: "home".into(),
                    vanished: true,
                    differences: Vec::new(),
                },
            ],
            failures: vec![v1::CheckFailure {
                resource: "server".into(),
                message: "no live engine on host-b".into(),
            }],
        }))
    }

    async fn show(&self, request: Request<v1::StackRef>) -> Answer<v1::Stack> {
        Ok(Response::new(stack(&request.into_inner().name)?))
    }

    async fn list(&self, request: Request<v1::ListStacksRequest>) -> Answer<v1::ListStacksReply> {
        if request.get_ref().namespace == "empty" {
            return Ok(Response::new(v1::ListStacksReply::default()));
        }
        // Two pages.
        let (name, next) = match request.into_inner().page_token.as_str() {
            "" => ("broken", "2"),
            _ => ("web", ""),
        };
        let listed = v1::Stack {
            outputs: Vec::new(),
            ..stack(name)?
        };
        Ok(Response::new(v1::ListStacksReply {
            stacks: vec![listed],
            next_page_token: next.into(),
        }))
    }

    async fn template(&self, request: Request<v1::StackRef>) -> Answer<Self::TemplateStream> {
        stack(&request.into_inner().name)?;
        let parts = ["heat_template_version: 2021-04-16\n", "resources: {}\n"];
        let parts = parts.map(|text| v1::TextChunk {
            data: text.as_bytes().to_vec().into(),
        });
        Ok(Response::new(many(parts.into())))
    }

    async fn outputs(&self, request: Request<v1::OutputsRequest>) -> Answer<v1::OutputsReply> {
        let names = request.into_inner().names;
        let mut outputs = outputs();
        outputs.retain(|output| names.is_empty() || names.contains(&output.name));
        if outputs.is_empty() {
            return Err(refusal(
                Code::NotFound,
                "output_not_found",
                format!("there is no output {}", names.join(", ")),
            ));
        }
        Ok(Response::new(v1::OutputsReply { outputs }))
    }

    async fn graph(&self, request: Request<v1::StackRef>) -> Answer<Self::GraphStream> {
        stack(&request.into_inner().name)?;
        let chunk = |resource: v1::Resource| v1::GraphChunk {
            nodes: vec![v1::GraphNode {
                name: resource.name,
                r#type: resource.r#type,
                phase: resource.phase,
                requires: resource.requires,
            }],
        };
        Ok(Response::new(many(
            resources().into_iter().map(chunk).collect(),
        )))
    }

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Answer<v1::ExplainReply> {
        let request = request.into_inner();
        stack(&request.stack.unwrap_or_default().name)?;
        Ok(Response::new(v1::ExplainReply {
            status: if request.resource.is_empty() {
                "converging"
            } else {
                "waiting"
            }
            .into(),
            reasons: vec!["page is being created by member 2".into()],
            blockers: vec!["page".into()],
        }))
    }
}

#[tonic::async_trait]
impl Resources for Canned {
    async fn list(
        &self,
        request: Request<v1::ListResourcesRequest>,
    ) -> Answer<v1::ListResourcesReply> {
        stack(&request.into_inner().stack.unwrap_or_default().name)?;
        Ok(Response::new(v1::ListResourcesReply {
            resources: resources(),
            next_page_token: String::new(),
        }))
    }

    async fn show(&self, request: Request<v1::ResourceRef>) -> Answer<v1::Resource> {
        let name = request.into_inner().name;
        let found = resources().into_iter().find(|found| found.name == name);
        let missing = || {
            refusal(
                Code::NotFound,
                "resource_not_found",
                format!("stack web has no resource {name}"),
            )
        };
        Ok(Response::new(found.ok_or_else(missing)?))
    }

    async fn retry(&self, request: Request<v1::ResourceVerbRequest>) -> Answer<v1::ChangeReply> {
        changed(&request.into_inner().stack)
    }

    async fn resolve(&self, request: Request<v1::ResolveRequest>) -> Answer<v1::ChangeReply> {
        changed(&request.into_inner().stack)
    }
}

#[tonic::async_trait]
impl Events for Canned {
    type WatchStream = Many<v1::WatchReply>;

    async fn list(&self, request: Request<v1::ListEventsRequest>) -> Answer<v1::ListEventsReply> {
        let name = request.into_inner().stack.unwrap_or_default().name;
        stack(&name)?;
        Ok(Response::new(v1::ListEventsReply {
            events: events(&name),
            next_page_token: String::new(),
        }))
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Answer<Self::WatchStream> {
        let request = request.into_inner();
        let stack = stack(&request.stack).map_err(|_| not_found(&request.stack))?;
        let never_ends = stack.status == "converging";
        let mut replies: Vec<v1::WatchReply> = events(&request.stack)
            .into_iter()
            .map(|event| v1::WatchReply {
                progress_index: event.index,
                reply: Some(Reply::Event(event)),
            })
            .collect();
        if request.with_stack {
            replies.push(v1::WatchReply {
                reply: Some(Reply::Stack(stack)),
                progress_index: 45,
            });
        }
        if never_ends {
            return Ok(Response::new(Box::pin(
                many(replies).chain(tokio_stream::pending()),
            )));
        }
        Ok(Response::new(many(replies)))
    }
}

fn verb(request: v1::MemberVerbRequest) -> Answer<v1::MemberVerbReply> {
    if request.member == 3 || request.member == 0 {
        return Ok(Response::new(v1::MemberVerbReply {
            leader: 1,
            changed: true,
        }));
    }
    Err(refusal(
        Code::NotFound,
        "member_not_found",
        format!("there is no member {}", request.member),
    ))
}

#[tonic::async_trait]
impl Cluster for Canned {
    async fn members(&self, _request: Request<v1::MembersRequest>) -> Answer<v1::MembersReply> {
        let member = |id, role: &str| v1::Member {
            id,
            address: format!("127.0.0.1:740{id}"),
            role: role.into(),
            last_log_index: 100,
            applied_index: 99,
            reachable: role != "learner",
        };
        Ok(Response::new(v1::MembersReply {
            members: vec![
                member(1, "leader"),
                member(2, "voter"),
                member(3, "learner"),
            ],
            cluster_id: "c-1".into(),
            leader: 1,
        }))
    }

    async fn status(&self, _request: Request<v1::MembersRequest>) -> Answer<v1::ClusterStatus> {
        Ok(Response::new(v1::ClusterStatus {
            cluster_id: "c-1".into(),
            leader: 1,
            term: 4,
            answered_by: 2,
            last_log_index: 100,
            applied_index: 99,
            snapshot_index: 50,
            voters: 2,
            learners: 1,
            stacks: 2,
            resources: 5,
            in_flight: 1,
            feature_level: 1,
            version: "0.1.0".into(),
            healthy: true,
        }))
    }

    async fn promote(
        &self,
        request: Request<v1::MemberVerbRequest>,
    ) -> Answer<v1::MemberVerbReply> {
        verb(request.into_inner())
    }

    async fn demote(&self, request: Request<v1::MemberVerbRequest>) -> Answer<v1::MemberVerbReply> {
        verb(request.into_inner())
    }

    async fn remove(&self, request: Request<v1::MemberVerbRequest>) -> Answer<v1::MemberVerbReply> {
        verb(request.into_inner())
    }

    async fn transfer_leader(
        &self,
        request: Request<v1::MemberVerbRequest>,
    ) -> Answer<v1::MemberVerbReply> {
        verb(request.into_inner())
    }

    async fn engines(&self, _request: Request<v1::MembersRequest>) -> Answer<v1::EnginesReply> {
        Ok(Response::new(v1::EnginesReply {
            engines: vec![v1::Engine {
                member_id: 1,
                incarnation: 7,
                address: "127.0.0.1:7401".into(),
                host_id: "host-a".into(),
                lease: "live".into(),
                capacity: 64,
                in_flight: 1,
            }],
        }))
    }

    async fn forget_host(
        &self,
        _request: Request<v1::ForgetHostRequest>,
    ) -> Answer<v1::ChangeReply> {
        Ok(Response::new(v1::ChangeReply {
            changed: true,
            ..Default::default()
        }))
    }

    async fn providers(
        &self,
        _request: Request<v1::ProvidersRequest>,
    ) -> Answer<v1::ProvidersReply> {
        Ok(Response::new(v1::ProvidersReply {
            types: vec![v1::ProviderType {
                provider: "OS::Heat".into(),
                r#type: "OS::Heat::None".into(),
                description: "Does nothing.".into(),
                schema_json: r#"{"name":"OS::Heat::None","description":"Does nothing.","properties":[],"attributes":[]}"#
                    .into(),
            }],
        }))
    }
}
