//! Conditions: true or false, from parameters alone. Knows no resources.

use std::collections::{BTreeMap, BTreeSet};

use crate::fold::{Folder, Uses};
use crate::function::{Function, same};
use crate::place::{Place, Step};
use crate::problem::Reported;
use crate::tree::{Entry, NodeKind, NodeRef};
use crate::value::Value;

/// How deep conditions may name each other: deciding recurses so deep.
const NAMED_DEPTH: usize = 64;
const FUNCTIONS: &[&str] = &["equals", "not", "and", "or", "get_param", "contains"];

/// All conditions of a template, decided.
#[derive(Debug, Default)]
pub(crate) struct Conditions(BTreeMap<String, Decision>);

#[derive(Debug)]
struct Decision {
    /// None if its problem has been told.
    holds: Option<bool>,
    /// All parameters it depends on.
    parameters: BTreeSet<String>,
}

/// Gives conditions by name.
pub(crate) trait Named<'t> {
    fn named(
        &mut self,
        name: &str,
        at: NodeRef<'t>,
        folder: &mut Folder<'_, 't, '_>,
    ) -> Result<bool, Reported>;
}

/// Conditions that are decided already.
pub(crate) struct Decided<'d>(pub(crate) &'d Conditions);

impl<'t> Named<'t> for Decided<'_> {
    fn named(
        &mut self,
        name: &str,
        at: NodeRef<'t>,
        folder: &mut Folder<'_, 't, '_>,
    ) -> Result<bool, Reported> {
        match self.0.0.get(name) {
            Some(decision) => {
                folder
                    .uses
                    .parameters
                    .extend(decision.parameters.iter().cloned());
                decision.holds.ok_or(Reported)
            }
            None => Err(unknown(
                name,
                at,
                self.0.0.keys().map(String::as_str),
                folder,
            )),
        }
    }
}

fn unknown<'w>(
    name: &str,
    at: NodeRef<'_>,
    known: impl Iterator<Item = &'w str>,
    folder: &mut Folder<'_, '_, '_>,
) -> Reported {
    let path = folder.place.text();
    folder.reporter.unknown(at, path, "condition", name, known)
}

/// Decides all conditions of the section. The folder is one without conditions.
pub(crate) fn decide<'t>(section: NodeRef<'t>, folder: &mut Folder<'_, 't, '_>) -> Conditions {
    if section.kind() == NodeKind::Null {
        return Conditions::default();
    }
    let Some(entries) = section.entries() else {
        folder.reporter.error(
            section,
            "conditions",
            format!("must be a map, not {}", section.in_words()),
        );
        return Conditions::default();
    };
    let entries: Vec<Entry<'t>> = entries.collect();
    let by_name = entries.iter().map(|entry| (entry.name(), *entry)).collect();
    let mut deciding = Deciding {
        entries: by_name,
        decided: Conditions::default(),
        open: Vec::new(),
    };
    for entry in entries {
        if !deciding.decided.0.contains_key(entry.name()) {
            deciding.decide(entry, folder);
        }
    }
    deciding.decided
}

struct Deciding<'t> {
    entries: BTreeMap<&'t str, Entry<'t>>,
    decided: Conditions,
    /// Conditions that wait for one another.
    open: Vec<&'t str>,
}

impl<'t> Deciding<'t> {
    fn decide(&mut self, entry: Entry<'t>, folder: &mut Folder<'_, 't, '_>) -> Option<bool> {
        let outer_uses = std::mem::take(&mut folder.uses);
        let outer_place =
            std::mem::replace(&mut folder.place, Place::at(&["conditions", entry.name()]));
        self.open.push(entry.name());
        let holds = holds(entry.value, folder, self).ok();
        self.open.pop();
        folder.place = outer_place;
        let Uses { parameters, .. } = std::mem::replace(&mut folder.uses, outer_uses);
        folder.uses.parameters.extend(parameters.iter().cloned());
        self.decided
            .0
            .insert(entry.name().to_owned(), Decision { holds, parameters });
        holds
    }
}

