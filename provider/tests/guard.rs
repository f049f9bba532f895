//! The guard: no command outlives its engine or its lease by more than a second.

mod support;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anneal_provider::{
    BootTime, CommandProvider, Companion, FailureClass, Provider, ReadRequest, Verdict,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use support::{Call, Host, PATIENCE, create, done, found, prior, runs, until, values};

const COMMAND: &str = "Anneal::Command";
/// A frozen or dead engine's command may live so long beyond its lease; the rest is for a loaded machine.
const GRACE: Duration = Duration::from_secs(1);

fn provider() -> CommandProvider {
    CommandProvider::new(Companion {
        program: PathBuf::from(env!("CARGO_BIN_EXE_anneal-companion")),
    })
}

/// A script that writes its own pid and that of a child in its group, and then hangs.
fn hangs(host: &Host) -> String {
    format!(
        "sleep 1000 & echo $! > {}; echo $$ > {}; wait",
        host.path("child"),
        host.path("parent")
    )
}

/// Waits until the hanging script runs, and gives its pids.
async fn hanging(host: &Host) -> [String; 2] {
    let pid = |name: &str| {
        fs::read_to_string(host.path(name))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    until("the script runs", async || !pid("parent").is_empty()).await;
    [pid("child"), pid("parent")]
}

async fn all_end(pids: &[String]) {
    until("every process of the group has ended", async || {
        !pids.iter().any(|pid| runs(pid))
    })
    .await;
}

#[tokio::test]
async fn a_command_that_hangs_is_killed_with_its_group() {
    let (host, provider) = (Host::new(), provider());
    let call = host.call("1", 1);
    let wanted = values(
        json!({"create": format!("echo slow >&2; {}", hangs(&host)), "timeout_seconds": 0.5}),
    );
    let failure = create(&provider, &call, COMMAND, &wanted)
        .await
        .unwrap_err();
    assert_eq!(
        failure.message,
        "`create` timed out after 0.5 seconds and was killed: slow"
    );
    all_end(&hanging(&host).await).await;
}

#[tokio::test]
async fn what_a_finished_command_left_in_its_group_is_ended_but_a_service_stays() {
    let (host, provider) = (Host::new(), provider());
    let script = format!(
        "sleep 1000 & echo $! > {}; setsid sh -c 'echo $$ > {}; exec sleep 1000' & \
         while ! [ -s {} ]; do sleep 0.01; done; echo '{{\"id\": \"x\"}}'",
        host.path("child"),
        host.path("parent"),
        host.path("parent")
    );
    let start = Instant::now();
    done(
        create(
            &provider,
            &host.call("1", 1),
            COMMAND,
            &values(json!({"create": script})),
        )
        .await,
    );
    assert!(
        start.elapsed() < PATIENCE,
        "the open output of what it left behind must not be waited for"
    );
    let [child, service] = hanging(&host).await;
    all_end(&[child]).await;
    assert!(runs(&service));
    kill_process(
        Pid::from_raw(service.parse().unwrap()).unwrap(),
        Signal::KILL,
    )
    .unwrap();
}

#[tokio::test]
async fn a_dropped_call_kills_its_command() {
    let (host, provider) = (Host::new(), provider());
    let call = host.call("1", 1);
    let wanted = values(json!({"create": hangs(&host)}));
    let pids = tokio::select! {
        ended = create(&provider, &call, COMMAND, &wanted) => panic!("it hangs, but {ended:?}"),
        pids = hanging(&host) => pids,
    };
    let start = Instant::now();
    all_end(&pids).await;
    assert!(start.elapsed() < GRACE * 3, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_cancelled_call_kills_its_command_and_is_no_verdict() {
    let (host, provider) = (Host::new(), provider());
    let call = host.call("1", 1);
    let wanted = values(json!({"create": hangs(&host)}));
    let cancel = async {
        let pids = hanging(&host).await;
        call.ctx.cancel.cancel();
        pids
    };
    let (ended, pids) = tokio::join!(create(&provider, &call, COMMAND, &wanted), cancel);
    let failure = ended.unwrap_err();
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Aborted, Verdict::Unknown)
    );
    all_end(&pids).await;
}

#[tokio::test]
async fn a_command_lives_as_long_as_its_lease_grows_and_no_longer() {
    let (host, provider) = (Host::new(), provider());
    let call = host.call("1", 1);
    call.lease
        .send(BootTime::now().after(Duration::from_millis(600)))
        .unwrap();
    let wanted = values(json!({"create": hangs(&host)}));
    let keep = async {
        let pids = hanging(&host).await;
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            call.lease
                .send(BootTime::now().after(Duration::from_millis(600)))
                .unwrap();
        }
        assert!(
            pids.iter().all(|pid| runs(pid)),
            "it must live while the lease grows"
        );
        (pids, Instant::now())
    };
    let (ended, (pids, last_renewal)) =
        tokio::join!(create(&provider, &call, COMMAND, &wanted), keep);
    let failure = ended.unwrap_err();
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Aborted, Verdict::Unknown)
    );
    assert!(
        last_renewal.elapsed() < Duration::from_millis(600) + 2 * GRACE,
        "{:?}",
        last_renewal.elapsed()
    );
    all_end(&pids).await;

    let late = values(json!({"create": format!("touch {}", host.path("late"))}));
    let failure = create(&provider, &call, COMMAND, &late).await.unwrap_err();
    assert_eq!(
        (failure.class, failure.verdict),
        (FailureClass::Aborted, Verdict::NothingDone)
    );
    assert!(!fs::exists(host.path("late")).unwrap());
}

