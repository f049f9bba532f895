//! The calls of the `Events` service.

use anneal_proto::v1::{self, events_client::EventsClient};
use tonic::transport::Channel;

use crate::{
    client::{ANSWER_LIMIT, Client},
    follow::{Follow, Goal},
    name::{Read, StackName},
    pages::Pages,
    watch::{From, Watch},
};

pub(crate) fn on(channel: Channel) -> EventsClient<Channel> {
    EventsClient::new(channel).max_decoding_message_size(ANSWER_LIMIT)
}

impl Client {
    /// What is kept of a stack's events, oldest first; of one resource, or all.
    pub fn list_events(
        &self,
        stack: &StackName,
        resource: Option<&str>,
        read: Read,
    ) -> Pages<v1::Event> {
        let client = self.clone();
        let reference = stack.reference(read);
        let resource = resource.unwrap_or_default().to_owned();
        Pages::new(move |page_token| {
            let client = client.clone();
            let request = v1::ListEventsRequest {
                stack: Some(reference.clone()),
                resource: resource.clone(),
                page_token,
                page_size: 0,
            };
            async move {
                let reply = client
                    .read(|channel| {
                        let request = request.clone();
                        async move { on(channel).list(request).await }
                    })
                    .await?;
                Ok((reply.events, reply.next_page_token))
            }
        })
    }

    /// Everything that happens to a stack, in order, without a gap and without a repetition, whatever member dies.
    /// With `snapshots`, the stack itself too whenever its status or counts changed.
    pub fn watch(&self, stack: &StackName, from: From, snapshots: bool) -> Watch {
        Watch::new(self.clone(), stack.clone(), from, snapshots)
    }

    /// The same for every stack of a namespace; without snapshots.
    pub fn watch_namespace(&self, namespace: &str, from: From) -> Watch {
        Watch::new(self.clone(), StackName::within(namespace, ""), from, false)
    }

    /// Follows a stack to the end of what was asked of it. `index` is that of the reply that asked it: what was
    /// before does not count.
    pub fn follow(&self, stack: &StackName, goal: Goal, index: u64) -> Follow {
        Follow::new(self.clone(), stack.clone(), goal, index)
    }
}
