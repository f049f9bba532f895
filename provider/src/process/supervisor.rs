//! The supervisor: a small process that starts another one, starts it again as it was told, and stops it
//! when it is itself asked to end. It outlives the engine that started it.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, setsid, waitid};
use tokio::process::Child;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::sync::oneshot;

use super::record::{Order, Record, Restart, State};
use crate::call::BootTime;
use crate::guard::start_arguments;
use crate::host_lock::HostLock;
use crate::process_id::{INSTANCE_VARIABLE, ProcessId};

/// The hidden first argument that makes this program start a supervisor and end.
pub(crate) const LAUNCH_WORD: &str = "launch";
/// The hidden first argument that makes this program a supervisor.
pub(crate) const SUPERVISE_WORD: &str = "supervise";

/// So long a supervisor tries to get its lock, which others hold for a moment when they look.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// A supervisor has its lock within this.
const LAUNCH_PATIENCE: Duration = Duration::from_secs(5);
const LAUNCH_TICK: Duration = Duration::from_millis(5);
/// The wait before a restart, doubled with every restart in a row.
const RESTART_WAIT_MIN: Duration = Duration::from_millis(500);
const RESTART_WAIT_MAX: Duration = Duration::from_secs(30);
/// A process that ran so long was not restarted in a row.
const RAN_LONG: Duration = Duration::from_secs(10);
/// How often the log's size is looked at.
const LOG_TICK: Duration = Duration::from_secs(10);
/// A log that is larger loses all but its end.
const LOG_MAX_BYTES: u64 = 8 * 1024 * 1024;
const LOG_KEPT_BYTES: u64 = 256 * 1024;

/// Starts a supervisor that is nobody's child, and ends as soon as it has its lock.
pub(crate) fn launch_main(arguments: &[OsString]) -> ExitCode {
    match launch(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn launch(arguments: &[OsString]) -> io::Result<()> {
    let dir = arguments
        .first()
        .ok_or_else(|| io::Error::other("launched without its arguments"))?;
    let record = Record {
        dir: PathBuf::from(dir),
    };
    let mut supervisor = Command::new("/proc/self/exe")
        .arg(SUPERVISE_WORD)
        .args(arguments)
        .env_remove(INSTANCE_VARIABLE)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .spawn()?;
    let until = Instant::now() + LAUNCH_PATIENCE;
    while !record.is_supervised()? {
        // One that has ended again has said why in the state, if it could start at all.
        if supervisor.try_wait()?.is_some() || Instant::now() >= until {
            return if record.state().over {
                Ok(())
            } else {
                Err(io::Error::other("the supervisor did not start"))
            };
        }
        thread::sleep(LAUNCH_TICK);
    }
    Ok(())
}

/// The supervisor's main function.
pub(crate) fn supervise_main(arguments: &[OsString]) -> ExitCode {
    let (Some(dir), Some(boot_ms)) = (
        arguments.first().map(PathBuf::from),
        arguments
            .get(1)
            .and_then(|text| text.to_str()?.parse().ok()),
    ) else {
        return ExitCode::FAILURE;
    };
    // Fails only for one that leads a session already.
    let _ = setsid();
    let record = Record { dir };
    let Ok(Some(_lock)) = HostLock::take_within(&record.lock(), LOCK_PATIENCE) else {
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let ended =
        runtime.and_then(|runtime| runtime.block_on(supervise(&record, BootTime { boot_ms })));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // An engine that waits for the start reads this; if it can't be written, it sees the lock free.
            let _ = record.write_state(&State {
                ended: Some(error.to_string()),
                over: true,
                ..State::default()
            });
            ExitCode::FAILURE
        }
    }
}

async fn supervise(record: &Record, lease_end: BootTime) -> io::Result<()> {
    let mut asked_to_end = signal(SignalKind::terminate())?;
    let own = i32::try_from(std::process::id())
        .ok()
        .and_then(ProcessId::of);
    let mut state = State {
        supervisor: own,
        ..State::default()
    };
    // Only the first start is the engine's deed; a restart is what the resource is.
    let mut start_until = lease_end;
    let mut wait = RESTART_WAIT_MIN;
    loop {
        let order = record
            .order()
            .ok_or_else(|| io::Error::other("there is no order"))?;
        let started = Instant::now();
        let mut process = start(record, &order, start_until)?;
        start_until = BootTime::NEVER;
        let pid = process.id().and_then(|pid| i32::try_from(pid).ok());
        state.process = pid.and_then(ProcessId::of);
        state.started_at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        record.write_state(&state)?;
        let group = pid.and_then(Pid::from_raw);

        let mut ended = end_of(group);
        let by_itself = tokio::select! {
            () = followed(record, &mut ended) => true,
            _ = asked_to_end.recv() => false,
        };
        if !by_itself {
            let timeout = record.order().unwrap_or(order).stop_timeout;
            stop(&mut process, &mut ended, group, timeout).await;
            return give_up(record, state, "stopped".to_owned());
        }
        end_group(group);
        let status = process.wait().await?;
        let how = format!("process {} {}", pid.unwrap_or_default(), told(status));
        // It may have been changed while the process ran.
        let restart = record.order().unwrap_or(order).restart;
        if restart == Restart::Never || (restart == Restart::OnFailure && status.success()) {
            return give_up(record, state, how);
        }
        state.process = None;
        state.ended = Some(how);
        record.write_state(&state)?;
        wait = if started.elapsed() >= RAN_LONG {
            RESTART_WAIT_MIN
        } else {
            wait
        };
        if asked_within(&mut asked_to_end, wait).await {
            return give_up(record, state, "stopped".to_owned());
        }
        wait = (wait * 2).min(RESTART_WAIT_MAX);
    }
}

async fn asked_within(asked_to_end: &mut Signals, wait: Duration) -> bool {
    tokio::time::timeout(wait, asked_to_end.recv())
        .await
        .is_ok()
}

fn give_up(record: &Record, mut state: State, how: String) -> io::Result<()> {
    state.process = None;
    state.ended = Some(how);
    state.over = true;
    record.write_state(&state)
}

fn start(record: &Record, order: &Order, start_until: BootTime) -> io::Result<Child> {
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(record.log())?;
    let mut command = tokio::process::Command::new("/proc/self/exe");
    command
        .arg0("anneal-start")
        .args(start_arguments(start_until, "", &order.program))
        .envs(order.environment.iter().map(|(name, value)| (name, value)))
        .env(INSTANCE_VARIABLE, &order.instance_id)
        .current_dir(order.working_directory.as_deref().unwrap_or(Path::new("/")))
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    command.spawn().map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot run {}: {error}", order.program[0]),
        )
    })
}

