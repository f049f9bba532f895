//! Objects behind a REST API, whose server has its bad days.

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use anneal_provider::{
    ActionKind, Aim, Applied, Certain, FailureClass, HttpProvider, Observed, PlanRequest,
    PlannedAction, Provider, Values, Verdict,
};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::any};
use serde_json::{Value, json};
use support::{
    Host, create, delete, done, failed_look, found, look, prior, read, told, update, values,
};

const HTTP: &str = "Anneal::Http";

/// A collection of objects, one effect per idempotency key, and answers that it was told to give instead.
#[derive(Default)]
struct Cloud {
    objects: BTreeMap<String, Value>,
    keys: BTreeMap<String, String>,
    calls: Vec<String>,
    /// Given once, instead of doing anything.
    refusal: Option<Response>,
    /// Given once, after doing it.
    late_refusal: Option<Response>,
    hangs: bool,
}

type Shared = Arc<Mutex<Cloud>>;

async fn serve() -> (String, Shared) {
    let cloud = Shared::default();
    let router = Router::new()
        .fallback(any(answer))
        .with_state(Arc::clone(&cloud));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await });
    (url, cloud)
}

async fn answer(
    State(cloud): State<Shared>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if cloud.lock().unwrap().hangs {
        std::future::pending::<()>().await;
    }
    let mut cloud = cloud.lock().unwrap();
    let header = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("-")
            .to_owned()
    };
    cloud.calls.push(format!(
        "{method} {uri} {} {}",
        header("idempotency-key"),
        header("fencing-token")
    ));
    if let Some(refusal) = cloud.refusal.take() {
        return refusal;
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let done = cloud.act(&method, &uri, &header("idempotency-key"), body);
    cloud.late_refusal.take().unwrap_or(done)
}

impl Cloud {
    fn act(&mut self, method: &Method, uri: &Uri, key: &str, body: Value) -> Response {
        let id = uri
            .path()
            .trim_start_matches("/things")
            .trim_start_matches('/')
            .to_owned();
        let ok = |object: &Value| (StatusCode::OK, object.to_string()).into_response();
        match method.as_str() {
            "POST" => {
                let next = (self.objects.len() + 1).to_string();
                let id = self.keys.entry(key.to_owned()).or_insert(next).clone();
                let mut object = body;
                object["id"] = json!(id);
                object["etag"] = json!("e1");
                self.objects.insert(id, object.clone());
                (StatusCode::CREATED, object.to_string()).into_response()
            }
            "GET" if id.is_empty() => {
                let tag = uri.query().unwrap_or_default().trim_start_matches("tag=");
                let found: Vec<&Value> = self
                    .objects
                    .values()
                    .filter(|object| object["tag"] == tag)
                    .collect();
                ok(&json!({"items": found}))
            }
            "GET" => self
                .objects
                .get(&id)
                .map_or(StatusCode::NOT_FOUND.into_response(), ok),
            "PUT" => match self.objects.get_mut(&id) {
                Some(object) => {
                    *object = body;
                    object["id"] = json!(id);
                    ok(object)
                }
                None => StatusCode::NOT_FOUND.into_response(),
            },
            "DELETE" => match self.objects.remove(&id) {
                Some(_) => StatusCode::NO_CONTENT.into_response(),
                None => StatusCode::NOT_FOUND.into_response(),
            },
            _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
        }
    }
}

fn thing(url: &str) -> Values {
    values(json!({
        "url": format!("{url}/things"),
        "body": {"name": "web", "size": 2, "tag": "{instance}"},
        "create": {}, "read": {"path": "/{id}"}, "update": {"path": "/{id}"}, "delete": {"path": "/{id}"},
        "find": {"path": "?tag={instance}", "items": "/items"},
        "attributes": {"version": "/etag"},
        "idempotency_header": "Idempotency-Key", "fencing_header": "Fencing-Token",
    }))
}

