//! A small catalog of resource types for the tests.

use std::collections::BTreeMap;

use anneal_template::{
    AttributeSchema, Constraint, Kind, MapCatalog, Nested, PropertySchema, TypeSchema,
};
use serde_json::json;

fn properties<const N: usize>(
    list: [(&str, PropertySchema); N],
) -> BTreeMap<String, PropertySchema> {
    list.into_iter()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect()
}

fn attributes<const N: usize>(list: [(&str, bool); N]) -> BTreeMap<String, AttributeSchema> {
    list.into_iter()
        .map(|(name, secret)| (name.to_owned(), AttributeSchema { secret }))
        .collect()
}

/// Values, random strings, files, servers.
pub(crate) fn catalog() -> MapCatalog {
    let port = PropertySchema {
        constraints: vec![Constraint::Range {
            min: Some(1.0),
            max: Some(65535.0),
        }],
        ..PropertySchema::of(Kind::Integer).required()
    };
    let listener = PropertySchema {
        nested: Some(Nested::Keys(properties([
            ("port", port),
            ("name", PropertySchema::of(Kind::String)),
        ]))),
        ..PropertySchema::of(Kind::Map)
    };
    let server = TypeSchema {
        properties: properties([
            ("image", PropertySchema::of(Kind::String).required()),
            (
                "size",
                PropertySchema {
                    constraints: vec![Constraint::AllowedValues(vec![
                        json!("small"),
                        json!("large"),
                    ])],
                    default: Some(json!("small")),
                    ..PropertySchema::of(Kind::String)
                },
            ),
            ("count", PropertySchema::of(Kind::Integer)),
            (
                "listeners",
                PropertySchema {
                    nested: Some(Nested::Each(Box::new(listener))),
                    ..PropertySchema::of(Kind::List)
                },
            ),
            (
                "environment",
                PropertySchema {
                    nested: Some(Nested::Each(Box::new(PropertySchema::of(Kind::String)))),
                    ..PropertySchema::of(Kind::Map)
                },
            ),
            (
                "command",
                PropertySchema {
                    kinds: vec![Kind::List, Kind::String],
                    ..PropertySchema::default()
                },
            ),
            (
                "password",
                PropertySchema {
                    secret: true,
                    ..PropertySchema::of(Kind::String)
                },
            ),
            (
                "client_name",
                PropertySchema {
                    refused: Some("client_name means nothing without OpenStack".to_owned()),
                    ..PropertySchema::of(Kind::String)
                },
            ),
        ]),
        attributes: attributes([("address", false), ("addresses", false)]),
        ..TypeSchema::default()
    };
    let file = TypeSchema {
        properties: properties([
            ("path", PropertySchema::of(Kind::String).required()),
            ("content", PropertySchema::of(Kind::String)),
            (
                "mode",
                PropertySchema {
                    as_written: true,
                    ..PropertySchema::of(Kind::String)
                },
            ),
        ]),
        attributes: attributes([("path", false), ("digest", false)]),
        ..TypeSchema::default()
    };
    let value = TypeSchema {
        properties: properties([("value", PropertySchema::of(Kind::Any).required())]),
        attributes: attributes([("value", false)]),
        ..TypeSchema::default()
    };
    let random = TypeSchema {
        properties: properties([("length", PropertySchema::of(Kind::Integer))]),
        attributes: attributes([("value", true)]),
        ..TypeSchema::default()
    };
    let none = TypeSchema {
        any_property: true,
        any_attribute: true,
        ..TypeSchema::default()
    };
    let types = [
        ("Test::Server", server),
        ("Test::File", file),
        ("OS::Heat::Value", value),
        ("OS::Heat::RandomString", random),
        ("OS::Heat::None", none),
    ];
    MapCatalog {
        types: types
            .into_iter()
            .map(|(name, schema)| (name.to_owned(), schema))
            .collect(),
    }
}
