//! Being asked to end, as a program of its own.

use tokio::signal::unix::{SignalKind, signal};

/// Returns at Ctrl-C, or SIGTERM. `program` is who says on standard error that the latter can't be heard.
pub async fn interrupted(program: &str) {
    let mut terminate = match signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            eprintln!("{program}: SIGTERM will not be heard: {error}");
            return std::future::pending().await;
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
