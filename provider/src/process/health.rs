//! Whether a process does what it is for: by a connection, a request, or a command.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use super::Told;
use crate::call::CallContext;
use crate::companion::Companion;
use crate::failure::Failure;
use crate::guard::{self, Guarded, HowEnded};
use crate::http::told_whole;
use crate::path::PropertyPath;
use crate::read_values::{given, optional_seconds, optional_text, program};
use crate::request::{Diagnostic, Values};
use crate::schema::{Kind, Nested, PropertySchema};

/// A process that says nothing about it must be healthy within this.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// One question is answered within this, or the answer is no.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Also at the end of its time a process is given so long to answer.
const ANSWER_TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// How to find out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Health {
    pub(super) probe: Probe,
    pub(super) timeout: Duration,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Probe {
    Tcp(String),
    Http(String),
    Command(Vec<String>),
}

pub(super) fn schema() -> PropertySchema {
    let number = |name: &str, description: &str| {
        PropertySchema::new(name, &[Kind::Number], description).at_least(0.0)
    };
    PropertySchema::new(
        "health",
        &[Kind::Map],
        "How to find out that it is healthy: one of tcp, http, command.",
    )
    .nested(Nested::Keys(vec![
        PropertySchema::new(
            "tcp",
            &[Kind::String],
            "HOST:PORT, or a port of this host, that takes connections.",
        ),
        PropertySchema::new(
            "http",
            &[Kind::String],
            "A URL whose GET is answered with a 2xx status.",
        ),
        PropertySchema::new(
            "command",
            &[Kind::String, Kind::List],
            "A command that exits with 0.",
        )
        .nested(Nested::EachOf(vec![Kind::String])),
        number(
            "timeout_seconds",
            "How soon after its start it must be healthy.",
        )
        .default(DEFAULT_TIMEOUT.as_secs()),
    ]))
}

impl Health {
    /// None if the process has no health but to run.
    pub(super) fn of(properties: &Values) -> Result<Option<Self>, Failure> {
        let Some(health) = given(properties, "health") else {
            return Ok(None);
        };
        let health = health
            .as_object()
            .ok_or_else(|| Failure::refused("property `health`: a map expected"))?;
        let tcp = optional_text(health, "tcp")?.map(|at| Probe::Tcp(address(&at)));
        let http = optional_text(health, "http")?.map(Probe::Http);
        let command = program(health, "command")?.map(Probe::Command);
        let mut probes = [tcp, http, command].into_iter().flatten();
        match (probes.next(), probes.next()) {
            (Some(probe), None) => {
                let timeout =
                    optional_seconds(health, "timeout_seconds")?.unwrap_or(DEFAULT_TIMEOUT);
                Ok(Some(Self { probe, timeout }))
            }
            _ => Err(Failure::refused(
                "property `health`: exactly one of tcp, http and command is needed",
            )),
        }
    }

    /// Asks once, for no longer than is `left`. The error says what is wrong.
    pub(super) async fn ask(
        &self,
        companion: &Companion,
        ctx: &CallContext,
        told: &Told,
        left: Duration,
    ) -> Result<(), String> {
        let patience = left.clamp(ANSWER_TIMEOUT_MIN, ANSWER_TIMEOUT);
        let answer = tokio::time::timeout(patience, self.probe.ask(companion, ctx, told)).await;
        answer.unwrap_or_else(|_| Err(format!("no answer within {} s", patience.as_secs_f64())))
    }
}

/// What is wrong with the `health` of these properties beyond the schema.
pub(super) fn check(properties: &Values, unknown: &[PropertyPath]) -> Option<Diagnostic> {
    let path = PropertyPath::property("health");
    let known = !unknown.iter().any(|one| path.covers(one));
    let failure = Health::of(properties).err().filter(|_| known)?;
    let message = failure
        .message
        .trim_start_matches("property `health`: ")
        .to_owned();
    Some(Diagnostic { path, message })
}

fn address(text: &str) -> String {
    if text.contains(':') {
        text.to_owned()
    } else {
        format!("127.0.0.1:{text}")
    }
}

impl Probe {
    async fn ask(
        &self,
        companion: &Companion,
        ctx: &CallContext,
        told: &Told,
    ) -> Result<(), String> {
        match self {
            Self::Tcp(address) => match TcpStream::connect(address).await {
                Ok(_) => Ok(()),
                Err(error) => Err(format!("cannot connect to {address}: {error}")),
            },
            Self::Http(url) => {
                // A proxy would answer for itself.
                let client = reqwest::Client::builder().no_proxy().build();
                let client = client.map_err(|error| told_whole(&error))?;
                let answer = client
                    .get(url)
                    .send()
                    .await
                    .map_err(|error| format!("{url}: {}", told_whole(&error)))?;
                let status = answer.status();
                if status.is_success() {
                    Ok(())
                } else {
                    Err(format!("{url} answers {status}"))
                }
            }
            Self::Command(program) => {
                let command = Guarded {
                    program: program.clone(),
                    environment: told.order.environment.clone(),
                    working_directory: told.order.working_directory.clone(),
                    timeout: Some(ANSWER_TIMEOUT),
                    exclusive: false,
                };
                let ended = guard::run(companion, ctx, command)
                    .await
                    .map_err(|failure| failure.message)?;
                match ended.how {
                    HowEnded::Exited(0) => Ok(()),
                    HowEnded::Exited(code) => Err(format!(
                        "the health command ended with exit code {code}: {}",
                        ended.error_tail.trim_end()
                    )),
                    HowEnded::Signalled(_) | HowEnded::TimedOut { .. } => {
                        Err("the health command was killed".to_owned())
                    }
                }
            }
        }
    }
}
