//! Environments: parameter values, defaults, and which resource type stands for which. Knows no resources.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use crate::body::write_text;
use crate::literal::Reporter;
use crate::parameter::Given;
use crate::tree::{Entry, NodeKind, NodeRef};
use crate::value::Value;

const SECTIONS: &[&str] = &["parameters", "parameter_defaults", "resource_registry"];

/// Sections and keys that are known and refused, and why.
const REFUSED: &[(&str, &str)] = &[
    (
        "encrypted_param_names",
        "parameters are not encrypted one by one; declare them hidden",
    ),
    (
        "event_sinks",
        "event sinks need OpenStack's message queues; `anneal stack watch` streams events",
    ),
    (
        "parameter_merge_strategies",
        "merge strategies are not supported; the later environment's value is taken",
    ),
    (
        "hooks",
        "hooks are not supported; `anneal stack pause` stops a stack between actions",
    ),
    (
        "restricted_actions",
        "restricted actions are not supported; `protect: true` in the resource refuses its deletion and replacement",
    ),
];

/// How many aliases may lead to one type: each environment adds one or two.
const ALIAS_STEPS: usize = 32;

/// All environments of a stack, merged in their order.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    pub(crate) parameters: BTreeMap<String, Given>,
    pub(crate) defaults: BTreeMap<String, Given>,
    pub(crate) registry: Registry,
}

/// Which type stands for which.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    types: Aliases,
    /// By resource name.
    resources: BTreeMap<String, Aliases>,
}

#[derive(Debug, Default)]
struct Aliases {
    exact: BTreeMap<String, String>,
    /// By what stands before the star.
    globs: BTreeMap<String, String>,
}

impl Aliases {
    fn set(&mut self, name: &str, value: &str) {
        match name.strip_suffix('*') {
            Some(prefix) => self.globs.insert(prefix.to_owned(), value.to_owned()),
            None => self.exact.insert(name.to_owned(), value.to_owned()),
        };
    }

    fn find(&self, name: &str) -> Option<String> {
        if let Some(value) = self.exact.get(name) {
            return Some(value.clone());
        }
        let (prefix, value) = self
            .globs
            .iter()
            .filter(|(prefix, _)| name.starts_with(*prefix))
            .max_by_key(|(p, _)| p.len())?;
        Some(match value.strip_suffix('*') {
            Some(start) => format!("{start}{}", &name[prefix.len()..]),
            None => value.clone(),
        })
    }

    fn to_json(&self) -> Map<String, Json> {
        let globs = self
            .globs
            .iter()
            .map(|(prefix, value)| (format!("{prefix}*"), value));
        let exact = self.exact.iter().map(|(name, value)| (name.clone(), value));
        let sorted: BTreeMap<String, &String> = exact.chain(globs).collect();
        sorted
            .into_iter()
            .map(|(name, value)| (name, Json::String(value.clone())))
            .collect()
    }
}

impl Registry {
    /// The type that a resource's type stands for in the end; an error if aliases go in a circle.
    pub(crate) fn resolve(&self, resource: &str, type_name: &str) -> Result<String, String> {
        let own = self.resources.get(resource);
        let mut seen = BTreeSet::new();
        let mut name = type_name.to_owned();
        for _ in 0..ALIAS_STEPS {
            let next = own
                .and_then(|aliases| aliases.find(&name))
                .or_else(|| self.types.find(&name));
            match next {
                Some(next) if next != name => {
                    if !seen.insert(name.clone()) || seen.contains(&next) {
                        return Err(format!(
                            "the aliases of {type_name:?} in the environment go in a circle"
                        ));
                    }
                    name = next;
                }
                _ => return Ok(name),
            }
        }
        Err(format!(
            "more than {ALIAS_STEPS} aliases in the environment lead on from {type_name:?}"
        ))
    }

    /// All names that an alias stands under.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.types.exact.keys().map(String::as_str)
    }

    /// Whether no type stands for another.
    pub(crate) fn is_empty(&self) -> bool {
        self.types.exact.is_empty() && self.types.globs.is_empty() && self.resources.is_empty()
    }
}

impl Environment {
    /// Merges a further environment; what it says wins.
    pub(crate) fn merge(&mut self, root: NodeRef<'_>, reporter: &mut Reporter<'_>) {
        if root.kind() == NodeKind::Null {
            return;
        }
        let Some(sections) = root.entries() else {
            reporter.error(
                root,
                "",
                format!("an environment is a map, not {}", root.in_words()),
            );
            return;
        };
        for section in sections {
            match section.name() {
                "parameters" => values(section, &mut self.parameters, reporter),
                "parameter_defaults" => values(section, &mut self.defaults, reporter),
                "resource_registry" => self.registry.merge(section, reporter),
                other => refused_or_unknown(section, other, "section", SECTIONS, other, reporter),
            }
        }
    }

