//! Where it is measured: fresh members on this machine, and the command line against them.

use std::{
    fs, panic,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use clap::{Args, builder::RangedU64ValueParser};
use serde_json::Value;

use crate::{Anneal, Answer, Cluster};

/// Between two looks at least: one costs a process.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// And this part of the time that has passed, so that looking is never what is measured: a time is known to 1 %.
const LOOK_PART: u32 = 100;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Ends the run at its next call of the command line; members and directories go with it.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// A number of resources: any but none.
pub(super) fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// The members that are measured, and how long that may take.
#[derive(Args, Clone, Debug)]
pub(super) struct Members {
    /// Members of the cluster
    #[arg(long, default_value_t = 3)]
    members: usize,
    /// Give up on one measurement after this many seconds
    #[arg(long, default_value_t = 1_800)]
    patience: u64,
}

impl Members {
    pub(super) fn count(&self) -> usize {
        self.members
    }
}

/// Members, and the command line against all of them. Dropping it ends them and removes their directories.
pub(super) struct Ground {
    pub(super) cluster: Cluster,
    anneal: Anneal,
    /// The longest that one measurement may take.
    pub(super) patience: Duration,
}

impl Ground {
    pub(super) fn start(members: &Members) -> Result<Self, String> {
        Self::of(members.members, members.patience)
    }

    /// So many members, each measurement within so many seconds.
    pub(super) fn of(members: usize, patience_seconds: u64) -> Result<Self, String> {
        check_interrupted()?;
        let cluster = in_words(|| Cluster::start(members, &[]))
            .map_err(|why| format!("{members} members do not start: {why}"))?;
        Ok(Self {
            anneal: cluster.anneal(),
            cluster,
            patience: Duration::from_secs(patience_seconds),
        })
    }

    /// Where its files are.
    pub(super) fn dir(&self) -> &Path {
        self.cluster.dir()
    }

    /// Puts a template or a patch where the command line finds it by `name`.
    pub(super) fn put(&self, name: &str, text: &str) -> Result<(), String> {
        let path = self.cluster.dir().join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Calls the command line; how long it took.
    pub(super) fn timed(&self, args: &[&str]) -> Result<Duration, String> {
        let began = Instant::now();
        self.run(&self.anneal, args)?;
        Ok(began.elapsed())
    }

    /// The same with `--wait`.
    pub(super) fn timed_to_end(&self, args: &[&str]) -> Result<Duration, String> {
        let wait = format!("--wait={}s", self.patience.as_secs());
        self.timed(&[args, &[&wait]].concat())
    }

    pub(super) fn json(&self, args: &[&str]) -> Result<Value, String> {
        self.json_of(&self.anneal, args)
    }

    /// What one member answers, asked alone.
    pub(super) fn json_from(&self, position: usize, args: &[&str]) -> Result<Value, String> {
        self.json_of(&self.member(position), args)
    }

    fn member(&self, position: usize) -> Anneal {
        Anneal::against(self.cluster.members[position].address(), self.cluster.dir())
    }

    fn json_of(&self, anneal: &Anneal, args: &[&str]) -> Result<Value, String> {
        let answer = self.run(anneal, &[args, &["-o", "json"]].concat())?;
        serde_json::from_str(&answer.out)
            .map_err(|error| format!("anneal {}: {error}", args.join(" ")))
    }

    fn run(&self, anneal: &Anneal, args: &[&str]) -> Result<Answer, String> {
        check_interrupted()?;
        let answer = anneal.run(args);
        match answer.code {
            0 => Ok(answer),
            code => Err(format!(
                "anneal {}: exit {code}: {}",
                args.join(" "),
                answer.err.trim()
            )),
        }
    }

    /// Asks until `probe` has an answer; the time since `began` when it was asked for it.
    pub(super) fn until<T>(
        &self,
        what: &str,
        began: Instant,
        mut probe: impl FnMut() -> Result<Option<T>, String>,
    ) -> Result<(T, Duration), String> {
        loop {
            check_interrupted()?;
            // Answers that come in after the question are not counted against it.
            let asked = began.elapsed();
            if let Some(answer) = probe()? {
                return Ok((answer, asked));
            }
            if began.elapsed() > self.patience {
                return Err(format!("{what}: not within {} s", self.patience.as_secs()));
            }
            thread::park_timeout(LOOK_EVERY.max(began.elapsed() / LOOK_PART));
        }
    }

    /// Waits until a stack has converged, since `began`.
    pub(super) fn converged(&self, stack: &str, began: Instant) -> Result<Duration, String> {
        let ((), took) = self.until(&format!("{stack} converges"), began, || {
            let shown = self.json(&["stack", "show", stack])?;
            match shown["status"].as_str() {
                Some("converged") => Ok(Some(())),
                Some("failed") => Err(format!("{stack} failed: {}", shown["reason"])),
                _ => Ok(None),
            }
        })?;
        Ok(took)
    }

    /// Waits until a stack is gone, since `began`.
    pub(super) fn gone(&self, stack: &str, began: Instant) -> Result<Duration, String> {
        let ((), took) = self.until(&format!("{stack} is deleted"), began, || {
            let listed = self.json(&["stack", "list"])?;
            let stacks = listed.as_array().ok_or("`stack list` is no listing")?;
            Ok(stacks.iter().all(|it| it["name"] != stack).then_some(()))
        })?;
        Ok(took)
    }
}

/// Whether the run is to end.
pub(super) fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

fn check_interrupted() -> Result<(), String> {
    match is_interrupted() {
        true => Err("interrupted".to_owned()),
        false => Ok(()),
    }
}

/// What the harness panics with, as an error: whoever runs a benchmark is to read a sentence, not a backtrace.
pub(super) fn in_words<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let acted = panic::catch_unwind(panic::AssertUnwindSafe(act));
    panic::set_hook(hook);
    acted.map_err(|panic| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or_else(
            || "for a reason unknown".to_owned(),
            |&text| text.to_owned(),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_a_sentence() {
        assert_eq!(in_words(|| 3), Ok(3));
        assert_eq!(
            in_words(|| panic!("no {}", "port")),
            Err::<(), _>("no port".to_owned())
        );
    }
}
