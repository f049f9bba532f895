//! A resource as the wire has it. What is read under the state's lock is copied there; its rows are read outside.

use std::collections::BTreeSet;

use anneal_proto::v1;
use anneal_provider::Registry;
use anneal_statemachine::{
    StateMachine,
    id::{InstanceId, ResourceId, StackId, Subject, Text},
    outcome::{StackStops, WaitReason},
    row::{Action, AttributeRow, InstanceRow, Observed, ReportedDrift, RowKey, RowValue},
    view::{InstanceView, Phase},
};

use super::mask::MASK;
use crate::{
    preview::values::{has_hidden_parameters, is_secret_by_type},
    replica::{Replica, Rows},
};

/// Dependencies or dependents of one resource that are named under one lock; a hub may have 10^5, and all are shown.
const NAMED_AT_ONCE: usize = 1000;

/// A resource without what stands in rows.
pub(crate) struct Seen {
    pub(crate) resource: v1::Resource,
    id: ResourceId,
    stack: StackId,
    /// Whether the stack has hidden parameters, once that was asked.
    hiding: Option<bool>,
    requires: Neighbours,
    required_by: Neighbours,
    current: Option<InstanceId>,
    type_name: Option<Text>,
    troubled: bool,
    deposed: Vec<InstanceId>,
}

/// How much is to be shown.
#[derive(Clone, Copy)]
pub(crate) struct Detail {
    /// No attributes, no edges.
    pub(crate) brief: bool,
    /// Everything in clear.
    pub(crate) show_secrets: bool,
}

/// Copies what is to be shown of a resource; under the lock. `None`: it is not listed.
pub(crate) fn see(state: &StateMachine, id: ResourceId, detail: Detail) -> Option<Seen> {
    let view = state.resource(id)?;
    let phase = view.phase?;
    let current = view.current.as_ref();
    let wait = state.explain(id);
    let flight = current.and_then(|current| current.row.assignment.as_deref());
    let flight = flight.filter(|assignment| !assignment.lost);
    let settled = phase == Phase::Settled;
    let deposed: Vec<InstanceView<'_>> = state.deposed(id).collect();
    let resource = v1::Resource {
        name: view.name.to_string(),
        r#type: view.type_name.map(Text::to_string).unwrap_or_default(),
        phase: phase.word().to_owned(),
        physical_id: current.map_or_else(String::new, |current| physical_id(current.row)),
        desired_revision: view.desired.map_or(0, |desired| desired.revision.0),
        observed: observed(current.map(|current| current.row)).to_owned(),
        reason: match (&wait, settled) {
            (_, true) | (None, _) => drift_told(current).unwrap_or_default(),
            (Some(wait), false) => wait.to_string(),
        },
        requires: Vec::new(),
        required_by: Vec::new(),
        attributes: Vec::new(),
        deposed: deposed.iter().map(|it| deposed_shown(state, it)).collect(),
        instance: current.map_or(0, |current| current.id.0),
        host: current
            .and_then(|current| current.row.host.as_deref())
            .unwrap_or_default()
            .to_owned(),
        engine: flight.map_or(0, |flight| flight.engine.member),
        action: flight.map_or("", |flight| action(flight.action)).to_owned(),
        attempts: view.attempts,
        retry_at_ms: match wait {
            Some(WaitReason::BackingOff { not_before_ms, .. }) => not_before_ms,
            _ => 0,
        },
    };
    let (requires, required_by) = match detail.brief {
        true => Default::default(),
        false => (
            Neighbours::of(state, state.requires(id).iter().copied()),
            Neighbours::of(state, state.required_by(id)),
        ),
    };
    Some(Seen {
        resource,
        id,
        stack: view.stack,
        hiding: None,
        requires,
        required_by,
        current: view.current.as_ref().map(|current| current.id),
        type_name: view.type_name.cloned(),
        troubled: view.attempts > 0 || phase == Phase::Failed || phase == Phase::Unwanted,
        deposed: deposed.iter().map(|it| it.id).collect(),
    })
}

/// What is declared, in a change that has been accepted and not taken in that far.
pub(crate) fn declared_only(
    state: &StateMachine,
    stack: StackId,
    name: &str,
) -> Option<v1::Resource> {
    let desired = state.declared(stack, name)?;
    let (type_name, references) = state.definition(desired.definition?)?;
    let referred = references.iter().map(|reference| &reference.resource);
    let requires: BTreeSet<&Text> = desired.depends_on.iter().chain(referred).collect();
    let revision = state.stack(stack)?.row.revision;
    Some(v1::Resource {
        name: name.to_owned(),
        r#type: type_name.to_string(),
        phase: Phase::Waiting.word().to_owned(),
        desired_revision: revision.0,
        observed: observed(None).to_owned(),
        reason: StackStops::Queue.to_string(),
        requires: requires.into_iter().map(Text::to_string).collect(),
        ..v1::Resource::default()
    })
}

