//! The world is changed behind our back, and matches again by itself.

use std::{fs, path::Path};

use anneal_tests::{Anneal, Cluster, PATIENCE, eventually};
use serde_json::Value;

fn template(dir: &Path) -> String {
    let dir = dir.display();
    format!(
        "heat_template_version: 2021-04-16
resources:
  home:
    type: Anneal::Directory
    properties: {{ path: {dir}/home }}
  page:
    type: Anneal::File
    properties:
      path: {{ list_join: ['/', [{{ get_attr: [home, path] }}, page.txt]] }}
      content: as declared
  note:
    type: Anneal::File
    properties:
      path: {dir}/note
      content: {{ get_attr: [page, digest] }}
"
    )
}

fn create(cluster: &Cluster, flags: &[&str]) -> Anneal {
    fs::write(cluster.dir().join("stack.yaml"), template(cluster.dir())).expect("a template");
    let anneal = cluster.anneal();
    anneal.ok(&[
        &["stack", "create", "kept", "-f", "stack.yaml", "--wait=60s"],
        flags,
    ]
    .concat());
    anneal
}

fn content(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| e.to_string())
}

fn heals(page: &Path) {
    eventually(
        "the page is as declared again",
        PATIENCE,
        || match content(page)? {
            text if text == "as declared" => Ok(()),
            text => Err(text),
        },
    );
}

#[test]
fn a_file_edited_by_hand_is_healed_in_the_background() {
    let cluster = Cluster::start(1, &[]);
    create(&cluster, &["--observe-interval", "500ms"]);
    let page = cluster.dir().join("home/page.txt");
    assert_eq!(content(&page).as_deref(), Ok("as declared"));
    fs::write(&page, "edited by hand").expect("an edit");
    heals(&page);
    fs::remove_file(&page).expect("a removal");
    heals(&page);
}

#[test]
fn what_did_not_drift_writes_nothing_to_the_log() {
    let cluster = Cluster::start(1, &[]);
    let anneal = create(&cluster, &["--observe-interval", "0"]);
    let index = |anneal: &Anneal| {
        anneal.json(&["cluster", "status"]).expect("a status")["last_log_index"].clone()
    };
    let before = index(&anneal);
    let checked = anneal.ok(&["stack", "check", "kept"]);
    assert_eq!(index(&anneal), before, "{}{}", checked.out, checked.err);
}

#[test]
fn drift_that_is_only_to_be_reported_is_told_property_by_property() {
    let cluster = Cluster::start(1, &[]);
    let anneal = create(&cluster, &["--observe-interval", "0", "--drift", "report"]);
    let page = cluster.dir().join("home/page.txt");
    fs::write(&page, "edited by hand").expect("an edit");
    let told = anneal.run(&["stack", "check", "kept"]);
    assert!(
        told.out.contains("page") && told.out.contains("content"),
        "{}{}",
        told.out,
        told.err
    );
    let events = anneal.json(&["stack", "events", "kept"]).expect("events");
    let drifted = events.as_array().into_iter().flatten().any(|e| {
        e["resource"] == "page" && e["kind"].as_str().is_some_and(|k| k.contains("drift"))
    });
    assert!(drifted, "{events}");
    assert_eq!(content(&page).as_deref(), Ok("edited by hand"));
}

#[test]
fn a_killed_process_runs_again_within_the_interval() {
    let cluster = Cluster::start(1, &[]);
    fs::write(
        cluster.dir().join("stack.yaml"),
        "heat_template_version: 2021-04-16
resources:
  sleeper:
    type: Anneal::Process
    properties: { command: [sleep, '100000'], restart: never }
outputs:
  pid: { value: { get_attr: [sleeper, pid] } }
",
    )
    .expect("a template");
    let anneal = cluster.anneal();
    anneal.ok(&[
        "stack",
        "create",
        "kept",
        "-f",
        "stack.yaml",
        "--wait=60s",
        "--observe-interval",
        "500ms",
    ]);
    let pid = |anneal: &Anneal| -> Result<i64, String> {
        let shown = anneal.json(&["resource", "show", "kept", "sleeper"])?;
        shown["attributes"]["pid"]
            .as_i64()
            .ok_or_else(|| shown.to_string())
    };
    let first = pid(&anneal).expect("a pid");
    let process =
        rustix::process::Pid::from_raw(i32::try_from(first).expect("a pid")).expect("a pid");
    rustix::process::kill_process(process, rustix::process::Signal::KILL).expect("it runs");
    let second = eventually("another process runs", PATIENCE, || match pid(&anneal)? {
        second if second != first && Path::new(&format!("/proc/{second}")).exists() => Ok(second),
        same => Err(format!("{same}")),
    });
    anneal.ok(&["stack", "delete", "kept", "--wait=60s"]);
    assert!(
        !Path::new(&format!("/proc/{second}")).exists(),
        "it ends with its resource"
    );
    assert_eq!(anneal.json(&["stack", "list"]), Ok(Value::Array(vec![])));
}
