//! From a duty to a question for a provider: definition, values, what there was before, and the surroundings.
//!
//! Reads rows; decides nothing that `facts` has not. Knows nothing of how the call is made.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anneal_provider::{
    ActionKind, Aim, ApplyRequest, BootTime, CallContext, Certain, Prior, Progress, Provider,
    ReadRequest, Registry, Values as Properties,
};
use anneal_statemachine::command::{ActionResult, ErrorClass, Failure};
use anneal_statemachine::digest::{Digest, fingerprint};
use anneal_statemachine::id::InstanceId;
use anneal_statemachine::row::{Action, DefinitionRow};
use anneal_template::{EvaluateError, evaluate_partial};
use bytes::Bytes;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::call::{Ask, Said};
use super::facts::{Facts, NotBegun, Walked};
use super::secrets::{Secrets, texts_at, texts_of};
use super::values::{Produced, Stored, Unreadable, Values, canonical};
use super::verdict::{self, Used};
use crate::replica::Rows;
use crate::submit::read_parameters;

/// What all calls of one engine have in common.
#[derive(Clone)]
pub struct Surroundings {
    /// The providers.
    pub registry: Arc<Registry>,
    /// Names the cluster in what providers tag.
    pub cluster_id: Arc<str>,
    /// Where engines of this host share records and locks.
    pub host_dir: Arc<Path>,
    /// The end of the lease.
    pub lease: watch::Receiver<BootTime>,
}

/// Definitions read lately; they are content-addressed, so one is never out of date.
#[derive(Default)]
pub(crate) struct Definitions {
    read: HashMap<Digest, Arc<DefinitionRow>>,
}

/// Definitions remembered, at most: a large stack has as many as it has kinds of resources, or one each.
const MAX_DEFINITIONS: usize = 4_096;

impl Definitions {
    /// A definition with its body.
    ///
    /// # Errors
    /// If rows can't be read.
    pub(crate) fn get(
        &mut self,
        rows: &Rows<'_>,
        digest: Digest,
    ) -> std::io::Result<Option<Arc<DefinitionRow>>> {
        if let Some(known) = self.read.get(&digest) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(row) = rows.definition(digest)? else {
            return Ok(None);
        };
        if self.read.len() >= MAX_DEFINITIONS {
            self.read.clear();
        }
        let row = Arc::new(row);
        self.read.insert(digest, Arc::clone(&row));
        Ok(Some(row))
    }
}

/// Properties with all values put in, at most: a scalar of the default bound fits, and a report with them fits into a log
/// entry.
const MAX_PROPERTIES_BYTES: usize = 20 << 20;

/// A question ready to be asked.
pub(crate) struct Order {
    /// What memory said.
    pub(crate) facts: Facts,
    /// Whom to ask.
    pub(crate) provider: Arc<dyn Provider>,
    registry: Arc<Registry>,
    definition: Arc<DefinitionRow>,
    properties: Properties,
    used: Option<Used>,
    /// What is secret among properties that a look is not told, since they may not be those of the lost action.
    secrets: Secrets,
    /// What is certain of the aim of a look although its inputs are not known any more, and the names of the rest.
    certain: Option<(Properties, Vec<String>)>,
    before: Before,
}

/// What was known of the instance.
#[derive(Default)]
struct Before {
    properties: Option<Properties>,
    attributes: Properties,
    private: Bytes,
}

/// What became of preparing an order.
pub(crate) enum Prepared {
    /// Ask.
    Ask(Box<Order>),
    /// There is nothing to ask: this is how it ended.
    Ended(ActionResult),
}

impl Order {
    /// Prepares one.
    ///
    /// # Errors
    /// If rows can't be read; the member is about to stop then.
    pub(crate) fn prepare(
        surroundings: &Surroundings,
        rows: &Rows<'_>,
        definition: Arc<DefinitionRow>,
        facts: Facts,
        walked: &Walked,
    ) -> std::io::Result<Prepared> {
        let type_name = &definition.type_name;
        let Some(provider) = surroundings.registry.provider(type_name) else {
            let reason = NotBegun::NoProvider(type_name.clone());
            return Ok(Prepared::Ended(verdict::declined(reason.to_string())));
        };
        let before = Before::read(rows, &facts)?;
        let mut order = Self {
            provider: Arc::clone(provider),
            registry: Arc::clone(&surroundings.registry),
            definition,
            properties: Properties::new(),
            used: None,
            secrets: Secrets::default(),
            certain: None,
            before,
            facts,
        };
        let ended = match order.facts.assignment.action {
            Action::Delete => {
                order.prepare_delete(rows, walked)?;
                None
            }
            Action::Create | Action::Update => order.evaluate(rows, walked)?,
            Action::Look => order.prepare_look(rows, walked)?,
        };
        Ok(match ended {
            Some(result) => Prepared::Ended(result),
            None => Prepared::Ask(Box::new(order)),
        })
    }

