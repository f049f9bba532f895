//! `anneal up` and `down` as people use them: with no cluster named, in a directory of their own.

mod program;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use program::{Ended, anneal_in, command};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A condition that does not come within this never does, on a machine however busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn write(directory: &TempDir, name: &str, text: &str) {
    let home = directory.path().display().to_string();
    fs::write(directory.path().join(name), text.replace("HOME", &home)).expect("a file");
}

const SITE: &str = "heat_template_version: 2021-04-16
parameters:
  greeting: { type: string, default: hello }
resources:
  secret: { type: OS::Heat::RandomString }
  home: { type: Anneal::Directory, properties: { path: HOME/site } }
  page:
    type: Anneal::File
    properties:
      path: { list_join: ['/', [{ get_attr: [home, path] }, index.html]] }
      content:
        str_replace:
          template: { get_file: page.txt }
          params: { GREETING: { get_param: greeting }, SECRET: { get_attr: [secret, value] } }
outputs:
  page: { value: { get_attr: [page, path] } }
  secret: { value: { get_attr: [secret, value] } }
";

/// One command that takes its time, and writes down that it was done.
const SLOW: &str = "heat_template_version: 2021-04-16
resources:
  slow:
    type: Anneal::Command
    properties:
      create: 'touch HOME/begun; sleep 2; echo made >> HOME/journal'
      read: test -e HOME/journal
      delete: 'true'
";

fn json(directory: &Path, arguments: &[&str]) -> Value {
    let ended = anneal_in(directory, &[arguments, &["-o", "json"]].concat());
    assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).expect("an answer in JSON")
}

fn start(directory: &TempDir, arguments: &[&str]) -> Child {
    command()
        .current_dir(directory.path())
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts")
}

fn wait_for(path: &Path) {
    let began = Instant::now();
    while !path.exists() {
        assert!(began.elapsed() < PATIENCE, "{} never came", path.display());
        sleep(Duration::from_millis(20));
    }
}

fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a process");
    kill_process(pid, signal).expect("our child takes signals");
}

fn ended(child: Child) -> Ended {
    child.wait_with_output().expect("it ends").into()
}

