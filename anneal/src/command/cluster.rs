//! `anneal cluster …`: the members of the cluster.

use std::time::Duration;

use anneal_client::{Client, Error, v1};
use clap::{Args, Subcommand};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use crate::call::Call;
use crate::cli::{CallLimit, Form, Patience, Wait};
use crate::embedded::Purpose;
use crate::exit::{Failure, Outcome};
use crate::output::listing::Listing;
use crate::output::{Out, json, table};
use crate::refusal::failure;

/// Time between two looks at the members while a change of them is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What to do with the cluster.
#[derive(Debug, Subcommand)]
pub(crate) enum Cluster {
    /// List the members: role, address, how far each has come
    Members(Look),
    /// Show the cluster as one member sees it
    Status(Look),
    /// Make a learner a voter, as soon as it has caught up
    Promote(Act),
    /// Make a voter a learner
    Demote(Act),
    /// Remove a member for good; refused if that loses the quorum
    Remove(Act),
    /// Hand leadership over, to a given voter or to any that is fit
    TransferLeader(Transfer),
}

/// Looks.
#[derive(Debug, Args)]
pub(crate) struct Look {
    /// Read the asked member's copy as it is; it may be behind
    #[arg(long)]
    local: bool,

    #[command(flatten)]
    limit: CallLimit,
}

/// Changes one member.
#[derive(Debug, Args)]
pub(crate) struct Act {
    /// Id or HOST:PORT of the member
    member: String,

    #[command(flatten)]
    wait: Wait,

    #[command(flatten)]
    limit: CallLimit,
}

/// Hands leadership over.
#[derive(Debug, Args)]
pub(crate) struct Transfer {
    /// Id or HOST:PORT of the next leader
    member: Option<String>,

    #[command(flatten)]
    wait: Wait,

    #[command(flatten)]
    limit: CallLimit,
}

#[derive(Serialize)]
struct Changed {
    leader: u64,
    changed: bool,
}

impl Cluster {
    /// The limit of one call, if given.
    pub(crate) fn call_timeout(&self) -> Option<Duration> {
        match self {
            Self::Members(look) | Self::Status(look) => look.limit.timeout,
            Self::Promote(act) | Self::Demote(act) | Self::Remove(act) => act.limit.timeout,
            Self::TransferLeader(transfer) => transfer.limit.timeout,
        }
    }

    /// Does it.
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        call.with(Purpose::Look, async |client| match self {
            Self::Members(look) => members(call, client, &look).await,
            Self::Status(look) => status(call, client, &look).await,
            Self::Promote(act) => {
                let asked = request(&act.member)?;
                let reply = client.promote(asked.clone()).await.map_err(failure)?;
                reached(client, &act.wait, "a voter", |members| {
                    find(members, &asked).is_some_and(|member| member.role != "learner")
                })
                .await?;
                tell(call, &act.member, "a voter", reply)
            }
            Self::Demote(act) => {
                let asked = request(&act.member)?;
                let reply = client.demote(asked.clone()).await.map_err(failure)?;
                reached(client, &act.wait, "a learner", |members| {
                    find(members, &asked).is_some_and(|member| member.role == "learner")
                })
                .await?;
                tell(call, &act.member, "a learner", reply)
            }
            Self::Remove(act) => {
                let asked = request(&act.member)?;
                let reply = client.remove_member(asked.clone()).await.map_err(failure)?;
                reached(client, &act.wait, "removed", |members| {
                    find(members, &asked).is_none()
                })
                .await?;
                tell(call, &act.member, "removed", reply)
            }
            Self::TransferLeader(transfer) => transfer_leader(call, client, &transfer).await,
        })
        .await
    }
}

async fn members(call: &Call, client: &Client, look: &Look) -> Outcome {
    let reply = client.members(look.local).await.map_err(failure)?;
    let mut listing = Listing::open(call.form(), table::MEMBERS)?;
    listing.page(reply.members, table::member_row, json::Member::from)?;
    listing.close("no members")
}

async fn status(call: &Call, client: &Client, look: &Look) -> Outcome {
    let status = client.cluster_status(look.local).await.map_err(failure)?;
    let mut out = Out::new();
    match call.form() {
        Form::Table => out.text(&table::cluster(&status))?,
        Form::Json => out.json(&json::ClusterStatus::from(status))?,
    }
    out.done()
}

async fn transfer_leader(call: &Call, client: &Client, transfer: &Transfer) -> Outcome {
    let asked = match &transfer.member {
        Some(member) => request(member)?,
        None => v1::MemberVerbRequest::default(),
    };
    let reply = client
        .transfer_leader(asked.clone())
        .await
        .map_err(failure)?;
    let leader = reply.leader;
    reached(client, &transfer.wait, "the leader", |members| {
        let next = match transfer.member {
            Some(_) => find(members, &asked),
            None => members.iter().find(|member| member.id == leader),
        };
        next.is_some_and(|member| member.role == "leader")
    })
    .await?;
    tell(call, &format!("member {leader}"), "the leader", reply)
}

/// A member by id, or by address if it does not look like one.
fn request(member: &str) -> Outcome<v1::MemberVerbRequest> {
    if let Ok(member) = member.parse() {
        return Ok(v1::MemberVerbRequest {
            member,
            address: String::new(),
        });
    }
    if member.contains(':') {
        return Ok(v1::MemberVerbRequest {
            member: 0,
            address: member.into(),
        });
    }
    Err(Failure::Usage(format!(
        "{member:?} is neither a member id nor HOST:PORT; the members: anneal cluster members"
    )))
}

fn find<'a>(members: &'a [v1::Member], asked: &v1::MemberVerbRequest) -> Option<&'a v1::Member> {
    members.iter().find(|member| {
        if asked.address.is_empty() {
            member.id == asked.member
        } else {
            member.address == asked.address
        }
    })
}

/// With `--wait`: looks at the members until it is so.
async fn reached(
    client: &Client,
    wait: &Wait,
    what: &str,
    is_so: impl Fn(&[v1::Member]) -> bool,
) -> Outcome {
    let deadline = match wait.patience() {
        Patience::Committed => return Ok(()),
        Patience::Endless => None,
        Patience::Limited(limit) => Some(Instant::now() + limit),
    };
    loop {
        match client.members(false).await {
            Ok(reply) if is_so(&reply.members) => return Ok(()),
            // Between two leaders there is nobody to ask.
            Ok(_) | Err(Error::Unavailable(_)) => {}
            Err(error) => return Err(failure(error)),
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Failure::GaveUp(format!("gave up waiting: not {what} yet")));
        }
        sleep(LOOK_EVERY).await;
    }
}

fn tell(call: &Call, member: &str, what: &str, reply: v1::MemberVerbReply) -> Outcome {
    let mut out = Out::new();
    match call.form() {
        Form::Json => out.json(&Changed {
            leader: reply.leader,
            changed: reply.changed,
        })?,
        Form::Table if reply.changed => out.line(&format!("{member}: {what}"))?,
        Form::Table => out.line(&format!("{member}: {what} already"))?,
    }
    out.done()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_named_by_id_or_address() {
        assert_eq!(request("7").expect("an id").member, 7);
        assert_eq!(
            request("[::1]:7400").expect("an address").address,
            "[::1]:7400"
        );
        assert_eq!(request("seven").expect_err("neither").code(), 2);
    }
}