/// The dependencies or dependents of a resource. All are known at once; their names, copied, take longer.
#[derive(Default)]
struct Neighbours {
    names: Vec<String>,
    unnamed: Vec<ResourceId>,
}

impl Neighbours {
    fn of(state: &StateMachine, mut ids: impl Iterator<Item = ResourceId>) -> Self {
        let first = ids.by_ref().take(NAMED_AT_ONCE);
        let names = first.filter_map(|id| name(state, id)).collect();
        let unnamed = ids.collect();
        Self { names, unnamed }
    }

    /// All names, in order. One that has gone in between is left out.
    fn whole(mut self, replica: &Replica) -> Vec<String> {
        for some in self.unnamed.chunks(NAMED_AT_ONCE) {
            let named = |state: &StateMachine| -> Vec<String> {
                some.iter().filter_map(|id| name(state, *id)).collect()
            };
            self.names.extend(replica.read(named));
        }
        self.names.sort();
        self.names
    }

    fn count(&self) -> usize {
        self.names.len() + self.unnamed.len()
    }
}

fn name(state: &StateMachine, id: ResourceId) -> Option<String> {
    Some(state.resource(id)?.name.to_string())
}

fn physical_id(row: &InstanceRow) -> String {
    row.physical_id.as_deref().unwrap_or_default().to_owned()
}

/// As a provider last saw it, also where what it saw was only reported.
fn observed(row: Option<&InstanceRow>) -> &'static str {
    if row.is_some_and(|row| row.drift == Some(ReportedDrift::Vanished)) {
        return "absent";
    }
    match row.map(|row| row.observed) {
        None | Some(Observed::Absent) => "absent",
        Some(Observed::Unknown) => "unknown",
        Some(Observed::Present { .. }) => "present",
    }
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Create => "create",
        Action::Update => "update",
        Action::Delete => "delete",
        Action::Look => "observe",
    }
}

fn drift_told(current: Option<&InstanceView<'_>>) -> Option<String> {
    use ReportedDrift::{Changed, Unhealthy, Vanished};
    let drift = current?.row.drift?;
    let what = match drift {
        Vanished => "it has vanished",
        Changed => "it differs from what it should be",
        Unhealthy => "it is not well",
    };
    Some(format!("drifted: {what} (only reported)"))
}

fn deposed_shown(state: &StateMachine, deposed: &InstanceView<'_>) -> v1::Deposed {
    let reason = state.explain_instance(deposed.id);
    v1::Deposed {
        instance: deposed.id.0,
        physical_id: physical_id(deposed.row),
        observed: observed(Some(deposed.row)).to_owned(),
        reason: reason.map(|reason| reason.to_string()).unwrap_or_default(),
    }
}

impl Seen {
    /// How many others it is shown with.
    pub(crate) fn neighbours(&self) -> usize {
        self.requires.count() + self.required_by.count()
    }

    /// Adds the names of its neighbours, and what stands in rows: the provider's words about failures, and attributes.
    /// State time becomes wall time.
    ///
    /// # Errors
    /// If rows can't be read.
    pub(crate) fn complete(
        mut self,
        replica: &Replica,
        rows: &Rows<'_>,
        registry: &Registry,
        detail: Detail,
    ) -> std::io::Result<v1::Resource> {
        if self.troubled {
            self.add_words(rows)?;
        }
        self.resource.requires = std::mem::take(&mut self.requires).whole(replica);
        self.resource.required_by = std::mem::take(&mut self.required_by).whole(replica);
        if self.resource.retry_at_ms > 0 {
            self.resource.retry_at_ms = wall_ms(replica.state_ms(), self.resource.retry_at_ms);
        }
        if let (Some(current), false) = (self.current, detail.show_secrets) {
            self.mask_id(replica, rows, registry, current)?;
        }
        if let (Some(current), false) = (self.current, detail.brief) {
            let type_name = self.type_name.clone().unwrap_or_default();
            for (name, row) in rows.attributes(current)? {
                let by_type = is_secret_by_type(registry, &type_name, Some(&name));
                let hidden = row.sensitive && !by_type && self.is_hiding(replica);
                let json = match hidden && !detail.show_secrets {
                    true => serde_json::Value::from(MASK).to_string(),
                    false => String::from_utf8_lossy(&row.bytes).into_owned(),
                };
                self.resource.attributes.push(v1::Attribute {
                    name: name.to_string(),
                    json,
                    sensitive: row.sensitive,
                    hidden,
                });
            }
        }
        Ok(self.resource)
    }

