//! What a user of the simulation declares: a small graph of resources, and how it becomes another one. Definitions
//! are written as bytes that only this module and the engines of the simulation can read. It must not know the
//! state machine.

use std::collections::{BTreeMap, BTreeSet};

use anneal_statemachine::command::{
    Blob, Definition, DeletionPolicy, Difference, Drift, Policy, Reference as StateReference,
    ReplacementPolicy, SetResource, TypeTraits,
};
use anneal_statemachine::digest::{blob_digest, definition_digest};
use bytes::Bytes;

use super::dice::Dice;
use super::world::{Content, Powers};

/// A reference to an attribute of another resource; `id` stands for its reference id.
pub type Reference = (String, String);

/// One declared resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Index into the kinds of provider.
    pub kind: usize,
    /// A property that can be changed in place.
    pub own: u64,
    /// A property that can only be chosen at creation.
    pub shape: u64,
    /// References that go into the changeable property.
    pub plain_refs: Vec<Reference>,
    /// References that go into the other.
    pub shape_refs: Vec<Reference>,
    /// Order without a value.
    pub depends_on: BTreeSet<String>,
    /// The object's name, for types whose ids are names.
    pub name: Option<String>,
    /// The old instance goes before the new one comes.
    pub delete_first: bool,
    /// Forget instead of delete.
    pub retain: bool,
    /// Its deletion and replacement are refused.
    pub protect: bool,
    /// Its drift is only told: none leaves it to the stack.
    pub drift_report: Option<bool>,
    /// In the template, but its condition is false. Nothing refers to it.
    pub disabled: bool,
}

impl Declared {
    /// All that it refers to, each once, in order.
    pub fn references(&self) -> BTreeSet<Reference> {
        self.plain_refs
            .iter()
            .chain(&self.shape_refs)
            .cloned()
            .collect()
    }

    /// The names of all that must be settled before it.
    pub fn below(&self) -> BTreeSet<String> {
        self.references()
            .into_iter()
            .map(|(name, _)| name)
            .chain(self.depends_on.iter().cloned())
            .collect()
    }

    /// The definition as the state machine keeps it: type and properties, nothing else.
    pub fn body(&self) -> Vec<u8> {
        let refs = |list: &[Reference]| {
            list.iter()
                .map(|(name, attribute)| format!("{name}.{attribute}"))
                .collect::<Vec<_>>()
                .join(",")
        };
        format!(
            "{};{};{};{};{};{}",
            self.kind,
            self.own,
            self.shape,
            self.name.as_deref().unwrap_or("-"),
            refs(&self.plain_refs),
            refs(&self.shape_refs)
        )
        .into_bytes()
    }
}

/// Evaluates a definition's bytes; `value` gives the bytes of a referenced attribute.
/// Returns the kind and the content, or nothing if a value is missing.
pub fn evaluate(
    body: &[u8],
    mut value: impl FnMut(&str, &str) -> Option<Vec<u8>>,
) -> Option<(usize, Content)> {
    let text = std::str::from_utf8(body).expect("the simulation wrote it");
    let mut fields = text.split(';');
    let mut field = || fields.next().expect("six fields");
    let kind = field().parse().expect("a kind");
    let own: u64 = field().parse().expect("a number");
    let mut shape: u64 = field().parse().expect("a number");
    let name = Some(field()).filter(|n| *n != "-").map(str::to_owned);
    let mut plain = own;
    for (list, sum) in [(field(), &mut plain), (field(), &mut shape)] {
        for reference in list.split(',').filter(|r| !r.is_empty()) {
            let (resource, attribute) = reference.split_once('.').expect("name and attribute");
            for byte in value(resource, attribute)? {
                *sum = sum.wrapping_mul(31).wrapping_add(u64::from(byte)) % 1_000_003;
            }
        }
    }
    Some((
        kind,
        Content {
            plain,
            own,
            shape,
            name,
        },
    ))
}

/// A declared stack: resources by name, none of which stands on itself.
pub type Blueprint = BTreeMap<String, Declared>;

/// The names of a stack in an order in which each stands only on earlier ones.
pub fn in_order(blueprint: &Blueprint) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    while order.len() < blueprint.len() {
        let before = order.len();
        for (name, declared) in blueprint {
            if !order.contains(name) && declared.below().iter().all(|b| order.contains(b)) {
                order.push(name.clone());
            }
        }
        assert!(before < order.len(), "a blueprint has no circle");
    }
    order
}

