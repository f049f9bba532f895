//! Calls of an outside world: how near engines come to making as many at a time as they may, and whether each was made once.
//!
//! The outside world is the simulated cloud, whose journal says what it was asked for and when.

use std::{collections::BTreeSet, time::Duration};

use clap::Args;
use tokio::runtime::Handle;

use super::{
    ground::{Ground, Members, at_least_one},
    markdown::{head, row},
};
use crate::{
    chaos::content::{Content, Dialect, Item, template},
    cloud::{Behaviour, CloudProcess},
    judge::{Call, calls, made_twice, out_of_order},
};

/// Each object refers to one of the layer before.
const LAYERS: usize = 5;
/// Every so many of the objects are changed by the update.
const CHANGED: usize = 10;
const STACK: &str = "calls";

/// What is to be measured.
#[derive(Args, Clone, Debug)]
pub struct Flags {
    /// Objects of the stack
    #[arg(long, default_value_t = 2_000, value_parser = at_least_one())]
    resources: usize,
    /// How long the cloud takes over each call, in milliseconds
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pace: u64,
    #[command(flatten)]
    members: Members,
}

/// Prints a row for each operation.
///
/// # Errors
/// What did not come to an end, in words.
pub fn run(flags: &Flags) -> Result<(), String> {
    let ground = Ground::start(&flags.members)?;
    let cloud = CloudProcess::start(
        &crate::binary().with_file_name("cloud"),
        ground.dir(),
        "127.0.0.1",
    )?;
    let behaviour = Behaviour {
        pace_ms: flags.pace,
        ..Behaviour::good()
    };
    Handle::current().block_on(cloud.behave(&behaviour))?;
    let engines = ground.json(&["engine", "list"])?;
    let engines = engines.as_array().ok_or("`engine list` is no listing")?;
    let capacity: u64 = engines
        .iter()
        .filter_map(|it| it["capacity"].as_u64())
        .sum();
    println!(
        "{}",
        head(&[
            "operation",
            "objects",
            "calls",
            "wall s",
            "floor s",
            "wall / floor",
            "at a time, most",
            "may be",
            "made twice",
            "out of order",
        ])
    );
    let (before, after) = (content(flags.resources, 0), content(flags.resources, 1));
    let steps = [
        ("create", Some(&before), flags.resources),
        ("update", Some(&after), flags.resources.div_ceil(CHANGED)),
        ("delete", None, flags.resources),
    ];
    let mut seen = 0;
    for (verb, content, objects) in steps {
        let mut args = vec!["stack", verb, STACK];
        if let Some(content) = content {
            ground.put("calls.json", &template(content, STACK, cloud.url()))?;
            args.extend(["-f", "calls.json"]);
        }
        let wall = ground.timed_to_end(&args)?;
        let journal = cloud.journal()?;
        let made = calls(&journal[seen..]);
        let floor = floor(made.len(), capacity, flags.pace);
        println!(
            "{}",
            row(&[
                verb.to_owned(),
                objects.to_string(),
                made.len().to_string(),
                format!("{:.2}", wall.as_secs_f64()),
                format!("{:.2}", floor.as_secs_f64()),
                format!("{:.2}", wall.as_secs_f64() / floor.as_secs_f64()),
                most_at_a_time(made.values()).to_string(),
                capacity.to_string(),
                made_twice(&journal).len().to_string(),
                out_of_order(&journal, []).len().to_string(),
            ])
        );
        seen = journal.len();
    }
    Ok(())
}

/// So many objects in layers. Every tenth has another value in another version.
fn content(objects: usize, version: u64) -> Content {
    let layer = objects.div_ceil(LAYERS);
    let name = |at: usize| format!("r{at}");
    let item = |at: usize| Item {
        value: if at.is_multiple_of(CHANGED) {
            version
        } else {
            0
        },
        needs: at
            .checked_sub(layer)
            .map(name)
            .into_iter()
            .collect::<BTreeSet<_>>(),
        mutable: true,
        dialect: Dialect::Fenced,
    };
    (0..objects).map(|at| (name(at), item(at))).collect()
}

/// What so many calls take at least, so many at a time and one layer after the other.
fn floor(calls: usize, capacity: u64, pace_ms: u64) -> Duration {
    let in_a_layer = calls.div_ceil(LAYERS) as u64;
    let rounds = in_a_layer.div_ceil(capacity.max(1)).max(1) * LAYERS as u64;
    Duration::from_millis(rounds * pace_ms)
}

fn most_at_a_time<'a>(calls: impl Iterator<Item = &'a Call>) -> i64 {
    let mut moments: Vec<(u64, i64)> = calls
        .filter_map(|call| Some([(call.in_us, 1), (call.out_us?, -1)]))
        .flatten()
        .collect();
    moments.sort_unstable();
    let mut now = 0;
    let at_a_time = moments.into_iter().map(|(_, change)| {
        now += change;
        now
    });
    at_a_time.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chaos::content::Patch, cloud::Record};

    #[test]
    fn the_stack_is_whole_and_an_update_changes_a_tenth() {
        let (before, after) = (content(100, 0), content(100, 1));
        assert_eq!(Patch::default().on(&before), Some(before.clone()));
        let changed = before.iter().filter(|(name, item)| after[*name] != **item);
        assert_eq!(changed.count(), 10);
    }

    #[test]
    fn calls_that_meet_are_counted() {
        let journal: Vec<Record> = serde_json::from_str("[]").expect("no record");
        assert_eq!(most_at_a_time(calls(&journal).values()), 0);
        assert_eq!(floor(500, 48, 100), Duration::from_millis(1_500));
    }
}
