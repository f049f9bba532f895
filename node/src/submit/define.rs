//! From what the compiler gives to what the state machine takes: digests, policies, and what the type's provider
//! promises. Asks the providers whether they accept the properties. Knows nothing of the stored stack.

use std::collections::HashMap;

use anneal_provider::{PropertyPath, Registry, TypeSchema, Values};
use anneal_statemachine::{
    command::{
        Definition, DeletionPolicy, Drift, Placement, Policy, Reference, ReplacementPolicy,
        SetResource, TypeTraits,
    },
    digest::{Digest, definition_digest},
};
use anneal_template::{self as template, CompiledResource, Known, Limits, Lookup, Places};
use bytes::Bytes;
use serde_json::Value;
use tokio::runtime::Handle;

use super::{
    refusal::{Invalid, Refused},
    stored,
};

/// Provider problems that are listed; the rest are only counted.
const PROBLEMS_LISTED: usize = 100;

/// Turns compiled resources into what the state machine takes. Blocks; to be run off the async threads.
pub(crate) struct Definer<'a> {
    registry: &'a Registry,
    runtime: Handle,
    /// The document's name, for problems.
    source: &'a str,
    /// What a definition, once seen, promises: many resources of a large stack are alike.
    promises: HashMap<Digest, TypeTraits>,
    invalid: Invalid,
    /// What each listed problem is about: a resource, and what of it.
    paths: Vec<(String, PropertyPath)>,
}

impl<'a> Definer<'a> {
    pub(crate) fn new(registry: &'a Registry, runtime: Handle, source: &'a str) -> Self {
        let invalid = Invalid {
            problems: Vec::new(),
            total: 0,
        };
        Self {
            registry,
            runtime,
            source,
            promises: HashMap::new(),
            invalid,
            paths: Vec::new(),
        }
    }

    /// A resource. What its provider has against it is gathered for [`Definer::end`].
    pub(crate) fn define(&mut self, resource: CompiledResource) -> Result<SetResource, Refused> {
        let fragment = stored::fragment(&resource.fragment);
        let definition = match resource.definition {
            Some(definition) => Some(self.definition(&resource.name, definition)?),
            None => None,
        };
        Ok(SetResource {
            name: resource.name.into(),
            definition,
            fragment,
            parameters_used: texts(resource.fragment.parameters),
        })
    }

    /// # Errors
    /// Everything that providers have against what was defined, with its place in the document.
    pub(crate) fn end(mut self, document: &str, limits: &Limits) -> Result<(), Refused> {
        if self.invalid.total == 0 {
            return Ok(());
        }
        let places = Places::of(document, limits);
        for (problem, path) in self.invalid.problems.iter_mut().zip(&self.paths) {
            if let Some(place) = places.find(&steps(path), RESOURCE_STEPS) {
                (problem.line, problem.column) = (place.line, place.column);
            }
        }
        Err(self.invalid.into())
    }

    fn definition(
        &mut self,
        resource: &str,
        definition: template::Definition,
    ) -> Result<Definition, Refused> {
        let digest = definition_digest(&definition.type_name, &definition.body);
        if definition.meta.external_id.is_some() {
            let message = "objects that exist already can't be referred to by id yet";
            let path = PropertyPath::property("external_id");
            self.object(resource, path, message.to_owned());
        }
        let traits = match self.promises.get(&digest) {
            Some(traits) => *traits,
            None => self.ask_provider(resource, digest, &definition)?,
        };
        let references = definition
            .references
            .into_iter()
            .map(|reference| Reference {
                resource: reference.resource.into(),
                attribute: reference.attribute.map(Into::into),
            });
        Ok(Definition {
            digest,
            type_name: definition.type_name,
            body: Bytes::from(definition.body),
            references: references.collect(),
            depends_on: texts(definition.depends_on),
            policy: policy(&definition.meta),
            traits,
        })
    }

    fn ask_provider(
        &mut self,
        resource: &str,
        digest: Digest,
        definition: &template::Definition,
    ) -> Result<TypeTraits, Refused> {
        let type_name = &*definition.type_name;
        let (Some(schema), Some(provider)) = (
            self.registry.schema(type_name),
            self.registry.provider(type_name),
        ) else {
            return Err(Refused::Internal(format!(
                "{type_name} was compiled and has no provider"
            )));
        };
        let partly = template::evaluate_partial(&definition.body, &NothingKnown)
            .map_err(|error| Refused::Internal(error.to_string()))?;
        let unknown: Vec<PropertyPath> = partly
            .unknown
            .iter()
            .map(|pointer| property_path(&partly.properties, pointer))
            .collect();
        let validation = provider.validate(type_name, &partly.properties, &unknown);
        let diagnostics = self.runtime.block_on(validation);
        let accepted = diagnostics.is_empty();
        for diagnostic in diagnostics {
            let mut path = PropertyPath::property("properties");
            path.0.extend(diagnostic.path.0);
            self.object(resource, path, diagnostic.message);
        }
        let traits = traits(schema, partly.properties, &unknown);
        // One that is not accepted is asked about again, for each resource that has it.
        if accepted {
            self.promises.insert(digest, traits);
        }
        Ok(traits)
    }

