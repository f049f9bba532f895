//! Whose a data directory is: settled when it is fresh, checked when it is not.

use std::time::Duration;

use anneal_proto::{
    log::v1::Identity,
    peer::v1::{AdmitRequest, IdentifyRequest, admission_client::AdmissionClient},
};
use tonic::{Status, transport::Channel};

use super::{Config, MemberError};
use crate::{
    network::{Channels, Purpose},
    storage::log::LogStore,
};

/// The id of a cluster's first member. No later one gets it: those are larger.
pub(crate) const FOUNDER: u64 = 1;
/// One member is asked for no longer.
const ASK_TIMEOUT: Duration = Duration::from_secs(2);
/// Before all are asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// The identity of this directory; a fresh one gets it here, before anything else is in it.
pub(super) async fn settle(
    log: &LogStore,
    config: &Config,
    address: &str,
    channels: &Channels,
) -> Result<Identity, MemberError> {
    if let Some(identity) = log.identity()? {
        check_cluster(&identity, config, channels).await?;
        return Ok(identity);
    }
    if log.last().is_some() {
        return Err(MemberError::Nameless);
    }
    let identity = if config.join.is_empty() {
        found()
    } else {
        join(config, address, channels).await
    };
    log.set_identity(&identity)?;
    Ok(identity)
}

fn found() -> Identity {
    Identity {
        cluster_id: uuid::Uuid::new_v4().simple().to_string(),
        member_id: FOUNDER,
        founder: true,
        join: Vec::new(),
        becomes_voter: true,
    }
}

/// A member restarts as what it is, whatever it is told to join; but not if that is another cluster.
async fn check_cluster(
    identity: &Identity,
    config: &Config,
    channels: &Channels,
) -> Result<(), MemberError> {
    for asked in &config.join {
        let Ok(mut client) = client(channels, asked) else {
            continue;
        };
        let found = tokio::time::timeout(ASK_TIMEOUT, client.identify(IdentifyRequest {})).await;
        // Whom nobody reaches says nothing.
        let Ok(Ok(found)) = found else { continue };
        let found = found.into_inner().cluster_id;
        if found != identity.cluster_id {
            let (own, asked) = (identity.cluster_id.clone(), asked.clone());
            return Err(MemberError::OtherCluster { own, asked, found });
        }
    }
    Ok(())
}

/// Asks until somebody lets it in.
async fn join(config: &Config, address: &str, channels: &Channels) -> Identity {
    loop {
        for asked in &config.join {
            match admit(channels, asked, address).await {
                Ok((cluster_id, member_id)) => {
                    return Identity {
                        cluster_id,
                        member_id,
                        founder: false,
                        join: config.join.clone(),
                        becomes_voter: !config.learner,
                    };
                }
                Err(status) => {
                    tracing::warn!(asked, error = status.message(), "not let in yet");
                }
            }
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

async fn admit(channels: &Channels, asked: &str, address: &str) -> Result<(String, u64), Status> {
    let mut client = client(channels, asked)?;
    let request = AdmitRequest {
        address: address.to_owned(),
    };
    let answer = tokio::time::timeout(ASK_TIMEOUT, client.admit(request)).await;
    let answer = answer
        .map_err(|_| Status::deadline_exceeded("no answer"))??
        .into_inner();
    Ok((answer.cluster_id, answer.member_id))
}

/// The way to a member that is known by its address only.
pub(super) fn client(
    channels: &Channels,
    address: &str,
) -> Result<AdmissionClient<Channel>, Status> {
    let channel = channels.get(address, Purpose::Calls);
    let channel = channel.map_err(|error| Status::invalid_argument(error.to_string()))?;
    Ok(AdmissionClient::new(channel))
}
