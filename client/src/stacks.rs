//! The calls of the `Stacks` service.

use anneal_proto::v1::{self, stacks_client::StacksClient};
use tonic::{Streaming, transport::Channel};

use crate::{
    call::{Effect, Pace},
    client::{ANSWER_LIMIT, Client},
    error::{Error, Verdict, judge},
    name::{Read, RequestId, StackName},
    pages::Pages,
    submission::Submission,
};

fn on(channel: Channel) -> StacksClient<Channel> {
    StacksClient::new(channel).max_decoding_message_size(ANSWER_LIMIT)
}

/// What would happen, resource by resource.
#[derive(Debug)]
pub struct Preview {
    /// The counts, and the id of the plan.
    pub summary: v1::PreviewSummary,
    items: Streaming<v1::PreviewItem>,
}

impl Preview {
    /// The next resource, in the order of names, or `None` after the last.
    ///
    /// # Errors
    /// When the stream breaks; the preview is then to be asked for again.
    pub async fn next(&mut self) -> Result<Option<v1::PreviewResource>, Error> {
        use v1::preview_item::Item;
        loop {
            match self.items.message().await.map_err(|s| broken(&s))? {
                None => return Ok(None),
                Some(v1::PreviewItem {
                    item: Some(Item::Resource(resource)),
                }) => return Ok(Some(resource)),
                Some(_) => {}
            }
        }
    }
}

/// A stream that was not to be taken up again ended early.
fn broken(status: &tonic::Status) -> Error {
    match judge(status) {
        Verdict::Final(error) => error,
        Verdict::TryElsewhere { why, .. } => Error::Unavailable(vec![crate::Attempt {
            endpoint: "the stream".to_owned(),
            why,
        }]),
    }
}

impl Client {
    /// Submits a change; returns when it is committed. Not cut by the deadline of calls.
    ///
    /// # Errors
    /// As [`Error`] says; an invalid template with every problem.
    pub async fn submit(&self, submission: &Submission) -> Result<v1::SubmitReply, Error> {
        let effect = Effect::Of(&submission.request_id);
        let ask = |channel| async move { on(channel).submit(submission.chunks()).await };
        let answer = self.caller.call(Pace::Patient, effect, ask).await?;
        Ok(answer.into_inner())
    }

    /// What a submission would do. Changes nothing.
    ///
    /// # Errors
    /// As those of [`Client::submit`], except that the outcome is never unknown.
    pub async fn preview(&self, submission: &Submission) -> Result<Preview, Error> {
        self.read_patiently(|channel| async move {
            let mut items = on(channel).preview(submission.chunks()).await?.into_inner();
            match items.message().await?.and_then(|first| first.item) {
                Some(v1::preview_item::Item::Summary(summary)) => Ok(Preview { summary, items }),
                _ => Err(tonic::Status::internal("a preview without a summary")),
            }
        })
        .await
    }

    /// Compiles a submission against the cluster's providers, and returns all problems.
    ///
    /// # Errors
    /// When no member could be asked, or a limit is passed. Problems are no error.
    pub async fn validate(&self, submission: &Submission) -> Result<Vec<v1::Problem>, Error> {
        let ask = |channel| async move { on(channel).validate(submission.chunks()).await };
        let answer = self.read_patiently(ask).await?;
        Ok(answer.into_inner().problems)
    }

    /// Deletes a stack; returns when that is committed.
    ///
    /// # Errors
    /// Not found, protected, or the base moved.
    pub async fn delete_stack(
        &self,
        request_id: &RequestId,
        stack: &StackName,
        base_revision: Option<u64>,
    ) -> Result<v1::ChangeReply, Error> {
        let request = v1::DeleteRequest {
            request_id: request_id.to_string(),
            namespace: stack.namespace.clone(),
            name: stack.name.clone(),
            base_revision,
        };
        self.change(request_id, |channel| {
            let request = request.clone();
            async move { on(channel).delete(request).await }
        })
        .await
    }