#[tokio::test]
async fn an_object_is_made_read_changed_and_deleted() {
    let (host, provider, (url, cloud)) = (Host::new(), HttpProvider::default(), serve().await);
    let call = host.call("1", 7);
    assert!(provider.validate(HTTP, &thing(&url), &[]).await.is_empty());
    let made = done(create(&provider, &call, HTTP, &thing(&url)).await);
    assert_eq!(
        (made.physical_id.as_str(), &made.attributes["version"]),
        ("1", &json!("e1"))
    );
    assert_eq!(
        cloud.lock().unwrap().calls,
        ["POST /things cluster-1-create-1 7"]
    );
    assert!(found(read(&provider, &call, HTTP, &made).await).as_aimed);

    let mut bigger = thing(&url);
    bigger["body"]["size"] = json!(3);
    let request = PlanRequest {
        type_name: HTTP,
        prior: Some(prior(&made)),
        properties: &bigger,
        unknown: &[],
    };
    assert!(matches!(
        provider.plan(request).await.unwrap().action,
        PlannedAction::Update { .. }
    ));
    let made = done(update(&provider, &call, HTTP, &made, &bigger).await);
    assert_eq!(cloud.lock().unwrap().objects["1"]["size"], json!(3));

    // Somebody changes it behind our back: what we declared counts, what the server adds does not.
    cloud.lock().unwrap().objects.insert(
        "1".to_owned(),
        json!({"id": "1", "name": "web", "size": 9, "at": 5}),
    );
    let seen = found(read(&provider, &call, HTTP, &made).await);
    assert_eq!(told(&seen), ["body.size: 3 is 9"]);
    done(update(&provider, &call, HTTP, &made, &bigger).await);
    assert!(found(read(&provider, &call, HTTP, &made).await).as_aimed);

    assert_eq!(
        delete(&provider, &call, HTTP, &made).await.unwrap(),
        Applied::Deleted
    );
    assert_eq!(
        delete(&provider, &call, HTTP, &made).await.unwrap(),
        Applied::Gone
    );
    assert_eq!(
        read(&provider, &call, HTTP, &made).await,
        Observed::absent()
    );
    assert_eq!(
        update(&provider, &call, HTTP, &made, &bigger)
            .await
            .unwrap(),
        Applied::Gone
    );
}

#[tokio::test]
async fn a_lost_create_is_found_by_its_tag_and_repeated_without_a_second_effect() {
    let (host, provider, (url, cloud)) = (Host::new(), HttpProvider::default(), serve().await);
    let wanted = thing(&url);
    let aim = Aim::new(ActionKind::Create, Some(&wanted));
    assert_eq!(
        look(&provider, &host.call("1", 1), HTTP, aim).await,
        Observed::absent()
    );

    // It is made, and then the connection's answer is an error.
    cloud.lock().unwrap().late_refusal = Some(StatusCode::BAD_GATEWAY.into_response());
    let failure = create(&provider, &host.call("1", 2), HTTP, &wanted)
        .await
        .unwrap_err();
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Transient, Verdict::Unknown)
    );
    let seen = found(look(&provider, &host.call("1", 3), HTTP, aim).await);
    assert_eq!((seen.as_aimed, seen.made.physical_id.as_str()), (true, "1"));
    done(create(&provider, &host.call("1", 4), HTTP, &wanted).await);
    assert_eq!(cloud.lock().unwrap().objects.len(), 1);
    assert_eq!(
        look(&provider, &host.call("2", 5), HTTP, aim).await,
        Observed::absent()
    );
}

#[tokio::test]
async fn a_server_that_knows_the_key_tells_of_a_lost_create_when_it_is_sent_again() {
    let (host, provider, (url, cloud)) = (Host::new(), HttpProvider::default(), serve().await);
    let mut keyed = thing(&url);
    keyed.remove("find");
    let aim = Aim::new(ActionKind::Create, Some(&keyed));
    cloud.lock().unwrap().late_refusal = Some(StatusCode::BAD_GATEWAY.into_response());
    create(&provider, &host.call("1", 1), HTTP, &keyed)
        .await
        .unwrap_err();
    // It is not said to be absent: if it is not wanted any more, nobody would ever delete it.
    let seen = found(look(&provider, &host.call("1", 2), HTTP, aim).await);
    assert_eq!((seen.as_aimed, seen.made.physical_id.as_str()), (true, "1"));
    assert_eq!(cloud.lock().unwrap().objects.len(), 1);
    delete(&provider, &host.call("1", 3), HTTP, &seen.made)
        .await
        .unwrap();

    // One that was refused is refused again.
    cloud.lock().unwrap().refusal = Some(StatusCode::UNPROCESSABLE_ENTITY.into_response());
    assert_eq!(
        look(&provider, &host.call("2", 4), HTTP, aim).await,
        Observed::absent()
    );
    cloud.lock().unwrap().refusal = Some(StatusCode::UNAUTHORIZED.into_response());
    let failure = failed_look(&provider, &host.call("2", 5), HTTP, aim).await;
    assert_eq!(failure.class, FailureClass::Permanent);
}

