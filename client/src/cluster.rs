//! The calls of the `Cluster` service. Those on members carry no request id: asking twice for the same thing is the
//! same as asking once.

use anneal_proto::v1::{self, cluster_client::ClusterClient};
use tonic::transport::Channel;

use crate::{
    client::{ANSWER_LIMIT, Client},
    error::Error,
    name::RequestId,
};

fn on(channel: Channel) -> ClusterClient<Channel> {
    ClusterClient::new(channel).max_decoding_message_size(ANSWER_LIMIT)
}

macro_rules! member_verb {
    ($(#[$doc:meta])* $name:ident, $call:ident) => {
        $(#[$doc])*
        pub async fn $name(&self, member: v1::MemberVerbRequest) -> Result<v1::MemberVerbReply, Error> {
            self.read_patiently(|channel| {
                let member = member.clone();
                async move { on(channel).$call(member).await }
            })
            .await
            .map(tonic::Response::into_inner)
        }
    };
}

impl Client {
    /// The members, with what each has of the log.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn members(&self, local: bool) -> Result<v1::MembersReply, Error> {
        self.read(|channel| async move { on(channel).members(v1::MembersRequest { local }).await })
            .await
    }

    /// The cluster as a member sees it.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn cluster_status(&self, local: bool) -> Result<v1::ClusterStatus, Error> {
        self.read(|channel| async move { on(channel).status(v1::MembersRequest { local }).await })
            .await
    }

    member_verb! {
        /// Makes a learner a voter, as soon as it has caught up.
        ///
        /// # Errors
        /// Not found, or it does not catch up.
        promote, promote
    }
    member_verb! {
        /// Makes a voter a learner.
        ///
        /// # Errors
        /// Not found, or the quorum would be lost.
        demote, demote
    }
    member_verb! {
        /// Removes a member for good.
        ///
        /// # Errors
        /// Not found, or the quorum would be lost.
        remove_member, remove
    }
    member_verb! {
        /// Hands leadership over; to any fit voter if the member is 0 and the address empty.
        ///
        /// # Errors
        /// Not found, not a voter, or it did not take over in time.
        transfer_leader, transfer_leader
    }

    /// The engines and their leases.
    ///
    /// # Errors
    /// Unavailable.
    pub async fn engines(&self, local: bool) -> Result<Vec<v1::Engine>, Error> {
        let reply = self
            .read(|channel| async move { on(channel).engines(v1::MembersRequest { local }).await })
            .await?;
        Ok(reply.engines)
    }

    /// Says that a host is gone for good: what lived on it is made again elsewhere.
    ///
    /// # Errors
    /// Not found, or one of its engines is alive.
    pub async fn forget_host(
        &self,
        request_id: &RequestId,
        host_id: &str,
    ) -> Result<v1::ChangeReply, Error> {
        let request = v1::ForgetHostRequest {
            request_id: request_id.to_string(),
            host_id: host_id.to_owned(),
        };
        self.change(request_id, |channel| {
            let request = request.clone();
            async move { on(channel).forget_host(request).await }
        })
        .await
    }

    /// The resource types, with their schemas; one of them, or all.
    ///
    /// # Errors
    /// Not found.
    pub async fn provider_types(&self, only: Option<&str>) -> Result<Vec<v1::ProviderType>, Error> {
        let request = v1::ProvidersRequest {
            r#type: only.unwrap_or_default().to_owned(),
        };
        let reply = self
            .read(|channel| {
                let request = request.clone();
                async move { on(channel).providers(request).await }
            })
            .await?;
        Ok(reply.types)
    }
}
