//! The patch document itself. Knows no stack.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::write_json;
use crate::body::write_text;
use crate::definition::ParameterValues;
use crate::environment::{self, Environment};
use crate::literal::Reporter;
use crate::parameter::{self, Given, Parameters};
use crate::problem::{Collector, SourceId};
use crate::stack_view::StackView;
use crate::tree::{Entry, NodeKind, NodeRef};

const SECTIONS: &[&str] = &["resources", "remove", "parameters", "outputs"];

/// What a patch document says.
#[derive(Default)]
pub(super) struct Document<'t> {
    /// Resources to set.
    pub(super) resources: Vec<Entry<'t>>,
    /// Resources that go, and where the document says so.
    pub(super) removed: BTreeMap<&'t str, NodeRef<'t>>,
    /// Outputs to set; null takes one away.
    pub(super) outputs: BTreeMap<&'t str, Entry<'t>>,
    parameters: BTreeMap<String, Given>,
}

impl<'t> Document<'t> {
    pub(super) fn read(root: NodeRef<'t>, reporter: &mut Reporter<'_>) -> Option<Self> {
        let mut document = Self::default();
        let Some(sections) = root.entries() else {
            reporter.error(
                root,
                "",
                format!(
                    "a patch is a map of {}, not {}",
                    SECTIONS.join(", "),
                    root.in_words()
                ),
            );
            return None;
        };
        for section in sections {
            match section.name() {
                "heat_template_version" => {}
                "parameters" => environment::values(section, &mut document.parameters, reporter),
                "remove" => document.read_removed(section.value, reporter),
                "resources" | "outputs" => document.read_entries(section, reporter),
                other => {
                    reporter.unknown(
                        section.key,
                        other,
                        "section of a patch",
                        other,
                        SECTIONS.iter().copied(),
                    );
                }
            }
        }
        for entry in &document.resources {
            if document.removed.contains_key(entry.name()) {
                reporter.error(
                    entry.key,
                    format!("resources.{}", entry.name()),
                    "it is both set and removed",
                );
            }
        }
        Some(document)
    }

    fn read_entries(&mut self, section: Entry<'t>, reporter: &mut Reporter<'_>) {
        let node = section.value;
        match node.entries() {
            Some(entries) if section.name() == "resources" => self.resources = entries.collect(),
            Some(entries) => self.outputs = entries.map(|entry| (entry.name(), entry)).collect(),
            None if node.kind() == NodeKind::Null => {}
            None => {
                reporter.error(
                    node,
                    section.name(),
                    format!("must be a map, not {}", node.in_words()),
                );
            }
        }
    }

    fn read_removed(&mut self, section: NodeRef<'t>, reporter: &mut Reporter<'_>) {
        match section.kind() {
            NodeKind::Null => {}
            NodeKind::Text => {
                self.removed.insert(section.written(), section);
            }
            NodeKind::List => {
                for (index, item) in section.items().into_iter().flatten().enumerate() {
                    match item.text() {
                        Some(name) => {
                            self.removed.insert(name, item);
                        }
                        None => {
                            let message =
                                format!("must be the name of a resource, not {}", item.in_words());
                            reporter.error(item, format!("remove[{index}]"), message);
                        }
                    }
                }
            }
            _ => {
                reporter.error(
                    section,
                    "remove",
                    format!("must be a list of names, not {}", section.in_words()),
                );
            }
        }
    }

    pub(super) fn add_parameters(&mut self, beside: &BTreeMap<String, Json>, source: SourceId) {
        for (name, value) in beside {
            self.parameters.insert(
                name.clone(),
                Given {
                    value: value.clone(),
                    source,
                    position: None,
                },
            );
        }
    }

    /// Values of all declared parameters: what the document gives, else what is stored.
    pub(super) fn parameters(
        &self,
        section: Option<NodeRef<'_>>,
        environment: &Environment,
        stored: &ParameterValues,
        reporter: &mut Reporter<'_>,
    ) -> Parameters {
        let declared = section
            .map(|section| parameter::declarations(section, reporter))
            .unwrap_or_default();
        let (changed, kept): (Vec<_>, Vec<_>) = declared
            .into_iter()
            .partition(|d| self.parameters.contains_key(&d.name) || !stored.contains_key(&d.name));
        let mut parameters = Parameters::default();
        for declaration in kept {
            let value = stored.get(&declaration.name).cloned();
            parameters.set(declaration.name, value);
        }
        let (given, defaults) = (&self.parameters, &environment.defaults);
        let (source, collector) = (reporter.source, &mut *reporter.collector);
        parameter::resolve_into(
            &mut parameters,
            &changed,
            given,
            defaults,
            Some(stored),
            source,
            collector,
        );
        parameters
    }

    /// What goes must be there.
    pub(super) fn check_removed(
        &self,
        view: &dyn StackView,
        source: SourceId,
        collector: &mut Collector,
    ) {
        for (name, node) in &self.removed {
            if view.type_of(name).is_none() && view.fragment(name).is_none() {
                let known = std::iter::empty();
                let message = format!("unknown resource {name:?}");
                collector.unknown_word(
                    source,
                    node.position(),
                    "remove".to_owned(),
                    message,
                    name,
                    known,
                );
            }
        }
    }

    /// The outputs section with the document's on it, as JSON; none if the document has none.
    pub(super) fn merged_outputs(&self, old: Option<NodeRef<'_>>) -> Option<String> {
        if self.outputs.is_empty() {
            return None;
        }
        let mut merged = String::from("{");
        let mut put = |entry: Entry<'_>| {
            if entry.value.kind() == NodeKind::Null {
                return;
            }
            if merged.len() > 1 {
                merged.push(',');
            }
            write_text(entry.name(), &mut merged);
            merged.push(':');
            write_json(entry.value, &[], &mut merged);
        };
        let mut old_names = std::collections::BTreeSet::new();
        for entry in old.into_iter().filter_map(|node| node.entries()).flatten() {
            old_names.insert(entry.name());
            match self.outputs.get(entry.name()) {
                Some(new) => put(*new),
                None => put(entry),
            }
        }
        self.outputs
            .values()
            .filter(|entry| !old_names.contains(entry.name()))
            .for_each(|entry| put(*entry));
        merged.push('}');
        Some(merged)
    }
}
