//! How a call finds a member that can do it: which endpoint next, how long an attempt, when to give up. Knows nothing
//! of what the calls mean.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anneal_proto::v1::{self, cluster_client::ClusterClient};
use tokio::time::{Instant, sleep, timeout};
use tonic::{
    Status,
    transport::{Channel, ClientTlsConfig},
};

use crate::{
    endpoint::{self, EndpointError},
    error::{Attempts, Error, Verdict, judge},
    name::RequestId,
};

/// An endpoint that does not answer within this is passed over, as long as there is another to ask.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(2);

/// In later rounds an attempt may take longer, in case all of them are merely slow: at most this many doublings.
const ATTEMPT_DOUBLINGS: u32 = 3;

/// Between two rounds over all endpoints: short at first, since an election takes a second or two.
const BACK_OFF_FIRST: Duration = Duration::from_millis(50);
/// And never longer than this, so that the end of an outage is noticed.
const BACK_OFF_LIMIT: Duration = Duration::from_secs(1);

/// A refusal may name a leader, which may name another: so many are followed in one round.
const REDIRECTS_A_ROUND: u32 = 3;

/// How long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// It comes at once or not at all.
    Brisk,
    /// It takes as long as it takes. Whether anybody is there is asked beforehand.
    Patient,
}

/// What a call may leave behind when no answer comes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Effect<'a> {
    /// Nothing.
    None,
    /// What this request asks for.
    Of(&'a RequestId),
}

/// The endpoints, and where the last answer came from.
#[derive(Debug)]
pub(crate) struct Caller {
    addresses: Vec<String>,
    channels: Mutex<HashMap<String, Channel>>,
    last_good: Mutex<Option<String>>,
    tls: Option<ClientTlsConfig>,
    call_deadline: Duration,
}

impl Caller {
    pub(crate) fn new(
        addresses: Vec<String>,
        tls: Option<ClientTlsConfig>,
        call_deadline: Duration,
    ) -> Result<Self, EndpointError> {
        let mut channels = HashMap::new();
        for address in &addresses {
            channels.insert(address.clone(), endpoint::channel(address, tls.as_ref())?);
        }
        Ok(Self {
            addresses,
            channels: Mutex::new(channels),
            last_good: Mutex::new(None),
            tls,
            call_deadline,
        })
    }

    /// Asks until somebody gives a final answer or the deadline has passed.
    ///
    /// A patient call is never cut; the deadline then says how long to look for somebody who takes it.
    pub(crate) async fn call<T, Ask, Answer>(
        &self,
        pace: Pace,
        effect: Effect<'_>,
        ask: Ask,
    ) -> Result<T, Error>
    where
        Ask: Fn(Channel) -> Answer,
        Answer: Future<Output = Result<T, Status>>,
    {
        let deadline = Instant::now() + self.call_deadline;
        let mut attempts = Attempts::default();
        let mut maybe_done = false;
        let mut round = 0;
        loop {
            let mut redirects = REDIRECTS_A_ROUND;
            let mut order = self.order();
            while let Some(address) = order.pop_front() {
                let cut = self.cut(round, deadline);
                match self.attempt(&address, pace, cut, &ask).await {
                    Ok(value) => {
                        self.remember(address);
                        return Ok(value);
                    }
                    Err(Verdict::Final(error)) => {
                        self.remember(address);
                        return Err(error);
                    }
                    Err(Verdict::TryElsewhere {
                        why,
                        maybe_done: this_maybe_done,
                        leader,
                        silent,
                    }) => {
                        tracing::debug!(endpoint = %address, %why, "passed over");
                        maybe_done |= this_maybe_done;
                        attempts.note(&address, why, silent);
                        if let Some(leader) = leader.filter(|leader| *leader != address)
                            && redirects > 0
                        {
                            redirects -= 1;
                            order.retain(|other| *other != leader);
                            order.push_front(leader);
                        }
                    }
                }
                if Instant::now() >= deadline {
                    break;
                }
            }
            let pause = back_off(round);
            if Instant::now() + pause >= deadline {
                return Err(gave_up(effect, maybe_done, attempts));
            }
            sleep(pause).await;
            round += 1;
        }
    }

    async fn attempt<T, Ask, Answer>(
        &self,
        address: &str,
        pace: Pace,
        cut: Duration,
        ask: &Ask,
    ) -> Result<T, Verdict>
    where
        Ask: Fn(Channel) -> Answer,
        Answer: Future<Output = Result<T, Status>>,
    {
        let channel = self
            .channel(address)
            .map_err(|error| unusable(error.to_string()))?;
        let answer = match pace {
            Pace::Brisk => timeout(cut, ask(channel))
                .await
                .map_err(|_| silent(cut, true))?,
            Pace::Patient => {
                timeout(cut, is_there(channel.clone()))
                    .await
                    .map_err(|_| silent(cut, false))?
                    .map_err(|status| judge(&status))?;
                ask(channel).await
            }
        };
        answer.map_err(|status| judge(&status))
    }

    /// How long the next attempt may take: what is left, and less while there is another endpoint to ask.
    fn cut(&self, round: u32, deadline: Instant) -> Duration {
        let left = deadline.saturating_duration_since(Instant::now());
        if self.addresses.len() == 1 {
            return left;
        }
        left.min(ATTEMPT * 2_u32.pow(round.min(ATTEMPT_DOUBLINGS)))
    }

    /// Where the last answer came from, then the list as it was given.
    fn order(&self) -> VecDeque<String> {
        let last_good = self
            .last_good
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let mut order: VecDeque<String> = last_good.iter().cloned().collect();
        for address in &self.addresses {
            if Some(address) != last_good.as_ref() {
                order.push_back(address.clone());
            }
        }
        order
    }

    fn remember(&self, address: String) {
        *self
            .last_good
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(address);
    }

    /// Asks somebody else first next time: this one fell silent in the middle of a stream.
    pub(crate) fn distrust_last(&self) {
        *self
            .last_good
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn channel(&self, address: &str) -> Result<Channel, EndpointError> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(address) {
            return Ok(channel.clone());
        }
        let channel = endpoint::channel(address, self.tls.as_ref())?;
        channels.insert(address.to_owned(), channel.clone());
        Ok(channel)
    }
}

/// Whether a member is there that belongs to a cluster; a dead, frozen or not-yet-joined one says no, or nothing.
async fn is_there(channel: Channel) -> Result<(), Status> {
    let request = v1::MembersRequest { local: true };
    ClusterClient::new(channel).status(request).await.map(drop)
}

fn silent(cut: Duration, maybe_done: bool) -> Verdict {
    Verdict::TryElsewhere {
        why: format!("no answer within {:.1} s", cut.as_secs_f64()),
        maybe_done,
        leader: None,
        silent: true,
    }
}

fn unusable(why: String) -> Verdict {
    Verdict::TryElsewhere {
        why,
        maybe_done: false,
        leader: None,
        silent: false,
    }
}

fn gave_up(effect: Effect<'_>, maybe_done: bool, attempts: Attempts) -> Error {
    match effect {
        Effect::Of(request_id) if maybe_done => Error::OutcomeUnknown {
            request_id: request_id.clone(),
            attempts: attempts.0,
        },
        _ => Error::Unavailable(attempts.0),
    }
}

/// Doubles, and varies by half, so that clients that lost the same member do not come back together.
pub(crate) fn back_off(round: u32) -> Duration {
    let full = BACK_OFF_FIRST
        .saturating_mul(2_u32.saturating_pow(round))
        .min(BACK_OFF_LIMIT);
    full.mul_f64(rand::random_range(0.5..=1.0))
}
