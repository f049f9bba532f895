//! How the binary behaves where terminals, pipes and people are not as expected.

mod canned;
mod program;

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use canned::CannedCluster;
use program::{Ended, anneal, command};
use rustix::process::{Pid, Signal, kill_process};

const TEMPLATE: &str = "heat_template_version: 2021-04-16\nresources: {}\n";

#[test]
fn an_interrupted_follower_detaches_and_says_how_to_go_on() {
    for signal in [Signal::INT, Signal::TERM] {
        let cluster = CannedCluster::start();
        let mut child = following(&cluster);
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let first = lines.next().expect("a line of progress").expect("text");
        assert!(first.contains("created"), "{first}");
        let pid = Pid::from_raw(child.id().cast_signed()).expect("a process");
        kill_process(pid, signal).expect("our child takes signals");
        let mut complaint = String::new();
        let mut stderr = child.stderr.take().expect("a pipe");
        stderr.read_to_string(&mut complaint).expect("text");
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), Some(4), "{complaint}");
        assert!(complaint.contains("anneal stack watch slow"), "{complaint}");
    }
}

fn following(cluster: &CannedCluster) -> Child {
    let mut child = command()
        .args(["--endpoints", &cluster.endpoint(), "up", "slow", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, TEMPLATE.as_bytes()).expect("the template is read");
    child
}

#[test]
fn arguments_that_are_no_text_are_wrong_flags() {
    let strange = OsString::from_vec(vec![0x66, 0xff, 0x6f]);
    let ended: Ended = command()
        .args(["stack", "show"])
        .arg(strange)
        .output()
        .expect("the binary starts")
        .into();
    assert_eq!(ended.code, 2, "{}", ended.stderr);
}

#[test]
fn a_file_name_that_is_no_text_is_a_file_like_any_other() {
    let directory = tempfile::tempdir().expect("a directory");
    let cluster = CannedCluster::start();
    let name = OsString::from_vec(b"w\xffb.yaml".to_vec());
    std::fs::write(directory.path().join(&name), TEMPLATE).expect("a template");
    let ended: Ended = command()
        .current_dir(directory.path())
        .args(["--endpoints", &cluster.endpoint(), "up", "web", "-f"])
        .arg(&name)
        .output()
        .expect("the binary starts")
        .into();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
}

#[test]
fn a_cluster_that_does_not_answer_is_given_up_in_time() {
    let began = Instant::now();
    // Nothing listens on the discard port of this machine.
    let ended = anneal(&[
        "--timeout",
        "1s",
        "--endpoints",
        "127.0.0.1:9",
        "stack",
        "list",
    ]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("127.0.0.1:9"), "{}", ended.stderr);
    assert!(began.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_narrow_or_absurd_terminal_changes_no_answer() {
    let cluster = CannedCluster::start();
    let ask = |columns: &str| -> Ended {
        command()
            .env("COLUMNS", columns)
            .env("TERM", "dumb")
            .env("NO_COLOR", "1")
            .args([
                "--endpoints",
                &cluster.endpoint(),
                "stack",
                "resources",
                "web",
            ])
            .output()
            .expect("the binary starts")
            .into()
    };
    let usual = ask("80");
    for columns in ["0", "1", "99999999999999999999", "-1", "x"] {
        let ended = ask(columns);
        assert_eq!((ended.code, &ended.stdout), (0, &usual.stdout), "{columns}");
    }
    assert!(!usual.stdout.contains('\u{1b}'), "{}", usual.stdout);
}

#[test]
fn completion_scripts_name_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = anneal(&["completion", shell]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        assert!(ended.stdout.contains("transfer-leader"), "{shell}");
    }
    assert_eq!(anneal(&["completion", "csh"]).code, 2);
}
