//! The run and its witnesses: called, gathered, and judged by what they recorded.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
};

use anneal_client::{Error, Read, RequestId, StackName, v1};

use super::{
    faults::{Kind, Need, all},
    finish::lock,
    history::Asked,
    load::{PATIENT, ask, send},
    record::{Did, Recorded, now_ns, open, values},
    ruling::rule,
    run::Run,
    shared::STACKS,
    watch::listing,
    witnesses::{Place, Witnesses},
};
use crate::{
    cloud::{Object, Record, now_us},
    judge::Restart,
};

/// The name by which the run itself is in the records.
const CALLED: &str = "run";

/// A process that was started again may have ended so long before that was noted. Nanoseconds.
const SLACK_NS: u64 = 100_000_000;

impl Run {
    /// Starts the clients beside the load.
    pub(super) fn call_witnesses(&mut self, load_end: &Arc<AtomicBool>) -> Result<(), String> {
        let members = self.cluster.members.iter();
        let place = Place {
            members: members.map(|member| member.address().to_owned()).collect(),
            url: self.cloud.url(),
            stacks: self
                .stories
                .iter()
                .map(|story| lock(story).stack.clone())
                .collect(),
        };
        self.witnesses = Some(Witnesses::begin(&place, &mut self.chance, load_end)?);
        Ok(())
    }

    /// Waits for those that write; their end was said.
    pub(super) async fn await_writers(&mut self) -> Result<(), String> {
        if let Some(witnesses) = &mut self.witnesses {
            let broken = witnesses.written().await?;
            self.all_guilty("answer", broken);
        }
        Ok(())
    }

    /// Ends those that read and watch, and takes in what was recorded.
    pub(super) async fn gather(&mut self) -> Result<(), String> {
        let Some(witnesses) = self.witnesses.take() else {
            return Ok(());
        };
        let (records, watches) = witnesses.finish().await?;
        self.evidence.operations = records.operations;
        self.evidence.local = records.local;
        self.evidence.samples = records.samples;
        self.evidence.watches = watches;
        self.evidence.restarts = self.restarts();
        for story in &self.stories {
            let story = lock(story);
            self.evidence.add_story(&story.stack, &story.done);
        }
        Ok(())
    }

    /// When members were started again, on the clock of the records.
    fn restarts(&self) -> Vec<Restart> {
        let (now_us, now_ns) = (now_us(), now_ns());
        let at = |us: u64| now_ns.saturating_sub(now_us.saturating_sub(us) * 1000);
        let injected = self
            .injected
            .iter()
            .filter(|one| !keeps_processes(&one.kind));
        injected
            .map(|one| {
                (
                    at(one.at_us).saturating_sub(SLACK_NS),
                    at(one.whole_us) + SLACK_NS,
                )
            })
            .collect()
    }

    /// Resumes a stack as a client whose operations are recorded, if that works.
    pub(super) async fn resume(&self, name: &StackName) {
        let (request, called_ns) = (RequestId::fresh(), now_ns());
        let sent = send(
            &self.client,
            self.cloud.url(),
            name,
            &Asked::Resume,
            None,
            &request,
        );
        let outcome = ask(PATIENT, sent).await;
        if let Some(witnesses) = &self.witnesses {
            open(&witnesses.records).operations.push(Recorded {
                client: CALLED.to_owned(),
                stack: name.name.clone(),
                called_ns,
                returned_ns: now_ns(),
                did: Did::Changed {
                    asked: Asked::Resume,
                    base: None,
                    outcome,
                },
            });
        }
    }

    /// What exists of the stacks with several writers is what their templates declare; that these are what the writers
    /// made them is a question to the history, of which this last read is a part.
    pub(super) async fn judge_shared(&mut self, inventory: &[Object]) -> Result<(), String> {
        for stack in STACKS {
            let called_ns = now_ns();
            let read = match self
                .client
                .stack_template(&StackName::new(stack), Read::default())
                .await
            {
                Ok(text) => Some(values(&text)?),
                Err(Error::NotFound(_)) => None,
                Err(error) => {
                    self.guilty(&format!("the template of {stack} can't be read: {error}"));
                    continue;
                }
            };
            let of_stack = inventory.iter().filter(|object| object.body.stack == stack);
            let exists: BTreeMap<String, u64> = of_stack
                .map(|object| (object.body.name.clone(), object.body.value))
                .collect();
            let declared = read.clone().unwrap_or_default();
            if exists != declared {
                let what =
                    format!("declared: {stack} declares {declared:?}, and {exists:?} exists");
                self.guilty(&what);
            }
            self.evidence.operations.push(Recorded {
                client: CALLED.to_owned(),
                stack: stack.to_owned(),
                called_ns,
                returned_ns: now_ns(),
                did: Did::Read(read),
            });
        }
        Ok(())
    }

    /// Adds what each member, and the cluster, lists of the events of every stack.
    pub(super) async fn list_events(&mut self, stacks: &[v1::Stack]) {
        let local = Read {
            local: true,
            ..Read::default()
        };
        let mut sources = vec![("listing".to_owned(), self.client.clone(), Read::default())];
        for n in 0..self.cluster.members.len() {
            if let Ok(client) = self.client_of(n) {
                sources.push((format!("listing-of-{n}"), client, local));
            }
        }
        for stack in stacks {
            let name = StackName::within(&stack.namespace, &stack.name);
            for (called, client, read) in &sources {
                match listing(client, called, &name, *read).await {
                    Ok(recording) => self.evidence.watches.push(recording),
                    Err(error) => self.guilty(&format!("{called}: {name}: {error}")),
                }
            }
        }
    }

    /// The verdicts over everything that was recorded.
    pub(super) fn rule(&mut self, journal: &[Record]) {
        self.evidence.journal = journal.to_vec();
        self.ruling = rule(&self.evidence);
        for (kind, finding) in self.ruling.guilty.clone() {
            self.guilty(&format!("{kind}: {finding}"));
        }
    }
}

/// Whether no process ends by a fault.
fn keeps_processes(word: &str) -> bool {
    let of_the_network = |kind: &Kind| kind.word() == word && kind.needs().contains(&Need::Network);
    word.starts_with("freeze") || word == "hand" || all().iter().any(of_the_network)
}
