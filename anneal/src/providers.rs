//! The resource types that are built into this binary.
//!
//! Knows schemas; calls no provider.

use anneal_client::v1;
use anneal_provider::{Companion, Registry};

/// Every built-in provider. Their companion processes are this binary under a hidden name.
pub(crate) fn registry() -> Registry {
    Registry::built_in(&Companion::this_program())
}

/// Their types, as a cluster lists them.
pub(crate) fn types() -> Vec<v1::ProviderType> {
    let registry = registry();
    registry
        .schemas()
        .map(|schema| v1::ProviderType {
            provider: provider_of(&schema.name).into(),
            r#type: schema.name.clone(),
            description: schema.description.clone(),
            schema_json: registry
                .schema_json(&schema.name)
                .map(|json| json.to_string())
                .unwrap_or_default(),
        })
        .collect()
}

/// The provider's name: the part of the type before its last word.
fn provider_of(kind: &str) -> &str {
    kind.rsplit_once("::")
        .map_or(kind, |(provider, _)| provider)
}