/// Writes blueprints at random.
pub struct Author<'a> {
    /// The providers that there are.
    pub kinds: &'a [Powers],
    /// At most so many resources in a stack.
    pub most_resources: u64,
    /// How many names there are for named objects, over all stacks.
    pub object_names: u64,
    /// Percent of pairs that are connected.
    pub density: u64,
}

impl Author<'_> {
    /// A new stack.
    pub fn write(&self, dice: &mut Dice) -> Blueprint {
        let mut names: Vec<String> = (0..dice.within(1, self.most_resources))
            .map(|n| format!("r{n}"))
            .collect();
        dice.shuffle(&mut names);
        let mut blueprint = Blueprint::new();
        let mut earlier: Vec<String> = Vec::new();
        for name in names {
            let declared = self.declare(dice, &blueprint, &earlier);
            blueprint.insert(name.clone(), declared);
            earlier.push(name);
        }
        blueprint
    }

    fn declare(&self, dice: &mut Dice, so_far: &Blueprint, earlier: &[String]) -> Declared {
        let kind = dice.below(self.kinds.len() as u64) as usize;
        let mut declared = Declared {
            kind,
            own: dice.below(6),
            shape: dice.below(3),
            plain_refs: Vec::new(),
            shape_refs: Vec::new(),
            depends_on: BTreeSet::new(),
            name: self.kinds[kind]
                .names
                .then(|| format!("n{}", dice.below(self.object_names))),
            delete_first: dice.percent(15),
            retain: dice.percent(5),
            protect: dice.percent(3),
            drift_report: dice.percent(15).then(|| dice.percent(50)),
            disabled: dice.percent(4),
        };
        for name in earlier {
            if !declared.disabled && !so_far[name].disabled && dice.percent(self.density) {
                connect(dice, &mut declared, name);
            }
        }
        declared
    }

    /// A changed form of a stack: some resources added, removed, changed, turned round.
    pub fn revise(&self, dice: &mut Dice, old: &Blueprint) -> Blueprint {
        if dice.percent(8) {
            return self.write(dice);
        }
        let mut new = old.clone();
        for _ in 0..dice.within(1, 3) {
            self.revise_once(dice, &mut new);
        }
        new
    }

    fn revise_once(&self, dice: &mut Dice, new: &mut Blueprint) {
        let order = in_order(new);
        let place = dice.below(order.len() as u64) as usize;
        let chosen = order.get(place).cloned();
        match (dice.below(12), chosen) {
            (0 | 1, _) | (_, None) => {
                let name = format!("r{}", dice.below(self.most_resources + 1));
                if !new.contains_key(&name) && (new.len() as u64) < self.most_resources {
                    let declared = self.declare(dice, new, &order);
                    new.insert(name, declared);
                }
            }
            (2 | 3, Some(name)) => remove(new, &name),
            (4..=6, Some(name)) => new.get_mut(&name).expect("chosen").own = dice.below(6),
            (7, Some(name)) => new.get_mut(&name).expect("chosen").shape = dice.below(3),
            (8, Some(name)) => {
                let declared = self.declare(dice, new, &order[..place]);
                disable_references(new, &name, &declared);
                new.insert(name, declared);
            }
            (9, Some(name)) => {
                let below = dice
                    .pick(&order[..place])
                    .filter(|below| !new[*below].disabled)
                    .cloned();
                let declared = new.get_mut(&name).expect("chosen");
                match below {
                    Some(other) if !declared.disabled => connect(dice, declared, &other),
                    _ => declared.delete_first = !declared.delete_first,
                }
            }
            (10, Some(name)) => turn_round(new, &name),
            (_, Some(name)) => {
                let declared = new.get_mut(&name).expect("chosen");
                declared.plain_refs.clear();
                declared.shape_refs.clear();
                declared.depends_on.clear();
                declared.protect = false;
                declared.retain = dice.percent(10);
            }
        }
    }
}

fn connect(dice: &mut Dice, declared: &mut Declared, name: &str) {
    let attribute = *dice
        .pick(&["id", "plain", "half", "shape", "half"])
        .expect("some");
    let reference = (name.to_owned(), attribute.to_owned());
    match dice.below(5) {
        0 | 1 => declared.plain_refs.push(reference),
        2 => declared.shape_refs.push(reference),
        _ => {
            declared.depends_on.insert(name.to_owned());
        }
    }
}

