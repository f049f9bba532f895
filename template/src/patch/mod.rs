//! Compiles a patch document against a stored stack, at the cost of what it touches. Knows the stack only
//! through single look-ups.

mod circle;
mod document;
mod overlay;
mod touched;

use std::collections::{BTreeMap, BTreeSet};

use crate::compile::{Nobody, SourceText, decide, finish, read};
use crate::condition::Conditions;
use crate::definition::{CompiledOutput, CompiledResource, Files, Head, ParameterValues};
use crate::environment::Environment;
use crate::fold::{Scope, Uses};
use crate::head;
use crate::limits::Limits;
use crate::literal::{Reporter, write_json};
use crate::order::in_order;
use crate::output;
use crate::parameter::Parameters;
use crate::problem::{Collector, Problem, Problems, SourceId};
use crate::resource::{Outline, ResourceCompiler};
use crate::schema::Catalog;
use crate::stack_view::StackView;
use crate::tree::{Entry, NodeKind, Tree};

use document::Document;
use overlay::Overlay;
use touched::Touched;

/// What the compilation of a patch looks at.
#[derive(Clone, Copy)]
pub struct PatchInput<'a> {
    /// Name of the stack (`OS::stack_name`).
    pub stack_name: &'a str,
    /// Namespace of the stack (`OS::project_id`).
    pub namespace: &'a str,
    /// The stored stack.
    pub view: &'a dyn StackView,
    /// The patch document: any of `resources`, `remove`, `parameters`, `outputs`.
    pub patch: SourceText<'a>,
    /// Parameters given beside the document; they win over those in it. Null is back to the default.
    pub parameters: &'a BTreeMap<String, serde_json::Value>,
    /// Contents of the files that the document includes.
    pub files: &'a Files,
    /// The resource types that exist.
    pub catalog: &'a dyn Catalog,
    /// The bounds.
    pub limits: &'a Limits,
}

/// A patch, compiled: what becomes of the stack.
#[derive(Clone, Debug, PartialEq)]
pub struct CompiledPatch {
    /// Resources that the document sets, and those that had to be compiled anew because of it, what is
    /// needed first. Some may be as they were.
    pub resources: Vec<CompiledResource>,
    /// Resources that go; sorted.
    pub removed: Vec<String>,
    /// The new head, if it changed.
    pub head: Option<Head>,
    /// All parameter values, if any changed.
    pub parameters: Option<ParameterValues>,
    /// All outputs by name, compiled anew.
    pub outputs: Vec<CompiledOutput>,
    /// What is odd but not wrong.
    pub warnings: Vec<Problem>,
}

/// Compiles a patch document, or tells all that is wrong.
pub fn compile_patch(input: &PatchInput<'_>) -> Result<CompiledPatch, Problems> {
    let mut collector = Collector::new(input.limits.problems);
    let compiled = compile_into(input, &mut collector);
    finish(collector, compiled, |compiled, warnings| {
        compiled.warnings = warnings
    })
}

/// How problems in what is stored call it: it has no lines.
const STORED: &str = "the stored template";

