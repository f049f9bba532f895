//! Clients that only read, from any member, also what others write.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anneal_client::{Client, Error, Read, StackName};
use tokio::time::sleep;

use super::record::{Did, Recorded, Shared, now_ns, open, seen, values};
use crate::{
    Chance,
    judge::{LocalRead, Sample},
};

/// Between two reads of a reader. Milliseconds.
const PAUSE_MS: (u64, u64) = (50, 400);

/// Between two looks at what all members say of themselves.
const SAMPLE_EVERY: Duration = Duration::from_millis(200);

/// A read gives up after this; it then says nothing.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// A client of one member.
///
/// # Errors
/// When the address is none.
pub(super) fn client_of(address: &str) -> Result<Client, String> {
    Client::builder(address)
        .and_then(|builder| builder.call_deadline(READ_WITHIN).build())
        .map_err(|e| e.to_string())
}

/// One that reads from one member.
pub(super) struct Reader {
    /// As in the records.
    pub(super) called: String,
    /// HOST:PORT of the member.
    pub(super) member: String,
    pub(super) client: Client,
    pub(super) chance: Chance,
    /// All that there may be.
    pub(super) stacks: Vec<String>,
    pub(super) records: Shared,
}

impl Reader {
    /// Goes on until it is told to end.
    ///
    /// # Errors
    /// When a stored template is none.
    pub(super) async fn run(mut self, end: Arc<AtomicBool>) -> Result<(), String> {
        while !end.load(Ordering::Relaxed) {
            let stack = self.chance.one(&self.stacks).cloned().unwrap_or_default();
            let answered = match self.chance.between(0, 100) {
                0..30 => self.show(&stack).await,
                30..55 => self.template(&stack).await?,
                55..70 => self.list().await,
                70..85 => self.show_local(&stack).await,
                _ => self.list_local().await,
            };
            if answered.is_none() {
                open(&self.records).unanswered += 1;
            }
            let pause = self.chance.between(PAUSE_MS.0, PAUSE_MS.1);
            sleep(Duration::from_millis(pause)).await;
        }
        Ok(())
    }

    fn record(&self, called_ns: u64, stack: &str, did: Did) {
        open(&self.records).operations.push(Recorded {
            client: self.called.clone(),
            stack: stack.to_owned(),
            called_ns,
            returned_ns: now_ns(),
            did,
        });
    }

    fn record_local(&self, called_ns: u64, stack: &str, found: Option<anneal_client::v1::Stack>) {
        open(&self.records).local.push(LocalRead {
            client: self.called.clone(),
            member: self.member.clone(),
            stack: stack.to_owned(),
            called_ns,
            returned_ns: now_ns(),
            seen: found.as_ref().map(seen),
        });
    }

    async fn show(&self, stack: &str) -> Option<()> {
        let (name, called_ns) = (StackName::new(stack), now_ns());
        let shown = self.client.show_stack(&name, Read::default());
        let found = found(shown.await)?;
        self.record(called_ns, stack, Did::Shown(found.as_ref().map(seen)));
        Some(())
    }

    async fn template(&self, stack: &str) -> Result<Option<()>, String> {
        let (name, called_ns) = (StackName::new(stack), now_ns());
        let text = self.client.stack_template(&name, Read::default());
        let Some(found) = found(text.await) else {
            return Ok(None);
        };
        let read = found.map(|text| values(&text)).transpose()?;
        self.record(called_ns, stack, Did::Read(read));
        Ok(Some(()))
    }

    async fn list(&self) -> Option<()> {
        let called_ns = now_ns();
        let listed = self
            .client
            .list_stacks(Some("default"), false)
            .all()
            .await
            .ok()?;
        for stack in &self.stacks {
            let found = listed.iter().find(|one| one.name == *stack);
            self.record(called_ns, stack, Did::Shown(found.map(seen)));
        }
        Some(())
    }

    async fn show_local(&self, stack: &str) -> Option<()> {
        let (name, called_ns) = (StackName::new(stack), now_ns());
        let local = Read {
            local: true,
            ..Read::default()
        };
        let shown = self.client.show_stack(&name, local);
        let found = found(shown.await)?;
        self.record_local(called_ns, stack, found);
        Some(())
    }

    async fn list_local(&self) -> Option<()> {
        let called_ns = now_ns();
        let listed = self
            .client
            .list_stacks(Some("default"), true)
            .all()
            .await
            .ok()?;
        for stack in &self.stacks {
            let found = listed.iter().find(|one| one.name == *stack);
            self.record_local(called_ns, stack, found.cloned());
        }
        Some(())
    }
}

/// `None`: there was no answer.
fn found<T>(answer: Result<T, Error>) -> Option<Option<T>> {
    match answer {
        Ok(one) => Some(Some(one)),
        Err(Error::NotFound(_)) => Some(None),
        Err(_) => None,
    }
}

/// Asks every member again and again what it knows of itself.
pub(super) async fn sample(members: Vec<Client>, records: Shared, end: Arc<AtomicBool>) {
    while !end.load(Ordering::Relaxed) {
        for client in &members {
            let called_ns = now_ns();
            if let Ok(status) = client.cluster_status(true).await {
                open(&records).samples.push(Sample {
                    called_ns,
                    returned_ns: now_ns(),
                    member_id: status.answered_by,
                    term: status.term,
                    leader: status.leader,
                    applied_index: status.applied_index,
                });
            }
        }
        sleep(SAMPLE_EVERY).await;
    }
}
