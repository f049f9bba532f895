//! Processes that outlive their engine and end with their resource. All tests share one host's process table,
//! where an instance's processes are known by its name, so no two tests have instances of the same name.

mod support;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anneal_provider::{
    ActionKind, Aim, Applied, BootTime, Companion, FailureClass, Made, Observed, ProcessProvider,
    Provider, Verdict,
};
use axum::http::StatusCode;
use axum::{Router, routing::get};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use support::{
    Call, Host, create, delete, done, found, look, read, runs, told, until, update, values,
};

const PROCESS: &str = "Anneal::Process";

fn provider() -> ProcessProvider {
    ProcessProvider::new(Companion {
        program: PathBuf::from(env!("CARGO_BIN_EXE_anneal-companion")),
    })
}

fn pid(made: &Made) -> String {
    made.attributes["pid"].to_string()
}

fn kill(pid: &str) {
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::KILL).unwrap();
}

/// Takes a process down whatever became of the test.
struct TakenDown<'a> {
    host: &'a Host,
}

impl Drop for TakenDown<'_> {
    fn drop(&mut self) {
        let Ok(records) = fs::read_dir(self.host.path("host/processes")) else {
            return;
        };
        for record in records.flatten() {
            let state = fs::read_to_string(record.path().join("state.json")).unwrap_or_default();
            let state: serde_json::Value = serde_json::from_str(&state).unwrap_or_default();
            for process in ["supervisor", "process"] {
                let pid = state[process]["pid"]
                    .as_i64()
                    .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
                if let Some(pid) = pid {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
        }
    }
}

#[tokio::test]
async fn a_process_runs_until_its_resource_is_deleted() {
    let (host, provider) = (Host::new(), provider());
    let _taken_down = TakenDown { host: &host };
    let call = host.call("lives-1", 1);
    let wanted = values(json!({"command": ["sleep", "1000"]}));
    let made = done(create(&provider, &call, PROCESS, &wanted).await);
    assert!(runs(&pid(&made)));
    assert!(
        made.attributes["started_at"]
            .as_str()
            .unwrap()
            .ends_with('Z'),
        "{:?}",
        made.attributes
    );
    assert!(found(read(&provider, &call, PROCESS, &made).await).as_aimed);

    // Its supervisor is nobody's child, so no end of this process ends it.
    let state = fs::read_to_string(record(&host).join("state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    let supervisor =
        fs::read_to_string(format!("/proc/{}/stat", state["supervisor"]["pid"])).unwrap();
    let parent = supervisor
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .nth(1)
        .unwrap()
        .to_owned();
    assert_ne!(parent, std::process::id().to_string());

    // An engine that knows nothing any more finds it by its mark, and does not start it twice.
    let aim = Aim::new(ActionKind::Create, Some(&wanted));
    let seen = found(look(&provider, &host.call("lives-1", 2), PROCESS, aim).await);
    assert_eq!((seen.as_aimed, &seen.made), (true, &made));
    assert_eq!(
        pid(&done(
            create(&provider, &host.call("lives-1", 3), PROCESS, &wanted).await
        )),
        pid(&made)
    );
    assert_eq!(
        look(&provider, &host.call("lives-2", 4), PROCESS, aim).await,
        Observed::absent()
    );

    assert_eq!(
        delete(&provider, &call, PROCESS, &made).await.unwrap(),
        Applied::Deleted
    );
    assert!(!runs(&pid(&made)));
    assert_eq!(
        delete(&provider, &call, PROCESS, &made).await.unwrap(),
        Applied::Gone
    );
    assert_eq!(
        fs::read_dir(host.path("host/processes")).unwrap().count(),
        0
    );
}

fn record(host: &Host) -> PathBuf {
    fs::read_dir(host.path("host/processes"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path()
}

#[tokio::test]
async fn a_killed_process_has_vanished_unless_it_is_to_be_restarted() {
    let (host, provider) = (Host::new(), provider());
    let _taken_down = TakenDown { host: &host };
    let call = host.call("vanishes-1", 1);
    let made = done(
        create(
            &provider,
            &call,
            PROCESS,
            &values(json!({"command": "exec sleep 1000"})),
        )
        .await,
    );
    kill(&pid(&made));
    let vanished = async || {
        matches!(
            read(&provider, &call, PROCESS, &made).await,
            Observed::Absent { .. }
        )
    };
    until("the process has vanished", vanished).await;
    let Observed::Absent { because } = read(&provider, &call, PROCESS, &made).await else {
        unreachable!()
    };
    assert_eq!(
        because,
        Some(format!("process {} was killed by signal 9", pid(&made)))
    );
    let other = values(json!({"command": ["sleep", "1001"]}));
    assert_eq!(
        update(&provider, &call, PROCESS, &made, &other)
            .await
            .unwrap(),
        Applied::Gone
    );

    let lasting = values(json!({"command": "exec sleep 1000", "restart": "on_failure"}));
    let call = host.call("vanishes-2", 2);
    let made = done(create(&provider, &call, PROCESS, &lasting).await);
    kill(&pid(&made));
    let restarted = async || {
        let Observed::Present(seen) = read(&provider, &call, PROCESS, &made).await else {
            panic!("it must stay")
        };
        told(&seen).iter().any(|one| {
            one.starts_with(&format!("pid: {} is ", pid(&made))) && !one.ends_with("null")
        })
    };
    until("its supervisor has started it again", restarted).await;
    let healed = done(update(&provider, &call, PROCESS, &made, &lasting).await);
    assert!(runs(&pid(&healed)) && pid(&healed) != pid(&made));
    assert!(found(read(&provider, &call, PROCESS, &healed).await).as_aimed);
    assert_eq!(
        delete(&provider, &call, PROCESS, &healed).await.unwrap(),
        Applied::Deleted
    );
}

#[tokio::test]
async fn a_change_of_what_runs_starts_it_again_and_nothing_else_does() {
    let (host, provider) = (Host::new(), provider());
    let _taken_down = TakenDown { host: &host };
    let call = host.call("changes-1", 1);
    let script = format!("echo $GREETING > {}; exec sleep 1000", host.path("out"));
    let wanted = |greeting: &str, stop: f64| {
        values(
            json!({"command": script, "environment": {"GREETING": greeting}, "stop_timeout_seconds": stop}),
        )
    };
    let made = done(create(&provider, &call, PROCESS, &wanted("hello", 1.0)).await);
    let same = done(update(&provider, &call, PROCESS, &made, &wanted("hello", 2.0)).await);
    assert_eq!(
        (pid(&same), &same.physical_id),
        (pid(&made), &made.physical_id)
    );
    let changed = done(update(&provider, &call, PROCESS, &same, &wanted("bye", 2.0)).await);
    assert_ne!(pid(&changed), pid(&made));
    assert!(!runs(&pid(&made)));
    assert_eq!(fs::read_to_string(host.path("out")).unwrap(), "bye\n");

    // What a lost update aimed at is seen not to be there.
    let newer = wanted("again", 2.0);
    let aim = Aim::new(ActionKind::Update, Some(&newer));
    let seen = found(look(&provider, &host.call("changes-1", 2), PROCESS, aim).await);
    assert_eq!(
        told(&seen),
        ["command: \"as told\" is \"another, or with another environment\""]
    );
    assert_eq!(
        delete(&provider, &call, PROCESS, &changed).await.unwrap(),
        Applied::Deleted
    );
}

#[tokio::test]
async fn one_that_ends_at_once_is_told_with_what_it_printed_and_leaves_nothing() {
    let (host, provider) = (Host::new(), provider());
    let _taken_down = TakenDown { host: &host };
    let failing = values(json!({"command": "echo address already in use >&2; exit 3"}));
    let failure = create(&provider, &host.call("ends-1", 1), PROCESS, &failing)
        .await
        .unwrap_err();
    assert!(
        failure
            .message
            .ends_with("ended with exit code 3: address already in use"),
        "{failure}"
    );
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Transient, Verdict::NothingDone)
    );
    let none = values(json!({"command": ["/no/such/program"]}));
    let failure = create(&provider, &host.call("ends-2", 1), PROCESS, &none)
        .await
        .unwrap_err();
    assert!(failure.message.contains("/no/such/program"), "{failure}");
}

#[tokio::test]
async fn it_is_made_when_its_health_says_so() {
    let (host, provider) = (Host::new(), provider());
    let _taken_down = TakenDown { host: &host };
    let healthy = Arc::new(AtomicBool::new(false));
    let answer = Arc::clone(&healthy);
    let site = Router::new().route(
        "/health",
        get(async move || {
            if answer.load(Ordering::SeqCst) {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async { axum::serve(listener, site).await });
    let url = format!("http://127.0.0.1:{port}/health");
    let health =
        |health: serde_json::Value| values(json!({"command": ["sleep", "1000"], "health": health}));

    let call = host.call("health-1", 1);
    let wanted = health(json!({"http": url, "timeout_seconds": 0.6}));
    let failure = create(&provider, &call, PROCESS, &wanted)
        .await
        .unwrap_err();
    assert!(
        failure
            .message
            .starts_with("not healthy within 0.6 seconds: http://"),
        "{failure}"
    );
    assert!(failure.message.contains("503"), "{failure}");
    assert_eq!(failure.verdict, Verdict::NothingDone);
    assert!(matches!(
        read(&provider, &call, PROCESS, &Made::default()).await,
        Observed::Absent { .. }
    ));

    healthy.store(true, Ordering::SeqCst);
    let made = done(create(&provider, &call, PROCESS, &wanted).await);
    assert!(found(read(&provider, &call, PROCESS, &made).await).as_aimed);
    healthy.store(false, Ordering::SeqCst);
    let seen = found(read(&provider, &call, PROCESS, &made).await);
    assert!(
        told(&seen)[0].starts_with("health: \"healthy\" is "),
        "{:?}",
        told(&seen)
    );
    assert_eq!(
        delete(&provider, &call, PROCESS, &made).await.unwrap(),
        Applied::Deleted
    );

    for probe in [
        json!({"tcp": port}),
        json!({"tcp": format!("localhost:{port}")}),
        json!({"command": "true"}),
    ] {
        let call = host.call("health-2", 1);
        let made = done(create(&provider, &call, PROCESS, &health(probe)).await);
        assert_eq!(
            delete(&provider, &call, PROCESS, &made).await.unwrap(),
            Applied::Deleted
        );
    }
    server.abort();
    let wrong = provider
        .validate(PROCESS, &health(json!({"tcp": 1, "http": "x"})), &[])
        .await;
    assert_eq!(
        wrong[0].message,
        "exactly one of tcp, http and command is needed"
    );
}

#[tokio::test]
async fn one_that_does_not_want_to_end_is_killed_with_its_group() {
    let (host, provider) = (Host::new(), provider());
    let _taken_down = TakenDown { host: &host };
    let call = host.call("stubborn-1", 1);
    let script = format!(
        "trap '' TERM; (trap '' TERM; echo $$ > {}; sleep 1000) & wait; wait",
        host.path("child")
    );
    let stubborn = values(json!({"command": script, "stop_timeout_seconds": 0.2}));
    let made = done(create(&provider, &call, PROCESS, &stubborn).await);
    let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", pid(&made))).unwrap();
    assert_eq!(
        delete(&provider, &call, PROCESS, &made).await.unwrap(),
        Applied::Deleted
    );
    for pid in children.split_whitespace().chain([pid(&made).as_str()]) {
        assert!(!runs(pid), "{pid}");
    }
}

#[tokio::test]
async fn a_killed_supervisor_takes_its_process_along() {
    let (host, provider) = (Host::new(), provider());
    let _taken_down = TakenDown { host: &host };
    let call = host.call("orphan-1", 1);
    let wanted = values(json!({"command": ["sleep", "1000"], "restart": "always"}));
    let made = done(create(&provider, &call, PROCESS, &wanted).await);
    let state = fs::read_to_string(record(&host).join("state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    kill(&state["supervisor"]["pid"].to_string());
    until("the process has ended too", async || !runs(&pid(&made))).await;
    assert!(matches!(
        read(&provider, &call, PROCESS, &made).await,
        Observed::Absent { .. }
    ));
}

#[tokio::test]
async fn nothing_is_started_after_the_lease() {
    let (host, provider) = (Host::new(), provider());
    let call: Call = host.call("late-1", 1);
    call.lease.send(BootTime::now()).unwrap();
    let wanted = values(json!({"command": ["sleep", "1000"]}));
    let failure = create(&provider, &call, PROCESS, &wanted)
        .await
        .unwrap_err();
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Aborted, Verdict::NothingDone)
    );

    // One whose lease ends while it waits for its health is no verdict, and is found afterwards.
    let _taken_down = TakenDown { host: &host };
    call.lease
        .send(BootTime::now().after(Duration::from_millis(1500)))
        .unwrap();
    let waiting = values(json!({"command": ["sleep", "1000"], "health": {"command": "false"}}));
    let failure = create(&provider, &call, PROCESS, &waiting)
        .await
        .unwrap_err();
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Aborted, Verdict::Unknown)
    );
    let next = host.call("late-1", 2);
    let aim = Aim::new(ActionKind::Create, Some(&waiting));
    let seen = found(look(&provider, &next, PROCESS, aim).await);
    assert!(!seen.as_aimed, "{:?}", told(&seen));
    assert_eq!(
        delete(&provider, &next, PROCESS, &seen.made).await.unwrap(),
        Applied::Deleted
    );
    assert!(!runs(&pid(&seen.made)));
}

#[tokio::test]
async fn what_a_killed_supervisor_left_behind_is_ended_before_it_is_started_again() {
    let (host, provider) = (Host::new(), provider());
    let _taken_down = TakenDown { host: &host };
    let call = host.call("strays-1", 1);
    let script = format!(
        "setsid sh -c 'echo $$ > {}; exec sleep 1000' & exec sleep 1000",
        host.path("stray")
    );
    let wanted = values(json!({"command": script}));
    let made = done(create(&provider, &call, PROCESS, &wanted).await);
    let stray = || {
        let pid = fs::read_to_string(host.path("stray")).unwrap_or_default();
        pid.trim().to_owned()
    };
    until("the stray runs", async || !stray().is_empty()).await;
    let left = stray();
    let state = fs::read_to_string(record(&host).join("state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    kill(&state["supervisor"]["pid"].to_string());
    until("the process has ended too", async || !runs(&pid(&made))).await;
    assert!(runs(&left));

    let seen = found(read(&provider, &call, PROCESS, &made).await);
    assert_eq!(told(&seen), ["supervisor: \"alive\" is \"killed\""]);
    fs::remove_file(host.path("stray")).unwrap();
    let healed = done(update(&provider, &call, PROCESS, &made, &wanted).await);
    assert!(!runs(&left) && runs(&pid(&healed)));
    until("the new stray runs", async || !stray().is_empty()).await;
    let left = stray();
    assert_eq!(
        delete(&provider, &call, PROCESS, &healed).await.unwrap(),
        Applied::Deleted
    );
    assert!(!runs(&left) && !runs(&pid(&healed)));
}

#[tokio::test]
async fn a_health_command_that_hangs_does_not_take_longer_than_the_process_has() {
    let (host, provider) = (Host::new(), provider());
    let _taken_down = TakenDown { host: &host };
    let health = json!({"command": "sleep 1000", "timeout_seconds": 0.5});
    let wanted = values(json!({"command": ["sleep", "1000"], "health": health}));
    let began = std::time::Instant::now();
    let failure = create(&provider, &host.call("hangs-1", 1), PROCESS, &wanted)
        .await
        .unwrap_err();
    assert!(
        failure
            .message
            .starts_with("not healthy within 0.5 seconds: no answer"),
        "{failure}"
    );
    assert!(
        began.elapsed() < Duration::from_secs(4),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(failure.verdict, Verdict::NothingDone);
}
