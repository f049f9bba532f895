//! A submission worked out against the stored stack: compiled, defined, compared. Everything that costs time and
//! nothing that has an effect; it blocks, and is run off the async threads. Knows nothing of proposals.

use std::{collections::BTreeMap, sync::Arc};

use anneal_proto::v1;
use anneal_provider::Registry;
use anneal_statemachine::{
    command::{Difference, StackOptions},
    outcome::Rejection,
};
use anneal_template::{self as template, Limits, MapCatalog, ParameterValues, SourceText};
use serde_json::Value;
use tokio::runtime::Handle;

use super::{
    define::Definer,
    difference::{self, Declared},
    patch,
    reading::{StackNow, Stored},
    receive::{Received, Text},
    refusal::{self, Invalid, Refused},
    stage, stored,
};

/// What it takes to work out a submission.
#[derive(Clone)]
pub struct Workshop {
    /// The providers.
    pub registry: Arc<Registry>,
    /// Their types, as the compiler wants them.
    pub catalog: Arc<MapCatalog>,
    /// The bounds of templates.
    pub limits: Arc<Limits>,
}

/// What a submission comes to.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The stack that it changes; `None`: a new one.
    pub base: Option<StackNow>,
    /// The change.
    pub difference: Difference,
    /// What is odd but not wrong.
    pub warnings: Vec<v1::Problem>,
}

/// A submission that nothing is wrong with.
#[derive(Debug, Clone)]
pub struct Validated {
    /// How many resources it declares.
    pub resources: usize,
    /// What is odd but not wrong.
    pub warnings: Vec<v1::Problem>,
}

impl Workshop {
    /// A workshop with these providers and the default bounds.
    pub fn new(registry: Arc<Registry>) -> Self {
        Self {
            catalog: Arc::new(super::catalog(&registry)),
            registry,
            limits: Arc::default(),
        }
    }

    /// Works out a submission against the stack as it is now.
    ///
    /// # Errors
    /// Whatever the user must mend; and if the verb does not fit what is there.
    pub fn prepare(
        &self,
        received: &Received,
        stored: &dyn Stored,
        runtime: &Handle,
    ) -> Result<Prepared, Refused> {
        let prepared = self.work_out(received, stored, runtime)?;
        // A preview says so too.
        stage::check(&prepared.difference)?;
        Ok(prepared)
    }

    fn work_out(
        &self,
        received: &Received,
        stored: &dyn Stored,
        runtime: &Handle,
    ) -> Result<Prepared, Refused> {
        let header = &received.header;
        let now = stored.stack(&header.namespace, &header.name);
        let base = fit(header, now)?;
        if header.verb() == v1::Verb::Patch {
            let now = base.ok_or_else(|| not_found(&header.name))?;
            return self.prepare_patch(received, stored, now, runtime);
        }
        let previous = match &base {
            Some(now) if !now.deleting => values(stored, now)?,
            _ => ParameterValues::new(),
        };
        let options = base
            .as_ref()
            .map_or_else(StackOptions::default, |now| now.options.clone());
        let options = difference::options(header.options, options);
        let (declared, warnings) = self.declare(received, &previous, options, runtime)?;
        let difference = match &base {
            None => difference::from_nothing(declared),
            Some(now) => difference::from_now(stored, now, declared),
        };
        Ok(Prepared {
            base,
            difference,
            warnings,
        })
    }

    /// Compiles a whole template on its own.
    ///
    /// # Errors
    /// Every problem.
    pub fn validate(&self, received: &Received, runtime: &Handle) -> Result<Validated, Refused> {
        let nothing = ParameterValues::new();
        let options = StackOptions::default();
        let (declared, warnings) = self.declare(received, &nothing, options, runtime)?;
        Ok(Validated {
            resources: declared.resources.len(),
            warnings,
        })
    }

