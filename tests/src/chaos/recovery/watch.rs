//! Watching, in the rows of a survivor, what a lost member was acting on.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anneal_client::{Client, Read, StackName, v1};
use tokio::time::sleep;

use super::{Held, Loss, Sight, Standing, Why};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What is not acted on again within this has not been forgotten for a moment only.
const WATCHED_FOR: Duration = Duration::from_secs(30);

/// Reads what the member itself has applied.
const LOCAL: Read = Read {
    local: true,
    show_secrets: false,
};

/// The survivor that had applied most, and the end of the longest log of all.
pub(crate) struct Survivor {
    pub(crate) client: Client,
    pub(crate) log_end: u64,
}

/// Asks all who may have survived.
pub(crate) async fn most_advanced(survivors: Vec<Client>) -> Result<Survivor, String> {
    let mut best: Option<(u64, Survivor)> = None;
    for client in survivors {
        let Ok(status) = client.cluster_status(true).await else {
            continue;
        };
        let so_far = best.as_ref().map_or(0, |(_, best)| best.log_end);
        let log_end = so_far.max(status.last_log_index);
        match &mut best {
            Some((applied, best)) if *applied >= status.applied_index => best.log_end = log_end,
            _ => best = Some((status.applied_index, Survivor { client, log_end })),
        }
    }
    let (_, survivor) = best.ok_or("no survivor says how long its log is")?;
    Ok(survivor)
}

impl Survivor {
    /// What a member was doing.
    pub(crate) async fn held_by(&self, member: u64) -> Result<Vec<Held>, String> {
        let stacks = self.client.list_stacks(None, true).all().await;
        let mut held = Vec::new();
        for stack in stacks.map_err(|e| e.to_string())? {
            let name = StackName::within(&stack.namespace, &stack.name);
            // It may be gone by now.
            let resources = self.client.list_resources(&name, LOCAL, true).all().await;
            for resource in resources.unwrap_or_default() {
                if resource.engine == member {
                    held.push(Held {
                        stack: stack.name.clone(),
                        resource: resource.name,
                        instance: resource.instance,
                        sights: Vec::new(),
                        to_the_end: false,
                    });
                }
            }
        }
        Ok(held)
    }
}

/// Watches until everything that was held is acted on again or owed no more, for a while at most; `since` is when the
/// member was lost.
pub(crate) async fn watch(survivor: Survivor, mut loss: Loss, since: Instant) -> Loss {
    while since.elapsed() < WATCHED_FOR && loss.held.iter().any(|held| !held.to_the_end) {
        // One that can't be asked now is asked again.
        if let Ok(rows) = rows(&survivor.client, &loss.held).await {
            let after_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            for held in loss.held.iter_mut().filter(|held| !held.to_the_end) {
                let key = (held.stack.clone(), held.resource.clone());
                held.see(after_ms, rows.get(&key), loss.member);
            }
        }
        sleep(LOOK_EVERY).await;
    }
    for held in &mut loss.held {
        held.to_the_end = true;
    }
    loss
}

type Rows = BTreeMap<(String, String), v1::Resource>;

/// The resources of every stack in question.
async fn rows(client: &Client, held: &[Held]) -> Result<Rows, anneal_client::Error> {
    let mut rows = Rows::new();
    for stack in client.list_stacks(None, true).all().await? {
        if held
            .iter()
            .all(|held| held.to_the_end || held.stack != stack.name)
        {
            continue;
        }
        let name = StackName::within(&stack.namespace, &stack.name);
        for resource in client.list_resources(&name, LOCAL, true).all().await? {
            let key = (stack.name.clone(), resource.name.clone());
            rows.insert(key, resource);
        }
    }
    Ok(rows)
}

impl Held {
    fn see(&mut self, after_ms: u64, row: Option<&v1::Resource>, lost: u64) {
        let before = self.sights.last().map(|sight| &sight.standing);
        let left = before.is_some_and(|before| *before != Standing::Held);
        let standing = standing(self.instance, row, lost, left);
        self.to_the_end = matches!(standing, Standing::Acted { .. } | Standing::Reported);
        if before != Some(&standing) {
            self.sights.push(Sight { after_ms, standing });
        }
    }
}

/// `left`: it was seen not to be the lost member's any more, so that what that has now is given anew.
fn standing(instance: u64, row: Option<&v1::Resource>, lost: u64, left: bool) -> Standing {
    let Some(row) = row.filter(|row| row.instance == instance) else {
        return Standing::Reported;
    };
    if row.engine == lost && !left {
        return Standing::Held;
    }
    if row.engine != 0 {
        return Standing::Acted { member: row.engine };
    }
    if row.observed != "unknown" {
        return Standing::Reported;
    }
    let begins = |words: &str| row.reason.starts_with(words);
    if begins("the stack") {
        Standing::Waits(Why::StackStopped)
    } else if row.retry_at_ms > 0 {
        Standing::Waits(Why::BackingOff)
    } else if begins("is looked at after") {
        Standing::Waits(Why::LookOrder)
    } else if begins("a late effect") {
        Standing::Waits(Why::LateEffect)
    } else if begins("waits for") {
        Standing::Waits(Why::Requires)
    } else if row.phase == "on_hold" {
        Standing::Waits(Why::OnHold)
    } else {
        Standing::Owed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_member_that_came_back_and_is_given_it_anew_acts_on_it() {
        let row = |engine, observed: &str| v1::Resource {
            instance: 5,
            engine,
            observed: observed.to_owned(),
            ..Default::default()
        };
        let mut held = Held {
            stack: "s".to_owned(),
            resource: "a".to_owned(),
            instance: 5,
            sights: Vec::new(),
            to_the_end: false,
        };
        held.see(1, Some(&row(3, "unknown")), 3);
        held.see(2, Some(&row(3, "unknown")), 3);
        held.see(3, Some(&row(0, "unknown")), 3);
        assert!(!held.to_the_end);
        held.see(4, Some(&row(3, "unknown")), 3);
        assert!(held.to_the_end);
        let seen: Vec<_> = held.sights.into_iter().map(|one| one.standing).collect();
        let acted = Standing::Acted { member: 3 };
        assert_eq!(seen, [Standing::Held, Standing::Owed, acted]);
    }
}
