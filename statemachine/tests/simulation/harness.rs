//! Runs histories, many of them, and makes a failing one small. It must not know what is being simulated.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::config::Config;
use super::coverage::Coverage;
use super::laws::Broken;
use super::leads::Leads;
use super::sim::Sim;
use super::steps::{Step, plan};

/// How one history ended.
pub struct Ended {
    /// What happened in it.
    pub coverage: Coverage,
    /// The law that was broken.
    pub broken: Option<Broken>,
    /// The story, if it was to be told.
    pub story: Vec<String>,
    /// Number of entries in its log.
    pub entries: u64,
}

/// Who assigns in histories of this shape, if not the simulation's own leader.
pub type Casting = fn(&Config) -> Option<Box<dyn Leads>>;

/// Runs these steps under the shape of this seed.
fn run(seed: u64, config: &Config, lead: Casting, steps: &[Step], tell: bool) -> Ended {
    let mut sim = Sim::new(config.clone(), lead(config), tell);
    let result = catch_unwind(AssertUnwindSafe(|| {
        sim.open()?;
        for step in steps {
            sim.step(*step)?;
        }
        sim.finish(seed)
    }));
    let broken = match result {
        Ok(Ok(())) => None,
        Ok(Err(broken)) => Some(broken),
        Err(panic) => {
            let text = panic
                .downcast_ref::<String>()
                .cloned()
                .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Some(Broken {
                law: "no assertion fails",
                text: text.unwrap_or_default(),
            })
        }
    };
    Ended {
        entries: sim.index,
        coverage: std::mem::take(&mut sim.coverage),
        broken,
        story: sim.story.take().unwrap_or_default(),
    }
}

/// Leaves out whatever can be left out with the same law still broken.
fn shrink(seed: u64, config: &Config, lead: Casting, steps: Vec<Step>, law: &str) -> Vec<Step> {
    let fails = |steps: &[Step]| {
        run(seed, config, lead, steps, false)
            .broken
            .is_some_and(|b| b.law == law)
    };
    let mut steps = steps;
    let mut size = steps.len().div_ceil(2);
    while size > 0 {
        let mut at = 0;
        while at < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(at..(at + size).min(steps.len()));
            if fails(&fewer) {
                steps = fewer;
            } else {
                at += size;
            }
        }
        size = if size == 1 { 0 } else { size / 2 };
    }
    steps
}

/// One seed's history, shrunk and told, if it breaks a law.
pub fn examine(seed: u64, config: &Config, lead: Casting) -> Result<(Coverage, u64), String> {
    let steps = plan(config, seed);
    let ended = run(seed, config, lead, &steps, false);
    let Some(broken) = ended.broken else {
        return Ok((ended.coverage, ended.entries));
    };
    let short = shrink(seed, config, lead, steps, broken.law);
    let told = run(seed, config, lead, &short, true);
    let mut text = format!("seed {seed} breaks the law \"{}\"\n", broken.law);
    text.push_str(&format!(
        "kinds {:#?}\nmembers {:?}\n",
        config.kinds, config.members
    ));
    for line in &told.story {
        text.push_str(line);
        text.push('\n');
    }
    let last = told.broken.map_or_else(|| broken.text.clone(), |b| b.text);
    text.push_str(&format!(
        "BROKEN: {} -- {last}\n({} steps of {})\n",
        broken.law,
        short.len(),
        config.steps
    ));
    Err(text)
}

/// A number in the environment.
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Examines histories one after the other: `ordinary` of them, or what the environment asks for. Says what happened in
/// them and how many there were; the first that breaks a law ends it.
pub fn examine_many(ordinary: u64, shape: fn(u64) -> Config, lead: Casting) -> (Coverage, u64) {
    std::panic::set_hook(Box::new(|_| {}));
    let one = number("ANNEAL_SIM_SEED");
    let first = one.or_else(|| number("ANNEAL_SIM_FIRST")).unwrap_or(0);
    let count = if one.is_some() {
        1
    } else {
        number("ANNEAL_SIM_SEEDS").unwrap_or(ordinary)
    };
    let stories = std::env::var("ANNEAL_SIM_STORIES").ok();
    let mut coverage = Coverage::default();
    let (mut entries, mut failures) = (0, 0);
    let begun = std::time::Instant::now();
    for seed in first..first + count {
        match examine(seed, &shape(seed), lead) {
            Ok((seen, length)) => {
                coverage.add(&seen);
                entries += length;
            }
            Err(story) => {
                failures += 1;
                match &stories {
                    Some(dir) => {
                        std::fs::write(format!("{dir}/{seed}.txt"), &story)
                            .expect("the directory exists");
                        println!(
                            "seed {seed}: {}",
                            story.lines().rev().nth(1).unwrap_or_default()
                        );
                    }
                    None => {
                        let _ = std::panic::take_hook();
                        panic!("{story}");
                    }
                }
            }
        }
    }
    let _ = std::panic::take_hook();
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{count} histories, {entries} entries, {failures} failures, {:.0} histories/s",
        count as f64 / seconds
    );
    for (what, times) in &coverage.seen {
        println!("{times:>9}  {what}");
    }
    assert_eq!(
        failures,
        0,
        "seeds {first}..{} have failures",
        first + count
    );
    (coverage, count)
}