fn compile_into(input: &PatchInput<'_>, collector: &mut Collector) -> Option<CompiledPatch> {
    let source = collector.source(input.patch.name);
    let stored = collector.unplaced_source(STORED);
    let beside = collector.unplaced_source("parameters");
    let text = if input.patch.text.trim().is_empty() {
        "{}"
    } else {
        input.patch.text
    };
    let tree = read(text, source, input.limits, collector)?;
    let mut document = Document::read(tree.root(), &mut Reporter { collector, source })?;
    document.add_parameters(input.parameters, beside);

    let old_head = input.view.head();
    let head_tree = read(&old_head.text, stored, input.limits, collector)?;
    let sections = head::sections(
        head_tree.root(),
        &mut Reporter {
            collector,
            source: stored,
        },
    )?;
    let environment = environment(input, stored, collector)?;
    let old_values = input.view.parameters();
    let mut reporter = Reporter {
        collector,
        source: stored,
    };
    let parameters = document.parameters(
        sections.parameters,
        &environment,
        &old_values,
        &mut reporter,
    );
    let no_files = Files::new();
    let scope = Scope {
        stack_name: input.stack_name,
        namespace: input.namespace,
        parameters: &parameters,
        files: &no_files,
        limits: input.limits,
        neighbours: &Nobody,
    };
    let conditions = decide(
        sections.conditions,
        scope,
        Reporter {
            collector,
            source: stored,
        },
    );
    let stack = Stack {
        input,
        scope,
        conditions: &conditions,
        environment: &environment,
        source,
        stored,
    };
    let (resources, outputs, uses) = stack.compile(
        &document,
        &parameters,
        &old_values,
        sections.outputs,
        collector,
    )?;
    let head = Head {
        text: head::normal_form(
            head_tree.root(),
            document.merged_outputs(sections.outputs).as_deref(),
        ),
        files: uses.file_contents(),
    };
    if collector.errors() > 0 {
        return None;
    }
    let values = parameters.into_values();
    Some(CompiledPatch {
        resources,
        removed: document
            .removed
            .keys()
            .map(|name| (*name).to_owned())
            .collect(),
        head: (head != old_head).then_some(head),
        parameters: (values != old_values).then_some(values),
        outputs,
        warnings: Vec::new(),
    })
}

fn environment(
    input: &PatchInput<'_>,
    stored: SourceId,
    collector: &mut Collector,
) -> Option<Environment> {
    let mut environment = Environment::default();
    let text = input.view.environment();
    if !text.trim().is_empty() {
        let tree = read(&text, stored, input.limits, collector)?;
        environment.merge(
            tree.root(),
            &mut Reporter {
                collector,
                source: stored,
            },
        );
    }
    Some(environment)
}

/// A stored fragment that is compiled anew: its text as a map of one.
struct StoredFragment {
    tree: Tree,
    files: Files,
}

impl StoredFragment {
    fn entry(&self) -> Entry<'_> {
        self.tree
            .root()
            .entries()
            .into_iter()
            .flatten()
            .next()
            .expect("a stored fragment is a map of one")
    }
}

/// The stack with the patch on it, when parameters and conditions are known.
struct Stack<'a> {
    input: &'a PatchInput<'a>,
    scope: Scope<'a>,
    conditions: &'a Conditions,
    environment: &'a Environment,
    source: SourceId,
    stored: SourceId,
}

type Parts = (Vec<CompiledResource>, Vec<CompiledOutput>, Uses);

