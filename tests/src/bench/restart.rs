//! Members that restart or are killed: how soon they serve again, and how soon the others go on.

use std::time::{Duration, Instant};

use clap::Args;

use super::{
    ground::{Ground, at_least_one, in_words},
    markdown::{head, row},
    operation::STACK,
    patch::document,
    shape::{Change, Shape},
};

/// Actions that the engine which is killed may hold, and seconds that each takes: long enough to be found under way.
const ACTIONS: usize = 60;
const ACTION_SECONDS: u32 = 4;

/// What is to be measured.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Resources of the stack
    #[arg(long, default_value_t = 100_000, value_parser = at_least_one())]
    resources: usize,
    /// Members of the cluster
    #[arg(long, default_value_t = 3, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(3..))]
    members: usize,
    /// Give up on one measurement after this many seconds
    #[arg(long, default_value_t = 1_800)]
    patience: u64,
}

/// Prints the times.
///
/// # Errors
/// What did not come to an end, in words.
pub fn run(flags: &Flags) -> Result<(), String> {
    let mut ground = Ground::of(flags.members, flags.patience)?;
    let template = Shape::Flat.template(flags.resources, Change::Nothing);
    ground.put("bench.json", &template)?;
    ground.timed_to_end(&["stack", "create", STACK, "-f", "bench.json"])?;
    println!("{}", head(&["what", "resources", "seconds"]));
    let tell = |what: &str, took: Duration| {
        let seconds = format!("{:.2}", took.as_secs_f64());
        println!(
            "{}",
            row(&[what.to_owned(), flags.resources.to_string(), seconds])
        );
    };
    let (served, equal) = restart(&mut ground)?;
    tell(
        "a member that does not lead was killed and started: it serves a linearizable read",
        served,
    );
    tell("the same: its own copy is equal", equal);
    let went_on = kill_leader(&mut ground)?;
    tell(
        "the leader was killed: a patch of one, submitted at once, was assigned, done and settled",
        went_on,
    );
    let elsewhere = kill_engine(&mut ground)?;
    tell(
        "an engine was killed in the midst of actions: the first of them runs elsewhere",
        elsewhere,
    );
    Ok(())
}

fn leader(ground: &Ground) -> Result<usize, String> {
    in_words(|| ground.cluster.leader())
}

fn follower(ground: &Ground) -> Result<usize, String> {
    Ok((leader(ground)? + 1) % ground.cluster.members.len())
}

fn restart(ground: &mut Ground) -> Result<(Duration, Duration), String> {
    let position = follower(ground)?;
    ground.cluster.members[position].kill();
    // A change that it must catch up with, or its old copy would do.
    ground.put("patch.json", &document(0, 1))?;
    ground.timed_to_end(&["stack", "patch", STACK, "-f", "patch.json"])?;
    let now = ground.json(&["stack", "show", STACK])?;
    let began = Instant::now();
    ground.cluster.members[position].restart();
    let show = ["stack", "show", STACK];
    // The command line itself tries for as long as a call may take, so the answer's own time counts.
    ground.until("the member serves", began, || {
        Ok(ground.json_from(position, &show).is_ok().then_some(()))
    })?;
    let served = began.elapsed();
    let local = [&show[..], &["--local"]].concat();
    ground.until("its copy is equal", began, || {
        let seen = ground.json_from(position, &local);
        Ok((seen.as_ref() == Ok(&now)).then_some(()))
    })?;
    Ok((served, began.elapsed()))
}

fn kill_leader(ground: &mut Ground) -> Result<Duration, String> {
    let position = leader(ground)?;
    let before = incarnation(ground, position)?;
    ground.put("patch.json", &document(0, 2))?;
    let began = Instant::now();
    ground.cluster.members[position].kill();
    // The command line tries a second time by itself, but not for as long as an election may take.
    let patch = ["stack", "patch", STACK, "-f", "patch.json"];
    let ((), _) = ground.until("a new leader takes a patch", began, || {
        Ok(ground.timed_to_end(&patch).is_ok().then_some(()))
    })?;
    let went_on = began.elapsed();
    ground.cluster.members[position].restart();
    all_vote(ground)?;
    // A large state takes seconds to load; an engine that is not back yet would be given nothing.
    ground.until("its engine is back", Instant::now(), || {
        let now = incarnation(ground, position)?;
        Ok((now.is_some() && now != before).then_some(()))
    })?;
    Ok(went_on)
}

/// Of the live engine at a member.
fn incarnation(ground: &Ground, position: usize) -> Result<Option<u64>, String> {
    let address = ground.cluster.members[position].address();
    let engines = ground.json(&["engine", "list"])?;
    let mut engines = engines.as_array().into_iter().flatten();
    let live = engines.find(|engine| engine["address"] == *address && engine["lease"] == "live");
    Ok(live.and_then(|engine| engine["incarnation"].as_u64()))
}

fn kill_engine(ground: &mut Ground) -> Result<Duration, String> {
    ground.put("slow.json", &slow())?;
    let position = follower(ground)?;
    let address = ground.cluster.members[position].address().to_owned();
    ground.timed(&["stack", "create", "slow", "-f", "slow.json"])?;
    ground.until("the engine has actions in flight", Instant::now(), || {
        let engines = ground.json(&["engine", "list"])?;
        let busy =
            engines.as_array().into_iter().flatten().any(|engine| {
                engine["address"] == *address && engine["in_flight"].as_u64() > Some(0)
            });
        Ok(busy.then_some(()))
    })?;
    let began = Instant::now();
    ground.cluster.members[position].kill();
    ground.until("what it held runs elsewhere", began, || {
        let events = ground.json(&["stack", "events", "slow"])?;
        let mut events = events.as_array().into_iter().flatten();
        let lost = events.find(|event| event["kind"] == "unknown");
        let Some(name) = lost.and_then(|event| event["resource"].as_str()) else {
            return Ok(None);
        };
        // A type with nothing outside is not looked at: it is made again.
        let shown = ground.json(&["resource", "show", "slow", name])?;
        let runs = ["in_flight", "settled"].map(|phase| shown["phase"] == phase);
        Ok(runs.contains(&true).then_some(()))
    })?;
    Ok(began.elapsed())
}

fn slow() -> String {
    let delay = format!(
        "{{\"type\": \"OS::Heat::Delay\", \"properties\": {{\"min_wait\": {ACTION_SECONDS}}}}}"
    );
    let resources: Vec<_> = (0..ACTIONS).map(|n| format!("\"d{n}\": {delay}")).collect();
    format!(
        "{{\"heat_template_version\": \"2021-04-16\", \"resources\": {{{}}}}}",
        resources.join(", ")
    )
}

fn all_vote(ground: &Ground) -> Result<(), String> {
    let count = ground.cluster.members.len();
    in_words(|| ground.cluster.wait_for_voters(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slow_stack_is_json() {
        let read: serde_json::Value = serde_json::from_str(&slow()).expect("JSON");
        let resources = read["resources"].as_object().expect("resources");
        assert_eq!(resources.len(), ACTIONS);
    }
}
