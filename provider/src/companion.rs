//! The program that carries the guard of commands and the supervisor of processes.
//!
//! Both must outlive a frozen or killed engine, so they are processes of their own: this program again,
//! in a hidden mode.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::{guard, process};

/// Where the guard and the supervisor are to be started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Companion {
    /// A program that calls [`companion_main`] first thing.
    pub program: PathBuf,
}

impl Companion {
    /// This very program, also after its file was replaced by a newer one.
    pub fn this_program() -> Self {
        Self {
            program: PathBuf::from("/proc/self/exe"),
        }
    }
}

/// Does the work of a hidden mode, if the program was started in one. A program that embeds an engine calls
/// it first thing in `main`, before it starts threads, and exits with the code if there is one.
pub fn companion_main() -> Option<ExitCode> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let (word, rest) = arguments.split_first()?;
    match word.to_str()? {
        guard::GUARD_WORD => Some(guard::guard_main()),
        guard::START_WORD => Some(guard::start_main(rest)),
        process::LAUNCH_WORD => Some(process::launch_main(rest)),
        process::SUPERVISE_WORD => Some(process::supervise_main(rest)),
        _ => None,
    }
}
