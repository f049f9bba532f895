//! The state machine as the Raft library wants it: applies entries, makes and installs checkpoints.
//!
//! One group of entries is applied under one write lock, its rows and their position are written in one
//! batch, and only then does anybody see it. Knows nothing of who proposed what.

use std::{
    collections::BTreeMap,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, RwLock},
    time::{Duration, Instant},
};

use anneal_statemachine::{
    StateMachine,
    command::{Command, CommandKind},
    event::Event,
    id::{InstanceId, StackId, Text},
    outcome::Outcome,
    row::{RowKey, RowValue},
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use openraft::{
    EntryPayload, OptionalSend, RaftSnapshotBuilder, Snapshot,
    alias::SnapshotOf,
    storage::{ApplyResponder, EntryResponder, RaftStateMachine},
};
use tokio::sync::{broadcast, watch};

use super::{
    rows,
    types::{Answer, CheckpointMeta, Entry, LogId, StoredMembership, TypeConfig},
};
use crate::{
    codec::{self, key},
    failpoint::{self, Failpoint},
    pace::Longest,
    storage::{
        checkpoint::{Checkpoint, CheckpointData, Checkpoints},
        state::{Position, RowBatch, StateStore},
    },
};

/// Entries decoded before the lock is taken: what one batch of rows may hold.
const GROUP_ENTRIES: usize = 512;
/// Bytes of commands decoded before the lock is taken, unless one alone is larger: decoded they take several times as much.
const GROUP_BYTES: usize = 8 << 20;
/// How long the lock is held before readers get their turn.
const LOCK_HELD: Duration = Duration::from_millis(3);
/// Applied groups that a slow listener may be behind before it has to look at everything.
const GROUPS_BEHIND: usize = 1024;

static LONGEST_APPLY: Longest = Longest::new("longest apply");
static LONGEST_LOCK: Longest = Longest::new("longest time under the state's lock");

/// What one group of applied entries changed, for those who follow.
#[derive(Debug, Default)]
pub struct Changes {
    /// The last entry applied.
    pub index: u64,
    /// Everything may have changed: a checkpoint was installed.
    pub all: bool,
    /// Instances whose rows changed: assignments among them.
    pub instances: Vec<InstanceId>,
    /// Engines were registered, drained or expired.
    pub engines: bool,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// Namespace and name of each stack whose row changed: of every new one, so that who follows knows the names also
    /// of those that are gone by the time it looks.
    pub names: BTreeMap<StackId, (Text, Text)>,
}

/// What the replica and the Raft library share.
pub(super) struct Shared {
    state: RwLock<State>,
    applied: watch::Sender<u64>,
    changes: broadcast::Sender<Arc<Changes>>,
    checkpoints: Checkpoints,
    root: PathBuf,
}

/// Memory, rows and position; whenever nobody writes, they agree.
pub(super) struct State {
    pub(super) machine: StateMachine,
    pub(super) store: Arc<StateStore>,
    pub(super) position: Position,
}

impl Shared {
    /// Opens the rows under this directory, and makes memory of them.
    pub(super) fn open(root: PathBuf, checkpoints: Checkpoints) -> io::Result<Arc<Self>> {
        let store = StateStore::open(&root, &key::FAMILIES)?;
        let state = State::load(store)?;
        let index = state.position.index();
        Ok(Arc::new(Self {
            state: RwLock::new(state),
            applied: watch::Sender::new(index),
            changes: broadcast::Sender::new(GROUPS_BEHIND),
            checkpoints,
            root,
        }))
    }

    pub(super) fn read<R>(&self, f: impl FnOnce(&State) -> R) -> R {
        f(&self
            .state
            .read()
            .expect("a replica whose state machine failed has stopped"))
    }

    pub(super) fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }

    pub(super) fn changes(&self) -> broadcast::Receiver<Arc<Changes>> {
        self.changes.subscribe()
    }

    pub(super) fn checkpoints(&self) -> &Checkpoints {
        &self.checkpoints
    }

    fn tell(&self, changes: Changes) {
        self.applied.send_replace(changes.index);
        // An error says that nobody listens.
        let _ = self.changes.send(Arc::new(changes));
    }

    /// Applies from the front of a group until it is done or readers should have their turn.
    fn apply(&self, group: &mut Group) -> io::Result<()> {
        failpoint::pass(Failpoint::ApplyBegins);
        let mut answers = Vec::new();
        let changes = {
            let mut state = self.state.write().map_err(|_| failed_before())?;
            let store = state.store.clone();
            let mut work = Work {
                store: &store,
                batch: store.batch(),
                changes: Changes::default(),
            };
            let began = Instant::now();
            for item in group.by_ref() {
                if !answers.is_empty() {
                    failpoint::pass(Failpoint::ApplyMidGroup);
                }
                let before = Instant::now();
                let cause = item.what.name();
                let answer = work.apply(&mut state, item.log_id, item.what)?;
                LONGEST_APPLY.took_for(cause, before.elapsed());
                answers.push((item.responder, answer));
                if began.elapsed() > LOCK_HELD {
                    break;
                }
            }
            work.batch.write(&state.position)?;
            LONGEST_LOCK.took(began.elapsed());
            work.changes.index = state.position.index();
            work.changes
        };
        failpoint::pass(Failpoint::GroupApplied);
        self.tell(changes);
        for (responder, answer) in answers {
            if let Some(responder) = responder {
                responder.send(answer);
            }
        }
        Ok(())
    }

    fn install(&self, meta: &CheckpointMeta, data: CheckpointData) -> io::Result<()> {
        let checkpoint = match data {
            CheckpointData::Kept(checkpoint) => self.checkpoints.adopt(checkpoint)?,
            CheckpointData::Received(staging) => self.checkpoints.finish(staging)?,
        };
        if checkpoint.position().last != meta.last_log_id {
            let (found, said) = (checkpoint.position().last, meta.last_log_id);
            let text = format!("a checkpoint of entry {found:?} was announced as of {said:?}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let before = self.read(|state| state.store.clone());
        let store = StateStore::install(&self.root, checkpoint.path(), &key::FAMILIES, &before)?;
        failpoint::pass(Failpoint::InstallNamed);
        let state = State::load(store)?;
        let index = state.position.index();
        *self.state.write().map_err(|_| failed_before())? = state;
        self.tell(Changes {
            index,
            all: true,
            ..Changes::default()
        });
        failpoint::pass(Failpoint::Installed);
        Ok(())
    }
}

fn failed_before() -> io::Error {
    io::Error::other("the state machine has failed before")
}

impl State {
    fn load(store: Arc<StateStore>) -> io::Result<Self> {
        let position = store.position()?;
        let mut failed = None;
        let rows = rows::all_of_memory(&store).map_while(|row| match row {
            Ok(row) => Some(row),
            Err(error) => {
                failed = Some(error);
                None
            }
        });
        let machine = StateMachine::load(rows);
        match failed {
            Some(error) => Err(error),
            None => Ok(Self {
                machine: machine
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?,
                store,
                position,
            }),
        }
    }
}

/// One group being applied.
struct Work<'a> {
    store: &'a StateStore,
    batch: RowBatch<'a>,
    changes: Changes,
}

impl Work<'_> {
    fn apply(&mut self, state: &mut State, log_id: LogId, what: What) -> io::Result<Answer> {
        state.position.last = Some(log_id);
        Ok(match what {
            What::Nothing => Answer(None),
            What::Membership(membership) => {
                state.position.membership = membership;
                Answer(None)
            }
            What::Command(mut command) => {
                // Proposers race, so a stamp can come after a later one: time never runs backwards here.
                let now = command.stamp.state_ms.max(state.position.state_ms);
                command.stamp.state_ms = now;
                state.position.state_ms = now;
                let outcome = self.command(&mut state.machine, log_id.index, *command)?;
                Answer(Some(outcome))
            }
        })
    }

    fn command(
        &mut self,
        machine: &mut StateMachine,
        index: u64,
        command: Command,
    ) -> io::Result<Outcome> {
        let expired = match &command.kind {
            CommandKind::ExpireHistory {
                stack,
                events_before,
                ..
            } => Some((*stack, *events_before)),
            _ => None,
        };
        let applied = machine.apply(index, command);
        for change in &applied.rows {
            let (family, key) = (key::family(&change.key), key::encode(&change.key));
            match &change.value {
                Some(value) => self.batch.put(family, key, codec::encode_row(value)),
                None => self.batch.delete(family, key),
            }
            match &change.key {
                RowKey::Instance(instance) => self.changes.instances.push(*instance),
                RowKey::Engine(_) => self.changes.engines = true,
                RowKey::Stack(stack) => match &change.value {
                    Some(RowValue::Stack(row)) => {
                        let names = || (row.namespace.clone(), row.name.clone());
                        self.changes.names.entry(*stack).or_insert_with(names);
                    }
                    // The stack is no more, and with it its history; what ends it is still told.
                    _ => self.stack_is_gone(*stack, index)?,
                },
                _ => {}
            }
        }
        if let Some((stack, before)) = expired
            && !matches!(applied.outcome, Outcome::Rejected(_))
        {
            self.forget_events(stack, before);
        }
        for (key, row) in codec::event_rows(&applied.events) {
            self.batch.put(key::EVENTS, key, row.into());
        }
        self.changes.events.extend(applied.events);
        Ok(applied.outcome)
    }

    /// Whoever reads the history of its namespace later has to know that a part of it is missing.
    fn stack_is_gone(&mut self, stack: StackId, index: u64) -> io::Result<()> {
        self.forget_events(stack, index);
        let namespace = match self.changes.names.get(&stack) {
            Some((namespace, _)) => Some(namespace.clone()),
            // As of the last batch: it is older than this one.
            None => match rows::stored(self.store, &RowKey::Stack(stack))? {
                Some(RowValue::Stack(row)) => Some(row.namespace),
                _ => None,
            },
        };
        if let Some(namespace) = namespace {
            let key = key::removed_in(&namespace);
            self.batch.put(
                key::EVENTS,
                key,
                Bytes::copy_from_slice(&index.to_be_bytes()),
            );
        }
        Ok(())
    }

    fn forget_events(&mut self, stack: StackId, before: u64) {
        let from = key::event(Some(stack), 0, 0);
        let end = key::event(Some(stack), before, 0);
        self.batch.delete_range(key::EVENTS, from, end);
    }
}

