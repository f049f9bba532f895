//! New declarations at any moment: patches beside running work, two clients at once, a change in mid-action.

use std::{fs, thread};

use anneal_tests::{Cluster, Objects, PATIENCE, eventually};
use serde_json::Value;

fn start() -> (Cluster, Objects) {
    let cluster = Cluster::start(1, &[]);
    let objects = Objects::below(cluster.dir());
    (cluster, objects)
}

fn write(cluster: &Cluster, name: &str, text: &str) {
    fs::write(cluster.dir().join(name), text).expect("a file in the cluster's directory");
}

#[test]
fn a_patch_leaves_running_work_alone_and_the_stored_template_is_the_patched_whole() {
    let (cluster, objects) = start();
    let anneal = cluster.anneal();
    write(&cluster, "stack.yaml", &objects.template(1, 6, 1.0));
    anneal.ok(&["stack", "create", "work", "-f", "stack.yaml"]);
    write(
        &cluster,
        "patch.yaml",
        "resources:\n  extra:\n    type: OS::Heat::Value\n    properties: { value: 7 }\nremove: [o0_5]\noutputs:\n  extra: { value: { get_attr: [extra, value] } }\n",
    );
    anneal.ok(&["stack", "patch", "work", "-f", "patch.yaml", "--wait=60s"]);
    assert_eq!(objects.present(), ["o0_0", "o0_1", "o0_2", "o0_3", "o0_4"]);
    assert!(
        objects
            .times_made()
            .iter()
            .filter(|(name, _)| *name != "o0_5")
            .all(|(_, &times)| times == 1)
    );
    let template = anneal.ok(&["stack", "show", "work", "--template"]).out;
    assert!(
        template.contains("extra:") && template.contains("o0_4:") && !template.contains("o0_5:"),
        "{template}"
    );
    write(&cluster, "shown.yaml", &template);
    let again = anneal.ok(&["stack", "update", "work", "-f", "shown.yaml", "--wait=60s"]);
    let revision = anneal.json(&["stack", "show", "work"]).expect("a stack")["revision"].clone();
    assert_eq!(
        revision, 2,
        "what is shown is what is stored: {}",
        again.out
    );
    assert_eq!(
        anneal
            .json(&["stack", "outputs", "work"])
            .map(|o| o.to_string().contains('7')),
        Ok(true)
    );
}

#[test]
fn two_clients_update_at_once_and_both_are_taken_in_order() {
    let (cluster, _) = start();
    let value = |n: usize| {
        format!(
            "heat_template_version: 2021-04-16\nresources:\n  v:\n    type: OS::Heat::Value\n    properties: {{ value: {n} }}\n"
        )
    };
    let anneal = cluster.anneal();
    write(&cluster, "0.yaml", &value(0));
    anneal.ok(&["stack", "create", "race", "-f", "0.yaml", "--wait=60s"]);
    let clients: Vec<_> = (1..=4)
        .map(|n| {
            let file = format!("{n}.yaml");
            write(&cluster, &file, &value(n));
            let anneal = anneal.clone();
            thread::spawn(move || anneal.run(&["stack", "update", "race", "-f", &file]).code)
        })
        .collect();
    let codes: Vec<_> = clients
        .into_iter()
        .map(|client| client.join().expect("a client"))
        .collect();
    assert_eq!(codes, [0; 4]);
    let stack = eventually("the last one is met", PATIENCE, || {
        let stack = anneal.json(&["stack", "show", "race"])?;
        if stack["status"] == "converged" {
            Ok(stack)
        } else {
            Err(stack.to_string())
        }
    });
    assert_eq!(stack["revision"], 5);

    let refused = anneal.run(&[
        "stack",
        "update",
        "race",
        "-f",
        "0.yaml",
        "--base-revision",
        "2",
    ]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.err.contains('5'),
        "it names the revision that won: {}",
        refused.err
    );
}

#[test]
fn a_failed_command_is_told_in_the_providers_words_and_a_new_revision_mends_it() {
    let (cluster, _) = start();
    let anneal = cluster.anneal();
    let command = |command: &str| {
        format!(
            "heat_template_version: 2021-04-16\nresources:\n  c:\n    type: Anneal::Command\n    properties:\n      create: {command}\n      read: 'true'\n"
        )
    };
    write(
        &cluster,
        "bad.yaml",
        &command("echo the disk of the moon is full >&2; exit 7"),
    );
    let failed = anneal.run(&["stack", "create", "told", "-f", "bad.yaml", "--wait=60s"]);
    assert_eq!(failed.code, 3, "{}{}", failed.out, failed.err);
    let shown = anneal
        .json(&["resource", "show", "told", "c"])
        .expect("a resource");
    let reason = shown["reason"].as_str().unwrap_or_default();
    assert!(
        reason.contains("the disk of the moon is full") && reason.contains('7'),
        "{shown}"
    );
    assert_eq!(shown["phase"], "failed");
    write(&cluster, "good.yaml", &command("'true'"));
    anneal.ok(&["stack", "update", "told", "-f", "good.yaml", "--wait=60s"]);
}

#[test]
fn pause_starts_nothing_new_and_resume_goes_on() {
    let (cluster, objects) = start();
    let anneal = cluster.anneal();
    write(&cluster, "stack.yaml", &objects.template(3, 2, 0.4));
    anneal.ok(&["stack", "create", "work", "-f", "stack.yaml"]);
    anneal.ok(&["stack", "pause", "work"]);
    eventually("what runs has finished", PATIENCE, || {
        let stack = anneal.json(&["stack", "show", "work"])?;
        if stack["counts"]["in_flight"] == 0 && stack["status"] == "paused" {
            Ok(())
        } else {
            Err(stack.to_string())
        }
    });
    let made = objects.present().len();
    assert!(made < 6, "a pause came too late to show anything: {made}");
    anneal.ok(&["stack", "resume", "work", "--wait=60s"]);
    assert_eq!(objects.present().len(), 6);
}

#[test]
fn a_rolled_back_stack_is_as_it_was_when_it_last_settled() {
    let (cluster, objects) = start();
    let anneal = cluster.anneal();
    write(&cluster, "one.yaml", &objects.template(1, 2, 0.0));
    anneal.ok(&[
        "stack",
        "create",
        "work",
        "-f",
        "one.yaml",
        "--wait=60s",
        "--on-failure",
        "rollback",
    ]);
    let bad = objects.template(1, 3, 0.0)
        + "  bad:\n    type: Anneal::Command\n    depends_on: o0_2\n    properties: { create: exit 1, read: exit 1 }\n";
    write(&cluster, "two.yaml", &bad);
    let ended = anneal.run(&["stack", "update", "work", "-f", "two.yaml", "--wait=90s"]);
    let stack = eventually("the stack is back", PATIENCE, || {
        let stack = anneal.json(&["stack", "show", "work"])?;
        if stack["status"] == "converged" {
            Ok(stack)
        } else {
            Err(stack.to_string())
        }
    });
    assert!(
        stack["revision"].as_u64() >= Some(3),
        "{stack} after exit {}",
        ended.code
    );
    assert_eq!(objects.present(), ["o0_0", "o0_1"]);
    let names: Vec<_> = match anneal.json(&["stack", "resources", "work"]) {
        Ok(Value::Array(all)) => all
            .iter()
            .map(|r| r["name"].as_str().unwrap_or("").to_owned())
            .collect(),
        other => panic!("{other:?}"),
    };
    assert_eq!(names, ["o0_0", "o0_1"]);
}
