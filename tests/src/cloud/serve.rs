//! The cloud over HTTP: objects below `/objects`, and below `/control` what the harness tells it.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
    routing::any,
};
use serde_json::json;
use tokio::time::sleep;

use super::{
    Behaviour, Fault, Journal, World,
    journal::{Body, Did, Happened, Operation},
    world::{Call, Object},
};
use crate::Chance;

/// Longer than any caller waits.
const SILENCE: Duration = Duration::from_secs(60);

struct Cloud {
    world: World,
    journal: Journal,
    behaviour: Behaviour,
    chance: Chance,
    calls: u64,
}

impl Cloud {
    /// Effect and record are one step: nothing comes in between.
    fn act(&mut self, number: u64, call: &Call) -> (Did, Vec<Object>) {
        let (keys, fences) = (self.behaviour.honours_keys, self.behaviour.fences);
        let (did, objects) = self.world.take(call, keys, fences);
        self.journal.note(number, Happened::Effect(did.clone()));
        (did, objects)
    }
}

type Shared = Arc<Mutex<Cloud>>;

fn lock(cloud: &Shared) -> MutexGuard<'_, Cloud> {
    cloud.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until the process ends.
///
/// # Errors
/// When the journal or the listener fails.
pub async fn serve(listener: tokio::net::TcpListener, journal: &Path) -> std::io::Result<()> {
    let cloud = Arc::new(Mutex::new(Cloud {
        world: World::default(),
        journal: Journal::open(journal)?,
        behaviour: Behaviour::good(),
        chance: Chance::of(0),
        calls: 0,
    }));
    let router = Router::new()
        .route("/control/{what}", any(control))
        .fallback(any(answer))
        .with_state(cloud);
    axum::serve(listener, router).await
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

/// The call that a request is, and the record of its coming.
fn understood(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: &[u8],
) -> Option<(Call, Happened)> {
    let id = uri.path().strip_prefix("/objects")?.strip_prefix('/');
    let operation = match (method.as_str(), id) {
        ("POST", None) => Operation::Create,
        ("GET", None) => Operation::Find,
        ("GET", Some(_)) => Operation::Read,
        ("PUT", Some(_)) => Operation::Update,
        ("DELETE", Some(_)) => Operation::Delete,
        _ => return None,
    };
    let fence = header(headers, "fencing-token").and_then(|token| token.parse().ok());
    let call = Call {
        operation,
        instance: header(headers, "x-instance")?,
        key: header(headers, "idempotency-key"),
        fence,
        id: id.map(str::to_owned),
        body: serde_json::from_slice::<Body>(body).ok(),
    };
    let told = header(headers, "x-token").and_then(|token| token.parse().ok());
    let came = Happened::In {
        operation,
        stack: header(headers, "x-stack").unwrap_or_default(),
        name: header(headers, "x-name").unwrap_or_default(),
        instance: call.instance.clone(),
        key: call.key.clone(),
        token: fence.or(told).unwrap_or(0),
        fencing: fence.is_some(),
        id: call.id.clone(),
        fault: None,
    };
    Some((call, came))
}

async fn answer(
    State(cloud): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some((call, came)) = understood(&method, &uri, &headers, &body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    // In a task of its own: a call whose caller has died takes effect all the same.
    tokio::spawn(carried_out(cloud, call, came))
        .await
        .unwrap_or_else(|error| {
            (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response()
        })
}

async fn carried_out(cloud: Shared, call: Call, came: Happened) -> Response {
    let (number, fault, wait, late) = come(&cloud, &call, came);
    sleep(wait).await;
    let status = match fault {
        Some(Fault::Hang) => {
            sleep(SILENCE).await;
            StatusCode::GATEWAY_TIMEOUT
        }
        Some(Fault::LandLate) => {
            sleep(late).await;
            lock(&cloud).act(number, &call);
            sleep(SILENCE).await;
            StatusCode::GATEWAY_TIMEOUT
        }
        Some(Fault::FailBefore) => StatusCode::INTERNAL_SERVER_ERROR,
        Some(Fault::Throttle) => StatusCode::TOO_MANY_REQUESTS,
        Some(Fault::FailAfter) => {
            lock(&cloud).act(number, &call);
            StatusCode::INTERNAL_SERVER_ERROR
        }
        Some(Fault::Slow) | None => {
            let mut cloud = lock(&cloud);
            let (did, objects) = cloud.act(number, &call);
            let (status, text) = told(&call, &did, &objects);
            let code = status.as_u16();
            cloud.journal.note(number, Happened::Out { status: code });
            return (status, text).into_response();
        }
    };
    let code = status.as_u16();
    lock(&cloud)
        .journal
        .note(number, Happened::Out { status: code });
    (status, "as it was told").into_response()
}

/// Writes down that a call came, and draws what goes wrong with it: its number, the fault, how long it takes, and how
/// long one that lands late takes on top of that.
fn come(
    cloud: &Shared,
    call: &Call,
    mut came: Happened,
) -> (u64, Option<Fault>, Duration, Duration) {
    let mut cloud = lock(cloud);
    let cloud = &mut *cloud;
    let behaviour = &cloud.behaviour;
    cloud.calls += 1;
    let mut drawn = behaviour.draw(&mut cloud.chance);
    if drawn == Some(Fault::LandLate) && (call.fence.is_none() || call.operation.is_look()) {
        drawn = None;
    }
    let mut wait_ms = behaviour.pace_ms;
    if drawn == Some(Fault::Slow) {
        wait_ms += cloud.chance.between(0, behaviour.slow_ms + 1);
    }
    if let Happened::In { fault, .. } = &mut came {
        *fault = drawn;
    }
    cloud.journal.note(cloud.calls, came);
    let late = Duration::from_millis(behaviour.late_ms);
    (cloud.calls, drawn, Duration::from_millis(wait_ms), late)
}

fn told(call: &Call, did: &Did, objects: &[Object]) -> (StatusCode, String) {
    let object = || objects.first().map_or(json!({}), |object| json!(object));
    match did {
        Did::Created { .. } | Did::Replayed { .. } => (StatusCode::CREATED, object().to_string()),
        Did::Looked { .. } if call.operation == Operation::Find => {
            (StatusCode::OK, json!({ "items": objects }).to_string())
        }
        Did::Updated { .. } | Did::Looked { .. } => (StatusCode::OK, object().to_string()),
        Did::Deleted { .. } => (StatusCode::NO_CONTENT, String::new()),
        Did::Missing => (StatusCode::NOT_FOUND, "no such object".to_owned()),
        Did::Fenced { seen } => (
            StatusCode::PRECONDITION_FAILED,
            format!("token {seen} was seen"),
        ),
        Did::Refused => (StatusCode::BAD_REQUEST, "no body".to_owned()),
    }
}

async fn control(State(cloud): State<Shared>, uri: Uri, body: Bytes) -> Response {
    let mut cloud = lock(&cloud);
    let said: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let id = said["id"].as_str().unwrap_or_default().to_owned();
    match uri.path().trim_start_matches("/control/") {
        "behave" => match serde_json::from_value::<Behaviour>(said) {
            Ok(behaviour) => {
                cloud.chance = Chance::of(behaviour.seed);
                cloud.behaviour = behaviour;
                StatusCode::OK.into_response()
            }
            Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        },
        "inventory" => (StatusCode::OK, json!(cloud.world.inventory()).to_string()).into_response(),
        "remove" => {
            let done = cloud.world.remove_by_hand(&id);
            if done {
                cloud.journal.note(0, Happened::RemovedByHand { id });
            }
            (StatusCode::OK, done.to_string()).into_response()
        }
        "change" => {
            let value = said["value"].as_u64().unwrap_or_default();
            let done = cloud.world.change_by_hand(&id, value);
            if done {
                cloud.journal.note(0, Happened::ChangedByHand { id, value });
            }
            (StatusCode::OK, done.to_string()).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
