//! One provider call: bounded by the lease and its own time, and safe against a provider that panics.
//!
//! Knows nothing of assignments or the log. A call that does not end by itself is dropped, which is no verdict.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll, Waker};

use anneal_provider::{
    Applied, ApplyRequest, BootTime, CallContext, Failure, FailureClass, Observed, Provider,
    ReadRequest,
};
use futures_util::FutureExt;

/// What is asked of the provider.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ask<'a> {
    /// Create, update or delete.
    Apply(ApplyRequest<'a>),
    /// See what is there.
    Look(ReadRequest<'a>),
}

/// What the provider, or its end, said.
#[derive(Debug)]
pub(crate) enum Said {
    /// To an `Ask::Apply`.
    Applied(Result<Applied, Failure>),
    /// To an `Ask::Look`.
    Observed(Result<Observed, Failure>),
}

impl Said {
    /// The answer to a question that got none.
    fn nothing(ask: &Ask<'_>, class: FailureClass, message: String) -> Self {
        let failure = Failure::no_verdict(class, message);
        match ask {
            Ask::Apply(_) => Self::Applied(Err(failure)),
            Ask::Look(_) => Self::Observed(Err(failure)),
        }
    }
}

/// Asks, and waits for the answer until the call's time or the lease is over. It is cancelled then, for good: what the
/// provider has left running elsewhere must not find the lease renewed, and go on.
pub(crate) async fn call(provider: &dyn Provider, ctx: &CallContext, ask: Ask<'_>) -> Said {
    let asking = guarded(provider, ctx, ask);
    let over = over(ctx);
    tokio::pin!(asking, over);
    tokio::select! {
        // An answer that came in time counts, even if the time is over now.
        biased;
        said = &mut asking => said,
        message = &mut over => {
            ctx.cancel.cancel();
            Said::nothing(&ask, FailureClass::Aborted, message.to_owned())
        }
    }
}

/// Asks a provider that is thought to answer without waiting for anything. `None`: it does wait, and
/// nothing has been done yet that a call with the same context would not do again.
pub(crate) fn call_now(provider: &dyn Provider, ctx: &CallContext, ask: Ask<'_>) -> Option<Said> {
    let asking = guarded(provider, ctx, ask);
    tokio::pin!(asking);
    match asking.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(said) => Some(said),
        Poll::Pending => None,
    }
}

async fn guarded(provider: &dyn Provider, ctx: &CallContext, ask: Ask<'_>) -> Said {
    let asking = async {
        match ask {
            Ask::Apply(request) => Said::Applied(provider.apply(ctx, request).await),
            Ask::Look(request) => Said::Observed(provider.look(ctx, request).await),
        }
    };
    // The provider's own state may be torn; nothing of ours is.
    match AssertUnwindSafe(asking).catch_unwind().await {
        Ok(said) => said,
        Err(panic) => {
            let words = words(&*panic);
            tracing::error!(instance = ctx.instance_id, "a provider panicked: {words}");
            let message = format!("the provider panicked: {words}");
            Said::nothing(&ask, FailureClass::Permanent, message)
        }
    }
}

/// Returns when the call must not run any more, and says why.
async fn over(ctx: &CallContext) -> &'static str {
    let mut lease = ctx.lease.clone();
    loop {
        let lease_end = *lease.borrow_and_update();
        if lease_end.has_passed() {
            return "the engine's lease ended during the call";
        }
        if ctx.not_after.has_passed() {
            return "the call took longer than it may";
        }
        let wait = sleep_towards(lease_end.min(ctx.not_after));
        tokio::select! {
            () = wait => {}
            // Every renewal is also a moment to look at the clock again, which counts suspend.
            changed = lease.changed() => if changed.is_err() {
                return "the engine stopped during the call";
            },
        }
    }
}

async fn sleep_towards(moment: BootTime) {
    tokio::time::sleep(moment.remaining()).await;
}

