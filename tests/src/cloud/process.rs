//! The cloud as a process, from the harness's side: started, told how to behave, read, and never left behind.

use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Behaviour, Object, Record, read_journal};

/// The control path answers within this, or something is wrong with the harness.
const CONTROL_WITHIN: Duration = Duration::from_secs(10);

/// A running cloud. Dropping it ends it; so does the end of the process that started it.
#[derive(Debug)]
pub struct CloudProcess {
    child: Child,
    url: String,
    journal: PathBuf,
    client: reqwest::Client,
}

impl CloudProcess {
    /// Starts the binary with its journal in `dir`, on an address of this machine and a port that it chooses.
    ///
    /// # Errors
    /// When it does not start or says no address.
    pub fn start(binary: &Path, dir: &Path, host: &str) -> Result<Self, String> {
        let journal = dir.join("cloud.jsonl");
        let mut child = Command::new(binary)
            .arg("--journal")
            .arg(&journal)
            .args(["--host", host])
            // A Ctrl-C at the terminal is not for it.
            .process_group(0)
            // It ends when this pipe does, however we end.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("{}: {e}", binary.display()))?;
        let mut line = String::new();
        let told = child.stdout.take().map(BufReader::new);
        if let Some(mut told) = told {
            told.read_line(&mut line).map_err(|e| e.to_string())?;
        }
        let cloud = Self {
            child,
            url: line.trim().to_owned(),
            journal,
            client: reqwest::Client::new(),
        };
        if cloud.url.starts_with("http://") {
            Ok(cloud)
        } else {
            Err(format!("the cloud said {line:?}, not where it is"))
        }
    }

    /// Where its objects are.
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn tell<T: DeserializeOwned>(&self, what: &str, said: Value) -> Result<T, String> {
        let request = self
            .client
            .post(format!("{}/control/{what}", self.url))
            .timeout(CONTROL_WITHIN)
            .body(said.to_string());
        let answer = request.send().await.map_err(|e| e.to_string())?;
        let status = answer.status();
        let text = answer.text().await.map_err(|e| e.to_string())?;
        if !status.is_success() {
            return Err(format!("the cloud refused {what}: {status} {text}"));
        }
        let text = if text.is_empty() { "null" } else { &text };
        serde_json::from_str(text).map_err(|e| format!("{e} in {text}"))
    }

    /// Changes how it behaves from now on.
    ///
    /// # Errors
    /// When it can't be told.
    pub async fn behave(&self, behaviour: &Behaviour) -> Result<(), String> {
        self.tell("behave", json!(behaviour)).await
    }

    /// Every object that exists now.
    ///
    /// # Errors
    /// When it can't be asked.
    pub async fn inventory(&self) -> Result<Vec<Object>, String> {
        self.tell("inventory", Value::Null).await
    }

    /// Removes an object by hand; whether it was there.
    ///
    /// # Errors
    /// When it can't be told.
    pub async fn remove(&self, id: &str) -> Result<bool, String> {
        self.tell("remove", json!({ "id": id })).await
    }

    /// Changes an object by hand; whether it was there.
    ///
    /// # Errors
    /// When it can't be told.
    pub async fn change(&self, id: &str, value: u64) -> Result<bool, String> {
        self.tell("change", json!({ "id": id, "value": value }))
            .await
    }

    /// Everything that it has written down so far.
    ///
    /// # Errors
    /// When the journal can't be read.
    pub fn journal(&self) -> Result<Vec<Record>, String> {
        read_journal(&self.journal)
    }
}

impl Drop for CloudProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
