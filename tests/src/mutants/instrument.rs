//! What must find a mutant: tests of one target of one package, run for so many histories or so long.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Stdio,
    str::FromStr,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
};

/// In the environment of a test of random histories: how many.
const HISTORIES: &str = "ANNEAL_SIM_SEEDS";
/// Building is most of the work: what is run for seconds need not be as fast as it could.
const QUICKLY_BUILT: [(&str, &str); 3] = [
    ("CARGO_INCREMENTAL", "1"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1"),
];
/// A run of histories, and the telling of the one that fails, may take no longer than this.
const HISTORIES_TAKE: Duration = Duration::from_secs(900);
/// Output of a test that is kept: the beginning of a failing history says which law broke.
const KEPT_BYTES: usize = 4 << 20;

/// A test, or all tests of a target whose names contain a word.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instrument {
    package: String,
    /// The name of an integration test, or `lib`.
    target: String,
    filter: String,
    /// Built in release: for what runs hot.
    release: bool,
}

impl FromStr for Instrument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (words, release) = match words.split_last() {
            Some((&"release", words)) => (words, true),
            _ => (&words[..], false),
        };
        let [package, target, filter] = words else {
            return Err(format!(
                "\"{text}\" is not PACKAGE TARGET TEST, or the same with \"release\""
            ));
        };
        Ok(Self {
            package: (*package).to_owned(),
            target: (*target).to_owned(),
            filter: (*filter).to_owned(),
            release,
        })
    }
}

impl fmt::Display for Instrument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.package, self.target, self.filter)
    }
}

/// How much an instrument may need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Within {
    /// Random histories.
    Histories(u64),
    /// Of a test that takes what it takes.
    Seconds(u64),
}

impl FromStr for Within {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not N histories or N seconds");
        let (number, unit) = text.split_once(' ').ok_or_else(wrong)?;
        let number = number.parse().map_err(|_| wrong())?;
        match unit {
            "histories" => Ok(Self::Histories(number)),
            "seconds" => Ok(Self::Seconds(number)),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Histories(count) => write!(f, "{count} histories"),
            Self::Seconds(count) => write!(f, "{count} s"),
        }
    }
}

/// How a run of an instrument ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ran {
    /// What it said, if it found something.
    pub(super) found: Option<String>,
    /// Histories until then.
    pub(super) histories: Option<u64>,
    pub(super) took: Duration,
}

impl Instrument {
    /// Builds it in a tree; returns the program.
    pub(super) async fn build(&self, tree: &Path, target_dir: &Path) -> Result<PathBuf, String> {
        let mut command = Command::new("cargo");
        command.args(["test", "--locked", "--no-run", "--message-format=json"]);
        command.args(["-p", &self.package]);
        match self.target.as_str() {
            "lib" => command.arg("--lib"),
            test => command.args(["--test", test]),
        };
        if self.release {
            command.arg("--release");
        }
        command.current_dir(tree);
        command
            .envs(QUICKLY_BUILT)
            .env("CARGO_TARGET_DIR", target_dir);
        let (ended, said, errors) = output(command, Duration::MAX).await?;
        if !ended {
            return Err(format!(
                "{self} can't be built:\n{}\n{errors}",
                messages(&said)
            ));
        }
        executable(&said, &self.target).ok_or_else(|| format!("{self}: cargo names no program"))
    }

    /// Runs it. A test that hangs has found something too.
    pub(super) async fn run(&self, program: &Path, within: Within) -> Result<Ran, String> {
        let mut command = Command::new(program);
        command.arg(&self.filter);
        let most = match within {
            Within::Histories(count) => {
                command.env(HISTORIES, count.to_string());
                HISTORIES_TAKE
            }
            Within::Seconds(seconds) => Duration::from_secs(seconds),
        };
        if let Some(package) = program_package(program, &self.package) {
            command.current_dir(package);
        }
        let began = Instant::now();
        let (ended, said, errors) = output(command, most).await?;
        let took = began.elapsed();
        let all = said + "\n" + &errors;
        if ended && !all.contains("test result: ok. ") {
            return Err(format!("{self} ran no tests:\n{all}"));
        }
        if ended && all.contains("test result: ok. 0 passed") {
            return Err(format!("{self}: no test is called so"));
        }
        let (found, histories) = match ended {
            true => (None, None),
            false if took >= most => (Some(format!("it does not end within {most:?}")), None),
            false => finding(&all),
        };
        Ok(Ran {
            found,
            histories,
            took,
        })
    }
}

