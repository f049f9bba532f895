//! The guard process itself. Plain threads: it must be small, and must not fail.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, getpid, kill_process, kill_process_group,
    set_child_subreaper, waitid, waitpid,
};

use super::output::Tail;
use super::start::{CANNOT_RUN, LEASE_OVER, start_arguments};
use super::{ERROR_TAIL_BYTES, HowEnded, OUTPUT_MAX_BYTES, Order, Renewal, Report};
use crate::call::BootTime;
use crate::host_lock::HostLock;

/// How often the clock is looked at: nothing may outlive its lease by more than a second.
const TICK: Duration = Duration::from_millis(100);
/// The guard of a lost engine ends within its second; for so long the next one waits for the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// After the group has ended, only a process that left it can still hold the output open; it is not waited for.
const OUTPUT_PATIENCE: Duration = Duration::from_millis(500);
/// A process that keeps making others is chased so many rounds.
const KILL_ROUNDS: usize = 50;

enum Event {
    Renewed(BootTime),
    EngineGone,
    CommandEnded,
}

/// Why the watch ended.
enum End {
    Command,
    TimedOut { after_ms: u64 },
    LeaseOver,
    EngineGone,
}

/// The guard's main function.
pub(crate) fn guard_main() -> ExitCode {
    let mut input = BufReader::new(io::stdin());
    let mut line = String::new();
    let order = match input.read_line(&mut line) {
        Ok(_) => serde_json::from_str::<Order>(&line),
        Err(_) => return ExitCode::FAILURE,
    };
    let Ok(order) = order else {
        eprintln!("anneal guard: started without an order; an engine starts it, not a person");
        return ExitCode::FAILURE;
    };
    let (events, inbox) = channel();
    follow_engine(input, events.clone());
    if let Some(report) = guard(&order, &events, &inbox) {
        let line = serde_json::to_string(&report).expect("a report has only text keys");
        // If nobody reads it any more, there is nobody to tell.
        let _ = writeln!(io::stdout(), "{line}");
    }
    ExitCode::SUCCESS
}

fn follow_engine(input: BufReader<io::Stdin>, events: Sender<Event>) {
    thread::spawn(move || {
        for line in input.lines().map_while(Result::ok) {
            if let Ok(renewal) = serde_json::from_str::<Renewal>(&line)
                && events.send(Event::Renewed(renewal.lease_end)).is_err()
            {
                return;
            }
        }
        // Fails only if the guard is ending anyway.
        let _ = events.send(Event::EngineGone);
    });
}

/// None if nobody is there to be told.
fn guard(order: &Order, events: &Sender<Event>, inbox: &Receiver<Event>) -> Option<Report> {
    let not_started = |message: String| {
        Some(Report::NotStarted {
            busy: false,
            message,
        })
    };
    let mut lease_end = order.lease_end;
    let _lock = match order
        .lock
        .as_deref()
        .map(|path| take_lock(path, inbox, &mut lease_end))
    {
        None => None,
        Some(Ok(Some(lock))) => Some(lock),
        Some(Ok(None)) => {
            let message = "another engine of this host still acts on this instance".to_owned();
            return Some(Report::NotStarted {
                busy: true,
                message,
            });
        }
        Some(Err(error)) => return not_started(format!("cannot lock the instance: {error}")),
    };
    if let Err(message) = runnable(order) {
        return not_started(message);
    }
    if let Err(error) = set_child_subreaper(Some(getpid())) {
        return not_started(format!(
            "cannot watch over the command's processes: {error}"
        ));
    }
    if lease_end.has_passed() {
        return Some(Report::LeaseOver { before: true });
    }
    let sign = format!(
        "anneal-{}-{}: ",
        std::process::id(),
        BootTime::now().boot_ms
    );
    let command = Command::new("/proc/self/exe")
        .arg0("anneal-guard-start")
        .args(start_arguments(
            lease_end.min(order.not_after),
            &sign,
            &order.program,
        ))
        .envs(order.environment.iter().map(|(name, value)| (name, value)))
        .current_dir(order.working_directory.as_deref().unwrap_or(Path::new(".")))
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut command = match command {
        Ok(command) => command,
        Err(error) => return not_started(format!("cannot run {}: {error}", order.program[0])),
    };
    let group = Pid::from_child(&command);
    let (output, errors) = (Tail::default(), Tail::default());
    let streams = (command.stdout.take(), command.stderr.take());
    follow(&output, streams.0);
    follow(&errors, streams.1);
    report_end(group, events.clone());

    let end = watch(order, inbox, lease_end);
    kill_all(group, !matches!(end, End::Command));
    let status = command.wait();
    let until = Instant::now() + OUTPUT_PATIENCE;
    while !(output.has_ended() && errors.has_ended()) && Instant::now() < until {
        thread::sleep(Duration::from_millis(2));
    }
    let how = match end {
        End::EngineGone => return None,
        End::LeaseOver => return Some(Report::LeaseOver { before: false }),
        End::TimedOut { after_ms } => HowEnded::TimedOut { after_ms },
        End::Command => how_ended(status),
    };
    let error_tail = errors.text(ERROR_TAIL_BYTES);
    if let (HowEnded::Exited(code), Some(why)) = (how, error_tail.strip_prefix(&sign))
        && code == i32::from(CANNOT_RUN)
    {
        // It never came to the command.
        return match why.trim_end() {
            LEASE_OVER => Some(Report::LeaseOver { before: true }),
            why => not_started(why.to_owned()),
        };
    }
    Some(Report::Ended {
        how,
        last_line: output.last_line(),
        error_tail,
    })
}

