//! Compiles a whole template. Knows the order of the steps; what each does is elsewhere.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::condition::{self, Conditions};
use crate::definition::{Compiled, CompiledOutput, CompiledResource, Files, Head, ParameterValues};
use crate::environment::Environment;
use crate::fold::{Folder, Neighbour, Neighbours, Scope, Uses};
use crate::head::{self, Sections};
use crate::limits::Limits;
use crate::literal::Reporter;
use crate::lookup::LookupTable;
use crate::order::in_order;
use crate::output;
use crate::parameter::{self, Given, Parameters};
use crate::place::Place;
use crate::problem::{Collector, Position, Problem, Problems, SourceId};
use crate::resource::{Outline, ResourceCompiler};
use crate::schema::Catalog;
use crate::tree::{NodeKind, NodeRef, Tree};

/// A text and the name that problems call it by.
#[derive(Clone, Copy, Debug)]
pub struct SourceText<'a> {
    /// Its name, usually of a file.
    pub name: &'a str,
    /// All of it.
    pub text: &'a str,
}

/// What a compilation looks at.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    /// Name of the stack (`OS::stack_name`).
    pub stack_name: &'a str,
    /// Namespace of the stack (`OS::project_id`).
    pub namespace: &'a str,
    /// The template.
    pub template: SourceText<'a>,
    /// Environments; later ones win.
    pub environments: &'a [SourceText<'a>],
    /// Parameters given beside the environments; they win over those. Text is taken for any type.
    pub parameters: &'a BTreeMap<String, Json>,
    /// Contents of the files that the template includes.
    pub files: &'a Files,
    /// The values of the revision before, if there is one: immutable ones must not change.
    pub previous: Option<&'a ParameterValues>,
    /// The resource types that exist.
    pub catalog: &'a dyn Catalog,
    /// The bounds.
    pub limits: &'a Limits,
}

/// Compiles a whole template, or tells all that is wrong.
pub fn compile(input: &Input<'_>) -> Result<Compiled, Problems> {
    let mut collector = Collector::new(input.limits.problems);
    let compiled = compile_into(input, &mut collector);
    finish(collector, compiled, |compiled, warnings| {
        compiled.warnings = warnings
    })
}

/// The result, if nothing was wrong.
pub(crate) fn finish<T>(
    collector: Collector,
    result: Option<T>,
    put_warnings: impl FnOnce(&mut T, Vec<Problem>),
) -> Result<T, Problems> {
    let warnings = collector.finish()?;
    let mut result = result.expect("a compilation that gives nothing tells why");
    put_warnings(&mut result, warnings);
    Ok(result)
}

/// Reads a text into a tree; its syntax error is told.
pub(crate) fn read(
    text: &str,
    source: SourceId,
    limits: &Limits,
    collector: &mut Collector,
) -> Option<Tree> {
    match Tree::read(text, limits) {
        Ok(tree) => {
            for fault in tree.faults() {
                collector.error(source, fault.position, String::new(), fault.message.clone());
            }
            Some(tree)
        }
        Err(error) => {
            collector.error(source, error.position, String::new(), error.message);
            None
        }
    }
}

/// Environments merged, and the parameters given beside them.
fn environment(input: &Input<'_>, collector: &mut Collector) -> Environment {
    let mut environment = Environment::default();
    for text in input.environments {
        let source = collector.source(text.name);
        if text.text.trim().is_empty() {
            continue;
        }
        if let Some(tree) = read(text.text, source, input.limits, collector) {
            environment.merge(tree.root(), &mut Reporter { collector, source });
        }
    }
    let source = collector.unplaced_source("parameters");
    for (name, value) in input.parameters {
        environment.parameters.insert(
            name.clone(),
            Given {
                value: value.clone(),
                source,
                position: None,
            },
        );
    }
    environment
}

fn compile_into(input: &Input<'_>, collector: &mut Collector) -> Option<Compiled> {
    let source = collector.source(input.template.name);
    let tree = read(input.template.text, source, input.limits, collector);
    let environment = environment(input, collector);
    let tree = tree?;
    let mut reporter = Reporter { collector, source };
    let sections = head::sections(tree.root(), &mut reporter)?;
    let parameters = parameters(&sections, &environment, input.previous, &mut reporter);
    let scope = Scope {
        stack_name: input.stack_name,
        namespace: input.namespace,
        parameters: &parameters,
        files: input.files,
        limits: input.limits,
        neighbours: &Nobody,
    };
    let conditions = decide(sections.conditions, scope, reporter);
    let compiler = ResourceCompiler::new(
        collector,
        source,
        &environment.registry,
        input.catalog,
        &conditions,
    );
    let whole = Whole {
        sections: &sections,
        scope,
        conditions: &conditions,
        source,
    };
    let mut parts = whole.compile(compiler)?;
    let head = Head {
        text: head::normal_form(tree.root(), None),
        files: parts.uses.file_contents(),
    };
    // The tree of a template of 10^6 resources is as large as what they are compiled to.
    drop(tree);
    in_order(&mut parts.resources, &parts.positions, source, collector).ok()?;
    if collector.errors() > 0 {
        return None;
    }
    let environment = environment.normal_form();
    Some(Compiled {
        head,
        environment,
        parameters: parameters.into_values(),
        resources: parts.resources,
        outputs: parts.outputs,
        warnings: Vec::new(),
    })
}

