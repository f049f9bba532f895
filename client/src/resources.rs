//! The calls of the `Resources` service.

use anneal_proto::v1::{self, resolve_request::Verdict, resources_client::ResourcesClient};
use tonic::transport::Channel;

use crate::{
    client::{ANSWER_LIMIT, Client},
    error::Error,
    name::{Read, RequestId, ResourceName, StackName},
    pages::Pages,
};

fn on(channel: Channel) -> ResourcesClient<Channel> {
    ResourcesClient::new(channel).max_decoding_message_size(ANSWER_LIMIT)
}

impl Client {
    /// The resources of a stack in the order of names; `brief` leaves out attributes and edges.
    pub fn list_resources(
        &self,
        stack: &StackName,
        read: Read,
        brief: bool,
    ) -> Pages<v1::Resource> {
        let client = self.clone();
        let reference = stack.reference(read);
        Pages::new(move |page_token| {
            let client = client.clone();
            let request = v1::ListResourcesRequest {
                stack: Some(reference.clone()),
                page_token,
                page_size: 0,
                brief,
            };
            async move {
                let reply = client
                    .read(|channel| {
                        let request = request.clone();
                        async move { on(channel).list(request).await }
                    })
                    .await?;
                Ok((reply.resources, reply.next_page_token))
            }
        })
    }

    /// A resource, with everything that is known of it.
    ///
    /// # Errors
    /// Not found.
    pub async fn show_resource(
        &self,
        resource: &ResourceName,
        read: Read,
    ) -> Result<v1::Resource, Error> {
        let request = v1::ResourceRef {
            stack: Some(resource.stack.reference(read)),
            name: resource.name.clone(),
        };
        self.read(|channel| {
            let request = request.clone();
            async move { on(channel).show(request).await }
        })
        .await
    }

    /// Forgets the failure of a resource and tries again now.
    ///
    /// # Errors
    /// Not found, or nothing to try again.
    pub async fn retry_resource(
        &self,
        request_id: &RequestId,
        resource: &ResourceName,
    ) -> Result<v1::ChangeReply, Error> {
        let request = v1::ResourceVerbRequest {
            request_id: request_id.to_string(),
            namespace: resource.stack.namespace.clone(),
            stack: resource.stack.name.clone(),
            name: resource.name.clone(),
        };
        self.change(request_id, |channel| {
            let request = request.clone();
            async move { on(channel).retry(request).await }
        })
        .await
    }

    /// Says, in a person's words, what became of an instance whose provider can't look: absent, or present under a
    /// physical id. `instance` 0 is the current one.
    ///
    /// # Errors
    /// Not found, or the instance is not on hold.
    pub async fn resolve_resource(
        &self,
        request_id: &RequestId,
        resource: &ResourceName,
        instance: u64,
        verdict: Verdict,
    ) -> Result<v1::ChangeReply, Error> {
        let request = v1::ResolveRequest {
            request_id: request_id.to_string(),
            namespace: resource.stack.namespace.clone(),
            stack: resource.stack.name.clone(),
            name: resource.name.clone(),
            verdict: Some(verdict),
            instance,
        };
        self.change(request_id, |channel| {
            let request = request.clone();
            async move { on(channel).resolve(request).await }
        })
        .await
    }
}
