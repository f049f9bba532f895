//! The leader's end of the engine streams: answers heartbeats, takes in results, sends what is asked.
//!
//! Knows nothing of stacks or of what is assigned. It exists for one leadership; the next makes its own.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anneal_proto::engine::v1::{
    self as proto, FromEngine, FromLeader, from_engine, from_leader, heartbeat_answer,
};
use anneal_statemachine::id::EngineRef;
use tokio::sync::{mpsc, watch};
use tokio_stream::{Stream, StreamExt};
use tonic::Status;

use super::clock::BootTime;
use super::table::{Beat, LeaseTable, LeaseView, Refusal, Standing, Verdict};

/// Messages on their way to one engine, at most: answers to some heartbeats and result batches, and
/// requests to observe. What does not fit is dropped; an engine that reads nothing loses its lease.
const MAX_OUTBOUND_MESSAGES: usize = 256;
/// Batches of results taken in and not yet proposed, over all engines, at most. An engine has eight under way at
/// a time, so this holds for a hundred engines; more is answered with "send it again".
pub const MAX_INTAKE_BATCHES: usize = 1_024;

/// What the hub must ask of the replica.
pub trait Leading: Send + Sync {
    /// How sure this leadership is now.
    fn standing(&self) -> Standing;
    /// The leader's state time now, in milliseconds.
    fn state_time_ms(&self) -> u64;
    /// The engines that are registered and not expired.
    fn registered(&self) -> Vec<EngineRef>;
}

/// Results that an engine sent.
#[derive(Debug)]
pub struct Intake {
    /// Who.
    pub engine: EngineRef,
    /// Its name for the batch.
    pub sequence: u64,
    /// Encoded reports.
    pub reports: Vec<bytes::Bytes>,
}

/// Something that an engine answered to a request to observe.
#[derive(Debug)]
pub struct Answer {
    /// Who.
    pub engine: EngineRef,
    /// What.
    pub answer: proto::ObservationAnswer,
}

/// The leases of one leadership. They outlive a hub: what was proposed to be expired is renewed no more by the next one
/// either, as long as the same leadership lasts.
pub type Leases = Arc<Mutex<LeaseTable<EngineRef>>>;

/// One leadership's engine streams.
pub struct Hub {
    leading: Box<dyn Leading>,
    table: Leases,
    links: Mutex<BTreeMap<EngineRef, mpsc::Sender<FromLeader>>>,
    intake: mpsc::Sender<Intake>,
    answers: mpsc::Sender<Answer>,
    stirred: watch::Sender<u64>,
}

/// What comes in through a hub, for those that act on it.
#[derive(Debug)]
pub struct Inflow {
    /// Results to propose.
    pub intake: mpsc::Receiver<Intake>,
    /// Answers to requests to observe.
    pub answers: mpsc::Receiver<Answer>,
}

impl Hub {
    /// A hub for a leader that has applied an entry of its own term.
    pub fn new(leading: Box<dyn Leading>, table: Leases) -> (Arc<Self>, Inflow) {
        let (intake, intake_out) = mpsc::channel(MAX_INTAKE_BATCHES);
        let (answers, answers_out) = mpsc::channel(MAX_INTAKE_BATCHES);
        let hub = Self {
            leading,
            table,
            links: Mutex::default(),
            intake,
            answers,
            stirred: watch::Sender::new(0),
        };
        let inflow = Inflow {
            intake: intake_out,
            answers: answers_out,
        };
        (Arc::new(hub), inflow)
    }

    /// Serves one engine until its stream ends. Returns what is sent to it.
    ///
    /// # Errors
    /// If the stream does not begin with who speaks.
    pub async fn attach(
        self: &Arc<Self>,
        mut inbound: impl Stream<Item = Result<FromEngine, Status>> + Send + Unpin + 'static,
    ) -> Result<mpsc::Receiver<FromLeader>, Status> {
        let engine = hello(inbound.next().await)?;
        let (outbound, out) = mpsc::channel(MAX_OUTBOUND_MESSAGES);
        lock(&self.links).insert(engine, outbound.clone());
        self.stir();
        tracing::debug!(%engine, "an engine attached");
        // A strong reference here would keep a leadership alive that is over.
        let hub = Arc::downgrade(self);
        tokio::spawn(async move {
            while let Some(Ok(message)) = inbound.next().await {
                let Some(hub) = hub.upgrade() else { break };
                let Some(message) = message.message else {
                    continue;
                };
                hub.take(engine, message, &outbound);
            }
            if let Some(hub) = hub.upgrade() {
                hub.detach(engine, &outbound);
            }
        });
        Ok(out)
    }

    /// Sends to an engine; false if it is not attached or does not read.
    pub fn send(&self, engine: EngineRef, message: from_leader::Message) -> bool {
        let links = lock(&self.links);
        links
            .get(&engine)
            .is_some_and(|link| link.try_send(wrap(message)).is_ok())
    }

    /// The lease table, to ask or to change.
    pub fn with_table<T>(&self, use_it: impl FnOnce(&mut LeaseTable<EngineRef>) -> T) -> T {
        use_it(&mut lock(&self.table))
    }

