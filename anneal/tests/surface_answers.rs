//! What the binary makes of a cluster's answers, in both forms, with exit codes: held against the committed copy.
//!
//! `BLESS=1 cargo test -p anneal --test surface_answers` writes the copy anew.

mod canned;
mod program;

use std::path::Path;
use std::process::Stdio;

use canned::CannedCluster;
use program::{Ended, anneal_in, command, compare_with_golden};
use serde_json::Value;

const TEMPLATE: &str =
    "heat_template_version: 2021-04-16\nresources:\n  a: { type: OS::Heat::Nome }\n";

/// Every question, in both forms.
const QUESTIONS: &[&str] = &[
    "stack list",
    "stack list --namespace empty",
    "stack show web",
    "stack show web --show-secrets",
    "stack show nothing",
    "stack show web --template",
    "stack resources web",
    "stack resources web --phase failed",
    "stack outputs web",
    "stack outputs web ports",
    "stack outputs web password",
    "stack outputs web later",
    "stack outputs web nonsense",
    "stack events web",
    "stack events web --last 1",
    "stack watch web",
    "stack graph web",
    "stack explain slow",
    "stack check web",
    "stack preview web -f stack.yaml",
    "stack create web -f stack.yaml",
    "stack create bad -f stack.yaml",
    "stack create slow -f stack.yaml",
    "stack create slow -f stack.yaml --wait=200ms",
    "stack update web -f stack.yaml",
    "stack update web -f stack.yaml --wait",
    "stack update web -f stack.yaml --base-revision 2",
    "stack update nothing -f stack.yaml",
    "stack update broken -f stack.yaml --wait",
    "stack update rolled -f stack.yaml --wait",
    "stack patch web -p size=2 --wait",
    "stack delete gone",
    "stack delete gone --wait",
    "stack delete nothing",
    "stack pause quiet --wait",
    "stack resume web --wait",
    "stack cancel web",
    "stack rollback web --to 2",
    "resource show web page",
    "resource show web page --show-secrets",
    "resource show web server",
    "resource show web nothing",
    "resource explain web server",
    "resource retry broken server --wait",
    "resource resolve web server --absent",
    "cluster members",
    "cluster status",
    "cluster promote 3",
    "cluster demote 9",
    "cluster demote 3 --wait",
    "cluster transfer-leader --wait",
    "engine list",
    "engine forget host-b",
    "provider list",
    "provider schema OS::Heat::None",
    "provider schema OS::Heat::Nine",
    "up web -f stack.yaml",
    "up web -f stack.yaml -p size=2",
    "up broken -f stack.yaml",
    "up slow -f stack.yaml --wait=200ms",
    "up web -f stack.yaml --preview",
    "up web -f missing.yaml",
    "down gone",
    "down",
];

#[test]
fn answers_are_as_committed() {
    let cluster = CannedCluster::start();
    let directory = directory();
    let mut text = String::new();
    for question in QUESTIONS {
        for form in ["table", "json"] {
            let ended = ask(&cluster, directory.path(), question, form);
            if form == "json" {
                assert_is_json(question, &ended);
            }
            text.push_str(&transcript(&cluster, question, form, &ended));
        }
    }
    compare_with_golden("answers.txt", &text);
}

#[test]
fn exit_codes_are_as_promised() {
    let cluster = CannedCluster::start();
    let directory = directory();
    for (question, code) in [
        ("stack show web", 0),
        ("stack show nothing", 1),
        ("stack create web -f stack.yaml", 1),
        ("stack create bad -f stack.yaml", 1),
        ("stack update nothing -f stack.yaml", 1),
        ("stack show", 2),
        ("stack show web --nonsense", 2),
        ("stack nonsense", 2),
        ("stack show web -o yaml", 2),
        ("stack create web", 2),
        ("up -f stack.yaml -p novalue", 2),
        ("stack update broken -f stack.yaml", 0),
        ("stack update broken -f stack.yaml --wait", 3),
        ("up broken -f stack.yaml", 3),
        ("up rolled -f stack.yaml", 3),
        ("resource retry broken server --wait", 3),
        ("stack create slow -f stack.yaml --wait=100ms", 4),
        ("up slow -f stack.yaml --wait=100ms", 4),
        ("stack pause slow --wait=100ms", 4),
    ] {
        let ended = ask(&cluster, directory.path(), question, "table");
        assert_eq!(
            ended.code, code,
            "{question}: {}{}",
            ended.stdout, ended.stderr
        );
        assert_eq!(
            ended.stderr.is_empty(),
            code == 0,
            "{question}: {}",
            ended.stderr
        );
    }
}

#[test]
fn secrets_show_only_where_they_may() {
    let cluster = CannedCluster::start();
    let directory = directory();
    let random = "random-string-value";
    let hidden = "hidden-parameter-value";
    for (question, form, random_shown, hidden_shown) in [
        ("stack show web", "table", false, false),
        ("stack show web", "json", true, false),
        ("stack outputs web", "table", false, false),
        ("stack outputs web", "json", true, false),
        ("up web -f stack.yaml", "table", false, false),
        ("up web -f stack.yaml", "json", true, false),
        ("stack show web --show-secrets", "table", true, true),
        ("stack show web --show-secrets", "json", true, true),
    ] {
        let ended = ask(&cluster, directory.path(), question, form);
        assert_eq!(
            ended.stdout.contains(random),
            random_shown,
            "{question} {form}"
        );
        assert_eq!(
            ended.stdout.contains(hidden),
            hidden_shown,
            "{question} {form}"
        );
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let cluster = CannedCluster::start();
    let mut child = command()
        .args([
            "--endpoints",
            &cluster.endpoint(),
            "stack",
            "list",
            "-o",
            "json",
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let ended: Ended = child.wait_with_output().expect("it ends").into();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}

fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("stack.yaml"), TEMPLATE).expect("a template");
    directory
}

fn ask(cluster: &CannedCluster, directory: &Path, question: &str, form: &str) -> Ended {
    let endpoint = cluster.endpoint();
    let mut arguments: Vec<&str> = question.split_whitespace().collect();
    arguments.extend(["--endpoints", &endpoint]);
    if !question.contains(" -o ") {
        arguments.extend(["-o", form]);
    }
    anneal_in(directory, &arguments)
}

/// Everything on standard output is JSON: one value, or one value a line.
fn assert_is_json(question: &str, ended: &Ended) {
    let text = ended.stdout.trim();
    let is_text = question.contains("--template");
    if text.is_empty() || is_text {
        return;
    }
    let whole = serde_json::from_str::<Value>(text).is_ok();
    let lines = text
        .lines()
        .all(|line| serde_json::from_str::<Value>(line).is_ok());
    assert!(whole || lines, "{question}: {text}");
}

fn transcript(cluster: &CannedCluster, question: &str, form: &str, ended: &Ended) -> String {
    let mut text = format!("{}\n$ anneal {question} -o {form}\n", "=".repeat(100));
    for (name, stream) in [("", &ended.stdout), ("! ", &ended.stderr)] {
        for line in stream.lines() {
            text.push_str(&format!("{name}{line}\n"));
        }
    }
    text.push_str(&format!("exit {}\n", ended.code));
    text.replace(&cluster.endpoint(), "ENDPOINT")
}
