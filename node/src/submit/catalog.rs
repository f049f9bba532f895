//! What the compiler is told of the resource types: the providers' schemas in the template language's terms. Knows
//! nothing of any one type.

use anneal_provider as provider;
use anneal_template as template;

/// The types of a registry, for the compiler.
pub fn catalog(registry: &provider::Registry) -> template::MapCatalog {
    let types = registry
        .schemas()
        .map(|schema| (schema.name.clone(), type_schema(schema)))
        .collect();
    template::MapCatalog { types }
}

fn type_schema(schema: &provider::TypeSchema) -> template::TypeSchema {
    let properties = schema
        .properties
        .iter()
        .map(|property| (property.name.clone(), property_schema(property)))
        .collect();
    let attributes = schema
        .attributes
        .iter()
        .map(|attribute| {
            let secret = attribute.secret;
            (attribute.name.clone(), template::AttributeSchema { secret })
        })
        .collect();
    let secret_reference_id = match &schema.reference {
        provider::Reference::PhysicalId => false,
        provider::Reference::Attribute(name) => schema
            .attribute(name)
            .is_some_and(|attribute| attribute.secret),
    };
    template::TypeSchema {
        properties,
        attributes,
        any_property: schema.any_property,
        any_attribute: schema.any_attribute,
        secret_reference_id,
    }
}

fn property_schema(property: &provider::PropertySchema) -> template::PropertySchema {
    template::PropertySchema {
        kinds: property.kinds.iter().copied().map(kind).collect(),
        required: property.required,
        default: property.default.clone(),
        constraints: property.constraints.iter().map(constraint).collect(),
        nested: nested(property),
        secret: property.secret,
        as_written: property.kinds.contains(&provider::Kind::Mode),
        refused: property.refused.clone(),
    }
}

fn kind(kind: provider::Kind) -> template::Kind {
    match kind {
        provider::Kind::String | provider::Kind::Mode => template::Kind::String,
        provider::Kind::Integer => template::Kind::Integer,
        provider::Kind::Number => template::Kind::Number,
        provider::Kind::Boolean => template::Kind::Boolean,
        provider::Kind::List => template::Kind::List,
        provider::Kind::Map => template::Kind::Map,
        provider::Kind::Any => template::Kind::Any,
    }
}

fn constraint(constraint: &provider::Constraint) -> template::Constraint {
    let length = |bound: Option<usize>| bound.map(|bound| bound as u64);
    match constraint {
        provider::Constraint::Range { min, max } => template::Constraint::Range {
            min: *min,
            max: *max,
        },
        provider::Constraint::Length { min, max } => template::Constraint::Length {
            min: length(*min),
            max: length(*max),
        },
        provider::Constraint::AllowedValues(values) => {
            template::Constraint::AllowedValues(values.clone())
        }
    }
}

fn nested(property: &provider::PropertySchema) -> Option<template::Nested> {
    let keys = |keys: &[provider::PropertySchema]| {
        keys.iter()
            .map(|key| (key.name.clone(), property_schema(key)))
            .collect()
    };
    match property.nested.as_ref()? {
        provider::Nested::Keys(known) => Some(template::Nested::Keys(keys(known))),
        provider::Nested::ListOfKeys(known) => {
            let item = template::PropertySchema {
                nested: Some(template::Nested::Keys(keys(known))),
                ..template::PropertySchema::of(template::Kind::Map)
            };
            Some(template::Nested::Each(Box::new(item)))
        }
        provider::Nested::EachOf(kinds) => {
            Some(template::Nested::Each(Box::new(template::PropertySchema {
                kinds: kinds.iter().copied().map(kind).collect(),
                ..template::PropertySchema::default()
            })))
        }
    }
}

#[cfg(test)]
mod tests {
    use anneal_provider::{Kind, Nested, PropertySchema, Registry, TypeSchema};

    use super::*;

    #[test]
    fn a_mode_is_taken_as_it_is_written() {
        let property = PropertySchema::new("mode", &[Kind::Mode], "permissions");
        let converted = property_schema(&property);
        assert!(converted.as_written);
        assert_eq!(converted.kinds, [template::Kind::String]);
    }

    #[test]
    fn what_is_inside_a_list_of_maps_are_their_keys() {
        let key = PropertySchema::new("key", &[Kind::String], "");
        let list =
            PropertySchema::new("l", &[Kind::List], "").nested(Nested::ListOfKeys(vec![key]));
        let Some(template::Nested::Each(item)) = nested(&list) else {
            panic!("every item is alike");
        };
        assert!(
            matches!(item.nested, Some(template::Nested::Keys(keys)) if keys.contains_key("key"))
        );
    }

    #[test]
    fn a_reference_id_that_is_a_secret_attribute_is_secret() {
        let mut schema = TypeSchema::new("T", "");
        schema.attributes =
            vec![provider::AttributeSchema::new("value", Kind::String, "").secret()];
        assert!(!type_schema(&schema).secret_reference_id);
        schema.reference = provider::Reference::Attribute("value".to_owned());
        assert!(type_schema(&schema).secret_reference_id);
    }

    #[test]
    fn every_built_in_type_is_in_the_catalog() {
        let registry = Registry::built_in(&provider::Companion::this_program());
        assert_eq!(catalog(&registry).types.len(), registry.schemas().count());
    }
}