    /// Takes in which engines the state has as alive. One that is new may take work from here on, if it is attached.
    pub fn take_in_registered(&self) {
        let registered = self.leading.registered();
        let any_new = lock(&self.table).registered(registered, BootTime::now());
        if any_new {
            self.stir();
        }
    }

    /// How an engine's lease stands.
    pub fn view(&self, engine: EngineRef) -> LeaseView {
        lock(&self.table).view(&engine, BootTime::now())
    }

    /// Keeps the engines that may be given work: whose lease is live, and whose stream is there to bring results. However
    /// many there are, heartbeats wait for one look only.
    pub fn retain_takers(&self, engines: &mut Vec<EngineRef>) {
        let links = lock(&self.links);
        let table = lock(&self.table);
        let now = BootTime::now();
        engines.retain(|engine| links.contains_key(engine) && table.takes_work(engine, now));
    }

    /// Changes whenever who takes work may have changed.
    pub fn stirred(&self) -> watch::Receiver<u64> {
        self.stirred.subscribe()
    }

    fn stir(&self) {
        self.stirred.send_modify(|count| *count += 1);
    }

    /// Ends every stream: the leadership is over.
    pub fn close(&self, reason: &str) {
        for (_, link) in std::mem::take(&mut *lock(&self.links)) {
            let stop = proto::StopRequest {
                reason: reason.to_owned(),
            };
            // One that does not read finds out by itself.
            let _ = link.try_send(wrap(from_leader::Message::Stop(stop)));
        }
    }

    fn take(
        &self,
        engine: EngineRef,
        message: from_engine::Message,
        outbound: &mpsc::Sender<FromLeader>,
    ) {
        match message {
            from_engine::Message::Heartbeat(beat) => {
                let answer = self.heartbeat(engine, beat);
                let _ = outbound.try_send(wrap(from_leader::Message::Heartbeat(answer)));
            }
            from_engine::Message::Results(batch) => {
                let sequence = batch.sequence;
                let taken = self.intake.try_send(Intake {
                    engine,
                    sequence,
                    reports: batch.reports,
                });
                if taken.is_err() {
                    self.answer_results(engine, sequence, false);
                }
            }
            from_engine::Message::Observation(answer) => {
                // A lost answer is a read that nobody heard of; the next walk reads again.
                let _ = self.answers.try_send(Answer { engine, answer });
            }
            from_engine::Message::Hello(_) => {
                tracing::warn!(%engine, "an engine introduced itself twice");
            }
        }
    }

    /// Tells an engine what became of a batch of results.
    pub fn answer_results(&self, engine: EngineRef, sequence: u64, applied: bool) {
        let answer = proto::ResultAnswer { sequence, applied };
        self.send(engine, from_leader::Message::Results(answer));
    }

    fn heartbeat(&self, engine: EngineRef, beat: proto::Heartbeat) -> proto::HeartbeatAnswer {
        let standing = self.leading.standing();
        let now = BootTime::now();
        let said = Beat {
            applied_index: beat.applied_index,
            running: beat.running,
            draining: beat.draining,
        };
        let mut table = lock(&self.table);
        let before = table.view(&engine, now);
        let mut verdict = table.heartbeat(engine, said, standing, now);
        if verdict == Verdict::Refused(Refusal::NotRegistered) {
            // Its registration may be applied and not yet taken in here.
            drop(table);
            self.take_in_registered();
            table = lock(&self.table);
            verdict = table.heartbeat(engine, said, standing, now);
        }
        if table.view(&engine, now) != before {
            self.stir();
        }
        drop(table);
        if let Verdict::Refused(refusal) = verdict {
            tracing::info!(%engine, %refusal, "a lease is not renewed");
        }
        proto::HeartbeatAnswer {
            sequence: beat.sequence,
            verdict: Some(self.said(verdict)),
        }
    }

    fn said(&self, verdict: Verdict) -> heartbeat_answer::Verdict {
        use proto::lease_refused::Reason;
        match verdict {
            Verdict::Renewed {
                lease_ms,
                quorum_age_ms,
            } => heartbeat_answer::Verdict::Renewed(proto::LeaseRenewed {
                lease_ms,
                quorum_age_ms,
                state_time_ms: self.leading.state_time_ms(),
            }),
            Verdict::Refused(refusal) => {
                let reason = match refusal {
                    Refusal::Expiring => Reason::Expiring,
                    Refusal::StandingStill => Reason::StandingStill,
                    Refusal::NoQuorum => Reason::NoQuorum,
                    Refusal::NotRegistered => Reason::NotRegistered,
                };
                heartbeat_answer::Verdict::Refused(proto::LeaseRefused {
                    reason: reason.into(),
                })
            }
        }
    }

    fn detach(&self, engine: EngineRef, outbound: &mpsc::Sender<FromLeader>) {
        let mut links = lock(&self.links);
        // It may have attached again meanwhile.
        if links
            .get(&engine)
            .is_some_and(|link| link.same_channel(outbound))
        {
            links.remove(&engine);
            tracing::debug!(%engine, "an engine detached");
        }
        self.stir();
    }
}

