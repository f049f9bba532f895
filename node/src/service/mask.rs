//! Hides what must not be shown. Pure; knows JSON and pointers into it.

use serde_json::Value;

/// What stands where something is hidden.
pub(crate) const MASK: &str = "******";

/// Puts the mask in the place of what the pointers point to; the empty pointer is all of it.
pub(crate) fn mask(value: &mut Value, pointers: &[String]) {
    for pointer in pointers {
        if let Some(hidden) = value.pointer_mut(pointer) {
            *hidden = Value::String(MASK.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_pointed_to_is_hidden() {
        let mut value = json!({"a": ["x", "y"], "b/c": 1});
        mask(
            &mut value,
            &["/a/1".to_owned(), "/b~1c".to_owned(), "/gone".to_owned()],
        );
        assert_eq!(value, json!({"a": ["x", MASK], "b/c": MASK}));
        mask(&mut value, &[String::new()]);
        assert_eq!(value, json!(MASK));
    }
}
