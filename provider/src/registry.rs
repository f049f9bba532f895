//! Which provider has a type.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use crate::command::CommandProvider;
use crate::companion::Companion;
use crate::files::{DirectoryProvider, FileProvider};
use crate::heat::{
    DelayProvider, NoneProvider, RandomStringProvider, TestResourceProvider, ValueProvider,
};
use crate::http::HttpProvider;
use crate::process::ProcessProvider;
use crate::provider::Provider;
use crate::schema::{TypeSchema, nearest};

/// All providers of an engine, found by type name.
#[derive(Clone, Default)]
pub struct Registry {
    types: BTreeMap<String, Entry>,
}

#[derive(Clone)]
struct Entry {
    provider: Arc<dyn Provider>,
    schema: usize,
}

/// Two providers claim one type.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("two providers have the type {type_name}")]
pub struct DoubleType {
    /// The type that both have.
    pub type_name: String,
}

impl Registry {
    /// One with no provider.
    pub fn empty() -> Self {
        Self::default()
    }

    /// One with all built-in providers. The hidden modes that commands and processes need are started from
    /// `companion`.
    pub fn built_in(companion: &Companion) -> Self {
        let providers: [Arc<dyn Provider>; 10] = [
            Arc::new(FileProvider::default()),
            Arc::new(DirectoryProvider::default()),
            Arc::new(CommandProvider::new(companion.clone())),
            Arc::new(ProcessProvider::new(companion.clone())),
            Arc::new(HttpProvider::default()),
            Arc::new(NoneProvider::default()),
            Arc::new(ValueProvider::default()),
            Arc::new(RandomStringProvider::default()),
            Arc::new(TestResourceProvider::default()),
            Arc::new(DelayProvider::default()),
        ];
        let mut registry = Self::empty();
        for provider in providers {
            registry
                .add(provider)
                .expect("built-in providers have different types");
        }
        registry
    }

    /// Adds a provider with all its types, or none of them if one is taken.
    pub fn add(&mut self, provider: Arc<dyn Provider>) -> Result<(), DoubleType> {
        let taken = provider
            .schemas()
            .iter()
            .find(|schema| self.types.contains_key(&schema.name));
        if let Some(schema) = taken {
            return Err(DoubleType {
                type_name: schema.name.clone(),
            });
        }
        for (schema, found) in provider.schemas().iter().enumerate() {
            self.types.insert(
                found.name.clone(),
                Entry {
                    provider: Arc::clone(&provider),
                    schema,
                },
            );
        }
        Ok(())
    }

    /// The provider of a type.
    pub fn provider(&self, type_name: &str) -> Option<&Arc<dyn Provider>> {
        self.types.get(type_name).map(|entry| &entry.provider)
    }

    /// The schema of a type.
    pub fn schema(&self, type_name: &str) -> Option<&TypeSchema> {
        self.types
            .get(type_name)
            .map(|entry| &entry.provider.schemas()[entry.schema])
    }

    /// All types, by name.
    pub fn schemas(&self) -> impl Iterator<Item = &TypeSchema> {
        self.types
            .values()
            .map(|entry| &entry.provider.schemas()[entry.schema])
    }

    /// The names of all types, in order.
    pub fn type_names(&self) -> impl Iterator<Item = &str> {
        self.types.keys().map(String::as_str)
    }

    /// The type that was probably meant by an unknown name.
    pub fn nearest(&self, type_name: &str) -> Option<&str> {
        nearest(type_name, self.type_names())
    }

    /// The schema of a type, as `anneal provider schema` prints it.
    pub fn schema_json(&self, type_name: &str) -> Option<serde_json::Value> {
        let schema = self.schema(type_name)?;
        Some(serde_json::to_value(schema).expect("a schema has only text keys"))
    }
}
