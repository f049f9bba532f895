//! What a run was and how it ended, for people and as JSON.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::{
    faults::Planned, finish::lock, history::Outcome, recovery::recoveries, ruling::Ruling,
    run::Run, verdict::effects,
};
use crate::{
    cloud::{Fault, Happened, Record},
    judge::calls,
};

/// Times in milliseconds, the smallest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// How many were measured.
    pub count: usize,
    /// How many could have been.
    pub of: usize,
    /// Half of them took no longer.
    pub p50_ms: Option<u64>,
    /// 99 of a hundred took no longer.
    pub p99_ms: Option<u64>,
}

impl Times {
    fn of(mut times: Vec<u64>, of: usize) -> Self {
        times.sort_unstable();
        let at = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100);
            times.get(rank.saturating_sub(1)).copied()
        };
        Self {
            count: times.len(),
            of,
            p50_ms: at(50),
            p99_ms: at(99),
        }
    }
}

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
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Everything was drawn from it.
    pub seed: u64,
    /// How long faults were planned for.
    pub seconds: u64,
    /// Members.
    pub members: usize,
    /// Stacks.
    pub stacks: usize,
    /// Faults that were injected, by kind.
    pub faults: BTreeMap<String, u64>,
    /// Planned faults, and kinds of bad calls, that did not happen: with any of these, a run is no pass.
    pub missing_faults: u64,
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
    /// From the kill of a leader to the first call at the cloud under an assignment that was committed after it.
    pub after_leader_kill: Times,
    /// From the kill of an engine, a leader's too, to the next call for each resource that it was acting on.
    pub after_engine_kill: Times,
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

impl Report {
    /// Whether nothing is wrong.
    pub fn is_pass(&self) -> bool {
        self.exit_code() == 0
    }

    /// 0: passed. 1: the product is guilty. 2: the harness did not do what was planned.
    pub fn exit_code(&self) -> u8 {
        match (self.guilty.is_empty(), self.missing_faults) {
            (false, _) => 1,
            (true, 0) => self.ruling.exit_code(),
            (true, _) => 2,
        }
    }

    /// All operations together.
    pub fn all_operations(&self) -> Outcomes {
        let all = self.operations.values();
        all.fold(Outcomes::default(), |sum, one| Outcomes {
            ok: sum.ok + one.ok,
            refused: sum.refused + one.refused,
            unknown: sum.unknown + one.unknown,
        })
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
        let (leaders, engines) = recoveries(&self.kills, calls.values());
        let led = self.kills.iter().filter(|kill| kill.leader).count();
        let held = self.kills.iter().map(|kill| kill.held.len()).sum();
        let mut faults = BTreeMap::new();
        for injected in &self.injected {
            *faults.entry(injected.kind.word().to_owned()).or_default() += 1;
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
        // A kind of bad call that never came was not tested either.
        let calm = (Fault::ALL.len() - call_faults.len()) as u64;
        let effects = effects(journal).into_iter();
        let (operations, refusals) = self.operations();
        Report {
            seed: self.settings.seed,
            seconds: self.settings.duration.as_secs(),
            members: self.settings.members,
            stacks: self.settings.stacks,
            faults,
            missing_faults: (planned.len() - self.injected.len()) as u64 + calm,
            call_faults,
            calls: calls.len(),
            effects: effects.map(|(word, n)| (word.to_owned(), n)).collect(),
            operations,
            refusals,
            after_leader_kill: Times::of(leaders, led),
            after_engine_kill: Times::of(engines, held),
            converged_ms,
            retried: self.retried,
            resubmitted: self.resubmitted,
            ruling: self.ruling.clone(),
            guilty: self.guilty.clone(),
        }
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

fn list<T: fmt::Display>(of: &BTreeMap<String, T>) -> String {
    let parts: Vec<_> = of.iter().map(|(word, n)| format!("{word} {n}")).collect();
    parts.join(", ")
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |one: Option<u64>| one.map_or("-".to_owned(), |ms| format!("{ms} ms"));
        let (p50, p99) = (ms(self.p50_ms), ms(self.p99_ms));
        write!(
            f,
            "p50 {p50}, p99 {p99} ({} of {} measured)",
            self.count, self.of
        )
    }
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
            "seed {}, {} s of faults, {} members, {} stacks",
            self.seed, self.seconds, self.members, self.stacks
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
        writeln!(f, "after leader kill {}", self.after_leader_kill)?;
        writeln!(f, "after engine kill {}", self.after_engine_kill)?;
        writeln!(
            f,
            "converged         {} ms after the last fault; {} failed resources retried, {} stacks submitted again",
            self.converged_ms, self.retried, self.resubmitted
        )?;
        writeln!(f, "{}", self.ruling)?;
        for one in &self.guilty {
            writeln!(f, "guilty            {one}")?;
        }
        let verdict = match self.exit_code() {
            0 => "passed",
            1 => "THE PRODUCT IS GUILTY",
            _ if self.ruling.says_too_little() => {
                "no pass: too much of the history is missing or undecided"
            }
            _ => "no pass: planned faults did not happen",
        };
        write!(f, "verdict           {verdict}")
    }
}