    /// Every value that the definition refers to, as far as it is there.
    fn values(
        &self,
        rows: &Rows<'_>,
        walked: &Walked,
    ) -> std::io::Result<Result<Values, Unreadable>> {
        let sources = &self.facts.sources;
        let mut failed = None;
        let values = Values::collect(
            self.facts.assignment.stack.to_string(),
            &self.definition.references,
            &walked.produced,
            |reference| {
                let (_, source) = sources.iter().find(|(asked, _)| asked == reference)?;
                let stored = rows.attribute((*source)?, reference.attribute.as_ref());
                Some(
                    stored
                        .unwrap_or_else(|error| {
                            failed = Some(error);
                            None
                        })
                        .map(Stored::from),
                )
            },
        );
        match failed {
            Some(error) => Err(error),
            None => Ok(values),
        }
    }

    fn evaluate(
        &mut self,
        rows: &Rows<'_>,
        walked: &Walked,
    ) -> std::io::Result<Option<ActionResult>> {
        let values = match self.values(rows, walked)? {
            Ok(values) => values,
            Err(unreadable) => return Ok(Some(refused(unreadable.to_string()))),
        };
        let evaluated = match anneal_template::evaluate(&self.definition.body, &values) {
            Ok(evaluated) => evaluated,
            Err(error @ (EvaluateError::NotKnown(_) | EvaluateError::StackIdNotKnown)) => {
                return Ok(Some(verdict::declined(error.to_string())));
            }
            Err(error) => return Ok(Some(refused(error.to_string()))),
        };
        let properties = serde_json::Value::Object(evaluated.properties);
        let bytes = canonical(&properties);
        if bytes.len() > MAX_PROPERTIES_BYTES {
            return Ok(Some(refused(format!(
                "its properties come to {} MiB with all values put in; at most {} MiB can be",
                bytes.len() >> 20,
                MAX_PROPERTIES_BYTES >> 20
            ))));
        }
        let secrets = self.secrets(rows, &values, &properties, &evaluated.sensitive)?;
        self.used = Some(Used {
            properties: Some(bytes),
            inputs: values.inputs().to_vec(),
            secrets,
        });
        if let serde_json::Value::Object(properties) = properties {
            self.properties = properties;
        }
        Ok(None)
    }

    /// What is made is deleted by what it was made from: secrets in it must not show in what is said of a failure.
    fn prepare_delete(&mut self, rows: &Rows<'_>, walked: &Walked) -> std::io::Result<()> {
        let Some(made_from) = &self.before.properties else {
            return Ok(());
        };
        let Ok(values) = self.values(rows, walked)? else {
            return Ok(());
        };
        if let Ok(evaluated) = evaluate_partial(&self.definition.body, &values) {
            let made_from = serde_json::Value::Object(made_from.clone());
            let secrets = self.secrets(rows, &values, &made_from, &evaluated.sensitive)?;
            self.used = Some(Used {
                secrets,
                ..Used::default()
            });
        }
        Ok(())
    }

    /// The texts that must not come out: what is secret among the properties as it stands there, and what that may have
    /// been put together from.
    fn secrets(
        &self,
        rows: &Rows<'_>,
        values: &Values,
        properties: &serde_json::Value,
        sensitive: &[String],
    ) -> std::io::Result<Secrets> {
        if sensitive.is_empty() {
            return Ok(Secrets::default());
        }
        let mut texts = texts_at(properties, sensitive);
        let mut add = |secret: &serde_json::Value| texts.extend(texts_of(secret));
        values.sensitive().for_each(&mut add);
        if let Some(parameters) = self.facts.parameters {
            let stored = rows.blob(parameters)?.unwrap_or_default();
            // Unreadable ones were never put into a definition.
            let parameters = read_parameters(&stored).unwrap_or_default();
            let hidden = parameters.values().filter(|parameter| parameter.hidden);
            hidden.for_each(|parameter| add(&parameter.value));
        }
        Ok(Secrets {
            texts,
            at: sensitive.to_vec(),
        })
    }

    /// The aim of a look is known if what the lost action used can be put together again: the fingerprint tells.
    fn prepare_look(
        &mut self,
        rows: &Rows<'_>,
        walked: &Walked,
    ) -> std::io::Result<Option<ActionResult>> {
        let lost = self.facts.assignment.lost_action;
        if !matches!(lost, Some(Action::Create | Action::Update)) {
            return Ok(None);
        }
        let unknown = self.evaluate(rows, walked)?.is_some();
        let inputs = self.used.as_ref().map_or(&[][..], |used| &used.inputs);
        let definition = self.facts.assignment.definition;
        let found = fingerprint(definition, &self.definition.references, inputs);
        if unknown || self.facts.assignment.aim != Some(found) {
            self.secrets = self
                .used
                .take()
                .map(|used| used.secrets)
                .unwrap_or_default();
            self.certain = self.certain();
        }
        Ok(None)
    }