#[tokio::test]
async fn two_engines_of_a_host_never_act_on_one_instance_at_once() {
    let (host, provider) = (Host::new(), provider());
    let (first, second) = (host.call("1", 1), host.call("1", 2));
    let (hung, next) = (
        values(json!({"create": hangs(&host)})),
        values(json!({"create": "true"})),
    );
    let both = async {
        let pids = hanging(&host).await;
        let failure = create(&provider, &second, COMMAND, &next)
            .await
            .unwrap_err();
        assert!(failure.message.contains("another engine"), "{failure}");
        assert_eq!(failure.verdict, Verdict::NothingDone);
        pids
    };
    let pids = tokio::select! {
        ended = create(&provider, &first, COMMAND, &hung) => panic!("it hangs, but {ended:?}"),
        pids = both => pids,
    };
    // The first call is lost, and the second is repeated: the lock is free as soon as the group is gone.
    done(create(&provider, &second, COMMAND, &next).await);
    assert!(!pids.iter().any(|pid| runs(pid)));
}

#[tokio::test]
async fn a_look_that_nobody_was_assigned_disturbs_no_action() {
    let (host, provider) = (Host::new(), provider());
    let (acting, looking) = (host.call("1", 1), host.call("1", 0));
    let wanted = values(json!({"create": hangs(&host), "read": "true"}));
    let made = anneal_provider::Made {
        physical_id: "x".to_owned(),
        ..Default::default()
    };
    let look = async {
        hanging(&host).await;
        let aim = None;
        let prior = anneal_provider::Prior {
            properties: Some(&wanted),
            ..prior(&made)
        };
        provider
            .read(
                &looking.ctx,
                ReadRequest {
                    type_name: COMMAND,
                    prior,
                    aim,
                },
            )
            .await
            .unwrap()
    };
    let seen = tokio::select! {
        ended = create(&provider, &acting, COMMAND, &wanted) => panic!("it hangs, but {ended:?}"),
        seen = look => seen,
    };
    assert!(found(seen).as_aimed);
}

#[tokio::test]
async fn a_call_whose_time_ends_still_hears_how_its_command_ended() {
    let (host, provider) = (Host::new(), provider());
    let mut call = host.call("1", 1);
    call.ctx.not_after = BootTime::now().after(Duration::from_millis(1800));
    let wanted = values(json!({"create": format!("echo slow >&2; {}", hangs(&host))}));
    let failure = create(&provider, &call, COMMAND, &wanted)
        .await
        .unwrap_err();
    assert!(
        matches!(failure.verdict, Verdict::LeftBehind(_)),
        "{failure:?}"
    );
    assert!(
        failure.message.contains("timed out") && failure.message.ends_with("slow"),
        "{failure}"
    );
    assert!(
        !call.ctx.not_after.has_passed(),
        "the engine would not have waited for it"
    );
    all_end(&hanging(&host).await).await;
}
/// An engine of its own, that can be frozen and killed: a shell that holds the guard's pipe open.
struct Engine {
    shell: Child,
}

