//! What a member cannot go on without fails, by a panic: the process says so and ends by itself, so that its supervisor
//! starts it again; it never lingers and takes part in nothing. After that it serves, and nothing is lost.

use std::{
    thread,
    time::{Duration, Instant},
};

use anneal_tests::{Anneal, Launch, MemberProcess, PATIENCE, eventually, failpoints, free_port};
use tempfile::TempDir;

/// Where it panics: in Raft's own task, in the log's thread, where entries are applied and where rows are written.
const POINTS: [&str; 6] = [
    "vote_before_save",
    "log_before_flush",
    "log_before_answer",
    "apply_begins",
    "group_applied",
    "rows_written",
];

/// Passed so often before; a vote is saved once when a lone member starts, and never again.
fn passes(point: &str) -> u32 {
    if point.starts_with("vote") { 0 } else { 6 }
}

/// Between two looks at a process that is about to end.
const LOOK_EVERY: Duration = Duration::from_millis(5);

const TEMPLATE: &str = "heat_template_version: 2021-04-16
resources:
  one: {type: 'OS::Heat::Value', properties: {value: 1}}
  two: {type: 'OS::Heat::Value', properties: {value: {get_attr: [one, value]}}}
";

/// Asks for one stack after the other until the member has ended; how long it lived on after it had panicked.
fn ends_by_itself(member: &mut MemberProcess, anneal: &Anneal, point: &str) -> Duration {
    let (began, mut panicked, mut n) = (Instant::now(), None, 0);
    let mut asked = None;
    loop {
        if panicked.is_none() && member.log().contains("panicked at") {
            panicked = Some(Instant::now());
        }
        if member.has_ended() {
            return panicked.map_or(Duration::ZERO, |at| at.elapsed());
        }
        assert!(
            began.elapsed() < PATIENCE,
            "{point}: it lingers:\n{}",
            member.log()
        );
        // Next door, so that what takes long to be answered does not keep us from looking.
        if asked.as_ref().is_none_or(thread::JoinHandle::is_finished) {
            n += 1;
            let (anneal, name) = (anneal.clone(), format!("s{n}"));
            asked = Some(thread::spawn(move || {
                anneal.run(&[
                    "stack",
                    "create",
                    &name,
                    "-f",
                    "two.yaml",
                    "--timeout",
                    "5s",
                ])
            }));
        }
        thread::park_timeout(LOOK_EVERY);
    }
}

#[test]
fn whatever_it_cannot_go_on_without_ends_the_process() {
    failpoints().expect("an anneal that is built with its feature failpoints, as `make test` does");
    let mut longest = Duration::ZERO;
    for point in POINTS {
        let dir = TempDir::with_prefix("anneal-test-").expect("a temporary directory");
        std::fs::write(dir.path().join("two.yaml"), TEMPLATE).expect("a template");
        let launch = Launch {
            data_dir: dir.path().join("member"),
            listen: format!("127.0.0.1:{}", free_port()),
            join: Vec::new(),
            flags: Vec::new(),
            namespace: None,
        };
        let armed = format!("{point}={}*off->panic", passes(point));
        let mut member = MemberProcess::start_armed(launch, &armed);
        let anneal = Anneal::against(member.address(), dir.path());
        let lived_on = ends_by_itself(&mut member, &anneal, point);
        let status = member.ended_with().expect("it has ended");
        let log = member.log();
        assert_eq!(status.code(), Some(1), "{point}: {status}\n{log}");
        assert!(
            log.contains(&format!("failpoint {point} panic")),
            "{point}: {log}"
        );
        println!(
            "{point}: ended {} ms after it had panicked",
            lived_on.as_millis()
        );
        longest = longest.max(lived_on);

        member.restart();
        let mut tries = 0;
        eventually("it serves again", PATIENCE, || {
            tries += 1;
            let name = format!("again{tries}");
            let answer = anneal.run(&["stack", "create", &name, "-f", "two.yaml", "--wait"]);
            (answer.code == 0).then_some(()).ok_or(answer.err)
        });
    }
    println!("at most {} ms", longest.as_millis());
}
