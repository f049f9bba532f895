//! One mutant after the other: broken, built, examined. First each instrument has to find nothing in the code as it is.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    Examined, Instrument, Mutant, Report, Verdict, Within,
    instrument::Ran,
    tree::{self, TREE},
};

/// What to examine, and where.
pub struct Settings {
    /// The tree whose copy is broken.
    pub from: PathBuf,
    /// Where the copy and what is built of it are kept from run to run.
    pub directory: PathBuf,
    /// The mutants.
    pub mutants: Vec<Mutant>,
}

/// Examines everything, and prints each as it comes.
///
/// # Errors
/// The harness failed: no copy of the tree can be made, or the code as it is can't be built.
pub async fn run(settings: &Settings) -> io::Result<Report> {
    fs::create_dir_all(settings.directory.join(TREE))?;
    let mut report = Report::default();
    let mut add = |examined: Examined| {
        println!("{examined}");
        report.examined.push(examined);
    };
    settings.restore()?;
    for (instrument, within) in instruments(&settings.mutants) {
        let ran = settings.examine(&instrument, within).await;
        add(as_it_is(
            &instrument,
            within,
            ran.map_err(io::Error::other)?,
        ));
    }
    for mutant in &settings.mutants {
        settings.restore()?;
        let ran = match tree::apply(&settings.tree(), &mutant.text) {
            Ok(()) => settings.examine(&mutant.instrument, mutant.within).await,
            Err(error) => Err(format!("its patch no longer fits: {error}")),
        };
        add(broken(mutant, ran));
    }
    settings.restore()?;
    Ok(report)
}

impl Settings {
    fn tree(&self) -> PathBuf {
        self.directory.join(TREE)
    }

    fn restore(&self) -> io::Result<()> {
        tree::copy(&self.from, &self.tree())
    }

    async fn examine(&self, instrument: &Instrument, within: Within) -> Result<Ran, String> {
        let built: &Path = &self.directory.join("target");
        let program = instrument.build(&self.tree(), built).await?;
        instrument.run(&program, within).await
    }
}

/// Each instrument once, with the most that is asked of it.
fn instruments(mutants: &[Mutant]) -> BTreeMap<Instrument, Within> {
    let mut most = BTreeMap::new();
    for mutant in mutants {
        let within = most
            .entry(mutant.instrument.clone())
            .or_insert(mutant.within);
        *within = mutant.within.max(*within);
    }
    most
}

fn as_it_is(instrument: &Instrument, within: Within, ran: Ran) -> Examined {
    Examined {
        mutant: None,
        breaks: String::new(),
        instrument: instrument.to_string(),
        within: within.to_string(),
        verdict: match ran.found {
            Some(_) => Verdict::Accused,
            None => Verdict::Sound,
        },
        histories: ran.histories,
        took_ms: whole_ms(ran.took),
        said: ran.found.unwrap_or_default(),
    }
}

fn broken(mutant: &Mutant, ran: Result<Ran, String>) -> Examined {
    let (verdict, ran) = match ran {
        Ok(ran) if ran.found.is_some() => (Verdict::Found, ran),
        Ok(ran) => (Verdict::Survived, ran),
        Err(why) => {
            let ran = Ran {
                found: Some(why),
                histories: None,
                took: Duration::ZERO,
            };
            (Verdict::NotExamined, ran)
        }
    };
    Examined {
        mutant: Some(mutant.name.clone()),
        breaks: mutant.breaks.clone(),
        instrument: mutant.instrument.to_string(),
        within: mutant.within.to_string(),
        verdict,
        histories: ran.histories,
        took_ms: whole_ms(ran.took),
        said: ran.found.unwrap_or_default(),
    }
}

fn whole_ms(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instrument_is_tried_once_on_sound_code_with_the_most_that_is_asked_of_it() {
        let mutant = |within: &str| {
            let text = format!("Breaks: x\nFound by: p lib t\nWithin: {within}\ndiff x\n");
            Mutant::parse("m", &text).expect("sound")
        };
        let all = instruments(&[mutant("3 histories"), mutant("9 histories")]);
        assert_eq!(
            all.into_values().collect::<Vec<_>>(),
            [Within::Histories(9)]
        );
    }

    #[test]
    fn what_can_t_be_examined_was_not_found() {
        let text = "Breaks: x\nFound by: p lib t\nWithin: 1 seconds\ndiff x\n";
        let mutant = Mutant::parse("m", text).expect("sound");
        let examined = broken(&mutant, Err("it can't be built".into()));
        assert_eq!(examined.verdict, Verdict::NotExamined);
    }
}
