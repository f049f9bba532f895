//! Three short chaos runs with fixed seeds: faults of every nature, and nothing lost, made twice or left over.
//! `make chaos` and `make chaos-long` make longer ones.

use std::{fs, path::Path, time::Duration};

use anneal_tests::chaos::{Settings, Stop, run};
use rustix::process::geteuid;
use tokio::sync::Mutex;

/// One run at a time: each is as much as a small machine can take, and is asked what it leaves behind.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// Processes that this one started and that are still there.
fn children() -> Vec<String> {
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").expect("the kernel tells of processes");
    processes
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .filter(|stat| {
            let after_name = stat.rsplit(')').next().unwrap_or_default();
            after_name.split_whitespace().nth(1) == Some(&own)
        })
        .collect()
}

/// Verdicts that need all that ever happened to have been heard, and may accuse without need where history was dropped before
/// anybody heard it: told here, and no failure. `make chaos` fails by them too.
const TOLD_ONLY: [&str; 4] = [
    "local read of the uncommitted: ",
    "watch: ",
    "revisions: ",
    "acknowledged, and no event: ",
];

/// A run of about a minute with each of these faults once, and with those that need root where we have it.
async fn short_run(
    seed: u64,
    (members, learners): (usize, usize),
    faults: &[&str],
    as_root: &[&str],
) {
    let _one = ONE_AT_A_TIME.lock().await;
    let is_root = geteuid().is_root();
    let faults = [faults, if is_root { as_root } else { &[] }].concat();
    let stacks = 8;
    let settings = Settings {
        seed,
        duration: Duration::from_secs(60),
        members,
        learners,
        stacks,
        lease_ms: 2_000,
        partitions: is_root,
        failpoints: faults.iter().any(|word| word.starts_with("die_at_")),
        disks: is_root,
        only: faults.iter().map(|&word| word.to_owned()).collect(),
        careless: false,
        cloud: Path::new(env!("CARGO_BIN_EXE_cloud")).to_owned(),
        keep: None,
        loud: false,
    };
    let kinds = settings.kinds().expect("kinds that there are");
    let report = run(settings, Stop::never())
        .await
        .expect("the harness does its part");
    println!("{report}");
    let firm = |finding: &&String| !TOLD_ONLY.iter().any(|kind| finding.starts_with(kind));
    let guilty: Vec<_> = report.guilty.iter().filter(firm).collect();
    assert!(guilty.is_empty() && report.missing.is_empty(), "{report}");
    for kind in kinds {
        assert!(
            report.faults.contains_key(kind.word()),
            "{kind:?} did not happen\n{report}"
        );
    }
    let all = report.all_operations();
    assert!(all.ok > 20, "hardly any load\n{report}");
    assert!(report.ruling.linear > stacks, "{report}");
    assert_eq!(children(), [""; 0], "processes are left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_frozen_or_fails_nothing_is_lost_and_nothing_is_made_twice() {
    let faults = [
        "kill_leader",
        "kill_follower",
        "kill_quorum",
        "freeze_leader",
        "restart",
        "hand",
        "remove_leader",
    ];
    short_run(11, (3, 0), &faults, &["cut_off_leader", "flap"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_members_and_a_learner_change_roles_and_are_split_and_nothing_is_lost() {
    let faults = [
        "kill_all",
        "kill_learner",
        "freeze_follower",
        "lose_directory",
        "transfer_leader",
        "promote_learner",
        "demote_leader",
    ];
    let as_root = ["leader_in_minority", "leader_without_clients"];
    short_run(12, (5, 1), &faults, &as_root).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it fills and damages disks, and takes long on a slow one; `make chaos POINTS=yes DISKS=yes` does the same"]
async fn members_die_between_two_steps_and_disks_fail_and_nothing_is_lost() {
    let faults = [
        "die_at_log_before_flush",
        "die_at_vote_saved",
        "die_at_apply_mid_group",
        "die_at_checkpoint_named",
        "die_at_install_named",
        "die_at_report_decided",
        "die_at_call_ended",
    ];
    let as_root = [
        "hanging_disk_leader",
        "torn_log",
        "damaged_log",
        "full_disk",
    ];
    short_run(13, (3, 0), &faults, &as_root).await;
}
