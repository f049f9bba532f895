//! Which stored resources must be compiled anew: users of changed parameters, and what refers to a resource
//! whose type changes or that a condition now leaves out.

use std::collections::BTreeSet;

use super::document::Document;
use super::{Stack, StoredFragment, as_map_of_one, read};
use crate::definition::{Files, ParameterValues};
use crate::parameter::Parameters;
use crate::problem::Collector;
use crate::resource::State;

#[derive(Default)]
pub(super) struct Touched {
    pub(super) names: BTreeSet<String>,
    pub(super) fragments: Vec<StoredFragment>,
}

impl Touched {
    pub(super) fn by(
        stack: &Stack<'_>,
        document: &Document<'_>,
        parameters: &Parameters,
        old_values: &ParameterValues,
        collector: &mut Collector,
    ) -> Option<Self> {
        let mut touched = Self::default();
        let set: BTreeSet<&str> = document
            .resources
            .iter()
            .map(|entry| entry.name())
            .collect();
        let stays = |name: &String| {
            !set.contains(name.as_str()) && !document.removed.contains_key(name.as_str())
        };
        let mut open: Vec<String> = Vec::new();
        for name in parameters.names() {
            let changed = match (parameters.get(name).flatten(), old_values.get(name)) {
                (Some(new), Some(old)) => new.value != old.value || new.hidden != old.hidden,
                (Some(_), None) => true,
                (None, _) => false,
            };
            if changed {
                open.extend(
                    stack
                        .input
                        .view
                        .users_of_parameter(name)
                        .into_iter()
                        .filter(stays),
                );
            }
        }
        // Problems in what is set are told when it is compiled; here only what becomes of it counts.
        let mut silent = Collector::new(0);
        let source = silent.source("");
        let mut compiler = stack.compiler(&mut silent, source);
        for entry in &document.resources {
            let outline = compiler.outline(*entry, stack.scope);
            if changes_dependents(stack, outline.name, &outline.state) {
                open.extend(
                    stack
                        .input
                        .view
                        .dependents_of(outline.name)
                        .into_iter()
                        .filter(stays),
                );
            }
        }
        while let Some(name) = open.pop() {
            if !touched.names.insert(name.clone()) {
                continue;
            }
            let Some(fragment) = stack.input.view.fragment(&name) else {
                continue;
            };
            let text = as_map_of_one(&name, &fragment.text);
            let tree = read(&text, stack.stored, stack.scope.limits, collector)?;
            let files: Files = fragment
                .files
                .into_iter()
                .map(|file| (file.path, file.content))
                .collect();
            let stored = StoredFragment { tree, files };
            let outline = compiler.outline(stored.entry(), stack.scope);
            if changes_dependents(stack, &name, &outline.state) {
                open.extend(
                    stack
                        .input
                        .view
                        .dependents_of(&name)
                        .into_iter()
                        .filter(stays),
                );
            }
            drop(outline);
            touched.fragments.push(stored);
        }
        touched
            .fragments
            .sort_by(|a, b| a.entry().name().cmp(b.entry().name()));
        Some(touched)
    }
}

/// Whether what refers to the resource may no longer be right.
fn changes_dependents(stack: &Stack<'_>, name: &str, state: &State<'_>) -> bool {
    let Some(before) = stack.input.view.type_of(name) else {
        return false;
    };
    match state {
        State::Broken => false,
        State::LeftOut => true,
        State::Defined { type_name, .. } => **type_name != *before,
    }
}