enum What {
    Nothing,
    Membership(StoredMembership),
    Command(Box<Command>),
}

impl What {
    fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Membership(_) => "membership",
            Self::Command(command) => command.kind.name(),
        }
    }
}

struct Item {
    log_id: LogId,
    what: What,
    responder: Option<ApplyResponder<TypeConfig>>,
}

type Group = std::vec::IntoIter<Item>;

fn decode(entry: Entry, responder: Option<ApplyResponder<TypeConfig>>) -> io::Result<Item> {
    let log_id = entry.log_id;
    let what = match entry.payload {
        EntryPayload::Blank => What::Nothing,
        EntryPayload::Membership(membership) => {
            What::Membership(StoredMembership::new(Some(log_id), membership))
        }
        EntryPayload::Normal(proposal) => {
            let command = codec::decode_command(proposal.command).map_err(|error| {
                let text = format!("log entry {} cannot be applied: {error}", log_id.index);
                io::Error::new(io::ErrorKind::InvalidData, text)
            })?;
            What::Command(Box::new(command))
        }
    };
    Ok(Item {
        log_id,
        what,
        responder,
    })
}

/// The Raft library's side of the state machine.
pub struct Machine {
    pub(super) shared: Arc<Shared>,
}

impl RaftStateMachine<TypeConfig> for Machine {
    type SnapshotData = CheckpointData;
    type SnapshotBuilder = CheckpointBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok(self
            .shared
            .read(|state| (state.position.last, state.position.membership.clone())))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        loop {
            let mut items = Vec::new();
            let mut bytes = 0;
            while items.len() < GROUP_ENTRIES
                && bytes < GROUP_BYTES
                && let Some(entry) = entries.next().await
            {
                let (entry, responder) = entry?;
                if let EntryPayload::Normal(proposal) = &entry.payload {
                    bytes += proposal.command.len();
                }
                items.push(decode(entry, responder)?);
            }
            if items.is_empty() {
                return Ok(());
            }
            let mut group = items.into_iter();
            while !group.as_slice().is_empty() {
                // A bug in the rules must stop the replica, not only the task that met it.
                catch_unwind(AssertUnwindSafe(|| self.shared.apply(&mut group)))
                    .unwrap_or_else(|_| Err(io::Error::other("the state machine has panicked")))?;
                tokio::task::yield_now().await;
            }
        }
    }

    async fn get_snapshot_builder(&mut self) -> CheckpointBuilder {
        let store = self.shared.read(|state| state.store.clone());
        CheckpointBuilder {
            store,
            checkpoints: self.shared.checkpoints.clone(),
        }
    }

    async fn install_snapshot(
        &mut self,
        meta: &CheckpointMeta,
        data: CheckpointData,
    ) -> io::Result<()> {
        let (shared, meta) = (self.shared.clone(), meta.clone());
        tokio::task::spawn_blocking(move || shared.install(&meta, data))
            .await
            .unwrap_or_else(|panic| Err(io::Error::other(panic)))
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<SnapshotOf<TypeConfig, CheckpointData>>> {
        Ok(self.shared.checkpoints.current().map(snapshot))
    }
}