/// Waits a little for the lock, because the guard of a lost engine needs a moment to end.
fn take_lock(
    path: &Path,
    inbox: &Receiver<Event>,
    lease_end: &mut BootTime,
) -> io::Result<Option<HostLock>> {
    let until = Instant::now() + LOCK_PATIENCE;
    loop {
        if let Some(lock) = HostLock::try_take(path)? {
            return Ok(Some(lock));
        }
        match inbox.recv_timeout(Duration::from_millis(20)) {
            Ok(Event::Renewed(end)) => *lease_end = end,
            Ok(Event::EngineGone) | Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Ok(Event::CommandEnded) | Err(RecvTimeoutError::Timeout) => {}
        }
        if Instant::now() >= until || lease_end.has_passed() {
            return Ok(None);
        }
    }
}

/// Says now what can be said before anything is done: that there is no such program or directory.
fn runnable(order: &Order) -> Result<(), String> {
    if let Some(directory) = &order.working_directory
        && !directory.is_dir()
    {
        return Err(format!(
            "working directory {} does not exist",
            directory.display()
        ));
    }
    let program = order.program.first().ok_or("no program is given")?;
    let executable = |path: &Path| {
        fs::metadata(path).is_ok_and(|is| is.is_file() && is.permissions().mode() & 0o111 != 0)
    };
    let found = if program.contains('/') {
        let base = order.working_directory.as_deref().unwrap_or(Path::new("."));
        executable(&base.join(program))
    } else {
        let given = order
            .environment
            .iter()
            .rev()
            .find(|(name, _)| name == "PATH");
        let path = given
            .map(|(_, value)| value.into())
            .or_else(|| std::env::var_os("PATH"));
        std::env::split_paths(&path.unwrap_or_default()).any(|dir| executable(&dir.join(program)))
    };
    if found {
        Ok(())
    } else {
        Err(format!("there is no program {program}"))
    }
}

fn follow(tail: &Tail, stream: Option<impl io::Read + Send + 'static>) {
    let tail = tail.clone();
    let stream = stream.expect("the stream was asked to be piped");
    thread::spawn(move || tail.follow(stream, OUTPUT_MAX_BYTES));
}

/// Tells when the command has ended, without reaping it: its group keeps its number until that is done.
fn report_end(command: Pid, events: Sender<Event>) {
    thread::spawn(move || {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(command), options) {}
        // Fails only if the guard is ending anyway.
        let _ = events.send(Event::CommandEnded);
    });
}

fn watch(order: &Order, inbox: &Receiver<Event>, mut lease_end: BootTime) -> End {
    let timeout = order.timeout_ms.map(Duration::from_millis);
    let began = Instant::now();
    let time_end = timeout
        .map_or(BootTime::NEVER, |timeout| BootTime::now().after(timeout))
        .min(order.not_after);
    loop {
        let left = lease_end.min(time_end).remaining();
        match inbox.recv_timeout(left.min(TICK)) {
            Ok(Event::CommandEnded) => return End::Command,
            Ok(Event::EngineGone) | Err(RecvTimeoutError::Disconnected) => return End::EngineGone,
            Ok(Event::Renewed(end)) => lease_end = end,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if lease_end.has_passed() {
            return End::LeaseOver;
        }
        if time_end.has_passed() {
            return End::TimedOut {
                after_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            };
        }
    }
}

/// Ends the command's process group. If the command did not come to its own end, whoever left the group is
/// ended too; a service that a command has started and left behind in peace stays.
fn kill_all(group: Pid, strays_too: bool) {
    for _ in 0..KILL_ROUNDS {
        // Fails when nobody is left in it.
        let _ = kill_process_group(group, Signal::KILL);
        let strays = if strays_too {
            children(group)
        } else {
            Vec::new()
        };
        for stray in &strays {
            // Fails if it has ended by itself meanwhile.
            let _ = kill_process(*stray, Signal::KILL);
            let _ = waitpid(Some(*stray), WaitOptions::empty());
        }
        if strays.is_empty() {
            return;
        }
    }
}

/// Our children other than the command itself: orphans of the command that came to us.
fn children(except: Pid) -> Vec<Pid> {
    let own = getpid().as_raw_pid();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let process = |entry: fs::DirEntry| -> Option<Pid> {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let parent: i32 = stat
            .rsplit_once(')')?
            .1
            .split_whitespace()
            .nth(1)?
            .parse()
            .ok()?;
        Pid::from_raw(pid).filter(|found| parent == own && *found != except)
    };
    entries.flatten().filter_map(process).collect()
}

fn how_ended(status: io::Result<std::process::ExitStatus>) -> HowEnded {
    use std::os::unix::process::ExitStatusExt;
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => HowEnded::Exited(code),
            (None, signal) => HowEnded::Signalled(signal.unwrap_or_default()),
        },
        Err(_) => HowEnded::Exited(-1),
    }
}
