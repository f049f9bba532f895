//! Waiting for conditions, always with a bound and never for a guessed time.

use std::{
    net::TcpListener,
    thread,
    time::{Duration, Instant},
};

/// How long a condition may take before the test gives up. Generous: the machine may be shared by several builds.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Asks `probe` until it has an answer; panics with `what` and the last complaint when `patience` has passed.
pub fn eventually<T>(
    what: &str,
    patience: Duration,
    mut probe: impl FnMut() -> Result<T, String>,
) -> T {
    let began = Instant::now();
    loop {
        match probe() {
            Ok(answer) => return answer,
            Err(complaint) if began.elapsed() > patience => {
                panic!("{what}: not within {patience:?}; last seen: {complaint}")
            }
            Err(_) => thread::park_timeout(LOOK_EVERY),
        }
    }
}

/// A TCP port of the loopback that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback has a free port");
    listener
        .local_addr()
        .expect("a bound listener has an address")
        .port()
}