    /// The properties that refer to nothing are those of the lost action, whatever has changed since.
    fn certain(&self) -> Option<(Properties, Vec<String>)> {
        let stack = self.facts.assignment.stack.to_string();
        let nothing = Values::collect(stack, &[], &Produced::default(), |_| None).ok()?;
        let evaluated = evaluate_partial(&self.definition.body, &nothing).ok()?;
        let top = |pointer: &String| {
            let name = pointer.split('/').nth(1).unwrap_or_default();
            name.replace("~1", "/").replace("~0", "~")
        };
        let mut left_out: Vec<String> = evaluated.unknown.iter().map(top).collect();
        left_out.sort();
        left_out.dedup();
        let mut properties = evaluated.properties;
        properties.retain(|name, _| left_out.binary_search(name).is_err());
        Some((properties, left_out))
    }

    /// The question.
    pub(crate) fn ask(&self) -> Ask<'_> {
        let type_name = &*self.definition.type_name;
        let prior = self.prior();
        match self.facts.assignment.action {
            Action::Create => Ask::Apply(ApplyRequest::Create {
                type_name,
                properties: &self.properties,
            }),
            Action::Update => Ask::Apply(ApplyRequest::Update {
                type_name,
                prior,
                properties: &self.properties,
            }),
            Action::Delete => Ask::Apply(ApplyRequest::Delete { type_name, prior }),
            Action::Look => Ask::Look(ReadRequest {
                type_name,
                prior,
                aim: self.facts.assignment.lost_action.map(|lost| Aim {
                    action: kind(lost),
                    properties: self.used.as_ref().map(|_| &self.properties),
                    certain: self.certain.as_ref().map(|(properties, left_out)| Certain {
                        properties,
                        left_out,
                    }),
                }),
            }),
        }
    }

    fn prior(&self) -> Prior<'_> {
        Prior {
            properties: self.before.properties.as_ref(),
            attributes: Some(&self.before.attributes),
            physical_id: self.facts.assignment.physical_id.as_deref(),
            private: &self.before.private,
        }
    }

    /// What the call is told of its surroundings.
    pub(crate) fn context(
        &self,
        surroundings: &Surroundings,
        not_after: BootTime,
        cancel: CancellationToken,
        progress: Option<Arc<dyn Progress>>,
    ) -> CallContext {
        let cluster = &surroundings.cluster_id;
        let assignment = &self.facts.assignment;
        let (origin, instance, key) = (assignment.origin, assignment.instance, assignment.key);
        let action = assignment.lost_action.unwrap_or(assignment.action);
        CallContext {
            instance_id: format!("{cluster}-{origin}"),
            idempotency_key: format!("{cluster}-{instance}-{action}-{key}"),
            fencing_token: assignment.token.0,
            host_bound: self.facts.traits.host_bound,
            stack: self.facts.stack_name.clone(),
            resource: assignment.name.clone(),
            not_after,
            lease: surroundings.lease.clone(),
            cancel,
            host_dir: Arc::clone(&surroundings.host_dir),
            progress,
        }
    }

    /// The end of the action, from the provider's answer.
    pub(crate) fn end(self, said: Said) -> ActionResult {
        let schema = self.registry.schema(&self.definition.type_name);
        let schema = schema.expect("a type with a provider has a schema");
        match said {
            Said::Applied(answer) => {
                verdict::of_apply(schema, self.used.unwrap_or_default(), answer)
            }
            Said::Observed(answer) => verdict::of_look(schema, self.used, self.secrets, answer),
        }
    }
}

impl Before {
    fn read(rows: &Rows<'_>, facts: &Facts) -> std::io::Result<Self> {
        let instance = facts.assignment.instance;
        match facts.assignment.action {
            Action::Create => Ok(Self::default()),
            // Without an outside nothing is deleted but the record; what its provider needs is in its own bytes.
            Action::Delete if facts.traits.derived_id => Ok(Self {
                private: rows.private(instance)?.unwrap_or_default(),
                ..Self::default()
            }),
            Action::Delete | Action::Update | Action::Look => Self::of(rows, instance),
        }
    }

    fn of(rows: &Rows<'_>, instance: InstanceId) -> std::io::Result<Self> {
        let properties = rows.properties(instance)?;
        let attributes = rows.attributes(instance)?;
        Ok(Self {
            // Unreadable ones count as not known: providers have to do without them anyway.
            properties: properties.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
            attributes: attributes
                .into_iter()
                .filter_map(|(name, row)| {
                    Some((name.to_string(), serde_json::from_slice(&row.bytes).ok()?))
                })
                .collect(),
            private: rows.private(instance)?.unwrap_or_default(),
        })
    }
}

fn kind(action: Action) -> ActionKind {
    match action {
        Action::Create => ActionKind::Create,
        Action::Update | Action::Look => ActionKind::Update,
        Action::Delete => ActionKind::Delete,
    }
}

/// The values can't be had from this definition: the user's fault, found before anything was done.
fn refused(message: String) -> ActionResult {
    ActionResult::Failed(Failure {
        class: ErrorClass::Permanent,
        before_effect: true,
        left_something: false,
        message: message.into(),
        retry_after_ms: None,
        physical_id: None,
        left: None,
    })
}