    /// Whether the stack has anything to hide.
    fn is_hiding(&mut self, replica: &Replica) -> bool {
        let stack = self.stack;
        *self
            .hiding
            .get_or_insert_with(|| has_hidden_parameters(replica, stack))
    }

    /// A physical id with a secret in it is masked as the attribute that it is.
    fn mask_id(
        &mut self,
        replica: &Replica,
        rows: &Rows<'_>,
        registry: &Registry,
        current: InstanceId,
    ) -> std::io::Result<()> {
        let type_name = self.type_name.as_deref().unwrap_or_default();
        if self.resource.physical_id.is_empty() || is_secret_by_type(registry, type_name, None) {
            return Ok(());
        }
        let reference = rows.attribute(current, None)?;
        let id = serde_json::Value::from(self.resource.physical_id.as_str()).to_string();
        let is_secret = |row: &AttributeRow| row.sensitive && *row.bytes == *id.as_bytes();
        if reference.as_ref().is_some_and(is_secret) && self.is_hiding(replica) {
            self.resource.physical_id = MASK.to_owned();
        }
        Ok(())
    }

    /// The provider's words come after what follows from them.
    fn add_words(&mut self, rows: &Rows<'_>) -> std::io::Result<()> {
        let found = words_about(rows, self.id, self.current)?;
        join(&mut self.resource.reason, found);
        for (deposed, shown) in self.deposed.iter().zip(&mut self.resource.deposed) {
            join(&mut shown.reason, words(rows, Subject::Instance(*deposed))?);
        }
        Ok(())
    }
}

/// The provider's words about the last failure of a resource, or of its instance.
pub(crate) fn words_about(
    rows: &Rows<'_>,
    resource: ResourceId,
    current: Option<InstanceId>,
) -> std::io::Result<Option<String>> {
    let found = words(rows, Subject::Resource(resource))?;
    match (&found, current) {
        (None, Some(current)) => words(rows, Subject::Instance(current)),
        _ => Ok(found),
    }
}

fn words(rows: &Rows<'_>, subject: Subject) -> std::io::Result<Option<String>> {
    Ok(match rows.get(&RowKey::Trouble(subject))? {
        Some(RowValue::Trouble(row)) if !row.message.is_empty() => Some(row.message.to_string()),
        _ => None,
    })
}

pub(crate) fn join(reason: &mut String, words: Option<String>) {
    let Some(words) = words else { return };
    if !reason.is_empty() {
        reason.push_str(": ");
    }
    reason.push_str(&words);
}

/// State time as wall time, by how far it is from now.
pub(crate) fn wall_ms(state_now_ms: u64, state_ms: u64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now_ms = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    now_ms.saturating_add(state_ms).saturating_sub(state_now_ms)
}

#[cfg(test)]
mod tests {
    use anneal_statemachine::{
        command::{
            Change, ChangeStack, Command, CommandKind, CommitStaged, Difference, SetResource,
            Settings, StagePart, Stamp,
        },
        id::RequestId,
    };

    use super::*;
    use crate::submit::resource;

    fn item(name: &str, depends_on: &[&str]) -> SetResource {
        let mut item = resource(name, "body");
        if let Some(definition) = &mut item.definition {
            definition.depends_on = depends_on.iter().map(|name| Text::from(*name)).collect();
        }
        item
    }

    #[test]
    fn what_is_not_taken_in_yet_is_shown_as_declared() {
        let mut state = StateMachine::new();
        let [first, second] = [RequestId([1; 16]), RequestId([2; 16])];
        let difference = Difference::default();
        let commands = [
            CommandKind::ClusterSettings {
                request: first,
                settings: Settings {
                    items_per_entry: 1,
                    ..Settings::default()
                },
            },
            CommandKind::StagePart(StagePart {
                stage: second,
                part: 0,
                stack: None,
                set: vec![item("a", &[]), item("b", &["a"])],
                remove: Vec::new(),
            }),
            CommandKind::CommitStaged(CommitStaged {
                stage: second,
                parts: 1,
                change: ChangeStack {
                    request: second,
                    namespace: "default".into(),
                    name: "s".into(),
                    change: Change::Create { difference },
                },
            }),
        ];
        for (index, kind) in (1..).zip(commands) {
            let stamp = Stamp::default();
            state.apply(index, Command { stamp, kind });
        }
        let stack = state.stack_named("default", "s").expect("it was made");
        assert_eq!(state.resource_named(stack, "b"), None);
        let shown = declared_only(&state, stack, "b").expect("it is declared");
        assert_eq!((&*shown.r#type, &*shown.phase), ("T", "waiting"));
        assert_eq!(shown.requires, ["a"]);
        assert_eq!(
            shown.reason,
            "a change of the stack is still being taken in"
        );
        assert_eq!(declared_only(&state, stack, "c"), None);
    }
}
