//! Runs the real binary, away from the settings of whoever runs the tests.

#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// The exit code; -1 when a signal ended it.
    pub(crate) code: i32,
    /// All of standard output.
    pub(crate) stdout: String,
    /// All of standard error.
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("answers are UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("messages are UTF-8"),
        }
    }
}

/// The binary, ready to be given arguments.
pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anneal"));
    command.stdin(Stdio::null());
    for variable in [
        "ANNEAL_ENDPOINTS",
        "ANNEAL_NAMESPACE",
        "ANNEAL_LOG",
        "ANNEAL_MAX_RESOURCES",
        "ANNEAL_MAX_NESTING",
        "COLUMNS",
        "RUST_BACKTRACE",
    ] {
        command.env_remove(variable);
    }
    command
}

/// Runs it with these arguments.
pub(crate) fn anneal(arguments: &[&str]) -> Ended {
    let output = command().args(arguments).output();
    output.expect("the binary starts").into()
}

/// Runs it in a directory.
pub(crate) fn anneal_in(directory: &Path, arguments: &[&str]) -> Ended {
    let output = command().current_dir(directory).args(arguments).output();
    output.expect("the binary starts").into()
}

/// Holds a text against the committed one; with `BLESS` set, writes it.
pub(crate) fn compare_with_golden(name: &str, text: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", name]
        .iter()
        .collect();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, text).expect("the golden file can be written");
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    if committed == text {
        return;
    }
    let line = committed
        .lines()
        .zip(text.lines())
        .position(|(old, new)| old != new)
        .unwrap_or_else(|| committed.lines().count().min(text.lines().count()));
    panic!(
        "{} differs from line {} on:\n  committed: {}\n  now:       {}\nIf that is meant, write it anew with BLESS=1.",
        path.display(),
        line + 1,
        committed.lines().nth(line).unwrap_or("(its end)"),
        text.lines().nth(line).unwrap_or("(its end)")
    );
}