    fn declare(
        &self,
        received: &Received,
        previous: &ParameterValues,
        options: StackOptions,
        runtime: &Handle,
    ) -> Result<(Declared, Vec<v1::Problem>), Refused> {
        let texts = Texts::read(received)?;
        let header = &received.header;
        let compiled = template::compile(&template::Input {
            stack_name: &header.name,
            namespace: &header.namespace,
            template: texts.document,
            environments: &texts.environments,
            parameters: &parameters(header),
            files: &received.files,
            previous: Some(previous).filter(|values| !values.is_empty()),
            catalog: &*self.catalog,
            limits: &self.limits,
        })?;
        let mut definer = Definer::new(&self.registry, runtime.clone(), &received.document.name);
        let mut resources = Vec::with_capacity(compiled.resources.len());
        for resource in compiled.resources {
            resources.push(definer.define(resource)?);
        }
        definer.end(texts.document.text, &self.limits)?;
        let declared = Declared {
            resources,
            head: stored::head(&compiled.head, &compiled.environment, &compiled.outputs),
            parameters: stored::parameters(&compiled.parameters),
            options,
        };
        let warnings = compiled.warnings.iter().map(refusal::problem).collect();
        Ok((declared, warnings))
    }

    fn prepare_patch(
        &self,
        received: &Received,
        stored: &dyn Stored,
        now: StackNow,
        runtime: &Handle,
    ) -> Result<Prepared, Refused> {
        let texts = Texts::read(received)?;
        let header = &received.header;
        let patched = patch::compile(&patch::Input {
            workshop: self,
            stored,
            now: &now,
            header,
            texts: &texts,
            parameters: &parameters(header),
            files: &received.files,
            runtime,
        })?;
        let options = difference::options(header.options, now.options.clone());
        let difference = Difference {
            options: Some(options).filter(|options| *options != now.options),
            ..patched.difference
        };
        Ok(Prepared {
            base: Some(now),
            difference,
            warnings: patched.warnings,
        })
    }
}

/// The stack that a verb is about: none for a create, one for an update, either for an up.
fn fit(header: &v1::SubmitHeader, now: Option<StackNow>) -> Result<Option<StackNow>, Refused> {
    let name = || header.name.as_str().into();
    match (header.verb(), &now) {
        (v1::Verb::Unspecified, _) => {
            let message = "a submission without a verb".to_owned();
            return Err(Refused::Argument(message));
        }
        (v1::Verb::Create, Some(_)) => {
            return Err(Rejection::AlreadyExists { name: name() }.into());
        }
        (v1::Verb::Update | v1::Verb::Patch, None) => return Err(not_found(&header.name)),
        (v1::Verb::Patch, Some(now)) if now.deleting => {
            return Err(Refused::Deleting(header.name.clone()));
        }
        _ => {}
    }
    let revision = now.as_ref().map_or(0, |now| now.revision.0);
    match header.base_revision {
        Some(base) if base != revision && now.is_none() => Err(not_found(&header.name)),
        Some(base) if base != revision => {
            let current = anneal_statemachine::id::Revision(revision);
            Err(Rejection::BaseMoved { current }.into())
        }
        _ => Ok(now),
    }
}

fn not_found(name: &str) -> Refused {
    Rejection::StackNotFound { name: name.into() }.into()
}

/// The stored parameter values.
pub(crate) fn values(stored: &dyn Stored, now: &StackNow) -> Result<ParameterValues, Refused> {
    match now.parameters {
        Some(digest) => stored::read_parameters(&stored.blob(digest)?),
        None => Ok(ParameterValues::new()),
    }
}

fn parameters(header: &v1::SubmitHeader) -> BTreeMap<String, Value> {
    header
        .parameters
        .iter()
        .map(|given| (given.name.clone(), Value::String(given.value.clone())))
        .collect()
}

/// The texts of a submission, as text.
pub(crate) struct Texts<'a> {
    pub(crate) document: SourceText<'a>,
    pub(crate) environments: Vec<SourceText<'a>>,
}

impl<'a> Texts<'a> {
    fn read(received: &'a Received) -> Result<Self, Refused> {
        let environments: Result<_, _> = received.environments.iter().map(source).collect();
        Ok(Self {
            document: source(&received.document)?,
            environments: environments?,
        })
    }
}

fn source(text: &Text) -> Result<SourceText<'_>, Refused> {
    let name = &text.name;
    match str::from_utf8(&text.data) {
        Ok(text) => Ok(SourceText { name, text }),
        Err(error) => {
            let before = &text.data[..error.valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let problem = v1::Problem {
                severity: "error".to_owned(),
                source: name.clone(),
                line: u32::try_from(line).unwrap_or(u32::MAX),
                message: "not UTF-8 text".to_owned(),
                ..Default::default()
            };
            Err(Refused::Invalid(Invalid {
                problems: vec![problem],
                total: 1,
            }))
        }
    }
}
