//! The `Cluster` service.

use anneal_proto::v1::{self, cluster_client::ClusterClient, cluster_server::Cluster};
use anneal_statemachine::{command::CommandKind, row::LeaseState};
use tonic::{Code, Request, Response, Status};

use super::{
    Api,
    forward::{Place, place},
    reads::{begin, outage},
    stacks::on_leader,
    status::{membership, refused, status},
};
use crate::{
    replica::{MemberView, Role},
    submit::{Refused, request_id},
};

/// A member may be this far behind and still count as caught up: what a moment of load brings.
const BEHIND_ENTRIES: u64 = 1000;

#[tonic::async_trait]
impl Cluster for Api {
    async fn members(
        &self,
        request: Request<v1::MembersRequest>,
    ) -> Result<Response<v1::MembersReply>, Status> {
        begin(&self.replica, request.into_inner().local).await?;
        let members = self
            .replica
            .members()
            .await
            .into_iter()
            .map(|member| v1::Member {
                id: member.id,
                address: member.address,
                role: member.role.word().to_owned(),
                last_log_index: member.last_log_index,
                applied_index: member.applied_index,
                reachable: member.reachable,
            });
        let cluster = self.replica.cluster();
        Ok(Response::new(v1::MembersReply {
            members: members.collect(),
            cluster_id: cluster.cluster_id,
            leader: cluster.leader.unwrap_or_default(),
        }))
    }

    async fn status(
        &self,
        request: Request<v1::MembersRequest>,
    ) -> Result<Response<v1::ClusterStatus>, Status> {
        begin(&self.replica, request.into_inner().local).await?;
        let cluster = self.replica.cluster();
        let (stacks, resources, in_flight, feature_level) = self.replica.read(|state| {
            let mut totals = (0, 0, 0);
            for stack in state.stacks().filter(|stack| stack.row.named) {
                totals.0 += 1;
                totals.1 += stack.counts.total();
                totals.2 += stack.running;
            }
            (totals.0, totals.1, totals.2, state.feature_level())
        });
        let behind = cluster.last_log_index.saturating_sub(cluster.applied_index);
        Ok(Response::new(v1::ClusterStatus {
            cluster_id: cluster.cluster_id,
            leader: cluster.leader.unwrap_or_default(),
            term: cluster.term,
            answered_by: cluster.answered_by,
            last_log_index: cluster.last_log_index,
            applied_index: cluster.applied_index,
            snapshot_index: cluster.checkpoint_index,
            voters: u32::try_from(cluster.voters).unwrap_or(u32::MAX),
            learners: u32::try_from(cluster.learners).unwrap_or(u32::MAX),
            stacks,
            resources,
            in_flight,
            feature_level,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            healthy: self.replica.is_led() && behind <= BEHIND_ENTRIES,
        }))
    }

    async fn promote(
        &self,
        request: Request<v1::MemberVerbRequest>,
    ) -> Result<Response<v1::MemberVerbReply>, Status> {
        let message = on_leader!(self, request, ClusterClient, promote, ask_patiently);
        let member = self.member(&message).await?;
        let changed = member.role == Role::Learner;
        self.replica.promote(member.id).await.map_err(membership)?;
        Ok(self.verb_reply(changed))
    }

    async fn demote(
        &self,
        request: Request<v1::MemberVerbRequest>,
    ) -> Result<Response<v1::MemberVerbReply>, Status> {
        let message = on_leader!(self, request, ClusterClient, demote, ask_patiently);
        let member = self.member(&message).await?;
        let changed = member.role != Role::Learner;
        self.replica.demote(member.id).await.map_err(membership)?;
        Ok(self.verb_reply(changed))
    }

    async fn remove(
        &self,
        request: Request<v1::MemberVerbRequest>,
    ) -> Result<Response<v1::MemberVerbReply>, Status> {
        let message = on_leader!(self, request, ClusterClient, remove, ask_patiently);
        let member = self.member(&message).await?;
        self.replica.remove(member.id).await.map_err(membership)?;
        Ok(self.verb_reply(true))
    }

