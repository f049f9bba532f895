//! What a stack is to contain, as the harness knows it: the model of a declaration, its changes, and its text.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::Chance;

/// Most objects that a stack has.
const MOST: u64 = 8;

/// A request of a resource is answered within this, or its outcome is unknown. Seconds.
const REQUEST_SECONDS: u64 = 2;

/// How much the cloud helps against doing things twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// Keys and fencing tokens: each effect exactly once and in order.
    Fenced,
    /// Keys only: each effect once.
    Keyed,
    /// Neither, only a tag to find it by: at least once, with a look in between.
    Plain,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Item {
    /// What it holds.
    pub value: u64,
    /// Names of the objects that it refers to.
    pub needs: BTreeSet<String>,
    /// Whether it can be changed in place; otherwise a change replaces it.
    pub mutable: bool,
    /// How it is spoken to.
    pub dialect: Dialect,
}

/// All objects of a stack, by name.
pub type Content = BTreeMap<String, Item>;

/// A change of named objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Set.
    pub set: Content,
    /// Removed.
    pub remove: BTreeSet<String>,
}

impl Patch {
    /// The content with the patch in it; `None` if something would be left that refers to what is gone.
    pub fn on(&self, content: &Content) -> Option<Content> {
        let mut content = content.clone();
        for name in &self.remove {
            content.remove(name)?;
        }
        content.extend(self.set.clone());
        let whole = content
            .values()
            .all(|item| item.needs.iter().all(|need| content.contains_key(need)));
        whole.then_some(content)
    }

    /// A patch that changes an object or two, adds one, or removes one that nothing refers to.
    pub fn draw(chance: &mut Chance, content: &Content) -> Self {
        let mut patch = Self::default();
        let names: Vec<_> = content.keys().cloned().collect();
        for _ in 0..=chance.between(0, 2) {
            if let Some(name) = chance.one(&names) {
                let mut item = content[name].clone();
                item.value = chance.between(0, 1_000_000);
                patch.set.insert(name.clone(), item);
            }
        }
        if chance.per_mille(400) && (content.len() as u64) < MOST {
            let name = free_name(chance, content);
            let item = draw_item(chance, content);
            patch.set.insert(name, item);
        }
        let used = |name: &String| {
            patch.set.contains_key(name)
                || content
                    .values()
                    .chain(patch.set.values())
                    .any(|item| item.needs.contains(name))
        };
        let unused: Vec<_> = names.iter().filter(|name| !used(name)).cloned().collect();
        if chance.per_mille(300)
            && let Some(name) = chance.one(&unused)
        {
            patch.remove.insert(name.clone());
        }
        patch
    }

    /// The patch document.
    pub fn document(&self, stack: &str, url: &str) -> String {
        let remove: Vec<_> = self.remove.iter().collect();
        json!({ "resources": resources(&self.set, stack, url), "remove": remove }).to_string()
    }
}

/// A name that is not taken.
fn free_name(chance: &mut Chance, content: &Content) -> String {
    loop {
        let name = format!("r{}", chance.between(0, 100));
        if !content.contains_key(&name) {
            return name;
        }
    }
}

fn draw_item(chance: &mut Chance, content: &Content) -> Item {
    let names: Vec<_> = content.keys().cloned().collect();
    let mut needs = BTreeSet::new();
    for _ in 0..chance.between(0, 3) {
        needs.extend(chance.one(&names).cloned());
    }
    let dialect = match chance.between(0, 10) {
        0..6 => Dialect::Fenced,
        6..9 => Dialect::Keyed,
        _ => Dialect::Plain,
    };
    Item {
        value: chance.between(0, 1_000_000),
        needs,
        mutable: chance.per_mille(700),
        dialect,
    }
}

/// A content of three objects or more, each of which refers to some before it.
pub fn draw_content(chance: &mut Chance) -> Content {
    let mut content = Content::new();
    for _ in 0..chance.between(3, MOST) {
        let item = draw_item(chance, &content);
        content.insert(free_name(chance, &content), item);
    }
    content
}

/// The template of a stack.
pub fn template(content: &Content, stack: &str, url: &str) -> String {
    json!({
        "heat_template_version": "2021-04-16",
        "resources": resources(content, stack, url),
    })
    .to_string()
}

fn resources(content: &Content, stack: &str, url: &str) -> Map<String, Value> {
    content
        .iter()
        .map(|(name, item)| (name.clone(), resource(name, item, stack, url)))
        .collect()
}

fn resource(name: &str, item: &Item, stack: &str, url: &str) -> Value {
    let of = |attribute: &str| -> Vec<Value> {
        item.needs
            .iter()
            .map(|need| json!({ "get_attr": [need, attribute] }))
            .collect()
    };
    let mut properties = json!({
        "url": url,
        "headers": {
            "X-Instance": "{instance}",
            "X-Token": "{token}",
            "X-Stack": stack,
            "X-Name": name,
        },
        "body": {
            "stack": stack,
            "name": name,
            "value": item.value,
            "refs": of("id"),
            "saw": of("value"),
        },
        "create": { "path": "/objects" },
        "read": { "path": "/objects/{id}" },
        "delete": { "path": "/objects/{id}" },
        "find": { "path": "/objects", "items": "/items" },
        "attributes": { "id": "/id", "value": "/value" },
        "timeout_seconds": REQUEST_SECONDS,
    });
    if item.mutable {
        properties["update"] = json!({ "path": "/objects/{id}" });
    }
    if item.dialect != Dialect::Plain {
        properties["idempotency_header"] = "Idempotency-Key".into();
    }
    if item.dialect == Dialect::Fenced {
        properties["fencing_header"] = "Fencing-Token".into();
    }
    // What is not fenced is certainly absent only when the time of the lost call is over.
    json!({ "type": "Anneal::Http", "timeout": 10, "properties": properties })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_refers_to_nothing_that_is_not_there() {
        let mut chance = Chance::of(3);
        for _ in 0..500 {
            let content = draw_content(&mut chance);
            let whole = Patch::default().on(&content);
            assert_eq!(whole.as_ref(), Some(&content));
            let patch = Patch::draw(&mut chance, &content);
            assert!(patch.on(&content).is_some(), "{patch:?} on {content:?}");
        }
    }
}
