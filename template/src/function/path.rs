//! Walking into lists and maps by the path components of `get_attr` and `get_param`.

use crate::value::Value;

/// What is at the end of the path; null if there is nothing, as `get_attr` has it.
pub(crate) fn select(value: &Value, path: &[Value]) -> Value {
    walk(value, path).unwrap_or(Value::Null)
}

/// What is at the end of the path; the empty text if there is nothing, as `get_param` has it.
pub(crate) fn select_parameter(value: &Value, path: &[Value]) -> Value {
    walk(value, path).unwrap_or_else(|| Value::Text(String::new()))
}

fn walk(value: &Value, path: &[Value]) -> Option<Value> {
    let mut at = value;
    let mut sensitive = false;
    for (depth, component) in path.iter().enumerate() {
        let (inner, marked) = at.unmarked();
        let (component, secret_component) = component.unmarked();
        sensitive |= marked | secret_component;
        at = match inner {
            Value::Map(entries) => match component {
                Value::Text(key) => entries.get(key)?,
                Value::Number(number) => entries.get(&number.to_string())?,
                _ => return None,
            },
            Value::List(items) => items.get(index(component, items.len())?)?,
            Value::Text(text) => {
                // As in Python, a string is the list of its characters.
                let letters: Vec<char> = text.chars().collect();
                let letter =
                    Value::Text(letters.get(index(component, letters.len())?)?.to_string());
                return walk(&letter, &path[depth + 1..]).map(|found| found.marked(sensitive));
            }
            _ => return None,
        };
    }
    Some(at.clone().marked(sensitive))
}

/// A place in a list; negative ones count from its end.
fn index(component: &Value, length: usize) -> Option<usize> {
    let number = match component {
        Value::Number(number) => number.as_i64()?,
        Value::Text(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    if number < 0 {
        length.checked_sub(usize::try_from(number.unsigned_abs()).ok()?)
    } else {
        usize::try_from(number).ok()
    }
}
