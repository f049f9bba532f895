//! `anneal validate`: compiles a template against the built-in resource types. Needs no cluster, changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anneal_client::v1;
use anneal_node::submit::catalog;
use anneal_template::{Files, Input, Limits, SourceText, compile};
use clap::Args;
use serde_json::Value;

use super::change::Inputs;
use super::up::name_of;
use crate::call::Call;
use crate::cli::Form;
use crate::exit::{Failure, Outcome, REFUSED};
use crate::output::problems::{show, sum};
use crate::output::{Out, json, text};
use crate::providers;
use crate::submission::{Gathered, problems_of, text_of};

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

/// Compiles; how many resources came of it.
fn check(
    gathered: &Gathered,
    stack: &str,
    namespace: &str,
    limits: &Limits,
    problems: &mut Vec<v1::Problem>,
) -> Option<usize> {
    let document = source(&gathered.document, problems);
    let environments: Vec<_> = gathered
        .environments
        .iter()
        .filter_map(|text| source(text, problems))
        .collect();
    let document = document?;
    let parameters: BTreeMap<String, Value> = gathered
        .parameters
        .iter()
        .map(|(name, value)| (name.clone(), Value::String(value.clone())))
        .collect();
    let files: Files = gathered
        .files
        .iter()
        .map(|file| (file.name.clone(), file.data.as_ref().into()))
        .collect();
    let input = Input {
        stack_name: stack,
        namespace,
        template: document,
        environments: &environments,
        parameters: &parameters,
        files: &files,
        previous: None,
        catalog: &catalog(&providers::registry()),
        limits,
    };
    match compile(&input) {
        Ok(compiled) => {
            add(problems, problems_of(compiled.warnings));
            Some(compiled.resources.len())
        }
        Err(found) => {
            add(problems, problems_of(found.list));
            None
        }
    }
}

fn source<'a>(
    text: &'a anneal_client::Text,
    problems: &mut Vec<v1::Problem>,
) -> Option<SourceText<'a>> {
    match text_of(text) {
        Ok(source) => Some(source),
        Err(problem) => {
            add(problems, vec![*problem]);
            None
        }
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
