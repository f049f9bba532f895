//! `repeat`.

use crate::limits::Limits;
use crate::value::{Entries, Value, json_text, number_text};

pub(super) fn check(arguments: &Value) -> Result<(), String> {
    let form = || "takes a map of template and for_each".to_owned();
    let Value::Map(entries) = arguments else {
        return Err(form());
    };
    let (Some(_), Some(for_each)) = (entries.get("template"), entries.get("for_each")) else {
        return Err(form());
    };
    if let Some(key) = entries
        .keys()
        .find(|key| !matches!(key.as_str(), "template" | "for_each" | "permutations"))
    {
        return Err(format!(
            "takes template, for_each and permutations, not {key:?}"
        ));
    }
    let permutations = match entries.get("permutations").map(|value| value.unmarked().0) {
        None | Some(Value::Call(_) | Value::Unknown) => true,
        Some(Value::Bool(permutations)) => *permutations,
        Some(other) => {
            return Err(format!(
                "permutations must be a boolean, not {}",
                other.in_words()
            ));
        }
    };
    let lists = match for_each.unmarked().0 {
        Value::Map(lists) => lists,
        Value::Call(_) | Value::Unknown => return Ok(()),
        other => return Err(format!("for_each must be a map, not {}", other.in_words())),
    };
    if lists.is_empty() {
        return Err("for_each must not be empty".to_owned());
    }
    for (key, list) in lists {
        match list.unmarked().0 {
            Value::List(_) | Value::Null | Value::Call(_) | Value::Unknown => {}
            Value::Map(_) if permutations => {}
            other => {
                return Err(format!(
                    "for_each must have a list for {key:?}, not {}",
                    other.in_words()
                ));
            }
        }
    }
    Ok(())
}

pub(super) fn repeat(arguments: &Value, limits: &Limits) -> Result<Value, String> {
    check(arguments)?;
    let Value::Map(entries) = arguments else {
        return Err("takes a map".to_owned());
    };
    let (template, Value::Map(for_each)) = (&entries["template"], &entries["for_each"]) else {
        return Err("takes a map of template and for_each".to_owned());
    };
    let names: Vec<&str> = for_each.keys().map(String::as_str).collect();
    let lists: Vec<Vec<Value>> = for_each.values().map(items_of).collect();
    let permutations = entries.get("permutations") != Some(&Value::Bool(false));
    let mut copies = Copies {
        names,
        template,
        limits,
        bytes: 0,
        made: Vec::new(),
    };
    if permutations {
        copies.product(&lists)?;
    } else {
        copies.zip(&lists, for_each)?;
    }
    Ok(Value::List(copies.made))
}

/// Items of a list, keys of a map.
fn items_of(value: &Value) -> Vec<Value> {
    match value {
        Value::List(items) => items.clone(),
        Value::Map(entries) => entries.keys().map(|key| Value::Text(key.clone())).collect(),
        _ => Vec::new(),
    }
}

struct Copies<'a> {
    names: Vec<&'a str>,
    template: &'a Value,
    limits: &'a Limits,
    /// Bytes of text made so far.
    bytes: usize,
    made: Vec<Value>,
}

impl Copies<'_> {
    /// Every item of each list with every item of the others; the last list turns fastest.
    fn product(&mut self, lists: &[Vec<Value>]) -> Result<(), String> {
        let count = lists
            .iter()
            .try_fold(1usize, |product, list| product.checked_mul(list.len()));
        let count = count.unwrap_or(usize::MAX);
        if count > self.limits.list_items {
            return Err(format!("makes more than {} items", self.limits.list_items));
        }
        for number in 0..count {
            let mut rest = number;
            let mut chosen: Vec<&Value> = Vec::with_capacity(lists.len());
            for list in lists.iter().rev() {
                chosen.push(&list[rest % list.len()]);
                rest /= list.len();
            }
            chosen.reverse();
            self.push(&chosen)?;
        }
        Ok(())
    }

    fn zip(&mut self, lists: &[Vec<Value>], for_each: &Entries) -> Result<(), String> {
        // An absent list is no list of another length: it makes the result empty.
        let mut lengths = for_each
            .values()
            .filter(|value| **value != Value::Null)
            .map(|value| items_of(value).len());
        let first = lengths.next().unwrap_or_default();
        if lengths.any(|length| length != first) {
            return Err(
                "without permutations the lists of for_each must be equally long".to_owned(),
            );
        }
        let shortest = lists.iter().map(Vec::len).min().unwrap_or_default();
        for number in 0..shortest {
            let chosen: Vec<&Value> = lists.iter().map(|list| &list[number]).collect();
            self.push(&chosen)?;
        }
        Ok(())
    }

    fn push(&mut self, chosen: &[&Value]) -> Result<(), String> {
        let copy = self.copy(self.template, chosen)?;
        self.made.push(copy);
        Ok(())
    }

    fn copy(&mut self, template: &Value, chosen: &[&Value]) -> Result<Value, String> {
        match template {
            Value::Text(text) => {
                // Alone, a placeholder stands for the item itself, whatever it is.
                if let Some(at) = self.names.iter().position(|name| name == text)
                    && !matches!(chosen[at], Value::Text(_))
                {
                    return Ok(chosen[at].clone());
                }
                self.replaced(text, chosen).map(Value::Text)
            }
            Value::List(items) => {
                let items: Result<_, _> =
                    items.iter().map(|item| self.copy(item, chosen)).collect();
                items.map(Value::List)
            }
            Value::Map(entries) => {
                let mut copied = Entries::with_capacity(entries.len());
                for (key, value) in entries {
                    copied.insert(self.replaced(key, chosen)?, self.copy(value, chosen)?);
                }
                Ok(Value::Map(copied))
            }
            other => Ok(other.clone()),
        }
    }

    fn replaced(&mut self, text: &str, chosen: &[&Value]) -> Result<String, String> {
        let mut replaced = text.to_owned();
        for (name, value) in self.names.iter().zip(chosen) {
            if name.is_empty() {
                return Err("a placeholder must not be empty".to_owned());
            }
            if replaced.contains(name) {
                replaced = replaced.replace(name, &item_text(value));
            }
            if replaced.len() > self.limits.scalar_bytes {
                return Err(format!(
                    "makes text longer than {} bytes",
                    self.limits.scalar_bytes
                ));
            }
        }
        self.bytes += replaced.len();
        if self.bytes > self.limits.definition_bytes {
            return Err(format!(
                "makes more than {} bytes",
                self.limits.definition_bytes
            ));
        }
        Ok(replaced)
    }
}

fn item_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Null => String::new(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Number(number) => number_text(number),
        other => json_text(other),
    }
}
