//! One member as a process: started, signalled, killed, and never left behind.

use std::{
    fs::{File, OpenOptions},
    io::Read,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{binary, eventually};

/// The variable that says what a member logs.
const LOG: &str = "ANNEAL_LOG";

/// What a member logs if whoever runs this does not say: what it does by itself, how even its pace is, what memory it uses.
const LOGGED: &str =
    "info,openraft=error,h2=warn,tower=warn,anneal_node::pace=debug,anneal::memory=debug";

/// How a member is started.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Its data directory.
    pub data_dir: PathBuf,
    /// HOST:PORT it listens on.
    pub listen: String,
    /// Whom it joins; none: a cluster of its own.
    pub join: Vec<String>,
    /// Further flags of `anneal serve`.
    pub flags: Vec<String>,
    /// The network namespace that it runs in; none: ours.
    pub namespace: Option<String>,
}

/// A running member. Dropping it kills it.
#[derive(Debug)]
pub struct MemberProcess {
    launch: Launch,
    child: Child,
    /// Whether it was sent a signal that ends it.
    was_ended: bool,
}

impl MemberProcess {
    /// Starts `anneal serve`; its log is appended to a file beside the data directory.
    pub fn start(launch: Launch) -> Self {
        Self::start_armed(launch, "")
    }

    /// The same with failpoints armed: `NAME=ACTION;…`.
    pub fn start_armed(launch: Launch, points: &str) -> Self {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log_path(&launch.data_dir))
            .expect("a log file");
        // It becomes the member: the process id is the same. A member does not outlive whoever started it, and a Ctrl-C
        // at the terminal is not for it.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).process_group(0);
        if let Some(namespace) = &launch.namespace {
            command.args(["ip", "netns", "exec", namespace]);
        }
        command
            .arg(binary())
            .arg("serve")
            .arg("--data-dir")
            .arg(&launch.data_dir)
            .args(["--listen", &launch.listen]);
        for address in &launch.join {
            command.args(["--join", address]);
        }
        command
            .args(&launch.flags)
            .env("FAILPOINTS", points)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        if std::env::var_os(LOG).is_none() {
            command.env(LOG, LOGGED);
        }
        Self {
            child: command.spawn().expect("the member starts"),
            launch,
            was_ended: false,
        }
    }

    /// HOST:PORT.
    pub fn address(&self) -> &str {
        &self.launch.listen
    }

    /// Its data directory.
    pub fn data_dir(&self) -> &Path {
        &self.launch.data_dir
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&mut self, signal: Signal) {
        self.was_ended |= [Signal::KILL, Signal::TERM, Signal::INT].contains(&signal);
        if let (Ok(None), Some(pid)) = (
            self.child.try_wait(),
            Pid::from_raw(self.child.id().cast_signed()),
        ) {
            kill_process(pid, signal).expect("a child of ours takes signals");
        }
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("a killed child ends");
    }

    /// SIGTERM; how it ended, within `patience`.
    pub fn terminate(&mut self, patience: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        eventually("the member ends after SIGTERM", patience, || {
            match self.child.try_wait() {
                Ok(Some(status)) => Ok(status),
                other => Err(format!("{other:?}")),
            }
        })
    }

    /// How it ended, if it has.
    pub fn ended_with(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Whether the process has ended by itself or otherwise.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Whether it was told to end; otherwise, if it has, it did so by itself.
    pub fn was_ended(&self) -> bool {
        self.was_ended
    }

    /// Whether it stands still after SIGSTOP.
    pub fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()));
        let state = stat.ok().and_then(|stat| {
            let after_name = stat.rsplit(')').next()?;
            Some(after_name.split_whitespace().next()? == "T")
        });
        state == Some(true)
    }

    /// Starts it again on the same directory, after it has ended.
    pub fn restart(&mut self) {
        self.restart_armed("");
    }

    /// The same with failpoints armed.
    pub fn restart_armed(&mut self, points: &str) {
        self.kill();
        *self = Self::start_armed(self.launch.clone(), points);
    }

    /// Its directory is lost: removes it after the process has ended, and starts a new member on a fresh one, at the
    /// same address. `join` are the others.
    pub fn start_anew(&mut self, data_dir: PathBuf, join: Vec<String>) {
        self.lose_directory();
        self.launch.data_dir = data_dir;
        self.launch.join = join;
        *self = Self::start(self.launch.clone());
    }

    /// Kills it and removes its directory.
    pub fn discard(mut self) {
        self.lose_directory();
    }

    fn lose_directory(&mut self) {
        self.kill();
        std::fs::remove_dir_all(&self.launch.data_dir).expect("a directory that can be lost");
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        let mut text = String::new();
        File::open(log_path(&self.launch.data_dir))
            .and_then(|mut f| f.read_to_string(&mut text))
            .expect("a readable log");
        text
    }

    /// Peak resident memory in KiB (VmHWM), if it runs.
    pub fn peak_memory_kib(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    /// User and system CPU time so far in clock ticks of 10 ms, if it runs.
    pub fn cpu_ticks(&self) -> Option<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).ok()?;
        let fields: Vec<_> = stat.rsplit(')').next()?.split_whitespace().collect();
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    }

    /// Bytes the process caused to be written to storage so far, if it runs and the kernel tells.
    pub fn bytes_written(&self) -> Option<u64> {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.pid())).ok()?;
        io.lines()
            .find_map(|line| line.strip_prefix("write_bytes: ")?.parse().ok())
    }
}

impl Drop for MemberProcess {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

fn log_path(data_dir: &Path) -> PathBuf {
    data_dir.with_extension("log")
}