    fn object(&mut self, resource: &str, path: PropertyPath, message: String) {
        self.invalid.total += 1;
        if self.invalid.problems.len() >= PROBLEMS_LISTED {
            return;
        }
        self.invalid.problems.push(anneal_proto::v1::Problem {
            severity: "error".to_owned(),
            source: self.source.to_owned(),
            field: format!("resources.{resource}.{path}"),
            message,
            ..Default::default()
        });
        self.paths.push((resource.to_owned(), path));
    }
}

/// Steps to a resource; what is not written there is not of this document.
const RESOURCE_STEPS: usize = 2;

fn steps((resource, path): &(String, PropertyPath)) -> Vec<template::Step<'_>> {
    use anneal_provider::Step;
    let within = path.0.iter().map(|step| match step {
        Step::Name(name) => template::Step::Key(name),
        Step::Index(index) => template::Step::Item(*index),
    });
    [
        template::Step::Key("resources"),
        template::Step::Key(resource),
    ]
    .into_iter()
    .chain(within)
    .collect()
}

fn texts(texts: Vec<String>) -> Vec<std::sync::Arc<str>> {
    texts.into_iter().map(Into::into).collect()
}

fn policy(meta: &template::Meta) -> Policy {
    Policy {
        deletion: match meta.deletion_policy {
            template::DeletionPolicy::Delete => DeletionPolicy::Delete,
            template::DeletionPolicy::Retain => DeletionPolicy::Retain,
        },
        replacement: match meta.replacement_policy {
            template::ReplacementPolicy::CreateFirst => ReplacementPolicy::CreateFirst,
            template::ReplacementPolicy::DeleteFirst => ReplacementPolicy::DeleteFirst,
        },
        protect: meta.protect,
        drift: meta.drift.map(|drift| match drift {
            template::DriftPolicy::Heal => Drift::Heal,
            template::DriftPolicy::Report => Drift::Report,
        }),
        placement: Placement {
            host: meta.placement.host.as_deref().map(Into::into),
            labels: meta
                .placement
                .labels
                .iter()
                .map(|(name, value)| (name.as_str().into(), value.as_str().into()))
                .collect(),
        },
        timeout_ms: meta.timeout_ms,
    }
}

/// What the provider promises for these properties. One that is given and not known yet counts as given.
fn traits(schema: &TypeSchema, mut properties: Values, unknown: &[PropertyPath]) -> TypeTraits {
    for name in unknown.iter().filter_map(PropertyPath::top) {
        if properties.get(name).is_some_and(Value::is_null) {
            properties.insert(name.to_owned(), Value::String(String::new()));
        }
    }
    let able = &schema.capabilities;
    let can_look = able.looks.holds(&properties);
    TypeTraits {
        host_bound: schema.is_host_bound(&properties),
        derived_id: able.derived_id,
        honours_keys: able.honours_keys.holds(&properties),
        fences: able.fences.holds(&properties),
        can_look,
        named: able.named,
        cancellable: able.cancellable,
        lag_ms: u32::try_from(able.lag.as_millis()).unwrap_or(u32::MAX),
        by_id_only: can_look && !able.finds.holds(&properties),
    }
}

/// A JSON pointer as a path; whether a step is a position or a key, the values say.
pub(crate) fn property_path(properties: &Values, pointer: &str) -> PropertyPath {
    let mut path = PropertyPath::default();
    let mut within: Option<&Value> = None;
    for step in pointer.split('/').skip(1) {
        let key = step.replace("~1", "/").replace("~0", "~");
        if let (Some(Value::Array(items)), Ok(index)) = (within, key.parse()) {
            path = path.index(index);
            within = items.get(index);
            continue;
        }
        within = match (path.0.is_empty(), within) {
            (true, _) => properties.get(&key),
            (false, Some(Value::Object(map))) => map.get(&key),
            (false, _) => None,
        };
        path = path.name(&key);
    }
    path
}

/// Before anything is made, no attribute is known.
pub(crate) struct NothingKnown;

impl Lookup for NothingKnown {
    fn stack_id(&self) -> Option<String> {
        None
    }

    fn reference_id(&self, _resource: &str) -> Option<Known> {
        None
    }

    fn attribute(&self, _resource: &str, _attribute: &str) -> Option<Known> {
        None
    }
}

#[cfg(test)]
mod tests {
    use anneal_provider::{Scope, When};
    use serde_json::json;

    use super::*;

    fn values(json: Value) -> Values {
        let Value::Object(map) = json else {
            panic!("a map");
        };
        map
    }

    #[test]
    fn a_pointer_is_read_by_what_it_points_into() {
        let properties = values(json!({"a/b": [{"0": null}], "m": {"1": [null]}}));
        assert_eq!(
            property_path(&properties, "/a~1b/0/0").to_string(),
            "a/b[0].0"
        );
        assert_eq!(property_path(&properties, "/m/1/0").to_string(), "m.1[0]");
    }

    #[test]
    fn a_promise_that_hangs_on_a_property_holds_also_while_its_value_is_not_known() {
        let mut schema = TypeSchema::new("T", "");
        schema.capabilities.looks = When::WithProperty("read".to_owned());
        schema.scope = Scope::HostBoundUnless {
            property: "scope".to_owned(),
            value: "cluster".to_owned(),
        };
        let unknown = [PropertyPath::property("read")];
        let promised = traits(
            &schema,
            values(json!({"read": null, "scope": "cluster"})),
            &unknown,
        );
        assert!(promised.can_look && !promised.host_bound);
        let promised = traits(&schema, values(json!({"read": null})), &[]);
        assert!(!promised.can_look && promised.host_bound);
    }
}
