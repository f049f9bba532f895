//! What became of each mutant, as a table and as JSON.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What one examination came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The instrument said so of broken code.
    Found,
    /// It said nothing of broken code.
    Survived,
    /// It said nothing of sound code.
    Sound,
    /// It accused sound code.
    Accused,
    /// The patch does not fit any more, or what it makes can't be built.
    NotExamined,
}

impl Verdict {
    fn is_good(self) -> bool {
        matches!(self, Self::Found | Self::Sound)
    }
}

/// One examination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Examined {
    /// The mutant; none for the code as it is.
    pub mutant: Option<String>,
    /// What no longer holds.
    pub breaks: String,
    /// What was run.
    pub instrument: String,
    /// How much of it.
    pub within: String,
    /// What it came to.
    pub verdict: Verdict,
    /// Random histories until it was found.
    pub histories: Option<u64>,
    /// How long the run took, in milliseconds; building is not counted.
    pub took_ms: u64,
    /// What the instrument said.
    pub said: String,
}

/// A run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// In the order in which they were examined.
    pub examined: Vec<Examined>,
}

impl Report {
    /// Whether every mutant was found, and nothing else.
    pub fn is_pass(&self) -> bool {
        !self.examined.is_empty() && self.examined.iter().all(|one| one.verdict.is_good())
    }
}

/// Columns of a line that is printed, in characters.
const SAID_WIDTH: usize = 90;

impl fmt::Display for Examined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.mutant.as_deref().unwrap_or("(as it is)");
        let verdict = match self.verdict {
            Verdict::Found => "found",
            Verdict::Survived => "SURVIVED",
            Verdict::Sound => "sound",
            Verdict::Accused => "ACCUSED",
            Verdict::NotExamined => "NOT EXAMINED",
        };
        let seconds = self.took_ms as f64 / 1_000.0;
        let after = match self.histories {
            Some(histories) => format!("after {histories} of {}, {seconds:.1} s", self.within),
            None => format!("{seconds:.1} s, within {}", self.within),
        };
        let said: String = self.said.chars().take(SAID_WIDTH).collect();
        let instrument = &self.instrument;
        write!(
            f,
            "{name:<48} {verdict:<9} {after:<36} {instrument}\n    {said}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(verdicts: &[Verdict]) -> Report {
        let examined = verdicts.iter().map(|verdict| Examined {
            mutant: None,
            breaks: String::new(),
            instrument: String::new(),
            within: String::new(),
            verdict: *verdict,
            histories: None,
            took_ms: 0,
            said: String::new(),
        });
        Report {
            examined: examined.collect(),
        }
    }

    #[test]
    fn only_what_finds_every_mutant_and_accuses_nobody_passes() {
        assert!(of(&[Verdict::Sound, Verdict::Found]).is_pass());
        assert!(!of(&[]).is_pass());
        for bad in [Verdict::Survived, Verdict::Accused, Verdict::NotExamined] {
            assert!(!of(&[Verdict::Sound, Verdict::Found, bad]).is_pass());
        }
    }
}