/// Where a package's tests expect to be run: its directory in the tree that the program was built from.
fn program_package(program: &Path, package: &str) -> Option<PathBuf> {
    let directory = package.strip_prefix("anneal-").unwrap_or(package);
    let root = program
        .ancestors()
        .find(|above| above.join(super::tree::TREE).is_dir())?;
    Some(root.join(super::tree::TREE).join(directory))
}

/// The line that says what was wrong, and how many histories it took.
fn finding(all: &str) -> (Option<String>, Option<u64>) {
    let law = all.lines().find_map(|line| {
        let (_, line) = line.split_once("seed ")?;
        let (seed, law) = line.split_once(" breaks the law ")?;
        Some((seed.parse::<u64>().ok()?, law))
    });
    if let Some((seed, law)) = law {
        let law = law.trim_matches('"').to_owned();
        return (Some(law), Some(seed + 1));
    }
    let mut lines = all.lines();
    let panicked = lines.any(|line| line.contains("panicked at "));
    let said = lines.find(|line| panicked && !line.trim().is_empty());
    let test = all
        .lines()
        .find_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let said = match (test, said) {
        (Some(test), Some(said)) => format!("{test}: {}", said.trim()),
        (Some(one), None) | (None, Some(one)) => one.trim().to_owned(),
        (None, None) => "the tests end badly".to_owned(),
    };
    (Some(said), None)
}

fn messages(said: &str) -> String {
    let rendered = said.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let message = message.get("message")?;
        let error = message.get("level")?.as_str()? == "error";
        let rendered = message.get("rendered")?.as_str()?;
        error.then(|| rendered.to_owned())
    });
    rendered.collect::<Vec<_>>().join("\n")
}

fn executable(said: &str, target: &str) -> Option<PathBuf> {
    said.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let built = message.get("target")?;
        let kind = built.get("kind")?.as_array()?.first()?.as_str()?;
        let named = match target {
            "lib" => kind == "lib",
            test => kind == "test" && built.get("name")?.as_str()? == test,
        };
        let executable = message.get("executable")?.as_str()?;
        named.then(|| PathBuf::from(executable))
    })
}

/// Runs a program to its end, or until its time is over. True: it ended well.
async fn output(mut command: Command, most: Duration) -> Result<(bool, String, String), String> {
    let what = format!("{:?}", command.as_std().get_program());
    let failed = |error: std::io::Error| format!("{what}: {error}");
    command
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let group = Group::of(&child);
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let ended = async {
        let (out, err, status) = tokio::join!(kept(out), kept(err), child.wait());
        Ok::<_, std::io::Error>((status?.success(), out?, err?))
    };
    let ended = tokio::time::timeout(most, ended).await;
    let ended = match ended {
        Ok(ended) => ended.map_err(failed),
        Err(_) => Ok((false, String::new(), String::new())),
    };
    drop(group);
    child.wait().await.map_err(failed)?;
    ended
}

async fn kept(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let Some(mut stream) = stream else {
        return Ok(String::new());
    };
    let (mut all, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    loop {
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            return Ok(String::from_utf8_lossy(&all).into_owned());
        }
        let room = KEPT_BYTES.saturating_sub(all.len());
        all.extend(&piece[..length.min(room)]);
    }
}

/// A program with whatever it started; it ends with this.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error says that nobody of it is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_law_is_told_with_its_seed() {
        let told = "noise\nseed 17 breaks the law \"no orphans\"\nkinds […]\n";
        assert_eq!(finding(told), (Some("no orphans".into()), Some(18)));
    }

    #[test]
    fn a_failed_test_is_told_with_its_panic() {
        let told = "test a::b ... FAILED\n\nthread 'a::b' panicked at x.rs:1:2:\nassertion failed: 1 == 2\n";
        let said = "a::b: assertion failed: 1 == 2".to_owned();
        assert_eq!(finding(told), (Some(said), None));
    }

    #[tokio::test]
    async fn what_hangs_is_ended_with_all_that_it_started() {
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 3600 & sleep 3600"]);
        let began = Instant::now();
        let most = Duration::from_millis(100);
        let (well, ..) = output(command, most).await.expect("it starts");
        assert!(!well && began.elapsed() < crate::PATIENCE);
    }
}
