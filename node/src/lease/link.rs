//! The engine's end of its stream to the leader: registers, keeps the lease, brings results and answers.
//!
//! Knows nothing of what is assigned or how it is carried out. Whatever breaks is begun again with
//! whoever leads then; what was sent and not answered goes again.

use std::sync::Arc;
use std::time::Duration;

use anneal_proto::engine::v1::{
    self as proto, FromEngine, FromLeader, from_engine, from_leader, heartbeat_answer,
};
use anneal_statemachine::id::EngineRef;
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;
use tokio_stream::StreamExt;
use tonic::Status;

use super::engine::Engine;
use super::own::Renewal;
use crate::execute::outbox::Outbox;

/// Between attempts to reach a leader: less than an election takes, so that a new one is found at once.
const RETRY: Duration = Duration::from_millis(200);
/// Registering, or opening the stream, takes no longer, or is begun again: an answer that is lost must not cost the lease
/// of an engine that could have another. Longer than a leader without a quorum takes to say so.
const REACH_PATIENCE: Duration = Duration::from_secs(10);
/// Messages on their way to the leader, at most: all batches that may be unanswered, and some answers.
const MAX_OUTBOUND_MESSAGES: usize = 256;
/// A leader that says nothing for this many heartbeats is taken to be unreachable.
const SILENT_HEARTBEATS: u32 = 3;

/// The way to whoever leads.
#[async_trait]
pub trait Leaders: Send + Sync {
    /// The member that leads, as far as this one knows.
    fn leader(&self) -> watch::Receiver<Option<u64>>;

    /// Registers an engine after the incarnation that this member's replica has; returns the new one, which the replica
    /// has applied.
    async fn register(
        &self,
        leader: u64,
        request: proto::RegisterRequest,
    ) -> Result<EngineRef, Status>;

    /// Opens the stream.
    async fn attach(
        &self,
        leader: u64,
        outbound: mpsc::Receiver<FromEngine>,
    ) -> Result<BoxStream<'static, Result<FromLeader, Status>>, Status>;

    /// The incarnation of this member's engine that its replica has as not expired.
    fn registered(&self) -> Option<EngineRef>;

    /// How far this member's replica is.
    fn applied_index(&self) -> u64;

    /// Changes whenever the engines in this member's replica may have changed.
    fn engines(&self) -> watch::Receiver<u64>;
}

/// What the leader asks to be read.
pub type Requests = mpsc::Sender<proto::ObservationRequest>;
/// What was read.
pub type Answers = mpsc::Receiver<proto::ObservationAnswer>;

/// Keeps one engine linked to the leader.
pub struct Link {
    /// Whose link it is.
    pub engine: Arc<Engine>,
    /// The way to the leader.
    pub leaders: Arc<dyn Leaders>,
    /// How often to speak up.
    pub heartbeat: Duration,
    /// Where requests to observe go.
    pub requests: Requests,
    /// Where answers come from.
    pub answers: Answers,
}

/// What follows from a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Fine,
    /// The leader could not yet say yes: the next heartbeat should not wait its turn.
    AskAgain,
}

/// Why a stream was given up.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the leader changed")]
    LeaderChanged,
    #[error("the leader says: {0}")]
    Stopped(String),
    #[error("the leader is silent")]
    Silent,
    #[error("no answer from the leader within {} s", .0.as_secs())]
    NoAnswer(Duration),
    #[error("the stream ended")]
    Ended,
    #[error(transparent)]
    Refused(#[from] Status),
    #[error("the registration is over")]
    IncarnationOver,
}