    async fn transfer_leader(
        &self,
        request: Request<v1::MemberVerbRequest>,
    ) -> Result<Response<v1::MemberVerbReply>, Status> {
        let message = on_leader!(self, request, ClusterClient, transfer_leader, ask_patiently);
        let to = match message.member == 0 && message.address.is_empty() {
            true => None,
            false => Some(self.member(&message).await?.id),
        };
        let before = self.replica.member_id();
        let leader = self.replica.transfer_leader(to).await.map_err(membership)?;
        Ok(Response::new(v1::MemberVerbReply {
            leader: leader.member_id,
            changed: leader.member_id != before,
        }))
    }

    async fn engines(
        &self,
        request: Request<v1::MembersRequest>,
    ) -> Result<Response<v1::EnginesReply>, Status> {
        begin(&self.replica, request.into_inner().local).await?;
        let engines = self.replica.read(|state| {
            state
                .engines()
                .map(|view| v1::Engine {
                    member_id: view.engine.member,
                    incarnation: view.engine.incarnation,
                    address: view.row.address.to_string(),
                    host_id: view.row.host.to_string(),
                    lease: view.row.lease.word().to_owned(),
                    capacity: match view.row.lease {
                        LeaseState::Expired => 0,
                        LeaseState::Live | LeaseState::Draining => view.row.capacity,
                    },
                    in_flight: u32::try_from(view.in_flight).unwrap_or(u32::MAX),
                })
                .collect()
        });
        Ok(Response::new(v1::EnginesReply { engines }))
    }

    async fn forget_host(
        &self,
        request: Request<v1::ForgetHostRequest>,
    ) -> Result<Response<v1::ChangeReply>, Status> {
        let message = on_leader!(self, request, ClusterClient, forget_host);
        let request = request_id(&message.request_id).map_err(refused)?;
        let host = message.host_id.into();
        let kind = CommandKind::ForgetHost { request, host };
        let committed = self.submitter.commit(kind).await.map_err(refused)?;
        Ok(Response::new(v1::ChangeReply {
            changed: true,
            index: committed.index,
            ..Default::default()
        }))
    }

    async fn providers(
        &self,
        request: Request<v1::ProvidersRequest>,
    ) -> Result<Response<v1::ProvidersReply>, Status> {
        let only = request.into_inner().r#type;
        let types: Vec<v1::ProviderType> = self
            .registry
            .schemas()
            .filter(|schema| only.is_empty() || schema.name == only)
            .map(|schema| v1::ProviderType {
                provider: provider_of(&schema.name).to_owned(),
                r#type: schema.name.clone(),
                description: schema.description.clone(),
                schema_json: self
                    .registry
                    .schema_json(&schema.name)
                    .map(|json| json.to_string())
                    .unwrap_or_default(),
            })
            .collect();
        if types.is_empty() && !only.is_empty() {
            let mut text = format!("there is no resource type {only}");
            if let Some(near) = self.registry.nearest(&only) {
                text.push_str(&format!("; did you mean {near}?"));
            }
            return Err(status(Code::NotFound, "type_not_found", &text));
        }
        Ok(Response::new(v1::ProvidersReply { types }))
    }
}

/// The provider's name: the type's, without its last word.
fn provider_of(type_name: &str) -> &str {
    type_name
        .rsplit_once("::")
        .map_or(type_name, |(provider, _)| provider)
}

impl Api {
    /// The member that a verb is about, by id or by address.
    async fn member(&self, message: &v1::MemberVerbRequest) -> Result<MemberView, Status> {
        if message.member == 0 && message.address.is_empty() {
            let text = "say which member: by id or by address".to_owned();
            return Err(refused(Refused::Argument(text)));
        }
        let members = self.replica.members().await;
        if members.is_empty() {
            return Err(outage(&self.replica, "this member knows no other yet").await);
        }
        let found = members.into_iter().find(|member| match message.member {
            0 => member.address == message.address,
            id => member.id == id,
        });
        found.ok_or_else(|| {
            let which = match message.member {
                0 => message.address.clone(),
                id => id.to_string(),
            };
            let text = format!("there is no member {which}");
            status(Code::NotFound, "no_such_member", &text)
        })
    }

    fn verb_reply(&self, changed: bool) -> Response<v1::MemberVerbReply> {
        let leader = self.replica.cluster().leader.unwrap_or_default();
        Response::new(v1::MemberVerbReply { leader, changed })
    }
}