fn parameters(
    sections: &Sections<'_>,
    environment: &Environment,
    previous: Option<&ParameterValues>,
    reporter: &mut Reporter<'_>,
) -> Parameters {
    let declared = sections
        .parameters
        .map(|section| parameter::declarations(section, reporter))
        .unwrap_or_default();
    if let Some(groups) = sections.parameter_groups {
        parameter::check_groups(groups, &declared, reporter);
    }
    let (source, collector) = (reporter.source, &mut *reporter.collector);
    parameter::resolve(
        &declared,
        &environment.parameters,
        &environment.defaults,
        previous,
        source,
        collector,
    )
}

/// Decides the conditions of a section.
pub(crate) fn decide(
    section: Option<NodeRef<'_>>,
    scope: Scope<'_>,
    reporter: Reporter<'_>,
) -> Conditions {
    let Some(section) = section else {
        return Conditions::default();
    };
    let mut folder = Folder {
        scope,
        conditions: None,
        reporter,
        place: Place::default(),
        uses: Uses::default(),
        constant: Some("a condition"),
    };
    condition::decide(section, &mut folder)
}

/// Stands for the neighbours where none may be referred to.
pub(crate) struct Nobody;

impl Neighbours for Nobody {
    fn neighbour(&self, _: &str) -> Neighbour<'_> {
        Neighbour::Missing
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(std::iter::empty())
    }
}

/// The resources of one text, by name.
struct Neighbourhood<'x, 't, 'a> {
    outlines: &'x [Outline<'t, 'a>],
    index: LookupTable<&'t str, u32>,
}

impl Neighbours for Neighbourhood<'_, '_, '_> {
    fn neighbour(&self, name: &str) -> Neighbour<'_> {
        match self.index.get(name) {
            Some(index) => self.outlines[*index as usize].as_neighbour(),
            None => Neighbour::Missing,
        }
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.outlines.iter().map(|outline| outline.name))
    }
}

/// What a template was compiled to.
struct Parts {
    /// In the order of the text.
    resources: Vec<CompiledResource>,
    /// Where each stands.
    positions: Vec<Position>,
    outputs: Vec<CompiledOutput>,
    /// What the outputs use.
    uses: Uses,
}

/// A whole template, when parameters and conditions are known.
struct Whole<'x, 't, 'a> {
    sections: &'x Sections<'t>,
    scope: Scope<'a>,
    conditions: &'a Conditions,
    source: SourceId,
}

impl<'t, 'a> Whole<'_, 't, 'a> {
    fn compile(&self, mut compiler: ResourceCompiler<'a, '_>) -> Option<Parts> {
        let outlines = self.outlines(&mut compiler)?;
        let index = outlines
            .iter()
            .enumerate()
            .map(|(at, outline)| (outline.name, at as u32))
            .collect();
        let neighbourhood = Neighbourhood {
            outlines: &outlines,
            index,
        };
        let scope = Scope {
            neighbours: &neighbourhood,
            ..self.scope
        };
        let mut resources = Vec::with_capacity(outlines.len());
        let mut positions = Vec::with_capacity(outlines.len());
        for outline in &outlines {
            if let Some(resource) = compiler.compile(outline, scope) {
                resources.push(resource);
                positions.push(outline.position());
            }
        }
        let collector = compiler.collector;
        let mut uses = Uses::default();
        let outputs = self.outputs(scope, collector, &mut uses);
        Some(Parts {
            resources,
            positions,
            outputs,
            uses,
        })
    }

    fn outlines(&self, compiler: &mut ResourceCompiler<'a, '_>) -> Option<Vec<Outline<'t, 'a>>> {
        let Some(section) = self.sections.resources else {
            return Some(Vec::new());
        };
        if section.kind() == NodeKind::Null {
            return Some(Vec::new());
        }
        let mut tell = |message: String| {
            compiler.collector.error(
                self.source,
                section.position(),
                "resources".to_owned(),
                message,
            );
        };
        let Some(entries) = section.entries() else {
            tell(format!("must be a map, not {}", section.in_words()));
            return None;
        };
        if section.len() > self.scope.limits.resources {
            tell(format!(
                "there are {} resources; at most {} are taken",
                section.len(),
                self.scope.limits.resources
            ));
            return None;
        }
        Some(
            entries
                .map(|entry| compiler.outline(entry, self.scope))
                .collect(),
        )
    }

    fn outputs(
        &self,
        scope: Scope<'_>,
        collector: &mut Collector,
        uses: &mut Uses,
    ) -> Vec<CompiledOutput> {
        let Some(section) = self.sections.outputs else {
            return Vec::new();
        };
        if section.kind() == NodeKind::Null {
            return Vec::new();
        }
        let Some(entries) = section.entries() else {
            let message = format!("must be a map, not {}", section.in_words());
            collector.error(
                self.source,
                section.position(),
                "outputs".to_owned(),
                message,
            );
            return Vec::new();
        };
        let compile =
            |entry| output::compile(entry, scope, self.conditions, collector, self.source, uses);
        let mut outputs: Vec<CompiledOutput> = entries.filter_map(compile).collect();
        outputs.sort_by(|a, b| a.name.cmp(&b.name));
        outputs
    }
}