fn hardly_known<'a>(properties: &'a Values, left_out: &'a [String]) -> Aim<'a> {
    Aim {
        certain: Some(Certain {
            properties,
            left_out,
        }),
        ..Aim::new(ActionKind::Create, None)
    }
}

#[tokio::test]
async fn a_lost_create_whose_body_is_not_known_any_more_is_found_by_its_tag_and_never_sent_again() {
    let (host, provider, (url, cloud)) = (Host::new(), HttpProvider::default(), serve().await);
    let mut wanted = thing(&url);
    cloud.lock().unwrap().late_refusal = Some(StatusCode::BAD_GATEWAY.into_response());
    create(&provider, &host.call("1", 1), HTTP, &wanted)
        .await
        .unwrap_err();
    wanted.remove("body");
    let body = ["body".to_owned()];
    let seen = found(
        look(
            &provider,
            &host.call("1", 2),
            HTTP,
            hardly_known(&wanted, &body),
        )
        .await,
    );
    assert_eq!(seen.made.physical_id, "1");
    let nowhere = look(
        &provider,
        &host.call("2", 3),
        HTTP,
        hardly_known(&wanted, &body),
    )
    .await;
    assert_eq!(nowhere, Observed::absent());

    // Where it is depends on what is not known: nothing can be said.
    let url_too = ["body".to_owned(), "url".to_owned()];
    let failure = failed_look(
        &provider,
        &host.call("1", 4),
        HTTP,
        hardly_known(&wanted, &url_too),
    )
    .await;
    assert_eq!(failure.verdict, Verdict::CannotTell, "{failure}");

    // What is found only by sending it again is not: half of it would be made.
    wanted.remove("find");
    let calls = cloud.lock().unwrap().calls.len();
    let failure = failed_look(
        &provider,
        &host.call("2", 5),
        HTTP,
        hardly_known(&wanted, &body),
    )
    .await;
    assert_eq!(failure.verdict, Verdict::CannotTell, "{failure}");
    assert_eq!(cloud.lock().unwrap().calls.len(), calls);

    delete(&provider, &host.call("1", 6), HTTP, &seen.made)
        .await
        .unwrap();
    assert!(cloud.lock().unwrap().objects.is_empty());
}

#[tokio::test]
async fn what_cannot_be_found_is_never_said_to_be_absent() {
    let (host, provider, (url, cloud)) = (Host::new(), HttpProvider::default(), serve().await);
    let call = host.call("1", 1);
    let aim = |properties| Aim::new(ActionKind::Create, properties);
    let mut blind = thing(&url);
    blind.remove("find");
    blind.remove("idempotency_header");
    for aim in [aim(Some(&blind)), aim(None)] {
        let failure = failed_look(&provider, &call, HTTP, aim).await;
        assert_eq!(failure.verdict, Verdict::CannotTell, "{failure}");
    }
    // A server that does not heed the tag gives all that it has: none of it is taken for ours.
    let tagged = thing(&url);
    for id in ["1", "2"] {
        let object = json!({"id": id, "tag": "cluster-1"});
        cloud.lock().unwrap().objects.insert(id.to_owned(), object);
    }
    let failure = failed_look(&provider, &call, HTTP, aim(Some(&tagged))).await;
    assert_eq!(failure.verdict, Verdict::CannotTell, "{failure}");
    assert!(failure.message.contains("2 objects"), "{failure}");
    // A login page says nothing about the object.
    cloud.lock().unwrap().refusal = Some((StatusCode::OK, "<html>").into_response());
    let failure = failed_look(&provider, &call, HTTP, aim(Some(&tagged))).await;
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Transient, Verdict::NothingDone)
    );

    let capabilities = &provider.schemas()[0].capabilities;
    assert!(capabilities.looks.holds(&blind) && !capabilities.finds.holds(&blind));
    assert!(capabilities.finds.holds(&tagged) && capabilities.fences.holds(&tagged));
    let neither = values(json!({"url": url, "create": {}}));
    assert!(!capabilities.looks.holds(&neither));
}

