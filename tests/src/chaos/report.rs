//! What a run was and how it ended, for people and as JSON.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    failure::Failure,
    faults::Planned,
    finish::lock,
    history::Outcome,
    recovery::{Fate, apart_words, recoveries},
    ruling::Ruling,
    run::Run,
    times::{Recovery, Times},
    verdict::effects,
};
use crate::{
    cloud::{Fault, Happened, Record},
    judge::{Call, calls},
};

/// How often an operation had which outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcomes {
    /// Committed.
    pub ok: u64,
    /// Not done.
    pub refused: u64,
    /// Nobody told.
    pub unknown: u64,
}

/// A run.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// Everything was drawn from it.
    pub seed: u64,
    /// For so long there were faults.
    pub seconds: u64,
    /// Members.
    pub members: usize,
    /// Members that only learn.
    pub learners: usize,
    /// Stacks.
    pub stacks: usize,
    /// Whether it was told to end early, which is no pass either.
    pub interrupted: bool,
    /// The machine's load averages at its end.
    pub load: String,
    /// Faults that were injected, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Planned faults, and kinds of bad calls, that did not happen, and why: with any of these, a run is no pass.
    pub missing: Vec<String>,
    /// What went wrong with calls at the cloud, by kind.
    pub call_faults: BTreeMap<String, u64>,
    /// Calls at the cloud.
    pub calls: usize,
    /// Effects at the cloud, by kind.
    pub effects: BTreeMap<String, u64>,
    /// Operations by kind and outcome.
    pub operations: BTreeMap<String, Outcomes>,
    /// Reasons of refusals.
    pub refusals: BTreeMap<String, u64>,
    /// How long it took to go on, after each way in which members were lost.
    pub recoveries: BTreeMap<String, Recovery>,
    /// How long it took to converge after the last fault.
    pub converged_ms: u64,
    /// Failed resources that were retried then, as a person would.
    pub retried: u64,
    /// Stacks that were submitted again unchanged.
    pub resubmitted: u64,
    /// What clients, watchers and members said, and what is wrong with it.
    pub ruling: Ruling,
    /// Everything that the product did wrong, by that too.
    pub guilty: Vec<String>,
}

impl Outcomes {
    /// With these too.
    pub fn add(&mut self, more: Self) {
        self.ok += more.ok;
        self.refused += more.refused;
        self.unknown += more.unknown;
    }
}

impl Report {
    /// Of a run that came to nothing.
    pub fn of_failure(seed: u64, failure: &Failure) -> Self {
        let mut report = Self {
            seed,
            ..Self::default()
        };
        match failure {
            Failure::Product(why) => report.guilty.push(why.clone()),
            Failure::Harness(why) => report.missing.push(format!("the harness failed: {why}")),
        }
        report
    }

    /// Whether nothing is wrong.
    pub fn is_pass(&self) -> bool {
        self.exit_code() == 0
    }

    /// 0: passed. 1: the product is guilty. 2: not all that was planned was done.
    pub fn exit_code(&self) -> u8 {
        match self.guilty.is_empty() {
            false => 1,
            true if self.missing.is_empty() && !self.interrupted => self.ruling.exit_code(),
            true => 2,
        }
    }

    /// In words.
    pub fn verdict(&self) -> &'static str {
        match self.exit_code() {
            0 => "passed",
            1 => "THE PRODUCT IS GUILTY",
            _ if self.interrupted => "no pass: it was interrupted",
            _ if self.ruling.says_too_little() => {
                "no pass: too much of the history is missing or undecided"
            }
            _ => "no pass: not all that was planned happened",
        }
    }

    /// All operations together.
    pub fn all_operations(&self) -> Outcomes {
        let mut sum = Outcomes::default();
        for one in self.operations.values() {
            sum.add(*one);
        }
        sum
    }
}

