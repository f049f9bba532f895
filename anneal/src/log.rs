//! The log of this process, on standard error. `ANNEAL_LOG` says what is logged.
//!
//! Knows nothing of what is logged.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// The variable that says what is logged.
const VARIABLE: &str = "ANNEAL_LOG";
/// What a member logs unless told otherwise.
const SERVING: &str = "info,openraft=error,h2=warn,tower=warn";

/// For a member: there is always a log.
pub(crate) fn start_serving() {
    let given = std::env::var(VARIABLE).unwrap_or_default();
    start(if given.is_empty() { SERVING } else { &given });
}

/// For every other command: only if it is asked for, since the answer is what people want to read.
pub(crate) fn start_if_asked() {
    match std::env::var(VARIABLE) {
        Ok(given) if !given.is_empty() => start(&given),
        _ => {}
    }
}

fn start(filter: &str) {
    let colour = std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .log_internal_errors(false)
        .finish();
    // A second log in one process is a second call of this function, and there is none.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
