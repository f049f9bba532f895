//! The command line as a user types it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::OnceLock,
};

use serde_json::Value;

/// The `anneal` binary beside this test's own. A test run of the whole workspace has just built it; it is built here only
/// if it is missing.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let mut dir = std::env::current_exe().expect("a running test has a path");
        dir.pop();
        if dir.ends_with("deps") {
            dir.pop();
        }
        if dir.join("anneal").exists() {
            return dir.join("anneal");
        }
        let release = dir.ends_with("release");
        let mut build = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        build
            .args([
                "build", "--quiet", "--locked", "-p", "anneal", "--bin", "anneal",
            ])
            .args(["--features", "failpoints"])
            .current_dir(env!("CARGO_MANIFEST_DIR"));
        if release {
            build.arg("--release");
        }
        if let Some(target) = dir.parent() {
            build.env("CARGO_TARGET_DIR", target);
        }
        let built = build.stdin(Stdio::null()).status().expect("cargo runs");
        assert!(built.success(), "the anneal binary does not build");
        dir.join("anneal")
    })
}

/// The names of the points at which members can be made to die or to wait.
///
/// # Errors
/// If the binary is built without them.
pub fn failpoints() -> Result<Vec<String>, String> {
    let asked = Command::new(binary()).arg("failpoints").output();
    let asked = asked.map_err(|error| format!("{}: {error}", binary().display()))?;
    if !asked.status.success() {
        return Err(format!(
            "{} is built without failpoints: build it with `cargo build -p anneal --features failpoints`",
            binary().display()
        ));
    }
    let names = String::from_utf8_lossy(&asked.stdout);
    Ok(names.lines().map(str::to_owned).collect())
}

/// One way to call the command line: where, and with which endpoints.
#[derive(Clone, Debug)]
pub struct Anneal {
    dir: PathBuf,
    endpoints: Option<String>,
}

/// What a call printed and how it ended.
#[derive(Debug)]
pub struct Answer {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Anneal {
    /// Calls from within `dir`, with no cluster named.
    pub fn in_dir(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            endpoints: None,
        }
    }

    /// Calls against `endpoints` (HOST:PORT, comma-separated) from within `dir`.
    pub fn against(endpoints: &str, dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            endpoints: Some(endpoints.to_owned()),
        }
    }

    /// The command, ready to be spawned.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(args)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .env_remove("ANNEAL_ENDPOINTS")
            .env("NO_COLOR", "1");
        if let Some(endpoints) = &self.endpoints {
            command.env("ANNEAL_ENDPOINTS", endpoints);
        }
        command
    }

    /// Runs it to its end.
    pub fn run(&self, args: &[&str]) -> Answer {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(args).output().expect("the binary starts");
        Answer {
            code: status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&stdout).into_owned(),
            err: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// Runs it and insists on exit code 0.
    pub fn ok(&self, args: &[&str]) -> Answer {
        let answer = self.run(args);
        assert_eq!(
            answer.code,
            0,
            "anneal {}\n{}{}",
            args.join(" "),
            answer.out,
            answer.err
        );
        answer
    }

    /// Runs it with `-o json`; an error holds what it said.
    pub fn json(&self, args: &[&str]) -> Result<Value, String> {
        let answer = self.run(&[args, &["-o", "json"]].concat());
        if answer.code != 0 {
            return Err(format!(
                "exit {}: {}{}",
                answer.code, answer.out, answer.err
            ));
        }
        serde_json::from_str(&answer.out).map_err(|e| format!("{e} in {}", answer.out))
    }
}
