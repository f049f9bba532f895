//! Lost and orphaned: what exists against what is declared, in both directions and down to the values.

use std::collections::{BTreeMap, BTreeSet};

use crate::cloud::Object;

/// What an object should be: its value, and what it refers to, by name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Declared {
    /// Its value.
    pub value: u64,
    /// Names of the objects that it refers to.
    pub needs: BTreeSet<String>,
}

/// The objects of one stack, by name.
pub type Stock = BTreeMap<String, Declared>;

/// What exists, stack by stack; and what is wrong with it whatever was declared: names held by two, references to
/// what is not there or belongs to another, values seen that are not the present ones.
pub fn stock(inventory: &[Object]) -> (BTreeMap<String, Stock>, Vec<String>) {
    let by_id: BTreeMap<&str, &Object> = inventory
        .iter()
        .map(|object| (object.id.as_str(), object))
        .collect();
    let mut stocks: BTreeMap<String, Stock> = BTreeMap::new();
    let mut guilty = Vec::new();
    for Object { id, body, .. } in inventory {
        let place = format!("{id} ({}/{})", body.stack, body.name);
        let mut needs = BTreeSet::new();
        for (n, other) in body.refs.iter().enumerate() {
            match by_id.get(other.as_str()) {
                Some(other) if other.body.stack == body.stack => {
                    needs.insert(other.body.name.clone());
                    if body.saw.get(n) != Some(&other.body.value) {
                        guilty.push(format!(
                            "{place} saw {:?} of {}, which has {}",
                            body.saw.get(n),
                            other.id,
                            other.body.value
                        ));
                    }
                }
                Some(_) => guilty.push(format!("{place} refers to {other} of another stack")),
                None => guilty.push(format!("{place} refers to {other}, which does not exist")),
            }
        }
        let declared = Declared {
            value: body.value,
            needs,
        };
        let stock = stocks.entry(body.stack.clone()).or_default();
        if stock.insert(body.name.clone(), declared).is_some() {
            guilty.push(format!("{place}: its name has two objects"));
        }
    }
    (stocks, guilty)
}

/// How what exists of a stack differs from each of the things that it may be; nothing, if it is one of them.
pub fn not_as_declared(stack: &str, exists: &Stock, possible: &[Stock]) -> Vec<String> {
    if possible.contains(exists) {
        return Vec::new();
    }
    let differences = |declared: &Stock| -> Vec<String> {
        let names: BTreeSet<_> = exists.keys().chain(declared.keys()).collect();
        let difference = |name: &String| match (exists.get(name), declared.get(name)) {
            (Some(_), None) => Some(format!("{stack}/{name} exists and is not declared")),
            (None, Some(_)) => Some(format!("{stack}/{name} is declared and does not exist")),
            (one, other) if one != other => {
                Some(format!("{stack}/{name} is {one:?}, declared {other:?}"))
            }
            _ => None,
        };
        names.into_iter().filter_map(difference).collect()
    };
    possible
        .iter()
        .map(differences)
        .min_by_key(Vec::len)
        .unwrap_or_else(|| vec![format!("{stack}: nothing that it may be is known")])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::Body;

    fn object(id: &str, name: &str, value: u64, refs: &[(&str, u64)]) -> Object {
        Object {
            id: id.to_owned(),
            instance: id.to_owned(),
            body: Body {
                stack: "s".to_owned(),
                name: name.to_owned(),
                value,
                refs: refs.iter().map(|(id, _)| (*id).to_owned()).collect(),
                saw: refs.iter().map(|(_, saw)| *saw).collect(),
            },
        }
    }

    fn declared(names: &[(&str, u64, &[&str])]) -> Stock {
        names
            .iter()
            .map(|(name, value, needs)| {
                let needs = needs.iter().map(|&need| need.to_owned()).collect();
                (
                    (*name).to_owned(),
                    Declared {
                        value: *value,
                        needs,
                    },
                )
            })
            .collect()
    }

    #[test]
    fn an_orphan_a_loss_and_a_wrong_value_are_told_apart() {
        let (stocks, wrong) = stock(&[
            object("o1", "a", 1, &[]),
            object("o2", "b", 2, &[("o1", 1)]),
        ]);
        assert_eq!(wrong, [""; 0]);
        let exists = &stocks["s"];
        let right = declared(&[("a", 1, &[]), ("b", 2, &["a"])]);
        assert_eq!(not_as_declared("s", exists, &[right]), [""; 0]);
        let orphan = not_as_declared("s", exists, &[declared(&[("a", 1, &[])])]);
        assert_eq!(orphan, ["s/b exists and is not declared"]);
        let more = declared(&[("a", 1, &[]), ("b", 2, &["a"]), ("c", 3, &[])]);
        let lost = not_as_declared("s", exists, &[more]);
        assert_eq!(lost, ["s/c is declared and does not exist"]);
        let other = declared(&[("a", 7, &[]), ("b", 2, &["a"])]);
        assert_eq!(not_as_declared("s", exists, &[other]).len(), 1);
        assert_eq!(not_as_declared("s", exists, &[]).len(), 1);
    }

    #[test]
    fn what_is_wrong_in_itself_is_guilty_whatever_was_declared() {
        let twice = [object("o1", "a", 1, &[]), object("o2", "a", 1, &[])];
        assert_eq!(stock(&twice).1.len(), 1);
        let dangling = [object("o2", "b", 2, &[("o1", 1)])];
        assert_eq!(stock(&dangling).1.len(), 1);
        let stale = [
            object("o1", "a", 1, &[]),
            object("o2", "b", 2, &[("o1", 9)]),
        ];
        assert_eq!(stock(&stale).1.len(), 1);
    }
}