/// Takes a resource out, and every word of it elsewhere.
pub fn remove(blueprint: &mut Blueprint, name: &str) {
    blueprint.remove(name);
    for declared in blueprint.values_mut() {
        cut(declared, name);
    }
}

fn cut(declared: &mut Declared, name: &str) {
    declared.plain_refs.retain(|(other, _)| other != name);
    declared.shape_refs.retain(|(other, _)| other != name);
    declared.depends_on.remove(name);
}

/// Nothing refers to a resource whose condition is false.
fn disable_references(blueprint: &mut Blueprint, name: &str, declared: &Declared) {
    if declared.disabled {
        for other in blueprint.values_mut() {
            cut(other, name);
        }
    }
}

/// Lets a resource stand on one that stood on it.
fn turn_round(blueprint: &mut Blueprint, name: &str) {
    let above = blueprint
        .iter()
        .find(|(_, declared)| declared.below().contains(name))
        .map(|(n, _)| n.clone());
    let Some(above) = above else { return };
    let mut trial = blueprint.clone();
    cut(trial.get_mut(&above).expect("found"), name);
    trial
        .get_mut(name)
        .expect("chosen")
        .depends_on
        .insert(above);
    if has_order(&trial) {
        *blueprint = trial;
    }
}

fn has_order(blueprint: &Blueprint) -> bool {
    let mut done: BTreeSet<&String> = BTreeSet::new();
    loop {
        let next: Vec<&String> = blueprint
            .iter()
            .filter(|(name, declared)| {
                !done.contains(name) && declared.below().iter().all(|b| done.contains(b))
            })
            .map(|(name, _)| name)
            .collect();
        if next.is_empty() {
            return done.len() == blueprint.len();
        }
        done.extend(next);
    }
}

/// A blueprint in the state machine's words, as the difference to another one, in dependency order.
pub fn difference(old: &Blueprint, new: &Blueprint, kinds: &[Powers]) -> Difference {
    let set = in_order(new)
        .into_iter()
        .filter(|name| old.get(name) != new.get(name))
        .map(|name| set_resource(&name, &new[&name], kinds))
        .collect();
    let remove = old
        .keys()
        .filter(|name| !new.contains_key(*name))
        .map(|name| name.as_str().into())
        .collect();
    Difference {
        set,
        remove,
        ..Difference::default()
    }
}

/// The content-addressed form of some bytes.
pub fn blob(bytes: Vec<u8>) -> Blob {
    Blob {
        digest: blob_digest(&bytes),
        bytes: Bytes::from(bytes),
    }
}

fn set_resource(name: &str, declared: &Declared, kinds: &[Powers]) -> SetResource {
    SetResource {
        name: name.into(),
        definition: (!declared.disabled).then(|| definition(declared, kinds)),
        fragment: blob(format!("{name}: {declared:?}").into_bytes()),
        parameters_used: vec![format!("p{}", declared.own).as_str().into()],
    }
}

/// The definition that a declared resource comes to.
pub fn definition(declared: &Declared, kinds: &[Powers]) -> Definition {
    let powers = &kinds[declared.kind];
    let body = declared.body();
    let references = declared
        .references()
        .into_iter()
        .map(|(resource, attribute)| StateReference {
            resource: resource.as_str().into(),
            attribute: (attribute != "id").then(|| attribute.as_str().into()),
        });
    Definition {
        digest: definition_digest(&powers.name, &body),
        type_name: powers.name.as_str().into(),
        body: Bytes::from(body),
        references: references.collect(),
        depends_on: declared
            .depends_on
            .iter()
            .map(|name| name.as_str().into())
            .collect(),
        policy: Policy {
            deletion: if declared.retain {
                DeletionPolicy::Retain
            } else {
                DeletionPolicy::Delete
            },
            replacement: if declared.delete_first {
                ReplacementPolicy::DeleteFirst
            } else {
                ReplacementPolicy::CreateFirst
            },
            protect: declared.protect,
            drift: declared
                .drift_report
                .map(|report| if report { Drift::Report } else { Drift::Heal }),
            ..Policy::default()
        },
        traits: TypeTraits {
            host_bound: powers.host_bound,
            derived_id: powers.derived,
            honours_keys: powers.keys,
            fences: powers.fences,
            can_look: powers.looks,
            named: powers.names,
            cancellable: false,
            lag_ms: powers.lag_ms as u32,
            by_id_only: false,
        },
    }
}