fn hello(first: Option<Result<FromEngine, Status>>) -> Result<EngineRef, Status> {
    match first.transpose()?.and_then(|message| message.message) {
        Some(from_engine::Message::Hello(hello)) => Ok(EngineRef {
            member: hello.member_id,
            incarnation: hello.incarnation,
        }),
        _ => Err(Status::invalid_argument("an engine says first who it is")),
    }
}

fn wrap(message: from_leader::Message) -> FromLeader {
    FromLeader {
        message: Some(message),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no holder panics")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::hostile::spoilt;
    use crate::lease::table::LeaseSettings;

    const ENGINE: EngineRef = EngineRef {
        member: 2,
        incarnation: 9,
    };

    struct Sure;

    impl Leading for Sure {
        fn standing(&self) -> Standing {
            Standing {
                applied_index: 5,
                quorum_at: Some(BootTime::now()),
            }
        }

        fn state_time_ms(&self) -> u64 {
            7
        }

        fn registered(&self) -> Vec<EngineRef> {
            vec![ENGINE]
        }
    }

    /// One message of each kind that an engine sends, as it is on the wire.
    fn sent() -> Vec<Vec<u8>> {
        let hello = proto::Hello {
            member_id: 2,
            incarnation: 9,
        };
        let beat = proto::Heartbeat {
            sequence: 3,
            applied_index: 5,
            running: 1,
            draining: true,
        };
        let results = proto::ResultBatch {
            sequence: 4,
            reports: vec![bytes::Bytes::from_static(b"report"); 2],
        };
        let observation = proto::ObservationAnswer {
            sequence: 1,
            instance: 8,
            seen: 6,
            found: Some(proto::observation_answer::Found::Same(proto::Sameness {})),
        };
        let all = [
            from_engine::Message::Hello(hello),
            from_engine::Message::Heartbeat(beat),
            from_engine::Message::Results(results),
            from_engine::Message::Observation(observation),
        ];
        let encoded = all.map(|message| {
            let message = Some(message);
            FromEngine { message }.encode_to_vec()
        });
        encoded.to_vec()
    }

    fn hub() -> (Arc<Hub>, Inflow) {
        let table = LeaseTable::new(LeaseSettings::default(), BootTime::now());
        Hub::new(Box::new(Sure), Arc::new(Mutex::new(table)))
    }

    #[test]
    fn who_waits_for_engines_hears_of_one_that_attached_before_its_registration_was_taken_in() {
        let (hub, _inflow) = hub();
        let (outbound, _out) = mpsc::channel(1);
        lock(&hub.links).insert(ENGINE, outbound);
        let mut stirred = hub.stirred();
        let takers = || {
            let mut engines = vec![ENGINE];
            hub.retain_takers(&mut engines);
            engines
        };
        assert!(takers().is_empty());
        hub.take_in_registered();
        assert_eq!(takers(), [ENGINE]);
        assert!(stirred.has_changed().unwrap());
        stirred.mark_unchanged();
        hub.take_in_registered();
        assert!(!stirred.has_changed().unwrap(), "nothing is new");
    }

    proptest! {
        #[test]
        fn whatever_an_engine_sends_is_taken_or_passed_over(
            bytes in prop::sample::select(sent()).prop_flat_map(spoilt),
        ) {
            let (hub, mut inflow) = hub();
            let (outbound, mut out) = mpsc::channel(1);
            let Ok(FromEngine { message: Some(message) }) = FromEngine::decode(&bytes[..]) else {
                return Ok(());
            };
            hub.take(ENGINE, message.clone(), &outbound);
            let answered = out.try_recv().ok().and_then(|answer| answer.message);
            match message {
                from_engine::Message::Heartbeat(beat) => {
                    let of_it = matches!(
                        answered,
                        Some(from_leader::Message::Heartbeat(answer)) if answer.sequence == beat.sequence
                    );
                    prop_assert!(of_it, "a heartbeat is answered by its name");
                }
                from_engine::Message::Results(batch) => {
                    let taken = inflow.intake.try_recv().map(|intake| intake.reports.len());
                    prop_assert_eq!(taken.ok(), Some(batch.reports.len()));
                }
                from_engine::Message::Observation(answer) => {
                    let taken = inflow.answers.try_recv().map(|taken| taken.answer);
                    prop_assert_eq!(taken.ok(), Some(answer));
                }
                from_engine::Message::Hello(_) => prop_assert!(answered.is_none()),
            }
        }

        #[test]
        fn only_who_says_first_who_it_is_is_attached(
            bytes in prop::sample::select(sent()).prop_flat_map(spoilt),
        ) {
            let Ok(first) = FromEngine::decode(&bytes[..]) else {
                return Ok(());
            };
            let says = matches!(first.message, Some(from_engine::Message::Hello(_)));
            prop_assert_eq!(hello(Some(Ok(first))).is_ok(), says);
        }
    }
}