impl<'a> Stack<'a> {
    fn compiler<'c>(
        &self,
        collector: &'c mut Collector,
        source: SourceId,
    ) -> ResourceCompiler<'a, 'c> {
        let registry = &self.environment.registry;
        ResourceCompiler::new(
            collector,
            source,
            registry,
            self.input.catalog,
            self.conditions,
        )
    }

    fn compile(
        &self,
        document: &Document<'_>,
        parameters: &Parameters,
        old_values: &ParameterValues,
        old_outputs: Option<crate::tree::NodeRef<'_>>,
        collector: &mut Collector,
    ) -> Option<Parts> {
        let view = self.input.view;
        document.check_removed(view, self.source, collector);
        let touched = Touched::by(self, document, parameters, old_values, collector)?;
        let mut compiler = self.compiler(collector, self.source);
        let mut outlines: Vec<Outline<'_, 'a>> = document
            .resources
            .iter()
            .map(|entry| compiler.outline(*entry, self.scope))
            .collect();
        compiler.source = self.stored;
        outlines.extend(
            touched
                .fragments
                .iter()
                .map(|fragment| compiler.outline(fragment.entry(), self.scope)),
        );
        let overlay = Overlay::new(&outlines, &document.removed, view, self.input.catalog);
        let mut resources = Vec::with_capacity(outlines.len());
        let mut positions = Vec::with_capacity(outlines.len());
        for (at, outline) in outlines.iter().enumerate() {
            let stored = at
                .checked_sub(document.resources.len())
                .map(|at| &touched.fragments[at]);
            compiler.source = if stored.is_some() {
                self.stored
            } else {
                self.source
            };
            let files = stored.map_or(self.input.files, |fragment| &fragment.files);
            let scope = Scope {
                files,
                neighbours: &overlay,
                ..self.scope
            };
            if let Some(resource) = compiler.compile(outline, scope) {
                resources.push(resource);
                positions.push(outline.position());
            }
        }
        let (outputs, uses) = self.outputs(document, old_outputs, &overlay, collector);
        self.check_still_needed(document, &touched, collector);
        if collector.errors() > 0 {
            return None;
        }
        in_order(&mut resources, &positions, self.source, collector).ok()?;
        let position = |name: &str| overlay.position(name).unwrap_or_default();
        circle::find(
            &resources,
            &document.removed,
            view,
            &position,
            self.source,
            collector,
        );
        Some((resources, outputs, uses))
    }

    fn outputs(
        &self,
        document: &Document<'_>,
        old: Option<crate::tree::NodeRef<'_>>,
        overlay: &Overlay<'_, '_, '_>,
        collector: &mut Collector,
    ) -> (Vec<CompiledOutput>, Uses) {
        let old_files: Files = self
            .input
            .view
            .head()
            .files
            .into_iter()
            .map(|f| (f.path, f.content))
            .collect();
        let mut uses = Uses::default();
        let mut outputs = Vec::new();
        let kept = old.into_iter().filter_map(|node| node.entries()).flatten();
        for entry in kept.filter(|entry| !document.outputs.contains_key(entry.name())) {
            let scope = Scope {
                files: &old_files,
                neighbours: overlay,
                ..self.scope
            };
            outputs.extend(output::compile(
                entry,
                scope,
                self.conditions,
                collector,
                self.stored,
                &mut uses,
            ));
        }
        for entry in document
            .outputs
            .values()
            .filter(|entry| entry.value.kind() != NodeKind::Null)
        {
            let scope = Scope {
                files: self.input.files,
                neighbours: overlay,
                ..self.scope
            };
            outputs.extend(output::compile(
                *entry,
                scope,
                self.conditions,
                collector,
                self.source,
                &mut uses,
            ));
        }
        outputs.sort_by(|a, b| a.name.cmp(&b.name));
        (outputs, uses)
    }

    /// What goes must not be needed by what stays as it is. What is compiled anew tells that itself.
    fn check_still_needed(
        &self,
        document: &Document<'_>,
        touched: &Touched,
        collector: &mut Collector,
    ) {
        /// How many of those that need it are named.
        const NAMED: usize = 5;
        let set: BTreeSet<&str> = document
            .resources
            .iter()
            .map(|entry| entry.name())
            .collect();
        for (name, node) in &document.removed {
            let mut users = self.input.view.dependents_of(name);
            users.retain(|user| {
                let user = user.as_str();
                !(document.removed.contains_key(user)
                    || set.contains(user)
                    || touched.names.contains(user))
            });
            if users.is_empty() {
                continue;
            }
            users.sort();
            let more = users.len().saturating_sub(NAMED);
            let mut named = users[..users.len() - more].join(", ");
            if more > 0 {
                named.push_str(&format!(" and {more} more"));
            }
            let message = format!("the resource {name:?} is still needed by {named}");
            collector.error(self.source, node.position(), "remove".to_owned(), message);
        }
    }
}

/// JSON of a stored fragment as a map of one.
fn as_map_of_one(name: &str, text: &str) -> String {
    let mut map = String::from("{");
    crate::body::write_text(name, &mut map);
    map.push(':');
    map.push_str(text);
    map.push('}');
    map
}

#[cfg(test)]
mod tests;
