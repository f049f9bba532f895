//! A short chaos run with a fixed seed: every kind of fault once, and nothing lost, made twice or left over.
//! `make chaos` makes longer ones.

use std::{fs, path::Path, time::Duration};

use anneal_tests::chaos::{FaultKind, Settings, run};

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

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_frozen_or_fails_nothing_is_lost_and_nothing_is_made_twice() {
    let stacks = 8;
    let settings = Settings {
        seed: 11,
        duration: Duration::from_secs(60),
        members: 3,
        stacks,
        lease_ms: 2_000,
        partitions: false,
        careless: false,
        cloud: Path::new(env!("CARGO_BIN_EXE_cloud")).to_owned(),
        keep: None,
        loud: false,
    };
    let report = run(settings).await.expect("the harness does its part");
    println!("{report}");
    assert!(report.is_pass(), "{report}");
    for kind in FaultKind::ALL {
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
