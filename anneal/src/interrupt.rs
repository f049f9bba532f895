//! Ctrl-C and SIGTERM, as futures.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ends at the next Ctrl-C or SIGTERM. From the first call on, neither ends the process by itself.
pub(crate) async fn once() {
    let (Some(mut interrupt), Some(mut terminate)) = (
        listen(SignalKind::interrupt()),
        listen(SignalKind::terminate()),
    ) else {
        // Without a handler the signal keeps its default effect: it ends the process.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn listen(kind: SignalKind) -> Option<Signal> {
    signal(kind).ok()
}
