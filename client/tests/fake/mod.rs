//! A member as a client sees it: real gRPC on a real port, with answers that a test chooses.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its part")]

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
};

use anneal_proto::v1::{self, cluster_server, events_server, stacks_server, submit_chunk::Chunk};
use futures_util::Stream;
use prost::Message as _;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::{StreamExt as _, wrappers::TcpListenerStream};
use tonic::{Code, Request, Response, Status, Streaming};

type Answer<T> = Result<Response<T>, Status>;
type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// One reply of a watch, or how it ends.
#[derive(Debug, Clone)]
pub enum Say {
    Reply(Box<v1::WatchReply>),
    Break(Status),
    /// Nothing more, and no end.
    FallSilent,
}

/// What a member says and what it was asked.
#[derive(Debug, Default)]
pub struct Script {
    /// To whether it is there; `None` is yes.
    pub status: Option<Status>,
    /// To a `show`; `None` is a stack.
    pub show: Option<Status>,
    /// To a `pause`, the first first; then a reply.
    pub pause: Vec<Status>,
    /// To each watch in turn.
    pub watches: Vec<Vec<Say>>,
    pub seen_pauses: Vec<v1::StackVerbRequest>,
    pub seen_watches: Vec<v1::WatchRequest>,
    pub seen_texts: Vec<(String, usize)>,
}

/// A member. It ends with the value.
pub struct Member {
    pub address: String,
    pub script: Arc<Mutex<Script>>,
    serving: JoinHandle<()>,
}

impl Member {
    pub async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(script));
        let fake = Fake(Arc::clone(&script));
        let router = tonic::transport::Server::builder()
            .add_service(cluster_server::ClusterServer::new(fake.clone()))
            .add_service(events_server::EventsServer::new(fake.clone()))
            .add_service(stacks_server::StacksServer::new(fake));
        let serving = tokio::spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            router.serve_with_incoming(incoming).await.unwrap();
        });
        Self {
            address: address.to_string(),
            script,
            serving,
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A port that nobody listens on.
pub async fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A port that accepts and never says a word.
pub struct Frozen {
    pub address: String,
    _listener: TcpListener,
}

impl Frozen {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            address: listener.local_addr().unwrap().to_string(),
            _listener: listener,
        }
    }
}

/// A member's own "not now".
pub fn unavailable(reason: &str, leader: &str, outcome_unknown: bool) -> Status {
    let detail = v1::ErrorDetail {
        reason: reason.to_owned(),
        leader_address: leader.to_owned(),
        outcome_unknown,
        ..Default::default()
    };
    Status::with_details(Code::Unavailable, reason, detail.encode_to_vec().into())
}

#[derive(Clone)]
struct Fake(Arc<Mutex<Script>>);

fn not_played<T>() -> Answer<T> {
    Err(Status::unimplemented("not part of this play"))
}

#[tonic::async_trait]
impl cluster_server::Cluster for Fake {
    async fn status(&self, _: Request<v1::MembersRequest>) -> Answer<v1::ClusterStatus> {
        match self.0.lock().unwrap().status.clone() {
            Some(status) => Err(status),
            None => Ok(Response::new(v1::ClusterStatus::default())),
        }
    }

    async fn members(&self, _: Request<v1::MembersRequest>) -> Answer<v1::MembersReply> {
        not_played()
    }
    async fn promote(&self, _: Request<v1::MemberVerbRequest>) -> Answer<v1::MemberVerbReply> {
        not_played()
    }
    async fn demote(&self, _: Request<v1::MemberVerbRequest>) -> Answer<v1::MemberVerbReply> {
        not_played()
    }
    async fn remove(&self, _: Request<v1::MemberVerbRequest>) -> Answer<v1::MemberVerbReply> {
        not_played()
    }
    async fn transfer_leader(
        &self,
        _: Request<v1::MemberVerbRequest>,
    ) -> Answer<v1::MemberVerbReply> {
        not_played()
    }
    async fn engines(&self, _: Request<v1::MembersRequest>) -> Answer<v1::EnginesReply> {
        not_played()
    }
    async fn forget_host(&self, _: Request<v1::ForgetHostRequest>) -> Answer<v1::ChangeReply> {
        not_played()
    }
    async fn providers(&self, _: Request<v1::ProvidersRequest>) -> Answer<v1::ProvidersReply> {
        not_played()
    }
}