    /// Nothing new starts; what runs finishes.
    ///
    /// # Errors
    /// Not found, or being deleted.
    pub async fn pause(
        &self,
        request_id: &RequestId,
        stack: &StackName,
    ) -> Result<v1::ChangeReply, Error> {
        let request = verb(request_id, stack);
        self.change(request_id, |channel| {
            let request = request.clone();
            async move { on(channel).pause(request).await }
        })
        .await
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// Not found.
    pub async fn resume(
        &self,
        request_id: &RequestId,
        stack: &StackName,
    ) -> Result<v1::ChangeReply, Error> {
        let request = verb(request_id, stack);
        self.change(request_id, |channel| {
            let request = request.clone();
            async move { on(channel).resume(request).await }
        })
        .await
    }

    /// Interrupts what the stack is doing: pauses it, or goes back to the last settled revision.
    ///
    /// # Errors
    /// Not found, or nothing to go back to.
    pub async fn cancel(
        &self,
        request_id: &RequestId,
        stack: &StackName,
        rollback: bool,
    ) -> Result<v1::ChangeReply, Error> {
        let request = v1::CancelRequest {
            request_id: request_id.to_string(),
            namespace: stack.namespace.clone(),
            name: stack.name.clone(),
            rollback,
        };
        self.change(request_id, |channel| {
            let request = request.clone();
            async move { on(channel).cancel(request).await }
        })
        .await
    }

    /// Goes back to a revision, or to the last settled one. Not cut by the deadline of calls: the difference may be
    /// large.
    ///
    /// # Errors
    /// Not found, the revision is not kept any more, or the base moved.
    pub async fn rollback(
        &self,
        request_id: &RequestId,
        stack: &StackName,
        to_revision: Option<u64>,
        base_revision: Option<u64>,
    ) -> Result<v1::ChangeReply, Error> {
        let request = v1::RollbackRequest {
            request_id: request_id.to_string(),
            namespace: stack.namespace.clone(),
            name: stack.name.clone(),
            to_revision,
            base_revision,
        };
        let ask = |channel| {
            let request = request.clone();
            async move { on(channel).rollback(request).await }
        };
        let effect = Effect::Of(request_id);
        let answer = self.caller.call(Pace::Patient, effect, ask).await?;
        Ok(answer.into_inner())
    }

    /// Reads every resource of the stack now. Not cut by the deadline of calls.
    ///
    /// # Errors
    /// Not found, or unavailable. Resources that can't be read are in the reply.
    pub async fn check(
        &self,
        request_id: &RequestId,
        stack: &StackName,
    ) -> Result<v1::CheckReply, Error> {
        let request = verb(request_id, stack);
        let ask = |channel| {
            let request = request.clone();
            async move { on(channel).check(request).await }
        };
        let effect = Effect::Of(request_id);
        let answer = self.caller.call(Pace::Patient, effect, ask).await?;
        Ok(answer.into_inner())
    }

    /// A stack, with its outputs.
    ///
    /// # Errors
    /// Not found.
    pub async fn show_stack(&self, stack: &StackName, read: Read) -> Result<v1::Stack, Error> {
        let reference = stack.reference(read);
        self.read(|channel| {
            let reference = reference.clone();
            async move { on(channel).show(reference).await }
        })
        .await
    }

    /// The stacks of a namespace, or of all (`None`), in the order of names and without outputs.
    pub fn list_stacks(&self, namespace: Option<&str>, local: bool) -> Pages<v1::Stack> {
        let client = self.clone();
        let namespace = namespace.map(str::to_owned);
        Pages::new(move |page_token| {
            let client = client.clone();
            let request = v1::ListStacksRequest {
                namespace: namespace.clone().unwrap_or_default(),
                all_namespaces: namespace.is_none(),
                page_token,
                page_size: 0,
                local,
            };
            async move {
                let reply = client
                    .read(|channel| {
                        let request = request.clone();
                        async move { on(channel).list(request).await }
                    })
                    .await?;
                Ok((reply.stacks, reply.next_page_token))
            }
        })
    }

    /// The stored template, whole, in normal form. Not cut by the deadline of calls.
    ///
    /// # Errors
    /// Not found.
    pub async fn stack_template(&self, stack: &StackName, read: Read) -> Result<String, Error> {
        let reference = stack.reference(read);
        let bytes = self
            .read_patiently(|channel| {
                let reference = reference.clone();
                async move {
                    let mut parts = on(channel).template(reference).await?.into_inner();
                    let mut text = Vec::new();
                    while let Some(part) = parts.message().await? {
                        text.extend_from_slice(&part.data);
                    }
                    Ok(text)
                }
            })
            .await?;
        String::from_utf8(bytes).map_err(|_| {
            Error::Internal(crate::Refusal {
                code: tonic::Code::DataLoss,
                reason: "not_text".to_owned(),
                message: "the template that the member sent is not UTF-8".to_owned(),
                problems: Vec::new(),
                revision: 0,
            })
        })
    }

    /// Outputs by name, or all of them.
    ///
    /// # Errors
    /// Not found: the stack, or an output of that name.
    pub async fn outputs(
        &self,
        stack: &StackName,
        names: &[String],
        read: Read,
    ) -> Result<Vec<v1::Output>, Error> {
        let request = v1::OutputsRequest {
            stack: Some(stack.reference(read)),
            names: names.to_vec(),
        };
        let reply = self
            .read(|channel| {
                let request = request.clone();
                async move { on(channel).outputs(request).await }
            })
            .await?;
        Ok(reply.outputs)
    }

    /// Every resource and what it requires. Not cut by the deadline of calls.
    ///
    /// # Errors
    /// Not found.
    pub async fn graph(&self, stack: &StackName, read: Read) -> Result<Vec<v1::GraphNode>, Error> {
        let reference = stack.reference(read);
        self.read_patiently(|channel| {
            let reference = reference.clone();
            async move {
                let mut parts = on(channel).graph(reference).await?.into_inner();
                let mut nodes = Vec::new();
                while let Some(part) = parts.message().await? {
                    nodes.extend(part.nodes);
                }
                Ok(nodes)
            }
        })
        .await
    }

    /// Why the stack, or one of its resources, is not further than it is.
    ///
    /// # Errors
    /// Not found.
    pub async fn explain(
        &self,
        stack: &StackName,
        resource: Option<&str>,
        read: Read,
    ) -> Result<v1::ExplainReply, Error> {
        let request = v1::ExplainRequest {
            stack: Some(stack.reference(read)),
            resource: resource.unwrap_or_default().to_owned(),
        };
        self.read(|channel| {
            let request = request.clone();
            async move { on(channel).explain(request).await }
        })
        .await
    }
}

fn verb(request_id: &RequestId, stack: &StackName) -> v1::StackVerbRequest {
    v1::StackVerbRequest {
        request_id: request_id.to_string(),
        namespace: stack.namespace.clone(),
        name: stack.name.clone(),
    }
}