fn snapshot(checkpoint: Arc<Checkpoint>) -> SnapshotOf<TypeConfig, CheckpointData> {
    let position = checkpoint.position().clone();
    let meta = CheckpointMeta {
        last_log_id: position.last,
        last_membership: position.membership,
    };
    Snapshot {
        meta,
        snapshot: CheckpointData::Kept(checkpoint),
    }
}

/// Makes one checkpoint, while entries go on being applied.
pub struct CheckpointBuilder {
    store: Arc<StateStore>,
    checkpoints: Checkpoints,
}

impl RaftSnapshotBuilder<TypeConfig> for CheckpointBuilder {
    type SnapshotData = CheckpointData;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<TypeConfig, CheckpointData>> {
        let (store, checkpoints) = (self.store.clone(), self.checkpoints.clone());
        tokio::task::spawn_blocking(move || checkpoints.make(&store))
            .await
            .unwrap_or_else(|panic| Err(io::Error::other(panic)))
            .map(snapshot)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use anneal_statemachine::command::{RegisterEngine, Stamp};
    use bytes::Bytes;

    use super::*;
    use crate::replica::types::{LeadershipId, Proposal};

    fn open(directory: &Path) -> Machine {
        let checkpoints = Checkpoints::open(&directory.join("checkpoints")).unwrap();
        let shared = Shared::open(directory.join("state"), checkpoints).unwrap();
        Machine { shared }
    }

    /// An engine that registers: the entry's index is its incarnation.
    fn registering(index: u64) -> Entry {
        let engine = RegisterEngine {
            member: 1,
            host: "host".into(),
            address: "".into(),
            capacity: 1,
            offers: Vec::new(),
            labels: Vec::new(),
            follows: None,
        };
        let command = codec::encode_command(&Command {
            stamp: Stamp {
                state_ms: index,
                wall_ms: index,
            },
            kind: CommandKind::RegisterEngine(engine),
        });
        let leader = LeadershipId {
            term: 1,
            node_id: 1,
        };
        Entry {
            log_id: LogId::new(leader, index),
            payload: EntryPayload::Normal(Proposal { command }),
        }
    }

    /// Raft goes on after the position: if it were not that of the rows, something would be applied twice, or never.
    #[tokio::test]
    async fn after_a_restart_the_position_is_that_of_the_rows() {
        let directory = tempfile::tempdir().unwrap();
        for group in [1..=3, 4..=4, 5..=7] {
            let last = *group.end();
            let mut machine = open(directory.path());
            let entries = group.map(|index| Ok((registering(index), None)));
            let entries = futures_util::stream::iter(entries);
            machine.apply(entries).await.unwrap();
            drop(machine);
            let mut machine = open(directory.path());
            let (position, _) = machine.applied_state().await.unwrap();
            let engine = machine.shared.read(|state| {
                let engine = state.machine.engine(1).expect("it has registered");
                engine.engine.incarnation
            });
            assert_eq!(engine, last);
            assert_eq!(position.map(|position| position.index), Some(last));
        }
    }

    #[test]
    fn a_command_of_a_newer_release_stops_the_replica() {
        // A kind that no release has used: field 2047, an empty message.
        let command = Bytes::from_static(&[0x08, 0x01, 0xfa, 0x7f, 0x00]);
        let entry = Entry {
            log_id: LogId::new(
                LeadershipId {
                    term: 1,
                    node_id: 1,
                },
                7,
            ),
            payload: EntryPayload::Normal(Proposal { command }),
        };
        let error = decode(entry, None).err().expect("it is refused");
        assert!(
            error.to_string().contains("log entry 7 cannot be applied"),
            "{error}"
        );
    }
}
