//! Values that parameters take from where, and how they are read.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{Given, declarations, resolve};
use crate::definition::{ParameterValue, ParameterValues};
use crate::limits::Limits;
use crate::literal::Reporter;
use crate::problem::Collector;
use crate::tree::Tree;

fn resolved(
    section: &str,
    given: Json,
    previous: Option<&ParameterValues>,
) -> Result<ParameterValues, String> {
    let mut collector = Collector::new(100);
    let source = collector.source("t");
    let tree = Tree::read(section, &Limits::default()).unwrap();
    let declared = declarations(
        tree.root(),
        &mut Reporter {
            collector: &mut collector,
            source,
        },
    );
    let given: BTreeMap<String, Given> = given
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| {
            (
                name.clone(),
                Given {
                    value: value.clone(),
                    source,
                    position: None,
                },
            )
        })
        .collect();
    let values = resolve(
        &declared,
        &given,
        &BTreeMap::new(),
        previous,
        source,
        &mut collector,
    );
    collector
        .finish()
        .map_err(|problems| problems.to_string())?;
    Ok(values.into_values())
}

fn value(kind: &str, given: Json) -> Result<Json, String> {
    resolved(&format!("p: {{type: {kind}}}"), json!({"p": given}), None)
        .map(|values| values["p"].value.clone())
}

#[test]
fn text_is_read_as_the_type_wants_it() {
    assert_eq!(value("string", json!(5)).unwrap(), json!("5"));
    assert_eq!(value("number", json!("5")).unwrap(), json!(5));
    assert_eq!(value("number", json!("1.5")).unwrap(), json!(1.5));
    assert_eq!(value("boolean", json!("On")).unwrap(), json!(true));
    assert_eq!(value("boolean", json!("n")).unwrap(), json!(false));
    assert_eq!(value("boolean", json!(0)).unwrap(), json!(false));
    assert_eq!(
        value("comma_delimited_list", json!("a, b")).unwrap(),
        json!(["a", "b"])
    );
    assert_eq!(value("comma_delimited_list", json!("")).unwrap(), json!([]));
    assert_eq!(
        value("comma_delimited_list", json!([1, "b"])).unwrap(),
        json!(["1", "b"])
    );
    assert_eq!(value("json", json!("[1, {}]")).unwrap(), json!([1, {}]));
    for (kind, wrong) in [
        ("number", json!("x")),
        ("boolean", json!("x")),
        ("json", json!("5")),
        ("string", json!([])),
    ] {
        assert!(value(kind, wrong).is_err(), "{kind}");
    }
}

#[test]
fn every_constraint_is_checked_and_named() {
    let refused = |constraint: &str, kind: &str, given: Json| {
        let section = format!("p: {{type: {kind}, constraints: [{constraint}]}}");
        resolved(&section, json!({"p": given}), None).err()
    };
    for (constraint, kind, fits, fits_not) in [
        (
            "{length: {min: 2, max: 3}}",
            "string",
            json!("ab"),
            json!("abcd"),
        ),
        (
            "{length: {max: 1}}",
            "comma_delimited_list",
            json!("a"),
            json!("a,b"),
        ),
        ("{range: {min: 1.5}}", "number", json!(1.5), json!(1)),
        (
            "{modulo: {step: 2, offset: 1}}",
            "number",
            json!(3),
            json!(4),
        ),
        (
            "{allowed_values: [a, b]}",
            "comma_delimited_list",
            json!("a,b"),
            json!("a,c"),
        ),
        (
            "{allowed_pattern: \"[a-z]+\"}",
            "string",
            json!("abc"),
            json!("abc1"),
        ),
    ] {
        assert_eq!(refused(constraint, kind, fits), None, "{constraint}");
        let error = refused(constraint, kind, fits_not).expect(constraint);
        let word = constraint
            .trim_start_matches('{')
            .split(':')
            .next()
            .unwrap();
        assert!(
            error.starts_with("t:1:1: parameters.p: ") && error.contains(word),
            "{error}"
        );
    }
}

#[test]
fn the_value_of_a_hidden_parameter_is_not_in_the_message() {
    let section = "p: {type: string, hidden: true, constraints: [{length: {min: 20}}]}";
    let error = resolved(section, json!({"p": "hunter2"}), None).unwrap_err();
    assert_eq!(
        error,
        "t:1:1: parameters.p: the value does not satisfy length: at least 20\n"
    );
}

#[test]
fn an_immutable_parameter_keeps_its_value() {
    let before = ParameterValue {
        value: json!("a"),
        hidden: false,
        given: true,
    };
    let before = ParameterValues::from([("p".to_owned(), before)]);
    let section = "p: {type: string, immutable: true}";
    assert!(resolved(section, json!({"p": "a"}), Some(&before)).is_ok());
    assert!(
        resolved(section, json!({"p": "b"}), Some(&before))
            .unwrap_err()
            .contains("immutable")
    );
}