    /// The normal form of what later compilations need: all but the parameter values.
    pub(crate) fn normal_form(&self) -> String {
        let mut registry = self.registry.types.to_json();
        if !self.registry.resources.is_empty() {
            let resources = self.registry.resources.iter();
            let resources = resources
                .map(|(name, aliases)| (name.clone(), Json::Object(aliases.to_json())))
                .collect();
            registry.insert("resources".to_owned(), Json::Object(resources));
        }
        let defaults = self
            .defaults
            .iter()
            .map(|(name, given)| (name.clone(), given.value.clone()))
            .collect();
        let mut out = String::new();
        write_json_value(
            &Json::Object(Map::from_iter([
                ("parameter_defaults".to_owned(), Json::Object(defaults)),
                ("resource_registry".to_owned(), Json::Object(registry)),
            ])),
            &mut out,
        );
        out
    }
}

/// JSON in the one form that all stored texts have.
fn write_json_value(json: &Json, out: &mut String) {
    match json {
        Json::Number(number) => crate::body::write_number(number, out),
        Json::String(text) => write_text(text, out),
        Json::Array(items) => {
            out.push('[');
            for (count, item) in items.iter().enumerate() {
                if count > 0 {
                    out.push(',');
                }
                write_json_value(item, out);
            }
            out.push(']');
        }
        Json::Object(map) => {
            out.push('{');
            for (count, (key, value)) in map.iter().enumerate() {
                if count > 0 {
                    out.push(',');
                }
                write_text(key, out);
                out.push(':');
                write_json_value(value, out);
            }
            out.push('}');
        }
        Json::Null | Json::Bool(_) => out.push_str(&json.to_string()),
    }
}

fn refused_or_unknown(
    entry: Entry<'_>,
    word: &str,
    what: &str,
    known: &[&str],
    path: &str,
    reporter: &mut Reporter<'_>,
) {
    match REFUSED.iter().find(|(refused, _)| *refused == word) {
        Some((_, why)) => reporter.error(entry.key, path, *why),
        None => reporter.unknown(entry.key, path, what, word, known.iter().copied()),
    };
}

/// Parameter values of a section, or of a `parameters` map given elsewhere.
pub(crate) fn values(
    section: Entry<'_>,
    values: &mut BTreeMap<String, Given>,
    reporter: &mut Reporter<'_>,
) {
    if section.value.kind() == NodeKind::Null {
        return;
    }
    let Some(entries) = section.value.entries() else {
        reporter.error(
            section.value,
            section.name(),
            format!("must be a map, not {}", section.value.in_words()),
        );
        return;
    };
    for entry in entries {
        let path = format!("{}.{}", section.name(), entry.name());
        if let Ok(value) = reporter
            .literal(entry.value, &path)
            .map(|value: Value| value.to_json())
        {
            let given = Given {
                value,
                source: reporter.source,
                position: Some(entry.value.position()),
            };
            values.insert(entry.name().to_owned(), given);
        }
    }
}

impl Registry {
    fn merge(&mut self, section: Entry<'_>, reporter: &mut Reporter<'_>) {
        if section.value.kind() == NodeKind::Null {
            return;
        }
        let Some(entries) = section.value.entries() else {
            reporter.error(
                section.value,
                section.name(),
                format!("must be a map, not {}", section.value.in_words()),
            );
            return;
        };
        for entry in entries {
            let path = format!("{}.{}", section.name(), entry.name());
            match (entry.name(), entry.value.entries()) {
                ("resources", Some(resources)) => {
                    for resource in resources {
                        self.merge_resource(
                            resource,
                            &format!("{path}.{}", resource.name()),
                            reporter,
                        );
                    }
                }
                ("resources", None) => {
                    reporter.error(
                        entry.value,
                        path,
                        format!("must be a map, not {}", entry.value.in_words()),
                    );
                }
                _ => alias(entry, &path, &mut self.types, reporter),
            }
        }
    }

