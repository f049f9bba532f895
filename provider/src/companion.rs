//! The program that carries the guard of commands and the supervisor of processes.
//!
//! Both must outlive a frozen or killed engine, so they are processes of their own: this program again,
//! in a hidden mode.

use std::path::PathBuf;

/// Where the guard and the supervisor are to be started from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Companion {
    /// A program that calls the hidden modes of this crate.
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