/// Tells when a process has ended, without reaping it: so long its number, which is its group's too, can't become
/// another's, and the group can be ended.
fn end_of(process: Option<Pid>) -> oneshot::Receiver<()> {
    let (tell, ended) = oneshot::channel();
    // A thread of its own: the supervisor must be able to end before it.
    thread::spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        if let Some(process) = process {
            while let Err(Errno::INTR) = waitid(WaitId::Pid(process), options) {}
        }
        // Fails only if the supervisor is ending anyway.
        let _ = tell.send(());
    });
    ended
}

/// Waits for its end, and keeps its log within bounds meanwhile.
async fn followed(record: &Record, ended: &mut oneshot::Receiver<()>) {
    while tokio::time::timeout(LOG_TICK, &mut *ended).await.is_err() {
        // A log that can't be shortened now is shortened at the next tick.
        let _ = shorten(&record.log());
    }
}

fn shorten(log: &Path) -> io::Result<()> {
    if fs::metadata(log)?.len() <= LOG_MAX_BYTES {
        return Ok(());
    }
    let mut file = OpenOptions::new().read(true).append(true).open(log)?;
    let mut end = Vec::new();
    file.seek(SeekFrom::End(
        -i64::try_from(LOG_KEPT_BYTES).expect("it is small"),
    ))?;
    (&file).take(LOG_KEPT_BYTES).read_to_end(&mut end)?;
    file.set_len(0)?;
    file.write_all(&end)
}

async fn stop(
    process: &mut Child,
    ended: &mut oneshot::Receiver<()>,
    group: Option<Pid>,
    timeout: Duration,
) {
    if let Some(group) = group {
        // Fails if all of it has ended by itself.
        let _ = kill_process_group(group, Signal::TERM);
    }
    // What has not ended by then is ended below, with what else is in the group.
    let _ = tokio::time::timeout(timeout, ended).await;
    end_group(group);
    let _ = process.wait().await;
}

fn end_group(group: Option<Pid>) {
    if let Some(group) = group {
        // Fails when nobody is left in it.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn told(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, signal) => format!("was killed by signal {}", signal.unwrap_or_default()),
    }
}
