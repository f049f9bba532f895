//! Submissions: taken in here or passed on to the leader as they come.

use std::time::Duration;

use anneal_proto::v1::{self, stacks_client::StacksClient};
use anneal_statemachine::id::Revision;
use prost::Message as _;
use tokio::{task::spawn_blocking, time::timeout};
use tokio_stream::StreamExt as _;
use tonic::{Request, Response, Status, Streaming};

use super::{
    Api,
    forward::{Place, place},
    receipt::Share,
    status::refused,
};
use crate::submit::{Answer, Received, Receiver, Refused};

/// A client that sends nothing for this long holds the room of others.
const CHUNK_PATIENCE: Duration = Duration::from_secs(30);

impl Api {
    /// Takes a submission in, or passes it on.
    pub(crate) async fn take_submission(
        &self,
        request: Request<Streaming<v1::SubmitChunk>>,
    ) -> Result<Response<v1::SubmitReply>, Status> {
        if let Place::There(leader) = place(&self.replica, request.metadata()).await? {
            // One that breaks off here arrives without its end there, and is refused.
            let chunks = request.into_inner().map_while(Result::ok);
            return leader
                .ask_patiently(chunks, |channel, chunks| async move {
                    StacksClient::new(channel).submit(chunks).await
                })
                .await;
        }
        let (received, _share) = self.receive(request.into_inner()).await?;
        let answer = self.submitter.submit(received).await.map_err(refused)?;
        Ok(Response::new(submitted(answer)))
    }

    /// The whole submission, and its share of the room, to be kept for as long as it is worked on.
    pub(crate) async fn receive(
        &self,
        mut chunks: Streaming<v1::SubmitChunk>,
    ) -> Result<(Received, Share), Status> {
        let mut receiver = Receiver::default();
        let mut share = self.room.share();
        loop {
            let chunk = timeout(CHUNK_PATIENCE, chunks.message()).await;
            let Some(chunk) = chunk.map_err(|_| refused(stalled()))?? else {
                break;
            };
            share.take(chunk.encoded_len()).await.map_err(refused)?;
            receiver.take(chunk).map_err(refused)?;
        }
        let received = put_together(receiver).await.map_err(refused)?;
        Ok((received, share))
    }
}

async fn put_together(receiver: Receiver) -> Result<Received, Refused> {
    if !receiver.is_large() {
        return receiver.end();
    }
    let received = spawn_blocking(move || receiver.end()).await;
    received.map_err(|error| Refused::Internal(error.to_string()))?
}

fn stalled() -> Refused {
    let seconds = CHUNK_PATIENCE.as_secs();
    Refused::Argument(format!(
        "a submission of which nothing came for {seconds} s"
    ))
}

fn submitted(answer: Answer) -> v1::SubmitReply {
    v1::SubmitReply {
        stack_id: answer.stack.0,
        revision: answer.revision.0,
        changed: answer.changed,
        created: answer.changed && answer.revision == Revision(1),
        index: answer.index,
        warnings: answer.warnings,
    }
}

/// The answer to a change that is no submission.
pub(crate) fn changed(answer: Answer) -> Response<v1::ChangeReply> {
    Response::new(v1::ChangeReply {
        stack_id: answer.stack.0,
        revision: answer.revision.0,
        changed: answer.changed,
        index: answer.index,
    })
}
