//! One member with an engine in this process, and a client that talks to it over loopback.

#![allow(dead_code, reason = "every test file uses its part of it")]

use std::{path::PathBuf, time::Duration};

use anneal_client::{Client, Ended, Error, Goal, Read, RequestId, StackName, Submission, Text, v1};
use anneal_node::{Config, Member};
use anneal_provider::{Companion, Registry};

/// Everything waited for comes within this, on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct World {
    pub(crate) client: Client,
    pub(crate) member: Member,
    directory: tempfile::TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(settings: impl FnOnce(&mut Config)) -> Self {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_test_writer()
            .try_init();
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::new(directory.path().join("member"));
        config.listen = Some("127.0.0.1:0".into());
        config.replica.heartbeat = Duration::from_millis(100);
        config.replica.election_min = Duration::from_millis(500);
        config.replica.election_max = Duration::from_millis(1000);
        config.drain_timeout = Duration::from_secs(1);
        settings(&mut config);
        let registry = Registry::built_in(&Companion::this_program());
        let started = Member::start(config, registry);
        let member = tokio::time::timeout(PATIENCE, started)
            .await
            .expect("in time")
            .expect("it starts");
        let client = Client::connect(member.address()).unwrap();
        Self {
            client,
            member,
            directory,
        }
    }

    /// A place in the outside world.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) async fn up(&self, name: &str, template: &str) -> Result<v1::SubmitReply, Error> {
        self.client.submit(&up(name, template)).await
    }

    pub(crate) async fn patch(&self, name: &str, patch: &str) -> Result<v1::SubmitReply, Error> {
        let patch = patch.to_owned();
        let submission = Submission::patch(StackName::new(name), "patch.yaml", patch);
        self.client.submit(&submission).await
    }

    /// Follows what was just submitted to its end.
    pub(crate) async fn ended(&self, name: &str, reply: &v1::SubmitReply) -> Ended {
        let goal = Goal::Converged {
            revision: reply.revision,
        };
        let mut follow = self.client.follow(&StackName::new(name), goal, reply.index);
        follow.to_end(Some(PATIENCE)).await.unwrap()
    }

    pub(crate) async fn converged(&self, name: &str, template: &str) -> Box<v1::Stack> {
        let reply = self.up(name, template).await.unwrap();
        self.converges(name, &reply).await
    }

    pub(crate) async fn converges(&self, name: &str, reply: &v1::SubmitReply) -> Box<v1::Stack> {
        match self.ended(name, reply).await {
            Ended::Reached(stack) => stack,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn preview(
        &self,
        submission: &Submission,
    ) -> (v1::PreviewSummary, Vec<(String, String)>) {
        let mut preview = self.client.preview(submission).await.unwrap();
        let mut resources = Vec::new();
        while let Some(resource) = preview.next().await.unwrap() {
            resources.push((resource.name, resource.action));
        }
        (preview.summary, resources)
    }

    pub(crate) async fn show(&self, name: &str) -> v1::Stack {
        let name = StackName::new(name);
        self.client
            .show_stack(&name, Read::default())
            .await
            .unwrap()
    }

    pub(crate) async fn template(&self, name: &str) -> String {
        let name = StackName::new(name);
        let read = Read::default();
        self.client.stack_template(&name, read).await.unwrap()
    }
}

pub(crate) fn up(name: &str, template: &str) -> Submission {
    Submission::up(StackName::new(name), "stack.yaml", template.to_owned())
}

pub(crate) fn id() -> RequestId {
    RequestId::fresh()
}

pub(crate) fn file(path: &str, content: &str) -> Text {
    Text::new(path, content.to_owned())
}

/// A template of these resources and outputs, given as YAML indented by two.
pub(crate) fn template(body: &str) -> String {
    format!("heat_template_version: 2021-04-16\n{body}")
}

/// So many values, one on the other.
pub(crate) fn values(count: usize) -> String {
    let mut resources = String::from("resources:\n");
    for n in 0..count {
        resources.push_str(&format!(
            "  v{n:05}:\n    type: OS::Heat::Value\n    properties: {{value: {n}}}\n"
        ));
    }
    template(&resources)
}
