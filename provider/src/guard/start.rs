//! The last step before a command: binds its life to the guard's, checks the lease, and becomes the command.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::call::BootTime;

/// What a shell answers when it can't run a command.
pub(super) const CANNOT_RUN: u8 = 126;
/// Why it was not started, when that is the lease.
pub(super) const LEASE_OVER: &str = "the lease ended before the command began";

/// The arguments that make this program start `program`, if `lease_end` has not passed by then. What it says if it
/// does not come to that begins with `sign`, so that nobody takes it for the command's.
pub(crate) fn start_arguments(
    lease_end: BootTime,
    sign: &str,
    program: &[String],
) -> Vec<OsString> {
    let head = [
        super::START_WORD.to_owned(),
        std::process::id().to_string(),
        lease_end.boot_ms.to_string(),
        sign.to_owned(),
    ];
    head.iter().chain(program).map(OsString::from).collect()
}

/// The process's main function. Returns only if the command can't be started.
pub(crate) fn start_main(arguments: &[OsString]) -> ExitCode {
    let Err(message) = start(arguments);
    let sign = arguments.get(2).map(|sign| sign.to_string_lossy());
    eprintln!("{}{message}", sign.unwrap_or_default());
    ExitCode::from(CANNOT_RUN)
}

fn start(arguments: &[OsString]) -> Result<std::convert::Infallible, String> {
    let number = |index: usize| arguments.get(index)?.to_str()?.parse::<u64>().ok();
    let (Some(parent), Some(boot_ms), Some(program)) = (number(0), number(1), arguments.get(3))
    else {
        return Err("started without its arguments".to_owned());
    };
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(|error| error.to_string())?;
    // If it died before the line above, nobody would end us any more.
    let parent_now = getppid().map(Pid::as_raw_pid);
    if parent_now.map(i64::from) != i64::try_from(parent).ok() {
        return Err("the guard is gone".to_owned());
    }
    if (BootTime { boot_ms }).has_passed() {
        return Err(LEASE_OVER.to_owned());
    }
    let error = Command::new(program).args(&arguments[4..]).exec();
    Err(format!("cannot run {}: {error}", program.to_string_lossy()))
}
