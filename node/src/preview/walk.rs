//! Goes through what a difference touches and, from there, through whatever refers to it: each resource when what it
//! refers to has been weighed. What no change reaches is unchanged.

use std::collections::{BTreeMap, HashMap, VecDeque};

use anneal_proto::v1;
use anneal_provider::{PlanRequest, PlannedAction, TypeSchema, Values};
use anneal_statemachine::{
    command::{Definition, DeletionPolicy, Policy, Reference},
    id::{InstanceId, Text},
    row::{InstanceRow, Observed},
    view::Phase,
};
use anneal_template::{Known, Lookup};
use bytes::Bytes;
use tokio::runtime::Handle;

use super::{
    protected_among,
    values::{Secret, StackValues},
    weigh::{There, Weighed},
};
use crate::{
    replica::Replica,
    submit::{PAGE, Prepared, Refused, StackNow, Stored as _, Workshop},
};

/// A resource is weighed again when something that it refers to turns out to change. Circles there are none; this
/// often is enough for any order in which the news may come.
const WEIGHED_AGAIN: u32 = 3;

pub(super) struct Walk<'a> {
    workshop: &'a Workshop,
    replica: &'a Replica,
    runtime: &'a Handle,
    base: Option<StackNow>,
    /// What the difference sets: the definition, or that a condition leaves it out.
    set: HashMap<Text, Option<Definition>>,
    order: Vec<Text>,
    remove: Vec<Text>,
    weighed: BTreeMap<Text, (Weighed, Text)>,
    times: HashMap<Text, u32>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        workshop: &'a Workshop,
        replica: &'a Replica,
        runtime: &'a Handle,
        prepared: Prepared,
    ) -> Self {
        let difference = prepared.difference;
        let order = difference.set.iter().map(|set| set.name.clone()).collect();
        let set = difference.set.into_iter();
        Self {
            workshop,
            replica,
            runtime,
            base: prepared.base,
            set: set.map(|set| (set.name, set.definition)).collect(),
            order,
            remove: difference.remove,
            weighed: BTreeMap::new(),
            times: HashMap::new(),
        }
    }

    /// Every resource, in the order of names.
    pub(super) fn resources(mut self) -> Result<Vec<v1::PreviewResource>, Refused> {
        let mut queue: VecDeque<Text> = self.order.clone().into();
        while let Some(name) = queue.pop_front() {
            let times = self.times.entry(name.clone()).or_default();
            *times += 1;
            if *times > WEIGHED_AGAIN {
                continue;
            }
            let Some((weighed, type_name)) = self.weigh_named(&name)? else {
                continue;
            };
            let news = weighed.attributes.is_some();
            let before = self
                .weighed
                .insert(name.clone(), (weighed.clone(), type_name));
            let is_news = before.is_none_or(|(before, _)| before != weighed);
            if let (true, true, Some(now)) = (news, is_news, &self.base) {
                queue.extend(self.replica.dependents(now.id, &name));
            }
        }
        self.removals()?;
        self.unchanged()?;
        self.refusals();
        let shown = |(name, (weighed, type_name)): (Text, (Weighed, Text))| v1::PreviewResource {
            name: name.to_string(),
            r#type: type_name.to_string(),
            action: weighed.action.to_owned(),
            properties: weighed.properties,
            because: weighed.because,
            depends_on_unknown: weighed.unknown,
        };
        Ok(self.weighed.into_iter().map(shown).collect())
    }

    /// The first of what is set that would be replaced, and why.
    pub(super) fn first_replaced(self) -> Result<Option<(String, String)>, Refused> {
        for name in &self.order {
            match self.weigh_named(name)? {
                Some((weighed, _)) if weighed.action == "replace" => {
                    return Ok(Some((name.to_string(), weighed.because)));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Says of what is protected that it would not be done.
    fn refusals(&mut self) {
        let Some(now) = &self.base else { return };
        let going = self.weighed.iter();
        let going =
            going.filter(|(_, (weighed, _))| matches!(weighed.action, "replace" | "delete"));
        let protected = protected_among(self.replica, now.id, going.map(|(name, _)| name));
        for (name, (weighed, _)) in &mut self.weighed {
            let refused = match weighed.action {
                "replace" => now.options.protect || protected.contains(name),
                "delete" => protected.contains(name),
                _ => false,
            };
            if refused {
                let because = match weighed.because.as_str() {
                    "" => String::new(),
                    because => format!("{because}; "),
                };
                weighed.because = format!("{because}it is protected, so this would be refused");
            }
        }
    }

    fn weigh_named(&self, name: &Text) -> Result<Option<(Weighed, Text)>, Refused> {
        let there = self.there(name);
        let own;
        let definition = match self.set.get(name) {
            Some(Some(definition)) => definition,
            // Left out by a condition.
            Some(None) => {
                return Ok(there
                    .current
                    .map(|(_, _, it)| (Weighed::plain("delete"), it)));
            }
            None => match self.stored(name)? {
                Some(definition) => {
                    own = definition;
                    &own
                }
                None => return Ok(None),
            },
        };
        let lookup = Ahead {
            walk: self,
            values: self.values(),
        };
        let mut weighed = self.weigh(definition, &there, &lookup)?;
        if weighed.unknown && weighed.because.is_empty() {
            weighed.because = self.not_known(&definition.references);
        }
        Ok(Some((weighed, definition.type_name.clone())))
    }

    /// Which values are not known yet.
    fn not_known(&self, references: &[Reference]) -> String {
        let lookup = Ahead {
            walk: self,
            values: self.values(),
        };
        let unknown = references.iter().filter(|reference| {
            let found = match &reference.attribute {
                Some(attribute) => lookup.attribute(&reference.resource, attribute),
                None => lookup.reference_id(&reference.resource),
            };
            found.is_none()
        });
        let names: Vec<String> = unknown
            .map(|reference| match &reference.attribute {
                Some(attribute) => format!("{attribute} of {}", reference.resource),
                None => format!("the id of {}", reference.resource),
            })
            .collect();
        format!("depends on a value not known yet: {}", names.join(", "))
    }

    fn removals(&mut self) -> Result<(), Refused> {
        for name in std::mem::take(&mut self.remove) {
            let Some(now) = &self.base else { break };
            let desired = self.replica.desired(now.id, &name);
            let Some(desired) = desired else { continue };
            let policy = desired
                .policy
                .as_deref()
                .unwrap_or(&Policy::default())
                .deletion;
            let type_name = match desired.definition {
                Some(digest) => self.replica.definition(digest)?.type_name,
                None => continue,
            };
            let because = match policy {
                DeletionPolicy::Retain => "it is forgotten and left where it is".to_owned(),
                DeletionPolicy::Delete => String::new(),
            };
            let weighed = Weighed {
                because,
                ..Weighed::plain("delete")
            };
            self.weighed.insert(name, (weighed, type_name));
        }
        Ok(())
    }

    /// The rest, page by page. What is not as it should be, whatever the reason, is weighed: it acts by itself.
    fn unchanged(&mut self) -> Result<(), Refused> {
        let Some(now) = &self.base else { return Ok(()) };
        let (stack, mut after) = (now.id, None::<Text>);
        loop {
            let page: Vec<(Text, Option<Text>, bool)> = self.replica.read(|state| {
                state
                    .resources_after(stack, after.as_ref())
                    .take(PAGE)
                    .filter_map(|id| {
                        let view = state.resource(id)?;
                        let desired = view.desired.is_some_and(|it| it.definition.is_some());
                        let type_name = view.type_name.filter(|_| desired);
                        let settled = view.phase == Some(Phase::Settled);
                        Some((view.name.clone(), type_name.cloned(), settled))
                    })
                    .collect()
            });
            let Some((last, ..)) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for (name, type_name, settled) in page {
                let Some(type_name) = type_name else { continue };
                if self.weighed.contains_key(&name) {
                    continue;
                }
                let weighed = match settled {
                    true => None,
                    false => self.weigh_named(&name)?,
                };
                let unchanged = || (Weighed::plain("unchanged"), type_name);
                let weighed = weighed.unwrap_or_else(unchanged);
                self.weighed.insert(name, weighed);
            }
        }
    }

    fn there(&self, name: &str) -> There {
        let Some(now) = &self.base else {
            return There::default();
        };
        let found = self.replica.read(|state| {
            let id = state.resource_named(now.id, name)?;
            let current = state.resource(id)?.current.and_then(|current| {
                let (type_name, _) = state.definition(current.row.definition)?;
                Some((current.id, current.row.clone(), type_name.clone()))
            });
            let healthy = |row: &InstanceRow| {
                row.observed == Observed::Present { healthy: true }
                    && !row.delete_begun
                    && !row.condemned
            };
            let deposed = state
                .deposed(id)
                .map(|it| it.row)
                .filter(|row| healthy(row));
            Some(There {
                current,
                deposed: deposed.cloned().collect(),
            })
        });
        found.unwrap_or_default()
    }

    /// What a resource that the difference does not touch should be.
    fn stored(&self, name: &str) -> Result<Option<Definition>, Refused> {
        let Some(now) = &self.base else {
            return Ok(None);
        };
        let desired = self.replica.desired(now.id, name);
        let Some((desired, digest)) = desired.and_then(|it| it.definition.map(|d| (it, d))) else {
            return Ok(None);
        };
        let kept = self.replica.definition(digest)?;
        Ok(Some(Definition {
            digest,
            type_name: kept.type_name,
            body: kept.body,
            references: kept.references.into(),
            depends_on: desired.depends_on.into(),
            policy: desired.policy.map(|policy| *policy).unwrap_or_default(),
            traits: desired.traits,
        }))
    }

    pub(super) fn stored_definition(&self, row: &InstanceRow) -> Result<Bytes, Refused> {
        Ok(self.replica.definition(row.definition)?.body)
    }

    /// The properties that an instance was last made from, as far as they are kept.
    pub(super) fn replica_properties(&self, id: InstanceId) -> Result<Option<Values>, Refused> {
        let rows = self.replica.rows();
        let bytes = rows.newest().properties(id).map_err(Refused::storage)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    pub(super) fn private(&self, id: InstanceId) -> Result<Bytes, Refused> {
        let rows = self.replica.rows();
        let private = rows.newest().private(id).map_err(Refused::storage)?;
        Ok(private.unwrap_or_default())
    }

    pub(super) fn schema(&self, type_name: &str) -> Option<&TypeSchema> {
        self.workshop.registry.schema(type_name)
    }

    /// The provider's plan; `None` if it has none to give.
    pub(super) fn plan(&self, request: PlanRequest<'_>) -> Option<(PlannedAction, Values)> {
        let provider = self.workshop.registry.provider(request.type_name)?;
        let plan = self.runtime.block_on(provider.plan(request)).ok()?;
        Some((plan.action, plan.attributes))
    }

    pub(super) fn values(&self) -> StackValues<'_> {
        StackValues {
            replica: self.replica,
            registry: &self.workshop.registry,
            stack: self.base.as_ref().map(|now| now.id).unwrap_or_default(),
            secret: Secret::Any,
        }
    }
}

/// Values as they will be, as far as they are known by now.
struct Ahead<'a> {
    walk: &'a Walk<'a>,
    values: StackValues<'a>,
}

impl Ahead<'_> {
    /// `Some(None)`: it changes, and to what is not known yet.
    fn changing(&self, resource: &str, attribute: Option<&str>) -> Option<Option<Known>> {
        let (weighed, _) = self.walk.weighed.get(resource)?;
        let attributes = weighed.attributes.as_ref()?;
        let is_replaced = matches!(weighed.action, "create" | "replace");
        Some(match attribute {
            // An update in place keeps its id.
            None if !is_replaced => return None,
            None => None,
            Some(name) => attributes.get(name).map(|value| Known {
                value: value.clone(),
                sensitive: false,
            }),
        })
    }
}

impl Lookup for Ahead<'_> {
    fn stack_id(&self) -> Option<String> {
        self.walk.base.as_ref().map(|now| now.id.to_string())
    }

    fn reference_id(&self, resource: &str) -> Option<Known> {
        match self.changing(resource, None) {
            Some(found) => found,
            None => self.values.reference_id(resource),
        }
    }

    fn attribute(&self, resource: &str, attribute: &str) -> Option<Known> {
        match self.changing(resource, Some(attribute)) {
            Some(found) => found,
            None => self.values.attribute(resource, attribute),
        }
    }
}
