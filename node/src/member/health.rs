//! grpc.health.v1: serving once this member knows a leader and has caught up with it.

use std::time::Duration;

use tonic_health::{ServingStatus, server::HealthReporter};

use super::Context;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// Keeps what is reported right until the member stops.
pub(super) async fn report(context: Context, reporter: HealthReporter) {
    let mut caught_up = false;
    let mut serving = false;
    loop {
        let leader = context.replica.is_led();
        // Once caught up, it stays so as long as there is a leader to follow.
        caught_up = leader && (caught_up || context.replica.has_caught_up());
        let now = caught_up && !*context.draining.borrow();
        if now != serving {
            serving = now;
            let status = if now {
                ServingStatus::Serving
            } else {
                ServingStatus::NotServing
            };
            reporter.set_service_status("", status).await;
        }
        tokio::select! {
            () = context.stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}
