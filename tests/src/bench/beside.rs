//! The same graphs with Terraform or OpenTofu (`terraform_data`), if one of them is installed.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use clap::Args;
use tempfile::TempDir;

use super::{
    ground::{Ground, at_least_one},
    markdown::{figure, head, row},
    operation::STACK,
    shape::{Change, Shape},
};

/// Between two looks at whether the peer has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What is to be measured.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Resources of the stacks
    #[arg(long, value_delimiter = ',', default_value = "1000,5000", value_parser = at_least_one())]
    sizes: Vec<usize>,
    /// Shapes of the stacks
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "flat,layers,tree"
    )]
    shapes: Vec<Shape>,
    /// Members of the cluster
    #[arg(long, default_value_t = 3)]
    members: usize,
    /// Give up on one measurement after this many seconds
    #[arg(long, default_value_t = 900)]
    patience: u64,
}

/// Seconds of each operation, in their order; empty where there is none, with the reason.
type Side = (Vec<f64>, Option<String>);

const OPERATIONS: [&str; 4] = ["create", "update of 1", "unchanged update", "delete"];

/// Prints both and their ratio.
///
/// # Errors
/// What did not come to an end on our side, in words.
pub fn run(flags: &Flags) -> Result<(), String> {
    let peer = peer();
    println!(
        "{}",
        head(&[
            "shape",
            "resources",
            "operation",
            "anneal s",
            &format!("{} s", peer.unwrap_or("peer")),
            "ratio"
        ])
    );
    let mut reasons = Vec::new();
    for &shape in &flags.shapes {
        for &size in &flags.sizes {
            let ours = ours(flags, shape, size)?;
            let (theirs, reason) = match peer {
                Some(program) => theirs(program, shape, size, Duration::from_secs(flags.patience)),
                None => (
                    Vec::new(),
                    Some("neither `terraform` nor `tofu` is installed".to_owned()),
                ),
            };
            for (at, (operation, ours)) in OPERATIONS.iter().zip(&ours).enumerate() {
                let theirs = theirs.get(at).copied();
                println!(
                    "{}",
                    row(&[
                        shape.name().to_owned(),
                        size.to_string(),
                        (*operation).to_owned(),
                        format!("{ours:.2}"),
                        figure(theirs, 2),
                        figure(theirs.map(|theirs| theirs / ours), 1),
                    ])
                );
            }
            reasons.extend(reason);
        }
    }
    reasons.dedup();
    for reason in reasons {
        println!("\n{reason}");
    }
    Ok(())
}

fn peer() -> Option<&'static str> {
    ["terraform", "tofu"].into_iter().find(|program| {
        let mut asked = Command::new(program);
        asked
            .arg("version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        asked.status().is_ok_and(|status| status.success())
    })
}

fn ours(flags: &Flags, shape: Shape, size: usize) -> Result<Vec<f64>, String> {
    let ground = Ground::of(flags.members, flags.patience)?;
    ground.put("bench.json", &shape.template(size, Change::Nothing))?;
    ground.put("changed.json", &shape.template(size, Change::One))?;
    let mut seconds = Vec::new();
    for args in [
        &["stack", "create", STACK, "-f", "bench.json"][..],
        &["stack", "update", STACK, "-f", "changed.json"],
        &["stack", "update", STACK, "-f", "changed.json"],
        &["stack", "delete", STACK],
    ] {
        seconds.push(ground.timed_to_end(args)?.as_secs_f64());
    }
    Ok(seconds)
}

fn theirs(program: &str, shape: Shape, size: usize, patience: Duration) -> Side {
    let mut seconds = Vec::new();
    let mut measure = || -> Result<(), String> {
        let dir = TempDir::with_prefix("anneal-beside-").map_err(|error| error.to_string())?;
        let put = |change| {
            let path = dir.path().join("main.tf.json");
            fs::write(&path, configuration(shape, size, change)).map_err(|error| error.to_string())
        };
        put(Change::Nothing)?;
        call(program, dir.path(), &["init", "-input=false"], patience)?;
        let apply = ["apply", "-auto-approve", "-input=false"];
        seconds.push(call(program, dir.path(), &apply, patience)?);
        put(Change::One)?;
        seconds.push(call(program, dir.path(), &apply, patience)?);
        seconds.push(call(program, dir.path(), &apply, patience)?);
        seconds.push(call(
            program,
            dir.path(),
            &["destroy", "-auto-approve", "-input=false"],
            patience,
        )?);
        Ok(())
    };
    let reason = measure()
        .err()
        .map(|why| format!("{} of {size}: {why}", shape.name()));
    (seconds, reason)
}

/// Runs it to its end, or kills it when the patience is used up; seconds.
fn call(program: &str, dir: &Path, args: &[&str], patience: Duration) -> Result<f64, String> {
    let what = format!("{program} {}", args[0]);
    let began = Instant::now();
    let mut child = Command::new(program)
        .args(args)
        .arg("-no-color")
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{what}: {error}"))?;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(began.elapsed().as_secs_f64()),
            Ok(Some(status)) => return Err(format!("{what}: {status}")),
            Ok(None) if began.elapsed() <= patience && !super::ground::is_interrupted() => {
                thread::park_timeout(LOOK_EVERY);
            }
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("{what}: not within {} s", patience.as_secs()));
            }
        }
    }
}

/// The graph as Terraform's JSON.
fn configuration(shape: Shape, size: usize, change: Change) -> String {
    let mut text = String::from("{\"resource\": {\"terraform_data\": {");
    for (n, edges) in shape.edges(size).enumerate() {
        let comma = if n == 0 { "" } else { ", " };
        let value = u8::from(change.touches(n, size));
        let above: Vec<_> = edges
            .iter()
            .map(|edge| format!("\"terraform_data.r{edge}\""))
            .collect();
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "{comma}\"r{n}\": {{\"input\": {value}, \"depends_on\": [{}]}}",
            above.join(", ")
        );
    }
    text + "}}}"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peer_gets_the_same_graph() {
        let text = configuration(Shape::Tree, 100, Change::One);
        let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let resources = &read["resource"]["terraform_data"];
        assert_eq!(resources["r5"]["depends_on"][0], "terraform_data.r2");
        assert_eq!(
            (&resources["r99"]["input"], &resources["r98"]["input"]),
            (&1.into(), &0.into())
        );
    }
}
