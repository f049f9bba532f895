//! Several runs together.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use super::{
    report::{Outcomes, Report, list},
    times::{Recovery, Times},
};

/// Runs, one after the other.
#[derive(Clone, Debug, Default)]
pub struct Total {
    runs: Vec<String>,
    verdicts: BTreeMap<&'static str, u64>,
    seconds: u64,
    faults: BTreeMap<String, u64>,
    call_faults: BTreeMap<String, u64>,
    operations: Outcomes,
    recoveries: BTreeMap<String, Recovery>,
    converged: Times,
    wrong: Vec<String>,
    exit_code: u8,
}

impl Total {
    /// Of all reports in a directory: its files that end in `.json`.
    ///
    /// # Errors
    /// When one can't be read.
    pub fn read(dir: &Path) -> Result<Self, String> {
        let told = |e: &dyn fmt::Display| format!("{}: {e}", dir.display());
        let entries = fs::read_dir(dir).map_err(|e| told(&e))?;
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|end| end == "json"));
        paths.sort();
        let mut total = Self::default();
        for path in paths {
            let text = fs::read_to_string(&path).map_err(|e| told(&e))?;
            let report = serde_json::from_str(&text);
            total.add(&report.map_err(|e| format!("{}: {e}", path.display()))?);
        }
        Ok(total)
    }

    /// With this run too.
    pub fn add(&mut self, report: &Report) {
        let Report { seed, members, .. } = report;
        let verdict = report.verdict();
        self.runs
            .push(format!("seed {seed}, {members} voters: {verdict}"));
        *self.verdicts.entry(verdict).or_default() += 1;
        self.seconds += report.seconds;
        for (word, count) in &report.faults {
            *self.faults.entry(word.clone()).or_default() += count;
        }
        for (word, count) in &report.call_faults {
            *self.call_faults.entry(word.clone()).or_default() += count;
        }
        self.operations.add(report.all_operations());
        for (what, recovery) in &report.recoveries {
            self.recoveries
                .entry(what.clone())
                .or_default()
                .add(recovery);
        }
        self.converged.add(&Times::of(vec![report.converged_ms]));
        let guilty = report.guilty.iter().map(|one| ("guilty", one));
        let missing = report.missing.iter().map(|one| ("missing", one));
        let wrong = guilty.chain(missing);
        self.wrong
            .extend(wrong.map(|(word, one)| format!("{word}, seed {seed}: {one}")));
        self.exit_code = match (self.exit_code, report.exit_code()) {
            (1, _) | (_, 1) => 1,
            (one, other) => one.max(other),
        };
    }

    /// 0: all passed. 1: the product is guilty. 2: in some, or in all since there are none, not all was done.
    pub fn exit_code(&self) -> u8 {
        if self.runs.is_empty() {
            2
        } else {
            self.exit_code
        }
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for run in &self.runs {
            writeln!(f, "{run}")?;
        }
        writeln!(
            f,
            "{} runs, {} s of faults: {}",
            self.runs.len(),
            self.seconds,
            list(&self.verdicts)
        )?;
        writeln!(f, "faults            {}", list(&self.faults))?;
        writeln!(f, "bad calls         {}", list(&self.call_faults))?;
        writeln!(f, "operations        {}", self.operations)?;
        for (what, recovery) in &self.recoveries {
            writeln!(f, "{what}: {recovery}")?;
        }
        write!(f, "converged         {}", self.converged)?;
        for wrong in &self.wrong {
            write!(f, "\n{wrong}")?;
        }
        Ok(())
    }
}
