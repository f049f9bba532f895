//! Stacks that several clients change at once, none knowing of the others.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anneal_client::{Client, Error, Read, RequestId, StackName};
use tokio::time::sleep;

use super::{
    content::{Content, Dialect, Item, Patch},
    history::{Asked, Outcome},
    load::{HASTY, PATIENT, again_after_unknown, ask, contradicts, send},
    record::{Did, Recorded, Shared, now_ns, open, seen},
};
use crate::Chance;

/// Stacks that have several writers.
pub(super) const STACKS: [&str; 2] = ["m0", "m1"];

/// Clients that write to each of them.
pub(super) const WRITERS: usize = 3;

/// Objects have one of so many names, so that patches by one fit what another left.
const NAMES: u64 = 5;

/// Between two operations of a writer. Milliseconds.
const PAUSE_MS: (u64, u64) = (300, 2_000);

/// Every value is written once, so that what is read tells who wrote it.
static NEXT_VALUE: AtomicU64 = AtomicU64::new(1);

/// One of the writers of a stack.
pub(super) struct Writer {
    /// As in the records.
    pub(super) called: String,
    pub(super) client: Client,
    pub(super) within: Duration,
    pub(super) chance: Chance,
    pub(super) url: String,
    pub(super) name: StackName,
    pub(super) records: Shared,
    /// Revisions that it was told of.
    pub(super) revisions: Vec<u64>,
}

impl Writer {
    /// One of the writers. Every other is in a hurry.
    ///
    /// # Errors
    /// When the endpoints are none.
    pub(super) fn new(
        endpoints: &str,
        chance: Chance,
        url: &str,
        stack: &str,
        number: usize,
        records: &Shared,
    ) -> Result<Self, String> {
        let within = if number.is_multiple_of(2) {
            PATIENT
        } else {
            HASTY
        };
        let client = Client::builder(endpoints)
            .and_then(|builder| builder.call_deadline(within).build())
            .map_err(|e| e.to_string())?;
        Ok(Self {
            called: format!("{stack}-writer-{number}"),
            client,
            within,
            chance,
            url: url.to_owned(),
            name: StackName::new(stack),
            records: Arc::clone(records),
            revisions: Vec::new(),
        })
    }

    /// Goes on until it is told to end; what answers contradict each other.
    pub(super) async fn run(mut self, end: Arc<AtomicBool>) -> Vec<String> {
        let mut broken = Vec::new();
        while !end.load(Ordering::Relaxed) {
            let asked = self.draw();
            let base = match asked {
                Asked::Patch(_) | Asked::Up(_) | Asked::Delete if self.chance.per_mille(400) => {
                    self.look().await
                }
                _ => None,
            };
            broken.extend(self.carry_out(asked, base).await);
            let pause = self.chance.between(PAUSE_MS.0, PAUSE_MS.1);
            sleep(Duration::from_millis(pause)).await;
        }
        broken
    }

    fn draw(&mut self) -> Asked {
        match self.chance.between(0, 100) {
            0..40 => Asked::Patch(self.draw_patch()),
            40..55 => Asked::Up(self.draw_content()),
            55..66 => Asked::Create(self.draw_content()),
            66..76 => match self.chance.one(&self.revisions) {
                Some(to) => Asked::Rollback {
                    to: *to,
                    content: Content::new(),
                },
                None => Asked::Up(self.draw_content()),
            },
            76..83 => Asked::Pause,
            83..92 => Asked::Resume,
            _ => Asked::Delete,
        }
    }

    /// An object that may refer to those with smaller names.
    fn draw_item(&mut self, number: u64, needs: bool) -> (String, Item) {
        let mut needed = BTreeSet::new();
        if needs && number > 0 && self.chance.per_mille(300) {
            needed.insert(format!("r{}", self.chance.between(0, number)));
        }
        let dialect = match self.chance.between(0, 10) {
            0..7 => Dialect::Fenced,
            _ => Dialect::Keyed,
        };
        let item = Item {
            value: NEXT_VALUE.fetch_add(1, Ordering::Relaxed),
            needs: needed,
            mutable: self.chance.per_mille(700),
            dialect,
        };
        (format!("r{number}"), item)
    }

    fn draw_content(&mut self) -> Content {
        (0..self.chance.between(2, NAMES + 1))
            .map(|number| self.draw_item(number, true))
            .collect()
    }

    fn draw_patch(&mut self) -> Patch {
        let mut patch = Patch::default();
        let number = self.chance.between(0, NAMES);
        let needs = self.chance.per_mille(200);
        patch.set.extend([self.draw_item(number, needs)]);
        if self.chance.per_mille(200) {
            patch.remove.insert(format!("r{}", (number + 1) % NAMES));
        }
        patch
    }

    fn record(&self, called_ns: u64, did: Did) {
        open(&self.records).operations.push(Recorded {
            client: self.called.clone(),
            stack: self.name.name.clone(),
            called_ns,
            returned_ns: now_ns(),
            did,
        });
    }

    /// The revision that the stack is at.
    async fn look(&mut self) -> Option<u64> {
        let called_ns = now_ns();
        let shown = match self.client.show_stack(&self.name, Read::default()).await {
            Ok(stack) => Some(seen(&stack)),
            Err(Error::NotFound(_)) => None,
            Err(_) => {
                open(&self.records).unanswered += 1;
                return None;
            }
        };
        self.record(called_ns, Did::Shown(shown.clone()));
        shown.map(|seen| seen.revision)
    }

    /// Asks, half of the time again if the outcome is unknown, and now and then again though it is known.
    async fn carry_out(&mut self, asked: Asked, base: Option<u64>) -> Option<String> {
        let request = RequestId::fresh();
        let called_ns = now_ns();
        let sent = || send(&self.client, &self.url, &self.name, &asked, base, &request);
        let mut outcome = ask(self.within, sent()).await;
        if matches!(outcome, Outcome::Unknown(_)) && self.chance.per_mille(500) {
            let second = ask(self.within, sent()).await;
            outcome = again_after_unknown(outcome, second, &asked);
        }
        let returned = Recorded {
            client: self.called.clone(),
            stack: self.name.name.clone(),
            called_ns,
            returned_ns: now_ns(),
            did: Did::Changed {
                asked: asked.clone(),
                base,
                outcome: outcome.clone(),
            },
        };
        let mut broken = None;
        if matches!(outcome, Outcome::Ok { .. }) && self.chance.per_mille(100) {
            let second = ask(self.within, sent()).await;
            // What found nothing to do without the log may find something later.
            let is_rollback = matches!(asked, Asked::Rollback { .. });
            if !is_rollback && contradicts(&outcome, &second) {
                let word = asked.word();
                broken = Some(format!(
                    "{word} {request}: first answered {outcome:?}, then {second:?}"
                ));
            }
        }
        if let (Outcome::Ok { revision, .. }, true) = (&outcome, asked != Asked::Delete) {
            self.revisions.push(*revision);
        }
        open(&self.records).operations.push(returned);
        broken
    }
}