impl Link {
    /// Runs for as long as the member does; dropped to stop.
    pub async fn run(mut self) {
        loop {
            if let Err(broken) = self.once().await {
                tracing::debug!(%broken, "the link to the leader broke");
            }
            self.engine.with_outbox(Outbox::start_over);
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn once(&mut self) -> Result<(), Broken> {
        let mut leader = self.leaders.leader();
        let known = *leader
            .wait_for(Option::is_some)
            .await
            .map_err(|_| Broken::Ended)?;
        let Some(member) = known else { return Ok(()) };
        leader.mark_unchanged();
        let me = match self.registration() {
            Some(me) => me,
            None => {
                // What ran under the old one ends before anything can begin under the new one.
                self.engine.surrender();
                self.engine.calls_ended().await;
                within(REACH_PATIENCE, &mut leader, self.register(member)).await?
            }
        };
        let (outbound, receiver) = mpsc::channel(MAX_OUTBOUND_MESSAGES);
        let hello = proto::Hello {
            member_id: me.member,
            incarnation: me.incarnation,
        };
        say(&outbound, from_engine::Message::Hello(hello)).await?;
        let inbound = async { Ok(self.leaders.attach(member, receiver).await?) };
        let inbound = within(REACH_PATIENCE, &mut leader, inbound).await?;
        tracing::debug!(engine = %me, leader = member, "attached to the leader");
        self.converse(me, leader, outbound, inbound).await
    }

    /// The incarnation to go on acting under, if it is not over.
    fn registration(&self) -> Option<EngineRef> {
        let mine = *self.engine.incarnation().borrow();
        mine.filter(|mine| self.leaders.registered() == Some(*mine))
    }

    /// A new incarnation to act under.
    async fn register(&self, leader: u64) -> Result<EngineRef, Broken> {
        let profile = &self.engine.profile;
        let label = |(name, value): &(String, String)| proto::Label {
            name: name.clone(),
            value: value.clone(),
        };
        let request = proto::RegisterRequest {
            member_id: profile.member,
            host: profile.host.clone(),
            address: profile.address.clone(),
            capacity: profile.capacity,
            offers: profile.offers.clone(),
            labels: profile.labels.iter().map(label).collect(),
            follows: None,
        };
        let me = self.leaders.register(leader, request).await?;
        tracing::info!(engine = %me, "registered");
        self.engine.registered(me);
        Ok(me)
    }

    async fn converse(
        &mut self,
        me: EngineRef,
        mut leader: watch::Receiver<Option<u64>>,
        outbound: mpsc::Sender<FromEngine>,
        mut inbound: BoxStream<'static, Result<FromLeader, Status>>,
    ) -> Result<(), Broken> {
        let mut beat = tokio::time::interval(self.heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut draining = self.engine.draining();
        let mut engines = self.leaders.engines();
        let mut unheard = 0;
        if self.leaders.registered() != Some(me) {
            return Err(self.over());
        }
        self.send_results(&outbound).await?;
        loop {
            tokio::select! {
                _ = beat.tick() => {
                    unheard += 1;
                    if unheard > SILENT_HEARTBEATS {
                        return Err(Broken::Silent);
                    }
                    self.send_heartbeat(&outbound).await?;
                }
                _ = draining.changed() => self.send_heartbeat(&outbound).await?,
                () = self.engine.outbox_stirred() => self.send_results(&outbound).await?,
                Some(answer) = self.answers.recv() => {
                    say(&outbound, from_engine::Message::Observation(answer)).await?;
                }
                message = inbound.next() => {
                    unheard = 0;
                    let message = message.ok_or(Broken::Ended)??;
                    if self.hear(message)? == Heard::AskAgain {
                        beat.reset_after(RETRY);
                    }
                }
                _ = leader.changed() => return Err(Broken::LeaderChanged),
                changed = engines.changed() => {
                    changed.map_err(|_| Broken::Ended)?;
                    if self.leaders.registered() != Some(me) {
                        return Err(self.over());
                    }
                }
            }
        }
    }

    async fn send_heartbeat(&self, outbound: &mpsc::Sender<FromEngine>) -> Result<(), Broken> {
        let beat = proto::Heartbeat {
            applied_index: self.leaders.applied_index(),
            running: self.engine.running(),
            draining: *self.engine.draining().borrow(),
            // Taken last: the lease runs from here.
            sequence: self.engine.sending_heartbeat(),
        };
        say(outbound, from_engine::Message::Heartbeat(beat)).await
    }

    async fn send_results(&self, outbound: &mpsc::Sender<FromEngine>) -> Result<(), Broken> {
        while let Some((sequence, reports)) = self.engine.with_outbox(Outbox::next_batch) {
            let batch = proto::ResultBatch { sequence, reports };
            say(outbound, from_engine::Message::Results(batch)).await?;
        }
        Ok(())
    }

    fn hear(&self, message: FromLeader) -> Result<Heard, Broken> {
        match message.message {
            Some(from_leader::Message::Heartbeat(answer)) => self.hear_heartbeat(answer),
            Some(from_leader::Message::Results(answer)) => {
                let proto::ResultAnswer { sequence, applied } = answer;
                self.engine
                    .with_outbox(|outbox| outbox.answered(sequence, applied));
                self.engine.outbox_answered();
                Ok(Heard::Fine)
            }
            Some(from_leader::Message::Observe(request)) => {
                // More than can be read now: the leader asks again when it hears nothing.
                let _ = self.requests.try_send(request);
                Ok(Heard::Fine)
            }
            Some(from_leader::Message::Stop(stop)) => Err(Broken::Stopped(stop.reason)),
            None => Ok(Heard::Fine),
        }
    }

    fn hear_heartbeat(&self, answer: proto::HeartbeatAnswer) -> Result<Heard, Broken> {
        use proto::lease_refused::Reason;
        match answer.verdict {
            Some(heartbeat_answer::Verdict::Renewed(renewed)) => {
                self.engine.renewed(Renewal {
                    sequence: answer.sequence,
                    lease_ms: renewed.lease_ms,
                    quorum_age_ms: renewed.quorum_age_ms,
                    state_time_ms: renewed.state_time_ms,
                });
                Ok(Heard::Fine)
            }
            Some(heartbeat_answer::Verdict::Refused(refused)) => match refused.reason() {
                Reason::Expiring | Reason::NotRegistered => Err(self.over()),
                // A new leader hears from its quorum within a moment.
                Reason::NoQuorum => Ok(Heard::AskAgain),
                reason => {
                    tracing::warn!(?reason, "the leader does not renew the lease");
                    Ok(Heard::Fine)
                }
            },
            None => Ok(Heard::Fine),
        }
    }

    /// This incarnation is over, or will be before it could act again.
    fn over(&self) -> Broken {
        self.engine.surrender();
        Broken::IncarnationOver
    }
}

async fn say(
    outbound: &mpsc::Sender<FromEngine>,
    message: from_engine::Message,
) -> Result<(), Broken> {
    let message = FromEngine {
        message: Some(message),
    };
    outbound.send(message).await.map_err(|_| Broken::Ended)
}

/// What is asked of a leader, for as long as it leads and is not silent for too long.
async fn within<T>(
    patience: Duration,
    leader: &mut watch::Receiver<Option<u64>>,
    asked: impl Future<Output = Result<T, Broken>>,
) -> Result<T, Broken> {
    tokio::select! {
        biased;
        answer = asked => answer,
        _ = leader.changed() => Err(Broken::LeaderChanged),
        () = tokio::time::sleep(patience) => Err(Broken::NoAnswer(patience)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::hostile::spoilt;
    use crate::lease::Profile;

    /// The first leader never answers; it is told whom the engine turns to.
    struct Mute {
        leader: watch::Receiver<Option<u64>>,
        asked: mpsc::Sender<u64>,
    }

    #[async_trait]
    impl Leaders for Mute {
        fn leader(&self) -> watch::Receiver<Option<u64>> {
            self.leader.clone()
        }

        async fn register(
            &self,
            leader: u64,
            _: proto::RegisterRequest,
        ) -> Result<EngineRef, Status> {
            self.asked.send(leader).await.expect("the test listens");
            match leader {
                1 => std::future::pending().await,
                _ => Err(Status::unavailable("not yet")),
            }
        }

        async fn attach(
            &self,
            _: u64,
            _: mpsc::Receiver<FromEngine>,
        ) -> Result<BoxStream<'static, Result<FromLeader, Status>>, Status> {
            std::future::pending().await
        }

        fn registered(&self) -> Option<EngineRef> {
            None
        }

        fn applied_index(&self) -> u64 {
            0
        }

        fn engines(&self) -> watch::Receiver<u64> {
            watch::channel(0).1
        }
    }

    fn link_of(
        engine: Arc<Engine>,
        leaders: Mute,
    ) -> (Link, mpsc::Sender<proto::ObservationAnswer>) {
        let (requests, _) = mpsc::channel(1);
        let (answering, answers) = mpsc::channel(1);
        let link = Link {
            engine,
            leaders: Arc::new(leaders),
            heartbeat: Duration::from_secs(1),
            requests,
            answers,
        };
        (link, answering)
    }

    /// One message of each kind that a leader sends, as it is on the wire.
    fn sent() -> Vec<Vec<u8>> {
        let verdict = |verdict| {
            from_leader::Message::Heartbeat(proto::HeartbeatAnswer {
                sequence: 1,
                verdict: Some(verdict),
            })
        };
        let all = [
            verdict(heartbeat_answer::Verdict::Renewed(proto::LeaseRenewed {
                lease_ms: 5_000,
                quorum_age_ms: 10,
                state_time_ms: 77,
            })),
            verdict(heartbeat_answer::Verdict::Refused(proto::LeaseRefused {
                reason: 3,
            })),
            from_leader::Message::Results(proto::ResultAnswer {
                sequence: 1,
                applied: true,
            }),
            from_leader::Message::Observe(proto::ObservationRequest {
                sequence: 1,
                instances: vec![proto::ObservedInstance {
                    stack: 1,
                    resource: 2,
                    instance: 3,
                }],
            }),
            from_leader::Message::Stop(proto::StopRequest {
                reason: "over".into(),
            }),
        ];
        let encoded = all.map(|message| {
            let message = Some(message);
            FromLeader { message }.encode_to_vec()
        });
        encoded.to_vec()
    }

    proptest! {
        #[test]
        fn whatever_a_leader_sends_gives_no_lease_that_was_not_asked_for(
            bytes in prop::sample::select(sent()).prop_flat_map(spoilt),
        ) {
            let Ok(message) = FromLeader::decode(&bytes[..]) else {
                return Ok(());
            };
            let (asked, _whom) = mpsc::channel(1);
            let (_leads, leader) = watch::channel(Some(1));
            let profile = Profile {
                member: 1,
                address: String::new(),
                host: "host".into(),
                capacity: 1,
                offers: Vec::new(),
                labels: Vec::new(),
            };
            let (link, _answering) = link_of(Arc::new(Engine::new(profile)), Mute { leader, asked });
            link.engine.report(anneal_statemachine::id::StackId(1), bytes::Bytes::from_static(b"result"));
            // Nothing was sent: whatever it answers, it answers nobody.
            let _ = link.hear(message.clone());
            prop_assert!(!link.engine.holds_lease());
            prop_assert_eq!(link.engine.with_outbox(|outbox| outbox.len()), 1, "no result is forgotten");
            // A heartbeat was sent: whatever numbers come back, they are borne.
            link.engine.sending_heartbeat();
            let _ = link.hear(message);
            link.engine.moment_of(u64::MAX);
        }
    }

    #[tokio::test]
    async fn a_leader_that_never_answers_does_not_hold_the_engine_when_another_leads() {
        let (leads, leader) = watch::channel(Some(1));
        let (asked, mut whom) = mpsc::channel(1);
        let (requests, _requests) = mpsc::channel(1);
        let (_answers, answers) = mpsc::channel(1);
        let engine = Arc::new(Engine::new(Profile {
            member: 1,
            address: String::new(),
            host: "host".into(),
            capacity: 1,
            offers: Vec::new(),
            labels: Vec::new(),
        }));
        let link = Link {
            engine,
            leaders: Arc::new(Mute { leader, asked }),
            heartbeat: Duration::from_secs(1),
            requests,
            answers,
        };
        let link = tokio::spawn(link.run());
        assert_eq!(whom.recv().await, Some(1));
        leads.send_replace(Some(2));
        let next = tokio::time::timeout(REACH_PATIENCE / 2, whom.recv()).await;
        assert_eq!(next.expect("at once"), Some(2));
        link.abort();
    }

    #[tokio::test]
    async fn a_leader_that_stays_and_never_answers_is_asked_again() {
        let (_leads, mut leader) = watch::channel(Some(1));
        let patience = Duration::from_millis(1);
        let never = std::future::pending::<Result<(), Broken>>();
        let broken = within(patience, &mut leader, never).await;
        assert!(matches!(broken, Err(Broken::NoAnswer(_))), "{broken:?}");
    }
}
