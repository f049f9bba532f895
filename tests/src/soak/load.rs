//! The load of a soak: each client changes all of its stack, waits until that has converged, and deletes it now and then.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anneal_client::{Client, Ended, Goal, RequestId, StackName, Submission};

/// A change converges within this.
const CONVERGED_WITHIN: Duration = Duration::from_secs(120);

/// Every so many changes the stack is deleted and made anew.
const DELETED_EVERY: u64 = 10;

/// One client and its stack.
pub(super) struct Stack {
    client: Client,
    name: StackName,
    resources: usize,
}

impl Stack {
    pub(super) fn new(endpoints: &str, n: usize, resources: usize) -> Result<Self, String> {
        Ok(Self {
            client: Client::connect(endpoints).map_err(|e| e.to_string())?,
            name: StackName::new(format!("soak-{n}")),
            resources,
        })
    }

    /// Goes on until it is told to end, and counts.
    pub(super) async fn run(
        self,
        end: Arc<AtomicBool>,
        changes: Arc<AtomicU64>,
    ) -> Result<(), String> {
        let mut round = 0;
        while !end.load(Ordering::Relaxed) {
            round += 1;
            let changed = if round % DELETED_EVERY == 0 {
                self.delete().await
            } else {
                self.change(round).await
            };
            changed.map_err(|why| format!("{}: round {round}: {why}", self.name))?;
            changes.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn change(&self, round: u64) -> Result<(), String> {
        let submission = Submission::up(self.name.clone(), "soak.json", self.template(round));
        let reply = self.client.submit(&submission).await;
        let reply = reply.map_err(|e| e.to_string())?;
        let revision = reply.revision;
        self.comes(Goal::Converged { revision }, reply.index).await
    }

    async fn delete(&self) -> Result<(), String> {
        let request = RequestId::fresh();
        let reply = self.client.delete_stack(&request, &self.name, None).await;
        let index = reply.map_err(|e| e.to_string())?.index;
        self.comes(Goal::Deleted, index).await
    }

    async fn comes(&self, goal: Goal, index: u64) -> Result<(), String> {
        let mut follow = self.client.follow(&self.name, goal, index);
        let ended = follow.to_end(Some(CONVERGED_WITHIN)).await;
        match ended.map_err(|e| e.to_string())? {
            Ended::Reached(_) | Ended::Gone => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }

    /// Values in pairs, of which the second refers to the first; all of them other ones each round.
    fn template(&self, round: u64) -> String {
        let mut text = String::from("{\"heat_template_version\": \"2021-04-16\", \"resources\": {");
        for n in 0..self.resources {
            let value = match n % 2 {
                0 => format!("\"{round}\""),
                _ => format!("{{\"get_attr\": [\"r{}\", \"value\"]}}", n - 1),
            };
            let comma = if n == 0 { "" } else { "," };
            let _ = write!(
                text,
                "{comma}\"r{n}\":{{\"type\":\"OS::Heat::Value\",\"properties\":{{\"value\":{value}}}}}"
            );
        }
        text + "}}"
    }
}

/// The last log index of a cluster.
pub(super) async fn log_index(endpoints: &str) -> Result<u64, String> {
    let client = Client::connect(endpoints).map_err(|e| e.to_string())?;
    let status = client.cluster_status(false).await;
    Ok(status.map_err(|e| e.to_string())?.last_log_index)
}
