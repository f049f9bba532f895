//! Letting members in: an id from the log, and a place in the membership.
//!
//! Whoever is asked passes it on to the leader.

use anneal_proto::peer::v1::{
    AdmitRequest, AdmitResponse, EnlistRequest, EnlistResponse, IdentifyRequest, IdentifyResponse,
    admission_client::AdmissionClient,
    admission_server::{Admission, AdmissionServer},
};
use anneal_statemachine::{command::CommandKind, id::RequestId, outcome::Outcome};
use tonic::{Request, Response, Status, transport::Channel};

use super::identity::FOUNDER;
use crate::{
    network::{Addressee, Purpose},
    replica::{LeaderHint, MembershipError, ProposeError, Replica, types::MemberNode},
};

/// Marks a call that was passed on: it is not passed on again.
const PASSED_ON: &str = "anneal-passed-on";

/// Lets members in, through one member.
pub(super) struct AdmissionService {
    replica: Replica,
}

impl AdmissionService {
    pub(super) fn server(replica: Replica) -> AdmissionServer<Self> {
        AdmissionServer::new(Self { replica })
    }

    /// The leader, and the call to be passed on to it.
    fn pass_on<T>(
        &self,
        leader: Option<LeaderHint>,
        passed_on: bool,
        message: T,
    ) -> Result<(AdmissionClient<Channel>, Request<T>), Status> {
        let leader = leader.filter(|_| !passed_on);
        let leader = leader.ok_or_else(|| Status::unavailable("no leader is known"))?;
        let channel = self.replica.channels().get(&leader.address, Purpose::Calls);
        let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
        let addressee = Addressee {
            cluster_id: self.replica.addressee().cluster_id.clone(),
            member_id: leader.member_id,
        };
        let mut request = addressee.address(message);
        let mark = "1".parse().expect("a digit is a header value");
        request.metadata_mut().insert(PASSED_ON, mark);
        Ok((AdmissionClient::new(channel), request))
    }

    /// Whether a call was passed on; one that was is for this member. Another cluster, at what was a member's address, would
    /// let in whom this one meant to.
    fn was_passed_on<T>(&self, request: &Request<T>) -> Result<bool, Status> {
        let passed_on = request.metadata().contains_key(PASSED_ON);
        if passed_on {
            self.replica.addressee().check(request.metadata())?;
        }
        Ok(passed_on)
    }

    /// An id that no member has had.
    async fn allocate(&self) -> Result<u64, ProposeError> {
        loop {
            let request = RequestId(uuid::Uuid::now_v7().into_bytes());
            let allocate = CommandKind::AllocateMemberId { request };
            match self.replica.propose(allocate).await? {
                Outcome::Member(id) if id > FOUNDER => return Ok(id),
                Outcome::Member(_) => {}
                other => {
                    let why = format!("no member id was given: {other:?}");
                    return Err(ProposeError::Unavailable(why));
                }
            }
        }
    }
}

#[tonic::async_trait]
impl Admission for AdmissionService {
    async fn admit(
        &self,
        request: Request<AdmitRequest>,
    ) -> Result<Response<AdmitResponse>, Status> {
        let passed_on = self.was_passed_on(&request)?;
        let message = request.into_inner();
        match self.allocate().await {
            Ok(member_id) => {
                tracing::info!(member_id, address = message.address, "admitted");
                let cluster_id = self.replica.addressee().cluster_id.clone();
                Ok(Response::new(AdmitResponse {
                    cluster_id,
                    member_id,
                }))
            }
            Err(ProposeError::NotLeader(leader)) => {
                let (mut client, request) = self.pass_on(leader, passed_on, message)?;
                client.admit(request).await
            }
            Err(error) => Err(Status::unavailable(error.to_string())),
        }
    }

    async fn enlist(
        &self,
        request: Request<EnlistRequest>,
    ) -> Result<Response<EnlistResponse>, Status> {
        let passed_on = self.was_passed_on(&request)?;
        let message = request.into_inner();
        if message.cluster_id != self.replica.addressee().cluster_id {
            return Err(Status::failed_precondition("this is another cluster"));
        }
        let EnlistRequest {
            member_id,
            address,
            becomes_voter,
            moves,
            ..
        } = message.clone();
        match self
            .replica
            .enlist(
                member_id,
                MemberNode {
                    address,
                    becomes_voter,
                },
                moves,
            )
            .await
        {
            Ok(()) => Ok(Response::new(EnlistResponse {})),
            Err(MembershipError::NotLeader(leader)) => {
                let (mut client, request) = self.pass_on(leader, passed_on, message)?;
                client.enlist(request).await
            }
            Err(error) => Err(error.status()),
        }
    }

    async fn identify(
        &self,
        _: Request<IdentifyRequest>,
    ) -> Result<Response<IdentifyResponse>, Status> {
        let addressee = self.replica.addressee();
        let leader = self.replica.leader();
        let (leader_id, leader_address) = leader.map_or((0, String::new()), |leader| {
            (leader.member_id, leader.address)
        });
        Ok(Response::new(IdentifyResponse {
            cluster_id: addressee.cluster_id.clone(),
            member_id: addressee.member_id,
            leader_id,
            leader_address,
        }))
    }
}
