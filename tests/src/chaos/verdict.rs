//! What the run is judged by: the cloud's inventory and journal against what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use anneal_client::{Read, RequestId, StackName, v1};

use super::{content::Content, finish::lock, load::submit_once, run::Run, shared::STACKS};
use crate::{
    cloud::{Did, Happened, Object, Record, now_us},
    judge::{Declared, Stock, not_as_declared, stock},
};

/// So many findings of a kind are told; the rest is counted.
const TOLD: usize = 10;

fn stock_of(content: &Content) -> Stock {
    let declared = |item: &super::content::Item| Declared {
        value: item.value,
        needs: item.needs.clone(),
    };
    content
        .iter()
        .map(|(name, item)| (name.clone(), declared(item)))
        .collect()
}

impl Run {
    pub(super) fn all_guilty(&mut self, kind: &str, findings: Vec<String>) {
        let more = findings.len().saturating_sub(TOLD);
        for finding in findings.into_iter().take(TOLD) {
            self.guilty(&format!("{kind}: {finding}"));
        }
        if more > 0 {
            self.guilty(&format!("{kind}: and {more} more"));
        }
    }

    /// The inventory is what the stacks declare, and what they declare is the last that was acknowledged, or a later
    /// unknown change.
    pub(super) fn judge_stock(&mut self, stacks: &[v1::Stack], inventory: &[Object]) {
        let (exists, wrong) = stock(inventory);
        self.all_guilty("inventory", wrong);
        let mut known: BTreeSet<String> = STACKS.map(str::to_owned).into();
        for story in self.stories.clone() {
            let story = lock(&story);
            known.insert(story.stack.clone());
            self.all_guilty("answer", story.broken.clone());
            let found = stacks.iter().find(|stack| stack.name == story.stack);
            let at = found.map(|stack| (stack.id, stack.revision));
            let here = exists.get(&story.stack).cloned().unwrap_or_default();
            match story.known.finally(at) {
                Ok(possible) => {
                    let possible: Vec<Stock> = possible
                        .iter()
                        .map(|content| content.as_ref().map(stock_of).unwrap_or_default())
                        .collect();
                    let findings = not_as_declared(&story.stack, &here, &possible);
                    self.all_guilty("declared", findings);
                }
                Err(why) => self.guilty(&format!("acknowledged: {}: {why}", story.stack)),
            }
        }
        let strange = exists.keys().filter(|stack| !known.contains(*stack));
        let strange: Vec<_> = strange.cloned().collect();
        self.all_guilty("objects of no stack", strange);
    }

    /// The ids that the cluster knows are those that exist, in both directions.
    pub(super) async fn judge_ids(&mut self, stacks: &[v1::Stack], inventory: &[Object]) {
        let mut ids = BTreeSet::new();
        for stack in stacks {
            let name = StackName::within(&stack.namespace, &stack.name);
            let all = self.client.list_resources(&name, Read::default(), false);
            match all.all().await {
                Ok(resources) => {
                    let known = resources.into_iter().map(|one| one.physical_id);
                    ids.extend(known.filter(|id| !id.is_empty()));
                }
                Err(error) => self.guilty(&format!("{name} can't be listed: {error}")),
            }
        }
        let there: BTreeSet<_> = inventory.iter().map(|object| object.id.clone()).collect();
        let orphans = there.difference(&ids).cloned().collect();
        self.all_guilty("exists, and no stack knows it", orphans);
        let lost = ids.difference(&there).cloned().collect();
        self.all_guilty("a stack knows it, and it does not exist", lost);
    }

    /// An unchanged submission makes no revision and touches nothing, and a check finds no difference.
    pub(super) async fn resubmit(
        &mut self,
        stacks: &[v1::Stack],
        inventory: &[Object],
    ) -> Result<(), String> {
        let (exists, _) = stock(inventory);
        let since_us = now_us();
        for story in self.stories.clone() {
            let (stack, possible) = {
                let story = lock(&story);
                let found = stacks.iter().find(|stack| stack.name == story.stack);
                let Some(found) = found else { continue };
                let possible = story.known.finally(Some((found.id, found.revision)));
                (story.stack.clone(), possible.unwrap_or_default())
            };
            let here = exists.get(&stack).cloned().unwrap_or_default();
            // What exists does not tell how it is spoken to, so more than one content may fit; one of them is it.
            let fit = possible
                .into_iter()
                .flatten()
                .filter(|content| stock_of(content) == here);
            let fit: Vec<_> = fit.collect();
            let [content] = fit.as_slice() else {
                self.say(&format!(
                    "{stack}: {} contents fit, none is submitted again",
                    fit.len()
                ));
                continue;
            };
            self.resubmitted += 1;
            match submit_once(&self.client, &stack, content, self.cloud.url()).await {
                Ok(reply) if !reply.changed => {}
                other => self.guilty(&format!(
                    "{stack}: an unchanged submission was no such thing: {other:?}"
                )),
            }
            let name = StackName::new(&stack);
            match self.client.check(&RequestId::fresh(), &name).await {
                Ok(reply) if reply.drifts.is_empty() && reply.failures.is_empty() => {}
                other => self.guilty(&format!("{stack}: a check found {other:?}")),
            }
        }
        let touched = changes_since(&self.cloud.journal()?, since_us);
        self.all_guilty("an unchanged submission did something", touched);
        Ok(())
    }
}

/// Effects after a moment.
fn changes_since(journal: &[Record], since_us: u64) -> Vec<String> {
    let later = journal.iter().filter(|record| record.at_us > since_us);
    later
        .filter_map(|record| match &record.what {
            Happened::Effect(
                did @ (Did::Created { .. } | Did::Updated { .. } | Did::Deleted { .. }),
            ) => Some(format!("call {}: {did:?}", record.call)),
            _ => None,
        })
        .collect()
}

/// How often each effect happened.
pub(super) fn effects(journal: &[Record]) -> BTreeMap<&'static str, u64> {
    let mut effects = BTreeMap::new();
    for record in journal {
        let word = match &record.what {
            Happened::Effect(Did::Created { .. }) => "created",
            Happened::Effect(Did::Updated { .. }) => "updated",
            Happened::Effect(Did::Deleted { .. }) => "deleted",
            Happened::Effect(Did::Replayed { .. }) => "replayed",
            Happened::Effect(Did::Fenced { .. }) => "fenced",
            _ => continue,
        };
        *effects.entry(word).or_default() += 1;
    }
    effects
}
