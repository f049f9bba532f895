//! What the tests of all providers share: a host of their own, calls, and values.
#![allow(dead_code, reason = "each test file uses its part of it")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anneal_provider::{
    Aim, Applied, ApplyRequest, BootTime, CallContext, Failure, Found, Made, Observed, Prior,
    Provider, ReadRequest, Values,
};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Any condition of a test must come true within this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A host with its directory, and calls made on it.
pub(crate) struct Host {
    pub(crate) dir: tempfile::TempDir,
}

/// One call, with the ends that its engine holds.
pub(crate) struct Call {
    pub(crate) ctx: CallContext,
    pub(crate) lease: watch::Sender<BootTime>,
}

impl Host {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// What is in its directory, beside the records of the providers.
    pub(crate) fn entries(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "host").collect()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn call(&self, instance: &str, token: u64) -> Call {
        let (lease, watched) = watch::channel(BootTime::now().after(Duration::from_secs(3600)));
        let ctx = CallContext {
            instance_id: format!("cluster-{instance}"),
            idempotency_key: format!("cluster-{instance}-create-1"),
            fencing_token: token,
            host_bound: true,
            stack: Arc::from("web"),
            resource: Arc::from("site"),
            not_after: BootTime::NEVER,
            lease: watched,
            cancel: CancellationToken::new(),
            host_dir: Arc::from(self.dir.path().join("host").as_path()),
            progress: None,
        };
        Call { ctx, lease }
    }
}

pub(crate) fn values(value: Value) -> Values {
    value.as_object().unwrap().clone()
}

/// What a state machine would know of what was made.
pub(crate) fn prior(made: &Made) -> Prior<'_> {
    Prior {
        properties: None,
        attributes: Some(&made.attributes),
        physical_id: Some(&made.physical_id),
        private: &made.private,
    }
}

pub(crate) async fn create(
    provider: &dyn Provider,
    call: &Call,
    type_name: &str,
    properties: &Values,
) -> Result<Applied, Failure> {
    provider
        .apply(
            &call.ctx,
            ApplyRequest::Create {
                type_name,
                properties,
            },
        )
        .await
}

pub(crate) async fn update(
    provider: &dyn Provider,
    call: &Call,
    type_name: &str,
    made: &Made,
    properties: &Values,
) -> Result<Applied, Failure> {
    provider
        .apply(
            &call.ctx,
            ApplyRequest::Update {
                type_name,
                prior: prior(made),
                properties,
            },
        )
        .await
}

pub(crate) async fn delete(
    provider: &dyn Provider,
    call: &Call,
    type_name: &str,
    made: &Made,
) -> Result<Applied, Failure> {
    provider
        .apply(
            &call.ctx,
            ApplyRequest::Delete {
                type_name,
                prior: prior(made),
            },
        )
        .await
}

pub(crate) async fn read(
    provider: &dyn Provider,
    call: &Call,
    type_name: &str,
    made: &Made,
) -> Observed {
    provider
        .read(
            &call.ctx,
            ReadRequest {
                type_name,
                prior: prior(made),
                aim: None,
            },
        )
        .await
        .unwrap()
}

/// The look after a call was lost, of which nothing is known but its aim.
pub(crate) async fn look(
    provider: &dyn Provider,
    call: &Call,
    type_name: &str,
    aim: Aim<'_>,
) -> Observed {
    let request = ReadRequest {
        type_name,
        prior: Prior::default(),
        aim: Some(aim),
    };
    provider.look(&call.ctx, request).await.unwrap()
}

/// The same, of a look that comes to nothing.
pub(crate) async fn failed_look(
    provider: &dyn Provider,
    call: &Call,
    type_name: &str,
    aim: Aim<'_>,
) -> Failure {
    let request = ReadRequest {
        type_name,
        prior: Prior::default(),
        aim: Some(aim),
    };
    provider.look(&call.ctx, request).await.unwrap_err()
}

pub(crate) fn done(applied: Result<Applied, Failure>) -> Made {
    match applied.unwrap() {
        Applied::Done(made) => made,
        other => panic!("done expected, but it is {other:?}"),
    }
}

pub(crate) fn found(observed: Observed) -> Found {
    match observed {
        Observed::Present(found) => *found,
        other @ Observed::Absent { .. } => panic!("present expected, but it is {other:?}"),
    }
}

/// The differences, as a person would see them.
pub(crate) fn told(found: &Found) -> Vec<String> {
    found
        .differences
        .iter()
        .map(|one| format!("{}: {} is {}", one.path, one.desired, one.found))
        .collect()
}

/// Waits until `holds`, with a bound.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(
            start.elapsed() < PATIENCE,
            "it did not come true within {PATIENCE:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Whether a process runs (a zombie does not).
pub(crate) fn runs(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat"));
    stat.is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .trim_start()
            .starts_with(['Z', 'X'])
    })
}
