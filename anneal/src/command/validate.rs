//! `anneal validate`: compiles a template against the built-in resource types, and asks their providers. Needs no cluster,
//! changes nothing.

use std::path::PathBuf;
use std::sync::Arc;

use anneal_client::v1;
use anneal_node::submit::{Received, Refused, Text, Workshop};
use anneal_template::Limits;
use clap::Args;
use tokio::runtime::Handle;

use super::change::Inputs;
use super::up::name_of;
use crate::call::Call;
use crate::cli::Form;
use crate::exit::{Failure, Outcome, REFUSED};
use crate::output::problems::{show, sum};
use crate::output::{Out, json, text};
use crate::providers;
use crate::submission::Gathered;

/// Checks a template.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 1 when there is an error; warnings alone are no error.")]
pub(crate) struct Validate {
    /// The template, `-` for standard input. Files that it includes are looked for relative to it
    #[arg(
        short,
        long,
        value_name = "FILE",
        short_alias = 't',
        alias = "template"
    )]
    file: Option<PathBuf>,

    /// The same without -f
    #[arg(
        value_name = "FILE",
        conflicts_with = "file",
        required_unless_present = "file"
    )]
    path: Option<PathBuf>,

    #[command(flatten)]
    inputs: Inputs,
}

impl Validate {
    /// Does it.
    pub(crate) fn run(self, call: &Call) -> Outcome {
        let file = self
            .file
            .or(self.path)
            .ok_or_else(|| Failure::Usage("no template: name one with -f FILE".into()))?;
        let found = Gathered::look(&file, &self.inputs)?;
        let gathered = &found.gathered;
        let mut problems = found.problems;
        let stack = name_of(&file).unwrap_or_else(|_| "stack".into());
        let limits = self.inputs.limits.limits();
        let compiled = check(gathered, &stack, call.namespace(), &limits, &mut problems);
        let failed = problems.iter().any(|problem| problem.severity != "warning");
        let mut out = Out::new();
        match call.form() {
            Form::Json => {
                let problems: Vec<_> = problems.into_iter().map(json::Problem::from).collect();
                out.json(&problems)?;
            }
            Form::Table => {
                out.text(&show(&problems, &gathered.sources()))?;
                let name = &gathered.document.name;
                match compiled {
                    Some(resources) if !failed => {
                        let count = text::number(resources as u64, "resource");
                        out.line(&format!("{name}: valid, {count}"))?;
                    }
                    _ => out.line(&format!("{name}: {}", sum(&problems)))?,
                }
            }
        }
        out.done()?;
        if failed {
            return Err(Failure::Silent(REFUSED));
        }
        Ok(())
    }
}

/// Compiles, and asks the providers; how many resources came of it.
fn check(
    gathered: &Gathered,
    stack: &str,
    namespace: &str,
    limits: &Limits,
    problems: &mut Vec<v1::Problem>,
) -> Option<usize> {
    let mut workshop = Workshop::new(Arc::new(providers::registry()));
    workshop.limits = Arc::new(limits.clone());
    let received = received(gathered, stack, namespace);
    // Providers are asked as on a member, where this is not done on an async thread either.
    let validated =
        tokio::task::block_in_place(|| workshop.validate(&received, &Handle::current()));
    match validated {
        Ok(validated) => {
            add(problems, validated.warnings);
            Some(validated.resources)
        }
        Err(Refused::Invalid(invalid)) => {
            add(problems, invalid.problems);
            None
        }
        Err(refused) => {
            let problem = v1::Problem {
                severity: "error".into(),
                source: gathered.document.name.clone(),
                message: refused.to_string(),
                ..v1::Problem::default()
            };
            add(problems, vec![problem]);
            None
        }
    }
}

/// The submission that this would be.
fn received(gathered: &Gathered, stack: &str, namespace: &str) -> Received {
    let text = |text: &anneal_client::Text| Text {
        name: text.name.clone(),
        data: text.data.as_ref().into(),
    };
    let parameters = gathered.parameters.iter();
    Received {
        header: v1::SubmitHeader {
            namespace: namespace.into(),
            name: stack.into(),
            parameters: parameters
                .map(|(name, value)| v1::Parameter {
                    name: name.clone(),
                    value: value.clone(),
                })
                .collect(),
            ..v1::SubmitHeader::default()
        },
        document: text(&gathered.document),
        environments: gathered.environments.iter().map(text).collect(),
        files: gathered
            .files
            .iter()
            .map(|file| (file.name.clone(), file.data.as_ref().into()))
            .collect(),
    }
}

/// Each problem once, in the order of the text: syntax is looked at twice, once for the files that it includes.
fn add(problems: &mut Vec<v1::Problem>, found: Vec<v1::Problem>) {
    for problem in found {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    problems.sort_by(|a, b| (&a.source, a.line, a.column).cmp(&(&b.source, b.line, b.column)));
}