fn words(panic: &(dyn Any + Send)) -> String {
    let words = panic
        .downcast_ref::<&str>()
        .map(|words| (*words).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    words.unwrap_or_else(|| "without words".to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use anneal_provider::{LookUpRequest, Plan, PlanRequest, TypeSchema, Values, Verdict};
    use async_trait::async_trait;
    use tokio::sync::watch;
    use tokio_util::sync::CancellationToken;

    use super::*;

    /// Does as its type says: answers, waits for ever, or panics.
    struct Moody;

    #[async_trait]
    impl Provider for Moody {
        fn schemas(&self) -> &[TypeSchema] {
            &[]
        }

        async fn plan(&self, _: PlanRequest<'_>) -> Result<Plan, Failure> {
            Err(Failure::refused("not asked here"))
        }

        async fn apply(
            &self,
            _: &CallContext,
            request: ApplyRequest<'_>,
        ) -> Result<Applied, Failure> {
            match request.type_name() {
                "waits" => std::future::pending().await,
                "panics" => panic!("out of temper"),
                _ => Ok(Applied::Deleted),
            }
        }

        async fn read(&self, _: &CallContext, _: ReadRequest<'_>) -> Result<Observed, Failure> {
            Ok(Observed::absent())
        }

        async fn look_up(
            &self,
            _: &CallContext,
            _: LookUpRequest<'_>,
        ) -> Result<Option<String>, Failure> {
            Ok(None)
        }
    }

    fn context(lease: watch::Receiver<BootTime>, not_after: BootTime) -> CallContext {
        CallContext {
            instance_id: "c-1".into(),
            idempotency_key: "c-1-create-1".into(),
            fencing_token: 1,
            host_bound: false,
            stack: "stack".into(),
            resource: "resource".into(),
            not_after,
            lease,
            cancel: CancellationToken::new(),
            host_dir: Arc::from(std::path::Path::new("/nonexistent")),
            progress: None,
        }
    }

    fn in_ms(ms: u64) -> BootTime {
        BootTime::now().after(Duration::from_millis(ms))
    }

    async fn ask(type_name: &str, ctx: &CallContext) -> Result<Applied, Failure> {
        let properties = Values::new();
        let request = ApplyRequest::Create {
            type_name,
            properties: &properties,
        };
        match call(&Moody, ctx, Ask::Apply(request)).await {
            Said::Applied(answer) => answer,
            Said::Observed(_) => panic!("the answer fits the question"),
        }
    }

    #[tokio::test]
    async fn a_call_ends_with_the_lease_and_nobody_knows() {
        let (renew, lease) = watch::channel(in_ms(30));
        let ctx = context(lease, BootTime::NEVER);
        let failure = ask("waits", &ctx).await.expect_err("it waits for ever");
        assert_eq!(
            (failure.class, failure.verdict),
            (FailureClass::Aborted, Verdict::Unknown)
        );
        // A lease given up ends it at once.
        renew.send_replace(in_ms(60_000));
        let surrendered = async {
            tokio::task::yield_now().await;
            renew.send_replace(BootTime { boot_ms: 0 });
        };
        let (answer, ()) = tokio::join!(ask("waits", &ctx), surrendered);
        assert!(answer.is_err());
        renew.send_replace(in_ms(60_000));
        assert!(!ctx.may_act(), "a later lease does not revive it");
    }

    #[tokio::test]
    async fn a_renewed_lease_lets_it_run_until_its_own_time_is_over() {
        let (renew, lease) = watch::channel(in_ms(20));
        let not_after = in_ms(80);
        let ctx = context(lease, not_after);
        let renewed = async { renew.send_replace(in_ms(60_000)) };
        let (answer, _) = tokio::join!(ask("waits", &ctx), renewed);
        assert!(answer.is_err() && not_after.has_passed());
    }

    #[tokio::test]
    async fn a_panic_is_no_verdict_and_an_answer_is_an_answer() {
        let (_renew, lease) = watch::channel(in_ms(60_000));
        let ctx = context(lease, BootTime::NEVER);
        let failure = ask("panics", &ctx).await.expect_err("it panics");
        assert_eq!(failure.verdict, Verdict::Unknown);
        assert!(failure.message.contains("out of temper"), "{failure}");
        assert_eq!(ask("answers", &ctx).await, Ok(Applied::Deleted));
    }

    #[test]
    fn who_waits_is_not_waited_for() {
        let (_renew, lease) = watch::channel(in_ms(60_000));
        let ctx = context(lease, BootTime::NEVER);
        let properties = Values::new();
        let question = |type_name| {
            Ask::Apply(ApplyRequest::Create {
                type_name,
                properties: &properties,
            })
        };
        assert!(call_now(&Moody, &ctx, question("waits")).is_none());
        assert!(call_now(&Moody, &ctx, question("answers")).is_some());
    }
}
