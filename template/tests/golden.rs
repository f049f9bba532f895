//! Templates and what comes of them, as text to be reviewed: `golden/NAME.yaml` (with `golden/NAME.env.yaml`) gives
//! `golden/NAME.out`. With ANNEAL_BLESS=1 the outcomes are written instead of compared.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use anneal_template::{
    Compiled, Files, Input, Limits, Problems, Reference, SourceText, compile, files_used,
    render_template,
};

mod catalog;

fn files() -> Files {
    let text: Arc<[u8]> = Arc::from(&b"<p>%name%</p>\n"[..]);
    let blob: Arc<[u8]> = Arc::from(&b"\xff\xfe"[..]);
    BTreeMap::from([
        ("page.html".to_owned(), text),
        ("blob.bin".to_owned(), blob),
    ])
}

fn compiled(
    name: &str,
    template: &str,
    environment: Option<(&str, &str)>,
) -> Result<Compiled, Problems> {
    let (catalog, files, limits) = (catalog::catalog(), files(), Limits::default());
    let environments: Vec<SourceText<'_>> = environment
        .iter()
        .map(|(name, text)| SourceText { name, text })
        .collect();
    compile(&Input {
        stack_name: "shop",
        namespace: "default",
        template: SourceText {
            name,
            text: template,
        },
        environments: &environments,
        parameters: &BTreeMap::new(),
        files: &files,
        previous: None,
        catalog: &catalog,
        limits: &limits,
    })
}

fn reference(reference: &Reference) -> String {
    match &reference.attribute {
        Some(attribute) => format!("{}.{attribute}", reference.resource),
        None => reference.resource.clone(),
    }
}

fn listed(names: impl IntoIterator<Item = String>) -> String {
    names.into_iter().collect::<Vec<_>>().join(", ")
}

fn described(compiled: &Compiled) -> String {
    let mut out = String::new();
    for (name, value) in &compiled.parameters {
        let hidden = if value.hidden { " hidden" } else { "" };
        let given = if value.given { " given" } else { "" };
        writeln!(out, "parameter {name} = {}{hidden}{given}", value.value).unwrap();
    }
    for resource in &compiled.resources {
        let fragment = &resource.fragment;
        match &resource.definition {
            None => writeln!(out, "{}: left out", resource.name).unwrap(),
            Some(definition) => {
                writeln!(
                    out,
                    "{}: {}",
                    resource.name,
                    String::from_utf8_lossy(&definition.body)
                )
                .unwrap();
                if !definition.references.is_empty() {
                    writeln!(
                        out,
                        "  refers to {}",
                        listed(definition.references.iter().map(reference))
                    )
                    .unwrap();
                }
                if !definition.depends_on.is_empty() {
                    writeln!(
                        out,
                        "  depends on {}",
                        listed(definition.depends_on.clone())
                    )
                    .unwrap();
                }
                if *definition.meta != anneal_template::Meta::default() {
                    writeln!(out, "  {:?}", definition.meta).unwrap();
                }
            }
        }
        if !fragment.parameters.is_empty() {
            writeln!(
                out,
                "  uses parameters {}",
                listed(fragment.parameters.clone())
            )
            .unwrap();
        }
        if !fragment.files.is_empty() {
            writeln!(
                out,
                "  uses files {}",
                listed(fragment.files.iter().map(|file| file.path.clone()))
            )
            .unwrap();
        }
    }
    for output in &compiled.outputs {
        writeln!(
            out,
            "output {}: {}",
            output.name,
            String::from_utf8_lossy(&output.body)
        )
        .unwrap();
        if !output.references.is_empty() {
            writeln!(
                out,
                "  refers to {}",
                listed(output.references.iter().map(reference))
            )
            .unwrap();
        }
    }
    for warning in &compiled.warnings {
        writeln!(out, "{warning}").unwrap();
    }
    out
}

/// What is stored must compile to the same again.
fn check_round_trip(name: &str, first: &Compiled) {
    let mut fragments: Vec<(&str, &str)> = first
        .resources
        .iter()
        .map(|r| (r.name.as_str(), r.fragment.text.as_str()))
        .collect();
    fragments.sort_unstable();
    let text = render_template(&first.head.text, fragments).unwrap();
    let given = first
        .parameters
        .iter()
        .filter(|(_, value)| value.given)
        .map(|(name, value)| (name.clone(), value.value.clone()));
    let (catalog, files, limits) = (catalog::catalog(), files(), Limits::default());
    let second = compile(&Input {
        stack_name: "shop",
        namespace: "default",
        template: SourceText {
            name: "again",
            text: &text,
        },
        environments: &[SourceText {
            name: "environment",
            text: &first.environment,
        }],
        parameters: &given.collect(),
        files: &files,
        previous: Some(&first.parameters),
        catalog: &catalog,
        limits: &limits,
    });
    let mut second = second
        .unwrap_or_else(|problems| panic!("{name} rendered does not compile: {problems}\n{text}"));
    let mut first = first.clone();
    first.warnings.clear();
    second.warnings.clear();
    assert_eq!(first, second, "{name}:\n{text}");
}

#[test]
fn outcomes_are_as_written_down() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let bless = std::env::var_os("ANNEAL_BLESS").is_some();
    let mut names: Vec<String> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml") && !name.ends_with(".env.yaml"))
        .collect();
    names.sort();
    let mut different = Vec::new();
    for file_name in &names {
        let name = file_name.strip_suffix(".yaml").unwrap();
        let template = std::fs::read_to_string(directory.join(file_name)).unwrap();
        let environment_name = format!("{name}.env.yaml");
        let environment = std::fs::read_to_string(directory.join(&environment_name)).ok();
        let environment = environment
            .as_ref()
            .map(|text| (environment_name.as_str(), text.as_str()));
        let outcome = match compiled(file_name, &template, environment) {
            Ok(compiled) => {
                check_round_trip(name, &compiled);
                described(&compiled)
            }
            Err(problems) => problems.to_string(),
        };
        let path = directory.join(format!("{name}.out"));
        if bless {
            std::fs::write(&path, &outcome).unwrap();
        } else if std::fs::read_to_string(&path).unwrap_or_default() != outcome {
            different.push(format!("--- {name}\n{outcome}"));
        }
    }
    assert!(
        different.is_empty(),
        "these came out differently:\n{}",
        different.join("\n")
    );
    assert!(names.len() > 5);
}

#[test]
fn files_are_found_before_anything_is_compiled() {
    let text = "resources:\n  a: {properties: {x: {get_file: page.html}}}\n";
    let used = files_used(SourceText { name: "t", text }, &Limits::default()).unwrap();
    assert_eq!(used[0].path, "page.html");
}