fn word<T: Serialize>(of: &T) -> String {
    match serde_json::to_value(of) {
        Ok(serde_json::Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}

impl Run {
    pub(super) fn report(
        &mut self,
        planned: &[Planned],
        journal: &[Record],
        converged_ms: u64,
    ) -> Report {
        let calls = calls(journal);
        let mut faults = BTreeMap::new();
        for injected in &self.injected {
            if injected.seen.is_ok() {
                *faults.entry(injected.kind.clone()).or_default() += 1;
            }
        }
        let mut call_faults = BTreeMap::new();
        for record in journal {
            if let Happened::In {
                fault: Some(fault), ..
            } = &record.what
            {
                *call_faults.entry(word(fault)).or_default() += 1;
            }
        }
        let missing = self.missing(planned, &call_faults);
        let effects = effects(journal).into_iter();
        let (operations, refusals) = self.operations();
        Report {
            seed: self.settings.seed,
            seconds: self.faults_off.duration_since(self.began).as_secs(),
            members: self.settings.members,
            learners: self.settings.learners,
            stacks: self.settings.stacks,
            interrupted: self.stop.is_told(),
            load: std::fs::read_to_string("/proc/loadavg").map_or(String::new(), |load| {
                let parts: Vec<_> = load.split_whitespace().take(3).collect();
                parts.join(" ")
            }),
            faults,
            missing,
            call_faults,
            calls: calls.len(),
            effects: effects.map(|(word, n)| (word.to_owned(), n)).collect(),
            operations,
            refusals,
            recoveries: self.recoveries(calls.values()),
            converged_ms,
            retried: self.retried,
            resubmitted: self.resubmitted,
            ruling: self.ruling.clone(),
            guilty: self.guilty.clone(),
        }
    }

    /// What was planned and did not happen.
    fn missing(&self, planned: &[Planned], call_faults: &BTreeMap<String, u64>) -> Vec<String> {
        let failed = self.injected.iter();
        let failed = failed.filter_map(|one| one.seen.as_ref().err().cloned());
        let mut missing: Vec<_> = failed.collect();
        let came_to = self.injected.len();
        if !self.stop.is_told() {
            let left = planned.iter().skip(came_to);
            missing.extend(left.map(|one| format!("{} was not come to", one.kind.word())));
        }
        // A kind of bad call that never came was not tested either.
        let calm = Fault::ALL.iter().map(word);
        let calm = calm.filter(|word| !call_faults.contains_key(word));
        missing.extend(calm.map(|word| format!("no call had the fault {word}")));
        missing
    }

    fn recoveries<'a>(
        &self,
        calls: impl Iterator<Item = &'a Call> + Clone,
    ) -> BTreeMap<String, Recovery> {
        let found = recoveries(&self.losses, calls);
        let leaders = found.leaders.into_iter().map(|(how, times)| {
            let recovery = Recovery {
                times: Times::of(times),
                bound_ms: self.settings.leader_bound_ms(),
                ..Recovery::default()
            };
            (how.of_leader(), recovery)
        });
        let engines = found.held.into_iter().map(|((how, led), fates)| {
            let bound_ms = self.settings.engine_bound_ms(led);
            (how.of_engine(led), weigh(&fates, bound_ms))
        });
        leaders.chain(engines).collect()
    }

    fn operations(&self) -> (BTreeMap<String, Outcomes>, BTreeMap<String, u64>) {
        let mut operations: BTreeMap<String, Outcomes> = BTreeMap::new();
        let mut refusals = BTreeMap::new();
        for story in &self.stories {
            for done in &lock(story).done {
                let outcomes = operations.entry(done.asked.word().to_owned()).or_default();
                match &done.outcome {
                    Outcome::Ok { .. } => outcomes.ok += 1,
                    Outcome::Unknown(_) => outcomes.unknown += 1,
                    Outcome::Refused(why) => {
                        outcomes.refused += 1;
                        *refusals.entry(why.clone()).or_default() += 1;
                    }
                }
            }
        }
        (operations, refusals)
    }
}

fn weigh(fates: &[Fate], bound_ms: u64) -> Recovery {
    let mut recovery = Recovery {
        bound_ms,
        ..Recovery::default()
    };
    let mut owed = Vec::new();
    for fate in fates {
        match *fate {
            Fate::After(ms) => owed.push(ms),
            Fate::Apart(why, ms) => {
                let apart = recovery.apart.entry(apart_words(why)).or_default();
                apart.add(&Times::of(vec![ms]));
            }
            Fate::Reported => recovery.reported += 1,
            Fate::Never => recovery.never += 1,
            Fate::Unwatched => recovery.unwatched += 1,
        }
    }
    recovery.times = Times::of(owed);
    recovery
}

pub(super) fn list<K: fmt::Display, T: fmt::Display>(of: &BTreeMap<K, T>) -> String {
    let parts: Vec<_> = of.iter().map(|(word, n)| format!("{word} {n}")).collect();
    parts.join(", ")
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ok / {} refused / {} unknown",
            self.ok, self.refused, self.unknown
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {}, {} s of faults, {} voters, {} learners, {} stacks; load {}",
            self.seed, self.seconds, self.members, self.learners, self.stacks, self.load
        )?;
        writeln!(f, "faults            {}", list(&self.faults))?;
        writeln!(f, "bad calls         {}", list(&self.call_faults))?;
        writeln!(
            f,
            "calls             {}: {}",
            self.calls,
            list(&self.effects)
        )?;
        writeln!(f, "operations        {}", self.all_operations())?;
        for (word, outcomes) in &self.operations {
            writeln!(f, "  {word:<15} {outcomes}")?;
        }
        writeln!(f, "refused because   {}", list(&self.refusals))?;
        for (what, recovery) in &self.recoveries {
            writeln!(f, "{what}: {recovery}")?;
        }
        writeln!(
            f,
            "converged         {} ms after the last fault; {} failed resources retried, {} stacks submitted again",
            self.converged_ms, self.retried, self.resubmitted
        )?;
        writeln!(f, "{}", self.ruling)?;
        for one in &self.guilty {
            writeln!(f, "guilty            {one}")?;
        }
        for one in &self.missing {
            writeln!(f, "missing           {one}")?;
        }
        write!(f, "verdict           {}", self.verdict())
    }
}