#[tonic::async_trait]
impl events_server::Events for Fake {
    type WatchStream = Replies<v1::WatchReply>;

    async fn list(&self, _: Request<v1::ListEventsRequest>) -> Answer<v1::ListEventsReply> {
        not_played()
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Answer<Self::WatchStream> {
        let mut script = self.0.lock().unwrap();
        script.seen_watches.push(request.into_inner());
        if script.watches.is_empty() {
            return Err(unavailable("no_leader", "", false));
        }
        let said = script.watches.remove(0);
        let (sender, receiver) = tokio::sync::mpsc::channel(said.len().max(1));
        tokio::spawn(async move {
            for say in said {
                let reply = match say {
                    Say::Reply(reply) => Ok(*reply),
                    Say::Break(status) => Err(status),
                    Say::FallSilent => return sender.closed().await,
                };
                let _ = sender.send(reply).await;
            }
        });
        let replies = tokio_stream::wrappers::ReceiverStream::new(receiver);
        Ok(Response::new(Box::pin(replies)))
    }
}

#[tonic::async_trait]
impl stacks_server::Stacks for Fake {
    type PreviewStream = Replies<v1::PreviewItem>;
    type TemplateStream = Replies<v1::TextChunk>;
    type GraphStream = Replies<v1::GraphChunk>;

    async fn show(&self, request: Request<v1::StackRef>) -> Answer<v1::Stack> {
        match self.0.lock().unwrap().show.clone() {
            Some(status) => Err(status),
            None => Ok(Response::new(v1::Stack {
                name: request.into_inner().name,
                ..Default::default()
            })),
        }
    }

    async fn pause(&self, request: Request<v1::StackVerbRequest>) -> Answer<v1::ChangeReply> {
        let mut script = self.0.lock().unwrap();
        script.seen_pauses.push(request.into_inner());
        if script.pause.is_empty() {
            return Ok(Response::new(v1::ChangeReply::default()));
        }
        Err(script.pause.remove(0))
    }

    async fn submit(
        &self,
        request: Request<Streaming<v1::SubmitChunk>>,
    ) -> Answer<v1::SubmitReply> {
        let mut chunks = request.into_inner();
        while let Some(chunk) = chunks.next().await {
            if let Some(Chunk::Text(part)) = chunk?.chunk {
                let mut script = self.0.lock().unwrap();
                script.seen_texts.push((part.name, part.data.len()));
            }
        }
        Ok(Response::new(v1::SubmitReply {
            revision: 1,
            ..Default::default()
        }))
    }

    async fn preview(&self, _: Request<Streaming<v1::SubmitChunk>>) -> Answer<Self::PreviewStream> {
        not_played()
    }
    async fn validate(&self, _: Request<Streaming<v1::SubmitChunk>>) -> Answer<v1::ValidateReply> {
        not_played()
    }
    async fn delete(&self, _: Request<v1::DeleteRequest>) -> Answer<v1::ChangeReply> {
        not_played()
    }
    async fn resume(&self, _: Request<v1::StackVerbRequest>) -> Answer<v1::ChangeReply> {
        not_played()
    }
    async fn cancel(&self, _: Request<v1::CancelRequest>) -> Answer<v1::ChangeReply> {
        not_played()
    }
    async fn rollback(&self, _: Request<v1::RollbackRequest>) -> Answer<v1::ChangeReply> {
        not_played()
    }
    async fn check(&self, _: Request<v1::StackVerbRequest>) -> Answer<v1::CheckReply> {
        not_played()
    }
    async fn list(&self, _: Request<v1::ListStacksRequest>) -> Answer<v1::ListStacksReply> {
        not_played()
    }
    async fn template(&self, _: Request<v1::StackRef>) -> Answer<Self::TemplateStream> {
        not_played()
    }
    async fn outputs(&self, _: Request<v1::OutputsRequest>) -> Answer<v1::OutputsReply> {
        not_played()
    }
    async fn graph(&self, _: Request<v1::StackRef>) -> Answer<Self::GraphStream> {
        not_played()
    }
    async fn explain(&self, _: Request<v1::ExplainRequest>) -> Answer<v1::ExplainReply> {
        not_played()
    }
}