impl<'t> Named<'t> for Deciding<'t> {
    fn named(
        &mut self,
        name: &str,
        at: NodeRef<'t>,
        folder: &mut Folder<'_, 't, '_>,
    ) -> Result<bool, Reported> {
        if self.decided.0.contains_key(name) {
            return Decided(&self.decided).named(name, at, folder);
        }
        let Some(entry) = self.entries.get(name).copied() else {
            return Err(unknown(name, at, self.entries.keys().copied(), folder));
        };
        if let Some(start) = self.open.iter().position(|open| *open == name) {
            let circle = self.open[start..].join(" → ");
            return Err(folder.error(at, format!("conditions go in a circle: {circle} → {name}")));
        }
        if self.open.len() >= NAMED_DEPTH {
            return Err(folder.error(
                at,
                format!("conditions name each other more than {NAMED_DEPTH} deep"),
            ));
        }
        self.decide(entry, folder).ok_or(Reported)
    }
}

/// Whether a condition holds: a boolean, the name of one, or a function of conditions.
pub(crate) fn holds<'t>(
    node: NodeRef<'t>,
    folder: &mut Folder<'_, 't, '_>,
    names: &mut dyn Named<'t>,
) -> Result<bool, Reported> {
    match node.kind() {
        NodeKind::Bool(flag) => return Ok(flag),
        NodeKind::Text => return names.named(node.written(), node, folder),
        NodeKind::Map if node.len() == 1 => {}
        _ => {
            let message = format!(
                "a condition is a boolean, a name or a function, not {}",
                node.in_words()
            );
            return Err(folder.error(node, message));
        }
    }
    let entry = node
        .entries()
        .into_iter()
        .flatten()
        .next()
        .expect("a map of one has an entry");
    folder.place.enter(Step::Key(entry.name()));
    let outer = folder.constant.replace("a condition");
    let result = function_holds(node, entry, folder, names);
    folder.constant = outer;
    folder.place.leave();
    result
}

fn function_holds<'t>(
    node: NodeRef<'t>,
    entry: Entry<'t>,
    folder: &mut Folder<'_, 't, '_>,
    names: &mut dyn Named<'t>,
) -> Result<bool, Reported> {
    match entry.name() {
        "not" => holds(entry.value, folder, names).map(|holds| !holds),
        "and" => all_of(entry, folder, names).map(|all| all.iter().all(|holds| *holds)),
        "or" => all_of(entry, folder, names).map(|all| all.iter().any(|holds| *holds)),
        "equals" => {
            let pair: Vec<NodeRef<'t>> = entry.value.items().into_iter().flatten().collect();
            let [a, b] = pair.as_slice() else {
                return Err(folder.error(entry.value, "equals takes [value, value]"));
            };
            let (a, b) = (folder.fold_present(*a), folder.fold_present(*b));
            Ok(same(&stripped(a?), &stripped(b?)))
        }
        "get_param" | "contains" => match condition_value(node, entry, folder)? {
            Value::Bool(flag) => Ok(flag),
            Value::Text(name) => names.named(&name, entry.value, folder),
            other => Err(folder.error(
                entry.value,
                format!("a condition is true or false, not {}", other.in_words()),
            )),
        },
        "yaql" => Err(folder.error(entry.key, Function::Yaql.refusal().unwrap_or_default())),
        other => {
            let path = folder.place.text();
            Err(folder.reporter.unknown(
                entry.key,
                path,
                "condition function",
                other,
                FUNCTIONS.iter().copied(),
            ))
        }
    }
}

/// The value of a function that stands for a condition. Hidden text would be shown as the name it is taken for.
fn condition_value<'t>(
    node: NodeRef<'t>,
    entry: Entry<'t>,
    folder: &mut Folder<'_, 't, '_>,
) -> Result<Value, Reported> {
    let mut value = folder.fold_present(node)?;
    if value.strip() && !matches!(value, Value::Bool(_)) {
        return Err(folder.error(
            entry.value,
            "a condition is true or false, or the name of one",
        ));
    }
    Ok(value)
}

fn stripped(mut value: Value) -> Value {
    value.strip();
    value
}

fn all_of<'t>(
    entry: Entry<'t>,
    folder: &mut Folder<'_, 't, '_>,
    names: &mut dyn Named<'t>,
) -> Result<Vec<bool>, Reported> {
    let conditions: Vec<NodeRef<'t>> = entry.value.items().into_iter().flatten().collect();
    if conditions.len() < 2 {
        return Err(folder.error(
            entry.value,
            format!("{} takes a list of two or more conditions", entry.name()),
        ));
    }
    let decided: Vec<Result<bool, Reported>> = conditions
        .into_iter()
        .map(|node| holds(node, folder, names))
        .collect();
    decided.into_iter().collect()
}