#[test]
fn a_stack_comes_up_changes_and_goes_down() {
    let directory = directory();
    let here = directory.path();
    write(&directory, "site.yaml", SITE);
    write(&directory, "page.txt", "GREETING SECRET");

    let up = anneal_in(here, &["up", "-f", "site.yaml"]);
    assert_eq!(up.code, 0, "{}{}", up.stdout, up.stderr);
    let page = here.join("site/index.html");
    let stack = json(here, &["stack", "show", "site"]);
    let secret = stack["outputs"]["secret"].as_str().expect("a secret");
    assert_eq!(
        fs::read_to_string(&page).expect("a page"),
        format!("hello {secret}")
    );
    assert!(!up.stdout.contains(secret), "{}", up.stdout);

    let again = anneal_in(here, &["up", "-f", "site.yaml"]);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(
        again.stdout.starts_with("nothing to do"),
        "{}",
        again.stdout
    );

    let changed = anneal_in(here, &["up", "-f", "site.yaml", "-p", "greeting=bye"]);
    assert_eq!(changed.code, 0, "{}", changed.stderr);
    assert_eq!(
        fs::read_to_string(&page).expect("a page"),
        format!("bye {secret}")
    );

    let down = anneal_in(here, &["down"]);
    assert_eq!(down.code, 0, "{}{}", down.stdout, down.stderr);
    assert!(!here.join("site").exists());
    assert_eq!(json(here, &["stack", "list"]), Value::Array(Vec::new()));
    assert_eq!(anneal_in(here, &["stack", "show", "site"]).code, 1);
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_stack() {
    let directory = directory();
    write(&directory, "slow.yaml", SLOW);
    let mut child = start(&directory, &["up", "-f", "slow.yaml"]);
    drop(child.stdout.take());
    let up = ended(child);
    assert_eq!((up.code, up.stderr.as_str()), (0, ""));
    let journal = directory.path().join("journal");
    assert_eq!(fs::read_to_string(journal).expect("it was made"), "made\n");
}

#[test]
fn a_preview_changes_nothing_and_its_plan_is_applied_as_shown() {
    let directory = directory();
    let here = directory.path();
    write(&directory, "site.yaml", SITE);
    write(&directory, "page.txt", "GREETING SECRET");
    let preview = json(here, &["up", "-f", "site.yaml", "--preview"]);
    assert_eq!(preview["create"], 3, "{preview}");
    assert!(!here.join("site").exists());
    assert_eq!(anneal_in(here, &["stack", "show", "site"]).code, 1);
    let plan = preview["plan_id"].as_str().expect("a plan");
    let stale = anneal_in(
        here,
        &[
            "up",
            "-f",
            "site.yaml",
            "--plan",
            plan,
            "-p",
            "greeting=bye",
        ],
    );
    assert_eq!(stale.code, 1, "{}", stale.stdout);
    let up = anneal_in(here, &["up", "-f", "site.yaml", "--plan", plan]);
    assert_eq!(up.code, 0, "{}{}", up.stdout, up.stderr);
}

#[test]
fn a_failure_is_told_in_the_providers_words() {
    let directory = directory();
    write(
        &directory,
        "bad.yaml",
        "heat_template_version: 2021-04-16
resources:
  c:
    type: Anneal::Command
    properties: { create: 'echo the disk of the moon is full >&2; exit 7', delete: 'true' }
",
    );
    let up = anneal_in(directory.path(), &["up", "-f", "bad.yaml"]);
    assert_eq!(up.code, 3, "{}{}", up.stdout, up.stderr);
    for words in ["the disk of the moon is full", "exit code 7"] {
        assert!(up.stderr.contains(words), "{}", up.stderr);
    }
}

#[test]
fn a_failure_that_repeats_a_hidden_parameter_is_told_without_it() {
    let directory = directory();
    let template = "heat_template_version: 2021-04-16
parameters:
  password: { type: string, hidden: true, default: swordfish }
resources:
  leak:
    type: Anneal::Command
    properties:
      create:
        str_replace:
          template: 'echo \"{\\\"said\\\": \\\"it is PW\\\"}\"'
          params: { PW: { get_param: password } }
  login:
    type: Anneal::Command
    properties:
      environment: { PASSWORD: { get_param: password } }
      create: 'echo no such user with $PASSWORD >&2; exit 3'
";
    write(&directory, "stack.yaml", template);
    let up = ["up", "-f", "stack.yaml", "-p", "password=swordfish"];
    let ended = anneal_in(directory.path(), &up);
    let told = ended.stdout + &ended.stderr;
    assert!(told.contains("no such user with ***"), "{told}");
    let name = json(directory.path(), &["stack", "list"])[0]["name"].clone();
    let name = name.as_str().expect("a name");
    for question in [
        vec!["stack", "events", name],
        vec!["resource", "show", name, "login"],
        vec!["resource", "show", name, "leak"],
        vec!["resource", "show", name, "leak", "-o", "json"],
        vec!["stack", "show", name, "--template"],
    ] {
        let answer = json_or_text(directory.path(), &question);
        assert!(!answer.contains("swordfish"), "{question:?}: {answer}");
    }
}

fn json_or_text(directory: &Path, arguments: &[&str]) -> String {
    let ended = anneal_in(directory, arguments);
    assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
    ended.stdout
}

#[test]
fn an_interrupted_up_finishes_what_runs_and_the_next_one_goes_on() {
    let directory = directory();
    write(&directory, "slow.yaml", SLOW);
    let child = start(&directory, &["up", "-f", "slow.yaml"]);
    wait_for(&directory.path().join("begun"));
    signal(&child, Signal::INT);
    let detached = ended(child);
    assert_eq!(detached.code, 4, "{}{}", detached.stdout, detached.stderr);
    let journal = directory.path().join("journal");
    assert_eq!(
        fs::read_to_string(&journal).expect("it was finished"),
        "made\n"
    );
    let up = anneal_in(directory.path(), &["up", "-f", "slow.yaml"]);
    assert_eq!(up.code, 0, "{}{}", up.stdout, up.stderr);
    assert_eq!(fs::read_to_string(&journal).expect("a journal"), "made\n");
}

#[test]
fn a_killed_up_is_resumed_by_the_next_one_and_nothing_is_made_twice() {
    let directory = directory();
    write(&directory, "slow.yaml", SLOW);
    let child = start(&directory, &["up", "-f", "slow.yaml"]);
    wait_for(&directory.path().join("begun"));
    signal(&child, Signal::KILL);
    ended_by_signal(child);
    let up = anneal_in(directory.path(), &["up", "-f", "slow.yaml"]);
    assert_eq!(up.code, 0, "{}{}", up.stdout, up.stderr);
    let journal = fs::read_to_string(directory.path().join("journal")).expect("a journal");
    assert_eq!(journal, "made\n", "{}", up.stdout);
}

fn ended_by_signal(child: Child) {
    let status = child.wait_with_output().expect("it ends").status;
    assert_eq!(status.code(), None, "{status}");
}

#[test]
fn a_directory_in_use_can_be_asked_and_refuses_a_second_up() {
    let directory = directory();
    let here = directory.path();
    write(&directory, "slow.yaml", SLOW);
    let child = start(&directory, &["up", "-f", "slow.yaml"]);
    wait_for(&here.join("begun"));
    let second = anneal_in(here, &["up", "-f", "slow.yaml"]);
    let shown = anneal_in(here, &["stack", "show", "slow"]);
    let first = ended(child);
    assert_eq!(second.code, 1, "{}", second.stdout);
    assert!(second.stderr.contains("in use"), "{}", second.stderr);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert_eq!(first.code, 0, "{}{}", first.stdout, first.stderr);
}

#[test]
fn an_invalid_template_is_told_all_at_once_and_makes_nothing() {
    let directory = directory();
    let here = directory.path();
    write(
        &directory,
        "wrong.yaml",
        "heat_template_version: 2021-04-16
resources:
  a: { type: OS::Heat::Nome }
  b:
    type: Anneal::File
    properties: { path: /tmp/b, contents: { get_file: missing.txt } }
",
    );
    let problems = anneal_in(here, &["validate", "-f", "wrong.yaml", "-o", "json"]);
    assert_eq!(problems.code, 1, "{}", problems.stderr);
    let problems: Value = serde_json::from_str(&problems.stdout).expect("an array");
    let lines: Vec<_> = problems
        .as_array()
        .expect("an array")
        .iter()
        .map(|problem| problem["line"].as_u64())
        .collect();
    assert!(
        lines.contains(&Some(3)) && lines.contains(&Some(6)),
        "{problems}"
    );
    assert_eq!(anneal_in(here, &["up", "-f", "wrong.yaml"]).code, 1);
    write(
        &directory,
        "wrong.yaml",
        "heat_template_version: 2021-04-16\nresources: {}\n",
    );
    assert_eq!(anneal_in(here, &["validate", "wrong.yaml"]).code, 0);
}