impl Engine {
    fn start(host: &Host, call: &Call, script: &str) -> Self {
        let order = json!({
            "lock": host.path("host/locks/frozen"), "lease_end": *call.ctx.lease.borrow(),
            "not_after": u64::MAX, "timeout_ms": null, "program": ["sh", "-c", script],
            "environment": [], "working_directory": null,
        });
        let mut shell = Command::new("sh")
            .args(["-c", "(cat; exec sleep 1000) | \"$GUARD\" guard"])
            .env("GUARD", env!("CARGO_BIN_EXE_anneal-companion"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        writeln!(shell.stdin.take().unwrap(), "{order}").unwrap();
        Self { shell }
    }

    /// The processes that hold the pipe, without the guard.
    fn holders(&self) -> Vec<Pid> {
        let children = |pid: u32| {
            let listed =
                fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
            listed
                .split_whitespace()
                .map(|pid| pid.parse::<u32>().unwrap())
                .collect::<Vec<_>>()
        };
        let is_guard = |pid: &u32| {
            fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| line.windows(5).any(|word| word == b"guard"))
        };
        let mut all = vec![self.shell.id()];
        let mut at = 0;
        while at < all.len() {
            all.extend(children(all[at]).iter().filter(|pid| !is_guard(pid)));
            at += 1;
        }
        all.iter()
            .filter_map(|pid| Pid::from_raw(i32::try_from(*pid).ok()?))
            .collect()
    }

    fn signal(&self, signal: Signal) {
        for pid in self.holders() {
            // Fails if it has ended meanwhile.
            let _ = kill_process(pid, signal);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.shell.wait();
    }
}

#[tokio::test]
async fn a_frozen_engines_command_ends_with_the_lease() {
    let host = Host::new();
    let call = host.call("1", 1);
    let lease_end = BootTime::now().after(Duration::from_millis(1500));
    call.lease.send(lease_end).unwrap();
    let engine = Engine::start(&host, &call, &hangs(&host));
    let pids = hanging(&host).await;
    engine.signal(Signal::STOP);
    assert!(pids.iter().all(|pid| runs(pid)));
    all_end(&pids).await;
    assert!(
        lease_end.has_passed(),
        "it must have the whole of its lease"
    );
    assert!(
        !lease_end.after(2 * GRACE).has_passed(),
        "it outlived its lease"
    );
    engine.signal(Signal::CONT);
}

#[tokio::test]
async fn a_killed_engines_command_ends_at_once() {
    let host = Host::new();
    let call = host.call("1", 1);
    let engine = Engine::start(&host, &call, &hangs(&host));
    let pids = hanging(&host).await;
    let start = Instant::now();
    drop(engine);
    all_end(&pids).await;
    assert!(start.elapsed() < 2 * GRACE, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_killed_guards_command_is_ended_by_its_engine_with_all_that_it_started() {
    let (host, provider) = (Host::new(), provider());
    let call = host.call("1", 1);
    let wanted = values(json!({"create": hangs(&host)}));
    let kill = async {
        let pids = hanging(&host).await;
        let stat = fs::read_to_string(format!("/proc/{}/stat", pids[1])).unwrap();
        let guard = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1);
        let guard = Pid::from_raw(guard.unwrap().parse().unwrap()).unwrap();
        kill_process(guard, Signal::KILL).unwrap();
        pids
    };
    let (ended, pids) = tokio::join!(create(&provider, &call, COMMAND, &wanted), kill);
    let failure = ended.unwrap_err();
    assert_eq!(failure.verdict, Verdict::Unknown);
    assert_eq!(failure.message, "the command's guard was killed");
    assert!(!pids.iter().any(|pid| runs(pid)), "both have ended by then");
}

#[tokio::test]
async fn what_can_not_be_run_at_all_was_never_begun() {
    use std::os::unix::fs::PermissionsExt;
    let (host, provider) = (Host::new(), provider());
    // Its interpreter is not there, which is found out no sooner than by running it.
    let script = host.path("script");
    fs::write(&script, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let failure = create(
        &provider,
        &host.call("1", 1),
        COMMAND,
        &values(json!({"create": [script]})),
    )
    .await
    .unwrap_err();
    assert_eq!(
        (failure.class, &failure.verdict),
        (FailureClass::Permanent, &Verdict::NothingDone),
        "{failure}"
    );
    assert!(
        failure.message.starts_with("cannot run") && failure.message.contains("No such file"),
        "{failure}"
    );
    // One that ends with the same code by itself has run.
    let failure = create(
        &provider,
        &host.call("2", 1),
        COMMAND,
        &values(json!({"create": "echo cannot run >&2; exit 126"})),
    )
    .await
    .unwrap_err();
    assert!(matches!(failure.verdict, Verdict::LeftBehind(_)));
}