    fn merge_resource(&mut self, resource: Entry<'_>, path: &str, reporter: &mut Reporter<'_>) {
        let Some(entries) = resource.value.entries() else {
            reporter.error(
                resource.value,
                path,
                format!("must be a map, not {}", resource.value.in_words()),
            );
            return;
        };
        for entry in entries {
            let path = format!("{path}.{}", entry.name());
            if REFUSED.iter().any(|(word, _)| *word == entry.name()) {
                refused_or_unknown(entry, entry.name(), "key", &[], &path, reporter);
            } else if entry.value.kind() == NodeKind::Map {
                reporter.error(
                    entry.key,
                    path,
                    "nested stacks are not supported yet, so nothing is below a resource",
                );
            } else {
                alias(
                    entry,
                    &path,
                    self.resources
                        .entry(resource.name().to_owned())
                        .or_default(),
                    reporter,
                );
            }
        }
    }
}

/// Whether a type name is the name of a template file.
pub(crate) fn is_template_file(type_name: &str) -> bool {
    [".yaml", ".yml", ".template", ".json"]
        .iter()
        .any(|end| type_name.ends_with(end))
}

fn alias(entry: Entry<'_>, path: &str, aliases: &mut Aliases, reporter: &mut Reporter<'_>) {
    match entry.value.text() {
        Some(value) if is_template_file(value) => {
            reporter.error(
                entry.value,
                path,
                "a template as a resource type is not supported yet",
            );
        }
        Some(value) if value.ends_with('*') && !entry.name().ends_with('*') => {
            reporter.error(entry.value, path, "a pattern can stand only for a pattern");
        }
        Some(value) if !value.is_empty() => aliases.set(entry.name(), value),
        _ => {
            reporter.error(
                entry.value,
                path,
                format!("must be the name of a type, not {}", entry.value.in_words()),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::problem::Collector;
    use crate::tree::Tree;

    fn merged(texts: &[&str]) -> Result<Environment, String> {
        let mut collector = Collector::new(100);
        let mut environment = Environment::default();
        for text in texts {
            let source = collector.source("env.yaml");
            let tree = Tree::read(text, &Limits::default()).unwrap();
            environment.merge(
                tree.root(),
                &mut Reporter {
                    collector: &mut collector,
                    source,
                },
            );
        }
        collector
            .finish()
            .map(|_| environment)
            .map_err(|problems| problems.to_string())
    }

    #[test]
    fn a_resource_s_own_alias_goes_before_the_exact_one_and_that_before_the_longest_pattern() {
        let environment = merged(&["
resource_registry:
  \"A::*\": \"B::*\"
  \"A::C::*\": D
  A::X: Y
  resources:
    web:
      A::X: Z
"])
        .unwrap();
        let resolve =
            |resource: &str, name: &str| environment.registry.resolve(resource, name).unwrap();
        assert_eq!(resolve("web", "A::X"), "Z");
        assert_eq!(resolve("db", "A::X"), "Y");
        assert_eq!(resolve("db", "A::Q"), "B::Q");
        assert_eq!(resolve("db", "A::C::Q"), "D");
        assert_eq!(resolve("db", "E"), "E");
        let again = merged(&[&environment.normal_form()]).unwrap();
        assert_eq!(again.normal_form(), environment.normal_form());
    }

    #[test]
    fn aliases_that_go_in_a_circle_are_found() {
        let environment = merged(&["resource_registry: {A: B, B: A}"]).unwrap();
        assert!(
            environment
                .registry
                .resolve("r", "A")
                .unwrap_err()
                .contains("circle")
        );
    }

    #[test]
    fn the_later_environment_wins() {
        let environment = merged(&[
            "parameters: {a: 1, b: 1}",
            "parameters: {b: 2}\nparameter_defaults: {c: 3}",
        ])
        .unwrap();
        assert_eq!(environment.parameters["a"].value, 1);
        assert_eq!(environment.parameters["b"].value, 2);
        assert_eq!(environment.defaults["c"].value, 3);
    }

    #[test]
    fn what_has_no_meaning_here_is_named_and_misspelt_sections_are_answered() {
        let error = merged(&["
parameter: {}
event_sinks: []
resource_registry:
  A: web.yaml
  resources:
    db: {hooks: pre-create}
"])
        .unwrap_err();
        let wanted = "\
env.yaml:2:1: parameter: unknown section \"parameter\"; did you mean parameters?
env.yaml:3:1: event_sinks: event sinks need OpenStack's message queues; `anneal stack watch` streams events
env.yaml:5:6: resource_registry.A: a template as a resource type is not supported yet
env.yaml:7:10: resource_registry.resources.db.hooks: hooks are not supported; `anneal stack pause` stops a stack between actions
";
        assert_eq!(error, wanted);
    }
}
