//! The end of a run: faults off, and everything must converge, serve, and be the same on every member.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anneal_client::{Client, Ended, Error, Goal, Read, RequestId, ResourceName, StackName, v1};
use tokio::time::sleep;

use super::{
    content::draw_content,
    faults::Planned,
    load::{Story, submit_once},
    report::Report,
    run::{LOOK_EVERY, Run},
};
use crate::cloud::Record;

/// Everything has converged within this after the last fault. Retries back off for up to a quarter of a minute, and
/// what is not fenced waits out the time of lost calls.
const CONVERGED_WITHIN: Duration = Duration::from_secs(180);

/// A new stack of a few objects takes at most this, on a good day.
const SERVED_WITHIN: Duration = Duration::from_secs(60);

/// Members that nothing is asked of any more are the same within this.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(30);

pub(super) fn lock(story: &Mutex<Story>) -> MutexGuard<'_, Story> {
    story.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Run {
    /// Turns the faults off, waits, looks, and judges.
    pub(super) async fn finish(&mut self, planned: &[Planned]) -> Result<Report, String> {
        self.say("faults off");
        self.whole().await;
        let stacks = self.converge().await;
        // What was changed by hand a moment ago may not have been looked at yet.
        for stack in &stacks {
            let name = StackName::within(&stack.namespace, &stack.name);
            let checked = self.client.check(&RequestId::fresh(), &name).await;
            if let Err(error) = checked {
                self.guilty(&format!("{name} can't be checked: {error}"));
            }
        }
        let stacks = self.converge().await;
        let converged_ms = u64::try_from(self.faults_off.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.say("converged");
        self.gather().await?;
        let inventory = self.cloud.inventory().await?;
        self.judge_stock(&stacks, &inventory);
        self.judge_shared(&inventory).await?;
        self.judge_ids(&stacks, &inventory).await;
        self.serve_anew().await;
        self.say("serves");
        self.resubmit(&stacks, &inventory).await?;
        self.say("resubmitted");
        self.members_agree().await;
        let journal: Vec<Record> = self.cloud.journal()?;
        self.end_watches().await?;
        self.list_events(&stacks).await;
        self.rule(&journal);
        Ok(self.report(planned, &journal, converged_ms))
    }

    /// Resumes what is paused, retries what has failed, and waits until all is converged or gone.
    async fn converge(&mut self) -> Vec<v1::Stack> {
        let began = Instant::now();
        loop {
            let listed = self.client.list_stacks(None, false).all().await;
            let seen = match listed {
                Ok(stacks) => {
                    let open: Vec<_> = stacks
                        .iter()
                        .filter(|stack| stack.status != "converged")
                        .collect();
                    if open.is_empty() {
                        return stacks;
                    }
                    for stack in &open {
                        self.push_on(stack).await;
                    }
                    if began.elapsed() < CONVERGED_WITHIN {
                        String::new()
                    } else {
                        self.why_not(&open).await
                    }
                }
                Err(error) => error.to_string(),
            };
            if began.elapsed() > CONVERGED_WITHIN {
                self.guilty(&format!("not converged after {CONVERGED_WITHIN:?}: {seen}"));
                let listed = self.client.list_stacks(None, false).all().await;
                return listed.unwrap_or_default();
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn push_on(&mut self, stack: &v1::Stack) {
        let name = StackName::within(&stack.namespace, &stack.name);
        // A deletion that is paused is called "deleting", and can't go on.
        if stack.status == "paused" || (stack.status == "deleting" && stack.stuck) {
            // If it does not work now, it is tried again with the next look.
            self.resume(&name).await;
        }
        if stack.status == "failed" || (stack.stuck && stack.status != "paused") {
            let all = self.client.list_resources(&name, Read::default(), true);
            for resource in all.all().await.unwrap_or_default() {
                if resource.phase == "failed" {
                    let resource = ResourceName::new(name.clone(), resource.name);
                    let request = RequestId::fresh();
                    let retried = self.client.retry_resource(&request, &resource).await;
                    self.retried += u64::from(retried.is_ok());
                }
            }
        }
    }

    async fn why_not(&self, open: &[&v1::Stack]) -> String {
        let mut told = Vec::new();
        for stack in open {
            let name = StackName::within(&stack.namespace, &stack.name);
            let why = self.client.explain(&name, None, Read::default()).await;
            told.push(format!(
                "{} {} {} {:?} {:?}",
                stack.name,
                stack.status,
                stack.reason,
                stack.counts,
                why.map(|why| why.reasons)
            ));
            let all = self.client.list_resources(&name, Read::default(), false);
            for one in all.all().await.unwrap_or_default() {
                if one.phase != "settled" {
                    told.push(format!("{} {} {}", one.name, one.phase, one.reason));
                }
            }
        }
        told.join("; ")
    }

    /// A new stack is created, converges, and is deleted.
    async fn serve_anew(&mut self) {
        let content = draw_content(&mut self.chance);
        let name = StackName::new("after");
        let served = async {
            let url = self.cloud.url();
            let reply = submit_once(&self.client, &name.name, &content, url).await?;
            let goal = Goal::Converged {
                revision: reply.revision,
            };
            let mut follow = self.client.follow(&name, goal, reply.index);
            let made = follow.to_end(Some(SERVED_WITHIN)).await?;
            let request = RequestId::fresh();
            let reply = self.client.delete_stack(&request, &name, None).await?;
            let mut follow = self.client.follow(&name, Goal::Deleted, reply.index);
            let gone = follow.to_end(Some(SERVED_WITHIN)).await?;
            Ok::<_, Error>((made, gone))
        };
        match served.await {
            Ok((Ended::Reached(_), Ended::Reached(_) | Ended::Gone)) => {}
            other => self.guilty(&format!("a new stack was not served: {other:?}")),
        }
    }

    /// Every member's replica, read locally, says the same.
    async fn members_agree(&mut self) {
        let began = Instant::now();
        loop {
            let seen = self.local_views().await;
            let why = match seen {
                Ok(views) if views.windows(2).all(|two| two[0] == two[1]) => return,
                Ok(views) => difference(&views),
                Err(why) => why,
            };
            if began.elapsed() > CAUGHT_UP_WITHIN {
                self.guilty(&format!("members do not say the same: {why}"));
                return;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn local_views(&self) -> Result<Vec<BTreeMap<String, String>>, String> {
        let mut views = Vec::new();
        for n in 0..self.cluster.members.len() {
            let client = self.client_of(n)?;
            views.push(view(&client).await.map_err(|e| e.to_string())?);
        }
        Ok(views)
    }
}

async fn view(client: &Client) -> Result<BTreeMap<String, String>, Error> {
    let local = Read {
        local: true,
        ..Read::default()
    };
    let mut view = BTreeMap::new();
    for stack in client.list_stacks(None, true).all().await? {
        let name = StackName::within(&stack.namespace, &stack.name);
        for resource in client.list_resources(&name, local, false).all().await? {
            view.insert(format!("{name}/{}", resource.name), format!("{resource:?}"));
        }
        view.insert(name.to_string(), format!("{stack:?}"));
    }
    Ok(view)
}

fn difference(views: &[BTreeMap<String, String>]) -> String {
    let first = &views[0];
    let differs = |view: &BTreeMap<String, String>| {
        let names = first.keys().chain(view.keys());
        let mut names = names.filter(|name| first.get(*name) != view.get(*name));
        names
            .next()
            .map(|name| format!("{name}: {:?} and {:?}", first.get(name), view.get(name)))
    };
    views.iter().find_map(differs).unwrap_or_default()
}
