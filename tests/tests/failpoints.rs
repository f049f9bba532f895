//! A member dies between two steps of its log writer, or its log is damaged behind its back: what it acknowledged is
//! there when it starts again, or it says that it is not and does not start.

use std::{os::unix::process::ExitStatusExt, path::Path};

use anneal_tests::{
    Anneal, Answer, Damage, Launch, MemberProcess, PATIENCE, Wal, eventually, failpoints, free_port,
};
use rustix::process::Signal;
use tempfile::TempDir;

/// Where a member can die on the way of a write through its log.
const LOG_POINTS: [&str; 4] = [
    "log_before_write",
    "log_before_flush",
    "log_before_watermark",
    "log_before_answer",
];

/// So many groups are written before it dies: some changes are acknowledged by then.
const GROUPS: u32 = 40;

/// More changes than go into so many groups.
const CHANGES: usize = 200;

/// A lone member, and what it has acknowledged.
struct Story {
    dir: TempDir,
    member: MemberProcess,
    acknowledged: Vec<String>,
}

impl Story {
    fn begin(points: &str) -> Self {
        Self::begin_with(points, &[])
    }

    fn begin_with(points: &str, flags: &[&str]) -> Self {
        let dir = TempDir::with_prefix("anneal-test-").expect("a temporary directory");
        std::fs::write(dir.path().join("empty.yaml"), TEMPLATE).expect("a template");
        let launch = Launch {
            data_dir: dir.path().join("member"),
            listen: format!("127.0.0.1:{}", free_port()),
            join: Vec::new(),
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            namespace: None,
        };
        Self {
            dir,
            member: MemberProcess::start_armed(launch, points),
            acknowledged: Vec::new(),
        }
    }

    fn anneal(&self) -> Anneal {
        Anneal::against(self.member.address(), self.dir.path())
    }

    fn create(&self, name: &str) -> Answer {
        let create = [
            "stack",
            "create",
            name,
            "-f",
            "empty.yaml",
            "--timeout",
            "5s",
        ];
        self.anneal().run(&create)
    }

    /// Makes stacks with names of their own, one after the other, until the member is gone or there are so many more.
    fn work(&mut self, prefix: &str, most: usize) {
        eventually("the member answers", PATIENCE, || {
            let answer = self.create("first");
            let there = answer.code == 0 || answer.err.contains("already exists");
            (there || self.member.has_ended())
                .then_some(())
                .ok_or(answer.err)
        });
        for n in 0..most {
            let name = format!("{prefix}{n}");
            if self.create(&name).code == 0 {
                self.acknowledged.push(name);
            } else if self.member.has_ended() {
                return;
            }
        }
    }

    fn died_by_the_point(&mut self) {
        let status = eventually("the member dies", PATIENCE, || {
            self.member.ended_with().ok_or_else(|| "it runs".to_owned())
        });
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{status}");
        assert!(!self.acknowledged.is_empty(), "it died too early");
    }

    /// Starts it again, and finds what was acknowledged.
    fn starts_with_everything(&mut self) {
        self.member.restart();
        let listed = eventually("the member serves again", PATIENCE, || {
            self.anneal().json(&["stack", "list"])
        });
        let listed = listed.to_string();
        for name in &self.acknowledged {
            assert!(
                listed.contains(&format!("\"{name}\"")),
                "{name} of {listed}"
            );
        }
    }

    /// Starts it again, and it says that it can't.
    fn refuses(&mut self) {
        self.member.restart();
        let status = eventually("the member ends", PATIENCE, || {
            self.member.ended_with().ok_or_else(|| "it runs".to_owned())
        });
        let log = self.member.log();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains("remove this one from the cluster"), "{log}");
    }

    fn data_dir(&self) -> &Path {
        self.member.data_dir()
    }
}

/// Of a stack that needs no engine.
const TEMPLATE: &str = "heat_template_version: 2021-04-16\nresources: {}\n";

fn dies_at(point: &str) -> Story {
    failpoints().expect("an anneal that is built with its feature failpoints, as `make test` does");
    let mut story = Story::begin(&format!("{point}={GROUPS}*off->return(die)"));
    story.work("s", CHANGES);
    story.died_by_the_point();
    story
}

#[test]
fn wherever_the_log_writer_dies_nothing_that_was_acknowledged_is_lost() {
    for point in LOG_POINTS {
        let mut story = dies_at(point);
        story.starts_with_everything();
        let before = story.acknowledged.len();
        story.work("after", 3);
        assert_eq!(story.acknowledged.len(), before + 3, "{point}");
    }
}

#[test]
fn a_write_that_power_cut_in_half_before_it_was_flushed_is_dropped() {
    let mut story = dies_at("log_before_flush");
    let torn = Wal::newest_of(story.data_dir()).and_then(|wal| wal.tear_last());
    torn.expect("a log to tear");
    story.starts_with_everything();
}

#[test]
fn a_log_that_is_damaged_where_it_was_flushed_is_refused() {
    for damage in [Damage::Flipped, Damage::Endless, Damage::CutOff] {
        let mut story = Story::begin("");
        story.work("s", 5);
        story.member.kill();
        let damaged = Wal::newest_of(story.data_dir()).and_then(|mut wal| wal.damage(damage));
        damaged.expect("a log to damage");
        story.refuses();
    }
}

#[test]
fn a_checkpoint_that_is_half_removed_keeps_nobody_from_starting() {
    let short_log = ["--log-checkpoint-entries=20", "--log-keep-entries=5"];
    let mut story = Story::begin_with("checkpoint_half_removed=return(die)", &short_log);
    story.work("s", CHANGES);
    story.died_by_the_point();
    story.starts_with_everything();
}
