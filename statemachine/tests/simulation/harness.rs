//! Runs histories, many of them, and makes a failing one small. It must not know what is being simulated.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::config::Config;
use super::coverage::Coverage;
use super::laws::Broken;
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

/// Runs these steps under the shape of this seed.
pub fn run(seed: u64, config: &Config, steps: &[Step], tell: bool) -> Ended {
    let mut sim = Sim::new(config.clone(), tell);
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
pub fn shrink(seed: u64, config: &Config, steps: Vec<Step>, law: &str) -> Vec<Step> {
    let fails = |steps: &[Step]| {
        run(seed, config, steps, false)
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
pub fn examine(seed: u64) -> Result<(Coverage, u64), String> {
    let config = Config::draw(seed);
    let steps = plan(&config, seed);
    let ended = run(seed, &config, &steps, false);
    let Some(broken) = ended.broken else {
        return Ok((ended.coverage, ended.entries));
    };
    let short = shrink(seed, &config, steps, broken.law);
    let told = run(seed, &config, &short, true);
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
