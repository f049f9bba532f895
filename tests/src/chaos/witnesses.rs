//! The clients beside the load: writers that share stacks, readers, watchers. They begin and end together.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anneal_client::Client;
use tokio::{task::JoinHandle, time::timeout};

use super::{
    reads::{Reader, client_of, sample},
    record::{Records, Shared, open},
    shared::{STACKS, WRITERS, Writer},
    watch::{Watcher, follow},
};
use crate::{
    Chance,
    judge::{Recording, Scope},
};

/// Readers that each member has.
const READERS_A_MEMBER: usize = 1;

/// A watcher that is told to end hears that after its pause at the latest.
const ENDED_WITHIN: Duration = Duration::from_secs(30);

/// Those that go on until the cluster has converged.
pub(super) struct Witnesses {
    pub(super) records: Shared,
    end: Arc<AtomicBool>,
    writers: Vec<JoinHandle<Vec<String>>>,
    readers: Vec<JoinHandle<Result<(), String>>>,
    sampler: JoinHandle<()>,
    watchers: Vec<JoinHandle<Vec<Recording>>>,
}

/// Where everything is.
pub(super) struct Place<'a> {
    /// HOST:PORT of every member.
    pub(super) members: Vec<String>,
    /// Where the objects are.
    pub(super) url: &'a str,
    /// Names of the stacks of the load.
    pub(super) stacks: Vec<String>,
}

impl Witnesses {
    /// Starts them. The writers end with the load, the others when they are told to.
    ///
    /// # Errors
    /// When the addresses are none.
    pub(super) fn begin(
        place: &Place<'_>,
        chance: &mut Chance,
        load_end: &Arc<AtomicBool>,
    ) -> Result<Self, String> {
        let records = Shared::default();
        let end = Arc::new(AtomicBool::new(false));
        let endpoints = place.members.join(",");
        let watchers = watchers(place, chance, &end)?;
        let mut writers = Vec::new();
        for stack in STACKS {
            for number in 0..WRITERS {
                let split = chance.split();
                let writer = Writer::new(&endpoints, split, place.url, stack, number, &records)?;
                writers.push(tokio::spawn(writer.run(Arc::clone(load_end))));
            }
        }
        let mut stacks = place.stacks.clone();
        stacks.extend(STACKS.map(str::to_owned));
        let mut readers = Vec::new();
        let mut clients = Vec::new();
        for (n, member) in place.members.iter().enumerate() {
            for number in 0..READERS_A_MEMBER {
                let reader = Reader {
                    called: format!("reader-{n}-{number}"),
                    member: member.clone(),
                    client: client_of(member)?,
                    chance: chance.split(),
                    stacks: stacks.clone(),
                    records: Arc::clone(&records),
                };
                readers.push(tokio::spawn(reader.run(Arc::clone(&end))));
            }
            clients.push(client_of(member)?);
        }
        let sampler = tokio::spawn(sample(clients, Arc::clone(&records), Arc::clone(&end)));
        Ok(Self {
            records,
            end,
            writers,
            readers,
            sampler,
            watchers,
        })
    }

    /// Waits for the writers, whose end was said; what they were answered that can not be.
    ///
    /// # Errors
    /// When one failed.
    pub(super) async fn written(&mut self) -> Result<Vec<String>, String> {
        let mut broken = Vec::new();
        for writer in self.writers.drain(..) {
            broken.extend(writer.await.map_err(|e| format!("a writer failed: {e}"))?);
        }
        Ok(broken)
    }

    /// Ends the others; what they recorded.
    ///
    /// # Errors
    /// When one failed.
    pub(super) async fn finish(self) -> Result<(Records, Vec<Recording>), String> {
        self.end.store(true, Ordering::Relaxed);
        for reader in self.readers {
            reader
                .await
                .map_err(|e| format!("a reader failed: {e}"))??;
        }
        self.sampler.await.map_err(|e| e.to_string())?;
        let mut recordings = Vec::new();
        for watcher in self.watchers {
            let ended = timeout(ENDED_WITHIN, watcher).await;
            let ended = ended.map_err(|_| "a watcher does not end".to_owned())?;
            recordings.extend(ended.map_err(|e| format!("a watcher failed: {e}"))?);
        }
        let records = std::mem::take(&mut *open(&self.records));
        Ok((records, recordings))
    }
}

/// One of each member, one of the library, one that breaks off, one that is slow, and some of one stack.
fn watchers(
    place: &Place<'_>,
    chance: &mut Chance,
    end: &Arc<AtomicBool>,
) -> Result<Vec<JoinHandle<Vec<Recording>>>, String> {
    let client = Client::connect(&place.members.join(",")).map_err(|e| e.to_string())?;
    let mut tasks = vec![tokio::spawn(follow(client, Arc::clone(end)))];
    let mut watch = |called: String, scope, members, breaks, is_slow| {
        let watcher = Watcher {
            called,
            scope,
            members,
            chance: chance.split(),
            breaks,
            is_slow,
        };
        tasks.push(tokio::spawn(watcher.run(Arc::clone(end))));
    };
    for member in &place.members {
        let called = format!("all-of-{member}");
        watch(called, Scope::All, vec![member.clone()], false, false);
    }
    let all = || place.members.clone();
    watch("breaks".to_owned(), Scope::All, all(), true, false);
    watch("slow".to_owned(), Scope::All, all(), false, true);
    for stack in STACKS
        .iter()
        .copied()
        .chain(place.stacks.first().map(String::as_str))
    {
        let scope = Scope::Named(stack.to_owned());
        watch(format!("of-{stack}"), scope.clone(), all(), false, false);
        watch(format!("breaks-of-{stack}"), scope, all(), true, false);
    }
    Ok(tasks)
}
