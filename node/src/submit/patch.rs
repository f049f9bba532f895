//! A patch worked out against the stored stack, by single look-ups: its cost does not depend on the stack's size.
//! Knows nothing of the patch language.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use anneal_proto::v1;
use anneal_statemachine::{command::Difference, id::Text, row::DesiredRow};
use anneal_template::{self as template, Files, Fragment, Head, ParameterValues, StackView};
use bytes::Bytes;
use serde_json::Value;
use tokio::runtime::Handle;

use super::{
    define::Definer,
    difference::is_same,
    prepare::{Texts, Workshop, values},
    reading::{StackNow, Stored},
    refusal::{self, Refused},
    stored,
};

/// What the working out of a patch looks at.
pub(crate) struct Input<'a> {
    pub(crate) workshop: &'a Workshop,
    pub(crate) stored: &'a dyn Stored,
    pub(crate) now: &'a StackNow,
    pub(crate) header: &'a v1::SubmitHeader,
    pub(crate) texts: &'a Texts<'a>,
    pub(crate) parameters: &'a BTreeMap<String, Value>,
    pub(crate) files: &'a Files,
    pub(crate) runtime: &'a Handle,
}

/// A patch, worked out.
pub(crate) struct Patched {
    pub(crate) difference: Difference,
    pub(crate) warnings: Vec<v1::Problem>,
}

/// Works out a patch.
pub(crate) fn compile(input: &Input<'_>) -> Result<Patched, Refused> {
    if let Some(environment) = input.texts.environments.first() {
        return Err(Refused::Argument(format!(
            "a patch keeps the stack's environment: `{}` can only come with a whole template",
            environment.name
        )));
    }
    let view = View::new(input.stored, input.now)?;
    let compiled = template::compile_patch(&template::PatchInput {
        stack_name: &input.header.name,
        namespace: &input.header.namespace,
        view: &view,
        patch: input.texts.document,
        parameters: input.parameters,
        files: input.files,
        catalog: &*input.workshop.catalog,
        limits: &input.workshop.limits,
    });
    // What could not be read makes problems that are none.
    view.failure.take().map_or(Ok(()), Err)?;
    let compiled = compiled?;

    let registry = &input.workshop.registry;
    let mut definer = Definer::new(registry, input.runtime.clone(), input.texts.document.name);
    let mut set = Vec::new();
    for resource in compiled.resources {
        let resource = definer.define(resource)?;
        let desired = input.stored.desired(input.now.id, &resource.name);
        if !desired.is_some_and(|desired| is_same(&desired, &resource)) {
            set.push(resource);
        }
    }
    definer.end(input.texts.document.text, &input.workshop.limits)?;
    let head = compiled.head.as_ref().unwrap_or(&view.head);
    let head = stored::head(head, &view.environment, &compiled.outputs);
    let parameters = compiled.parameters.as_ref().map(stored::parameters);
    let difference = Difference {
        set,
        remove: compiled.removed.into_iter().map(Text::from).collect(),
        head: Some(head).filter(|head| input.now.head != Some(head.digest)),
        parameters: parameters.filter(|it| input.now.parameters != Some(it.digest)),
        options: None,
    };
    Ok(Patched {
        difference,
        warnings: compiled.warnings.iter().map(refusal::problem).collect(),
    })
}

/// The stored stack as the compiler looks at it. The first failure to read is kept: the compiler knows none.
struct View<'a> {
    stored: &'a dyn Stored,
    now: &'a StackNow,
    head: Head,
    environment: String,
    parameters: ParameterValues,
    failure: RefCell<Option<Refused>>,
}

impl<'a> View<'a> {
    fn new(stored: &'a dyn Stored, now: &'a StackNow) -> Result<Self, Refused> {
        let bytes = match now.head {
            Some(digest) => stored.blob(digest)?,
            None => Bytes::new(),
        };
        let head = stored::read_head(&bytes)?;
        Ok(Self {
            stored,
            now,
            head: stored::template_head(&head),
            environment: head.environment,
            parameters: values(stored, now)?,
            failure: RefCell::new(None),
        })
    }

    fn desired(&self, resource: &str) -> Option<DesiredRow> {
        self.stored.desired(self.now.id, resource)
    }

    fn keep<T>(&self, result: Result<T, Refused>) -> Option<T> {
        result
            .map_err(|refused| self.failure.borrow_mut().get_or_insert(refused).clone())
            .ok()
    }
}

impl StackView for View<'_> {
    fn head(&self) -> Head {
        self.head.clone()
    }

    fn environment(&self) -> String {
        self.environment.clone()
    }

    fn parameters(&self) -> ParameterValues {
        self.parameters.clone()
    }

    fn type_of(&self, resource: &str) -> Option<String> {
        let definition = self.desired(resource)?.definition?;
        let definition = self.keep(self.stored.definition(definition))?;
        Some(definition.type_name.to_string())
    }

    fn fragment(&self, resource: &str) -> Option<Fragment> {
        let digest = self.desired(resource)?.fragment;
        let bytes = self.keep(self.stored.blob(digest))?;
        self.keep(stored::read_fragment(&bytes))
    }

    fn users_of_parameter(&self, parameter: &str) -> Vec<String> {
        let users = self.stored.users_of_parameter(self.now.id, parameter);
        users.iter().map(|name| name.to_string()).collect()
    }

    fn dependents_of(&self, resource: &str) -> Vec<String> {
        let dependents = self.stored.dependents(self.now.id, resource);
        dependents.iter().map(|name| name.to_string()).collect()
    }

    fn dependencies_of(&self, resource: &str) -> Vec<String> {
        let Some(desired) = self.desired(resource) else {
            return Vec::new();
        };
        let definition = desired.definition;
        let definition = definition.and_then(|it| self.keep(self.stored.definition(it)));
        let referred = definition.iter().flat_map(|it| it.references.iter());
        let names: BTreeSet<&str> = referred
            .map(|reference| &*reference.resource)
            .chain(desired.depends_on.iter().map(|name| &**name))
            .collect();
        names.into_iter().map(str::to_owned).collect()
    }
}