#[tokio::test]
async fn a_server_that_asks_to_wait_is_heard() {
    let (host, provider, (url, cloud)) = (Host::new(), HttpProvider::default(), serve().await);
    let call = host.call("1", 1);
    let refused = async |status: StatusCode, wait: Option<&str>| {
        let headers: Vec<_> = wait
            .map(|wait| ("retry-after", wait.to_owned()))
            .into_iter()
            .collect();
        let refusal = (
            status,
            headers
                .first()
                .map(|one| [one.clone()])
                .unwrap_or([("x-none", String::new())]),
            "busy",
        );
        cloud.lock().unwrap().refusal = Some(refusal.into_response());
        create(&provider, &call, HTTP, &thing(&url))
            .await
            .unwrap_err()
    };
    let failure = refused(StatusCode::TOO_MANY_REQUESTS, Some("7")).await;
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Quota, Verdict::NothingDone)
    );
    assert_eq!(failure.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(
        failure.message,
        "create was answered with 429 Too Many Requests: busy"
    );

    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(1800));
    let failure = refused(StatusCode::SERVICE_UNAVAILABLE, Some(&date)).await;
    assert!(failure.retry_after.unwrap() > Duration::from_secs(1700));
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Transient, Verdict::NothingDone)
    );
    // One that may have taken the request says all the same when to come back.
    let failure = refused(StatusCode::BAD_GATEWAY, Some("7")).await;
    assert_eq!(
        (failure.verdict, failure.retry_after),
        (Verdict::Unknown, Some(Duration::from_secs(7)))
    );
    let failure = refused(StatusCode::INTERNAL_SERVER_ERROR, None).await;
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Transient, Verdict::Unknown)
    );
    let failure = refused(StatusCode::UNPROCESSABLE_ENTITY, None).await;
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Permanent, Verdict::NothingDone)
    );
    assert!(cloud.lock().unwrap().objects.is_empty());
}

#[tokio::test]
async fn only_what_was_never_sent_is_known_to_have_no_effect() {
    let (host, provider, (url, cloud)) = (Host::new(), HttpProvider::default(), serve().await);
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let call = host.call("1", 1);
    let failure = create(&provider, &call, HTTP, &thing(&format!("http://{free}")))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.class, &failure.verdict),
        (FailureClass::Transient, &Verdict::NothingDone),
        "{failure}"
    );

    cloud.lock().unwrap().hangs = true;
    let mut hurried = thing(&url);
    hurried.insert("timeout_seconds".to_owned(), json!(0.2));
    let failure = create(&provider, &call, HTTP, &hurried).await.unwrap_err();
    assert_eq!(
        (failure.class, &failure.verdict),
        (FailureClass::Transient, &Verdict::Unknown)
    );
    assert!(failure.message.contains("timed out"), "{failure}");

    call.ctx.cancel.cancel();
    let failure = create(&provider, &call, HTTP, &thing(&url))
        .await
        .unwrap_err();
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Aborted, Verdict::NothingDone)
    );
}

#[tokio::test]
async fn without_an_update_a_change_replaces() {
    let (host, provider, (url, cloud)) = (Host::new(), HttpProvider::default(), serve().await);
    let call = host.call("1", 1);
    let mut fixed = thing(&url);
    fixed.remove("update");
    let made = done(create(&provider, &call, HTTP, &fixed).await);
    let mut other = fixed.clone();
    other["body"]["name"] = json!("db");
    let applied = update(&provider, &call, HTTP, &made, &other).await.unwrap();
    assert!(
        matches!(applied, Applied::NeedsReplace { because } if because[0].to_string() == "body")
    );
    // What is told of it may change without a word to the server.
    let mut told = fixed.clone();
    told["attributes"]["called"] = json!("/name");
    let made = done(update(&provider, &call, HTTP, &made, &told).await);
    assert_eq!(made.attributes["called"], json!("web"));
    let calls = cloud.lock().unwrap().calls.clone();
    assert_eq!(
        calls,
        ["POST /things cluster-1-create-1 1", "GET /things/1 - 1"]
    );
}

