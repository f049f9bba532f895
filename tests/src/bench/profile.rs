//! Where the CPU time of a create goes, by stage: what `perf` samples of all members, each sample put down to the innermost
//! function that tells its stage.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use super::{
    ground::{Ground, Members, at_least_one},
    markdown::{head, row},
    operation::STACK,
    shape::{Change, Shape},
    usage::Usage,
};

/// What is to be measured.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Resources of the stack
    #[arg(long, default_value_t = 100_000, value_parser = at_least_one())]
    resources: usize,
    /// Its shape
    #[arg(long, value_enum, default_value = "flat")]
    shape: Shape,
    /// Samples a second of each busy thread
    #[arg(long, default_value_t = 99)]
    frequency: u32,
    #[command(flatten)]
    members: Members,
}

/// Threads that do one thing only.
const THREADS: [(&str, &str); 4] = [
    ("log-writer", "sync: the log's thread"),
    ("row-writer", "rows into the memtable"),
    ("rocksdb:", "flushes and compactions"),
    ("jemalloc_bg", "memory given back"),
];

/// What a function's name holds, and its stage. The first one counts.
const FUNCTIONS: [(&str, &str); 22] = [
    ("codec::command::decode", "apply: decode"),
    ("codec::row::encode", "apply: encode rows"),
    ("codec::event::encode", "apply: encode rows"),
    ("anneal_statemachine::apply", "apply: rules"),
    ("anneal_statemachine::rules", "apply: rules"),
    ("anneal_statemachine::turn", "apply: rules"),
    ("StateMachine>::apply", "apply: rules"),
    ("replica::machine::decode", "apply: decode"),
    ("replica::machine::Shared::apply", "apply: the rest"),
    ("anneal_node::execute", "execute"),
    ("dispatch::reports", "report"),
    ("anneal_node::lease", "report"),
    ("anneal_node::dispatch", "dispatch"),
    ("anneal_node::observe", "dispatch"),
    ("codec::command::encode", "propose"),
    ("anneal_node::submit::propose", "propose"),
    ("anneal_template::", "compile"),
    ("anneal_node::submit", "compile"),
    ("anneal_node::service", "client's requests"),
    ("anneal_node::network", "replicate"),
    ("openraft::", "Raft's core"),
    ("tokio::", "runtime"),
];

const OTHER: &str = "other";

/// Prints the table.
///
/// # Errors
/// What did not come to an end, in words; that `perf` is not there.
pub fn run(flags: &Flags) -> Result<(), String> {
    let ground = Ground::start(&flags.members)?;
    ground.put(
        "bench.json",
        &flags.shape.template(flags.resources, Change::Nothing),
    )?;
    let data = ground.dir().join("perf.data");
    let mut perf = record(&ground, flags.frequency, &data)?;
    let before = Usage::of(&ground)?;
    let took = ground.timed_to_end(&["stack", "create", STACK, "-f", "bench.json"]);
    let after = Usage::of(&ground)?;
    stop(&mut perf)?;
    let seconds = took?.as_secs_f64();
    let stages = samples(&data)?;
    let all: u64 = stages.values().sum();
    let cpu = after.cpu_total_seconds() - before.cpu_total_seconds();
    let each_us = cpu * 1e6 / flags.resources as f64;
    println!(
        "{} of {}, {} members: converged after {seconds:.1} s, {each_us:.1} µs of CPU time for each resource, {all} samples\n",
        flags.shape.name(),
        flags.resources,
        flags.members.count(),
    );
    println!("{}", head(&["stage", "%", "µs for each resource"]));
    let mut stages: Vec<_> = stages.into_iter().collect();
    stages.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (stage, count) in stages {
        let part = count as f64 / all.max(1) as f64;
        println!(
            "{}",
            row(&[
                stage.to_owned(),
                format!("{:.1}", part * 100.0),
                format!("{:.2}", part * each_us),
            ])
        );
    }
    Ok(())
}

fn record(ground: &Ground, frequency: u32, data: &Path) -> Result<Child, String> {
    let pids: Vec<String> = ground
        .cluster
        .members
        .iter()
        .map(|member| member.pid().to_string())
        .collect();
    Command::new("perf")
        .args(["record", "-q", "--call-graph", "dwarf,8192", "-F"])
        .arg(frequency.to_string())
        .args(["-p", &pids.join(","), "-o"])
        .arg(data)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("perf does not start (package linux-perf on Debian): {error}"))
}

/// It writes what it has when it is interrupted.
fn stop(perf: &mut Child) -> Result<(), String> {
    let pid = i32::try_from(perf.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or("perf has no process id")?;
    kill_process(pid, Signal::INT).map_err(|error| format!("perf has ended before: {error}"))?;
    let ended = perf.wait().map_err(|error| error.to_string())?;
    // Interrupted is how it ends if all went well.
    match ended.code() {
        Some(code) if code != 0 && code != 130 => Err(format!("perf record ended with {code}")),
        _ => Ok(()),
    }
}

/// How many samples each stage has.
fn samples(data: &Path) -> Result<BTreeMap<&'static str, u64>, String> {
    let mut script = Command::new("perf")
        .args(["script", "--no-inline", "-F", "comm,ip,sym", "-i"])
        .arg(data)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("perf does not start: {error}"))?;
    let output = script.stdout.take().ok_or("perf prints nothing")?;
    let counted = counted(BufReader::new(output));
    let ended = script.wait().map_err(|error| error.to_string())?;
    match ended.success() {
        true => counted.map_err(|error| error.to_string()),
        false => Err(format!("perf script: {ended}")),
    }
}

/// A sample is the name of its thread, then its functions, innermost first, then an empty line.
fn counted(output: impl BufRead) -> std::io::Result<BTreeMap<&'static str, u64>> {
    let mut stages = BTreeMap::new();
    let mut stage = None;
    let mut begun = false;
    for line in output.lines() {
        let line = line?;
        if line.trim().is_empty() {
            if std::mem::take(&mut begun) {
                *stages.entry(stage.take().unwrap_or(OTHER)).or_default() += 1;
            }
        } else if line.starts_with([' ', '\t']) && begun {
            stage = stage.or_else(|| of_function(&line));
        } else {
            begun = true;
            stage = of_thread(&line);
        }
    }
    if begun {
        *stages.entry(stage.unwrap_or(OTHER)).or_default() += 1;
    }
    Ok(stages)
}

fn of_thread(line: &str) -> Option<&'static str> {
    let found = THREADS.iter().find(|(name, _)| line.starts_with(name));
    found.map(|(_, stage)| *stage)
}

fn of_function(line: &str) -> Option<&'static str> {
    let found = FUNCTIONS.iter().find(|(mark, _)| line.contains(mark));
    found.map(|(_, stage)| *stage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_function_that_tells_counts_and_a_thread_of_its_own_before_it() {
        let output = "tokio-rt-worker \n\
                      \t    7f malloc\n\
                      \t    1a anneal_statemachine::rules::settle::<impl anneal_statemachine::turn::Turn>::drain\n\
                      \t    1b anneal_node::replica::machine::Shared::apply\n\
                      \n\
                      log-writer \n\
                      \t    2a openraft::core::run\n\
                      \n\
                      tokio-rt-worker \n\
                      \t    3a [unknown]\n";
        let stages = counted(output.as_bytes()).expect("text");
        let expected = [
            ("apply: rules", 1),
            ("sync: the log's thread", 1),
            (OTHER, 1),
        ];
        assert_eq!(stages, BTreeMap::from(expected));
    }
}
