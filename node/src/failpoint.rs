//! Points between two steps at which a member can be made to die or to wait: for tests, and only if it is built with
//! the feature `failpoints`. Without it, passing a point costs nothing.
//!
//! The environment says what happens, once, when the member starts: `FAILPOINTS=NAME=ACTION;…`, in the language of the
//! crate `fail`, where the last action of a point is one of
//! * `return(die)`: the process ends at once, as by `kill -9`;
//! * `return(sleep MS)`: whoever passes waits so many milliseconds.
//!
//! So `log_before_flush=40*off->return(die)` dies when the log is flushed for the 41st time. `wall_clock=return(MS)` puts the
//! wall clock by which a leader stamps its commands so far ahead, or behind if negative. Knows nothing of what is done at a
//! point.

macro_rules! points {
    ($($(#[doc = $doc:literal])+ $point:ident = $name:literal,)+) => {
        /// Where a member can be made to die or to wait.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Failpoint {
            $($(#[doc = $doc])+ $point,)+
        }

        impl Failpoint {
            /// All there are.
            pub const ALL: &[Self] = &[$(Self::$point),+];

            /// As in the environment.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)+
                }
            }
        }
    };
}

points! {
    /// A group is about to be written to the log.
    LogBeforeWrite = "log_before_write",
    /// A group is written to the log, and not flushed.
    LogBeforeFlush = "log_before_flush",
    /// A group is on disk, and the log does not say yet that it counts on it.
    LogBeforeWatermark = "log_before_watermark",
    /// A group is on disk, and nobody has been told.
    LogBeforeAnswer = "log_before_answer",
    /// A vote is about to be given to the log.
    VoteBeforeSave = "vote_before_save",
    /// A vote is on disk, and Raft has not been told.
    VoteSaved = "vote_saved",
    /// Entries are about to leave the log.
    PurgeBeforeWrite = "purge_before_write",
    /// Entries have left the log, and Raft has not been told.
    Purged = "purged",
    /// Entries are committed, and about to be applied.
    ApplyBegins = "apply_begins",
    /// Some entries of a group are applied in memory, others are not, and no row is written.
    ApplyMidGroup = "apply_mid_group",
    /// A group is applied in memory, and nobody has been told; its rows wait to be written.
    GroupApplied = "group_applied",
    /// Rows of applied groups are written, which may be some time after everybody was told.
    RowsWritten = "rows_written",
    /// The files of a checkpoint are made, and not on disk for certain.
    CheckpointUnflushed = "checkpoint_unflushed",
    /// A checkpoint is complete, and has not got its name.
    CheckpointUnnamed = "checkpoint_unnamed",
    /// A checkpoint has its name, and nobody knows.
    CheckpointNamed = "checkpoint_named",
    /// Some files of an older checkpoint are removed, and others are not.
    CheckpointHalfRemoved = "checkpoint_half_removed",
    /// A file of a checkpoint was received, and the whole of it was not.
    CheckpointHalfReceived = "checkpoint_half_received",
    /// A checkpoint was received and is on disk, and Raft has not been told.
    CheckpointReceived = "checkpoint_received",
    /// What a received checkpoint contains is copied, and is not the state yet.
    InstallUnnamed = "install_unnamed",
    /// What a received checkpoint contains is the state on disk, and not in memory.
    InstallNamed = "install_named",
    /// A received checkpoint is the state, and Raft has not been told.
    Installed = "installed",
    /// The leader has proposed assignments, and has not heard what became of them.
    AssignProposed = "assign_proposed",
    /// The leader has results of an engine, and has not proposed them.
    ReportReceived = "report_received",
    /// Results are applied, and their engine has not been told.
    ReportDecided = "report_decided",
    /// An engine is registered, and has not been told.
    Registered = "registered",
    /// An engine is about to call a provider.
    CallBegins = "call_begins",
    /// A provider has answered, and nothing of it is on its way to the leader.
    CallEnded = "call_ended",
}

/// Passes a point.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn pass(_: Failpoint) {}

/// The wall clock.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn wall_clock() -> std::time::SystemTime {
    std::time::SystemTime::now()
}

#[cfg(feature = "failpoints")]
pub use armed::arm;
#[cfg(feature = "failpoints")]
pub(crate) use armed::{pass, wall_clock};

#[cfg(feature = "failpoints")]
mod armed {
    use std::{
        thread,
        time::{Duration, SystemTime},
    };

    use rustix::process::{Signal, getpid, kill_process};

    use super::Failpoint;

    /// What sets the wall clock off, besides the points.
    const WALL_CLOCK: &str = "wall_clock";

    /// Arms the points that the environment names, until it is dropped.
    ///
    /// # Panics
    /// If the environment does not say what it should.
    pub fn arm() -> impl Drop {
        let armed = fail::FailScenario::setup();
        for (name, _) in fail::list() {
            let known = Failpoint::ALL.iter().any(|point| point.name() == name);
            assert!(
                known || name == WALL_CLOCK,
                "FAILPOINTS names {name}, which does not exist"
            );
        }
        tracing::warn!(points = ?fail::list(), "built with failpoints: for tests only");
        armed
    }

    /// Passes a point.
    pub(crate) fn pass(point: Failpoint) {
        fail::fail_point!(point.name(), |action| act(point, action.as_deref()));
    }

    /// The wall clock, and as many milliseconds more as it is told, or less.
    pub(crate) fn wall_clock() -> SystemTime {
        let told = fail::eval(WALL_CLOCK, |ms| ms.and_then(|ms| ms.parse().ok()));
        let off_ms: i64 = told.flatten().unwrap_or(0);
        let off = Duration::from_millis(off_ms.unsigned_abs());
        match off_ms < 0 {
            true => SystemTime::now() - off,
            false => SystemTime::now() + off,
        }
    }

    fn act(point: Failpoint, action: Option<&str>) {
        let action = action.unwrap_or_default();
        let sleep_ms = action.strip_prefix("sleep ").and_then(|ms| ms.parse().ok());
        match sleep_ms {
            Some(ms) => {
                tracing::warn!("failpoint {}: sleeps {ms} ms", point.name());
                thread::sleep(Duration::from_millis(ms));
            }
            None => {
                assert_eq!(action, "die", "failpoint {}", point.name());
                die();
            }
        }
    }

    fn die() -> ! {
        // Nothing is written, flushed or closed any more, and no other thread gets further than it is.
        let _ = kill_process(getpid(), Signal::KILL);
        loop {
            thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    fn source(directory: &Path, text: &mut String) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                source(&path, text);
            } else if !path.ends_with("failpoint.rs") {
                text.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn every_point_is_passed_in_one_place_and_has_a_name_of_its_own() {
        let mut text = String::new();
        source(
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
            &mut text,
        );
        let mut names = std::collections::BTreeSet::new();
        for point in Failpoint::ALL {
            let site = format!("failpoint::pass(Failpoint::{point:?})");
            assert_eq!(text.matches(&site).count(), 1, "{site}");
            assert!(names.insert(point.name()), "{}", point.name());
        }
    }
}