#[tokio::test]
async fn it_may_only_read() {
    let (host, provider, (url, cloud)) = (Host::new(), HttpProvider::default(), serve().await);
    let call = host.call("1", 1);
    let page = values(
        json!({"url": format!("{url}/things/1"), "read": {}, "attributes": {"called": "/name"}}),
    );
    let failure = create(&provider, &call, HTTP, &page).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Transient, Verdict::NothingDone)
    );

    cloud
        .lock()
        .unwrap()
        .objects
        .insert("1".to_owned(), json!({"name": "web"}));
    let made = done(create(&provider, &call, HTTP, &page).await);
    assert_eq!(
        (&made.attributes["status"], &made.attributes["called"]),
        (&json!(200), &json!("web"))
    );
    assert_eq!(made.attributes["body"], json!({"name": "web"}));
    assert!(found(read(&provider, &call, HTTP, &made).await).as_aimed);
    assert_eq!(
        delete(&provider, &call, HTTP, &made).await.unwrap(),
        Applied::Deleted
    );
    assert_eq!(cloud.lock().unwrap().objects.len(), 1);

    let neither = provider
        .validate(
            HTTP,
            &values(json!({"url": "http://x", "attributes": {"a": "b"}})),
            &[],
        )
        .await;
    assert_eq!(neither.len(), 2, "{neither:?}");
}

#[tokio::test]
async fn without_its_id_nothing_is_asked_of_the_whole_collection() {
    let (host, provider, (url, cloud)) = (Host::new(), HttpProvider::default(), serve().await);
    let call = host.call("1", 1);
    let made = done(create(&provider, &call, HTTP, &thing(&url)).await);
    for id in ["", ".", ".."] {
        let nameless = anneal_provider::Made {
            physical_id: id.to_owned(),
            ..made.clone()
        };
        let failure = delete(&provider, &call, HTTP, &nameless).await.unwrap_err();
        assert_eq!(failure.verdict, Verdict::NothingDone);
        assert!(failure.message.contains("not known"), "{failure}");
    }
    assert_eq!(cloud.lock().unwrap().calls.len(), 1);
}

#[tokio::test]
async fn a_page_instead_of_the_object_is_no_drift() {
    let (host, provider, (url, cloud)) = (Host::new(), HttpProvider::default(), serve().await);
    let call = host.call("1", 1);
    let made = done(create(&provider, &call, HTTP, &thing(&url)).await);
    cloud.lock().unwrap().refusal = Some((StatusCode::OK, "<html>busy").into_response());
    let request = anneal_provider::ReadRequest {
        type_name: HTTP,
        prior: prior(&made),
        aim: None,
    };
    let failure = provider.read(&call.ctx, request).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Transient, Verdict::NothingDone)
    );
}

#[tokio::test]
async fn an_answer_without_end_and_a_detour_are_no_verdict() {
    let (host, provider, (url, cloud)) = (Host::new(), HttpProvider::default(), serve().await);
    let call = host.call("1", 1);
    let endless = vec![b'x'; 5 * 1024 * 1024];
    cloud.lock().unwrap().late_refusal = Some((StatusCode::CREATED, endless).into_response());
    let failure = create(&provider, &call, HTTP, &thing(&url))
        .await
        .unwrap_err();
    assert_eq!(failure.verdict, Verdict::Unknown);
    assert!(failure.message.contains("longer than"), "{failure}");

    let detour = (StatusCode::FOUND, [("location", "/elsewhere")]).into_response();
    cloud.lock().unwrap().refusal = Some(detour);
    let failure = create(&provider, &call, HTTP, &thing(&url))
        .await
        .unwrap_err();
    assert_eq!(failure.verdict, Verdict::Unknown);
    let calls = cloud.lock().unwrap().calls.len();
    assert_eq!(calls, 2, "it is not followed, and nothing is sent twice");
}
