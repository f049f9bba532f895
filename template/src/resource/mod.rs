//! Compiles one resource of a text. Knows its neighbours by name and type only.

mod depends_on;
mod properties;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::body;
use crate::condition::{Conditions, Decided, holds};
use crate::constraint::Patterns;
use crate::definition::{CompiledResource, Definition, Fragment, Meta};
use crate::environment::{Registry, is_template_file};
use crate::fold::{Folder, Neighbour, Scope, Uses};
use crate::literal::{Reporter, write_json};
use crate::place::{Place, Step};
use crate::problem::{Collector, Position, Reported, SourceId};
use crate::schema::{Catalog, TypeSchema};
use crate::tree::{Entry, NodeKind, NodeRef};

use depends_on::read_depends_on;
use properties::PropertyReader;

const KEYS: &[&str] = &[
    "type",
    "properties",
    "metadata",
    "depends_on",
    "deletion_policy",
    "update_policy",
    "condition",
    "external_id",
    "description",
    "replacement_policy",
    "placement",
    "drift",
    "protect",
    "timeout",
];

/// Characters of a resource name.
const NAME_CHARACTERS: usize = 255;
/// What is known of a resource before any is compiled.
pub(crate) struct Outline<'t, 'a> {
    pub(crate) name: &'t str,
    pub(crate) entry: Entry<'t>,
    pub(crate) state: State<'a>,
    /// Parameters that its condition depends on.
    parameters: BTreeSet<String>,
}

/// What becomes of a resource.
pub(crate) enum State<'a> {
    /// Its problem has been told.
    Broken,
    LeftOut,
    Defined {
        type_name: Arc<str>,
        schema: Option<&'a TypeSchema>,
    },
}

impl<'a> Outline<'_, 'a> {
    pub(crate) fn as_neighbour(&self) -> Neighbour<'a> {
        match &self.state {
            State::Broken | State::Defined { schema: None, .. } => Neighbour::Untyped,
            State::LeftOut => Neighbour::LeftOut,
            State::Defined {
                schema: Some(schema),
                ..
            } => Neighbour::Typed(schema),
        }
    }

    pub(crate) fn position(&self) -> Position {
        self.entry.key.position()
    }
}

/// A name's type and what is known of it.
type Resolved<'a> = (Arc<str>, Option<&'a TypeSchema>);

/// Compiles the resources of one text after the other.
pub(crate) struct ResourceCompiler<'a, 'c> {
    pub(crate) collector: &'c mut Collector,
    pub(crate) source: SourceId,
    registry: &'a Registry,
    catalog: &'a dyn Catalog,
    conditions: &'a Conditions,
    patterns: Patterns,
    /// What types written in the text stand for, where no resource has aliases of its own.
    types: BTreeMap<String, Resolved<'a>>,
    plain_meta: Arc<Meta>,
    compiled_bytes: usize,
}

impl<'a, 'c> ResourceCompiler<'a, 'c> {
    pub(crate) fn new(
        collector: &'c mut Collector,
        source: SourceId,
        registry: &'a Registry,
        catalog: &'a dyn Catalog,
        conditions: &'a Conditions,
    ) -> Self {
        Self {
            collector,
            source,
            registry,
            catalog,
            conditions,
            patterns: Patterns::default(),
            types: BTreeMap::new(),
            plain_meta: Arc::new(Meta::default()),
            compiled_bytes: 0,
        }
    }

    fn folder<'s, 't, 'x>(&'x mut self, scope: Scope<'s>, place: Place<'t>) -> Folder<'s, 't, 'x>
    where
        'a: 's,
    {
        Folder {
            scope,
            conditions: Some(self.conditions),
            reporter: Reporter {
                collector: self.collector,
                source: self.source,
            },
            place,
            uses: Uses::default(),
            constant: None,
        }
    }

    /// Looks at name, keys, condition and type. The scope needs no neighbours yet.
    pub(crate) fn outline<'t>(&mut self, entry: Entry<'t>, scope: Scope<'_>) -> Outline<'t, 'a> {
        let mut outline = Outline {
            name: entry.name(),
            entry,
            state: State::Broken,
            parameters: BTreeSet::new(),
        };
        let (source, conditions) = (self.source, self.conditions);
        let mut folder = self.folder(scope, Place::at(&["resources", entry.name()]));
        if let Some(message) = bad_name(entry.name()) {
            folder.error(entry.key, message);
            return outline;
        }
        let Some(keys) = entry.value.entries() else {
            folder.error(
                entry.value,
                format!("must be a map, not {}", entry.value.in_words()),
            );
            return outline;
        };
        let mut written_type = None;
        let mut condition = Ok(true);
        for key in keys {
            match key.name() {
                "type" => written_type = Some(key.value),
                "condition" if key.value.kind() != NodeKind::Null => {
                    folder.place.enter(Step::Key("condition"));
                    condition = holds(key.value, &mut folder, &mut Decided(conditions));
                    folder.place.leave();
                }
                other if KEYS.contains(&other) => {}
                other => {
                    let path = folder.place.text_with(other);
                    folder
                        .reporter
                        .unknown(key.key, path, "key", other, KEYS.iter().copied());
                }
            }
        }
        outline.parameters = std::mem::take(&mut folder.uses.parameters);
        let type_name = match written_type {
            None => {
                folder.error(entry.key, "the type is missing");
                return outline;
            }
            Some(node) => match node.text() {
                Some(type_name) if !type_name.is_empty() => (node, type_name),
                _ => {
                    let path = folder.place.text_with("type");
                    let message = format!("must be the name of a type, not {}", node.in_words());
                    folder
                        .reporter
                        .collector
                        .error(source, node.position(), path, message);
                    return outline;
                }
            },
        };
        outline.state = match condition {
            Err(Reported) => State::Broken,
            Ok(false) => State::LeftOut,
            Ok(true) => match self.resolve_type(entry.name(), type_name.1, type_name.0) {
                Some((type_name, schema)) => State::Defined { type_name, schema },
                None => State::Broken,
            },
        };
        outline
    }

    fn resolve_type(
        &mut self,
        resource: &str,
        type_name: &str,
        node: NodeRef<'_>,
    ) -> Option<Resolved<'a>> {
        if let (true, Some(known)) = (self.registry.is_empty(), self.types.get(type_name)) {
            return Some(known.clone());
        }
        let path = || format!("resources.{resource}.type");
        let resolved = match self.registry.resolve(resource, type_name) {
            Ok(resolved) => resolved,
            Err(message) => {
                self.collector
                    .error(self.source, node.position(), path(), message);
                return None;
            }
        };
        if let Some(schema) = self.catalog.resource_type(&resolved) {
            let found: Resolved<'a> = match self.types.get(&resolved) {
                Some(known) => known.clone(),
                None => (Arc::from(resolved.as_str()), Some(schema)),
            };
            self.types.insert(resolved, found.clone());
            return Some(found);
        }
        if is_template_file(&resolved) {
            let message = "a template as a resource type is not supported yet";
            self.collector
                .error(self.source, node.position(), path(), message);
            return None;
        }
        let message = if resolved == type_name {
            format!("unknown resource type {type_name:?}")
        } else {
            format!(
                "unknown resource type {resolved:?}, for which {type_name:?} stands in the environment"
            )
        };
        let known = self.catalog.type_names().chain(self.registry.names());
        self.collector.unknown_word(
            self.source,
            node.position(),
            path(),
            message,
            &resolved,
            known,
        );
        None
    }

    /// Compiles a resource; none if something is wrong with it, which has been told.
    pub(crate) fn compile(
        &mut self,
        outline: &Outline<'_, 'a>,
        scope: Scope<'_>,
    ) -> Option<CompiledResource> {
        let (definition, uses) = match &outline.state {
            State::Broken => {
                self.check_broken(outline, scope);
                return None;
            }
            State::LeftOut => {
                let mut folder = self.folder(scope, Place::default());
                folder.note_files(outline.entry.value);
                (None, folder.uses)
            }
            State::Defined { type_name, schema } => {
                let (definition, uses) = self.define(outline, type_name.clone(), *schema, scope)?;
                (Some(definition), uses)
            }
        };
        let mut parameters = uses.parameters.clone();
        parameters.extend(outline.parameters.iter().cloned());
        let mut text = String::new();
        write_json(outline.entry.value, &uses.written, &mut text);
        text.shrink_to_fit();
        let fragment = Fragment {
            text,
            parameters: parameters.into_iter().collect(),
            files: uses.file_contents(),
        };
        self.check_total(outline, &fragment, definition.as_ref(), scope)?;
        Some(CompiledResource {
            name: outline.name.to_owned(),
            fragment,
            definition,
        })
    }

    /// Of a resource whose type is unknown the properties can still be folded, to tell what is wrong in them.
    fn check_broken(&mut self, outline: &Outline<'_, 'a>, scope: Scope<'_>) {
        let mut folder = self.folder(scope, Place::at(&["resources", outline.name, "properties"]));
        if let Some(properties) = outline.entry.value.get("properties") {
            let _ = folder.fold(properties, None);
        }
    }

    fn check_total(
        &mut self,
        outline: &Outline<'_, 'a>,
        fragment: &Fragment,
        definition: Option<&Definition>,
        scope: Scope<'_>,
    ) -> Option<()> {
        let body = definition.map_or(0, |definition| definition.body.len());
        let before = self.compiled_bytes;
        self.compiled_bytes += body + fragment.text.len();
        let limit = scope.limits.compiled_bytes;
        if body > scope.limits.definition_bytes {
            let message = format!(
                "its definition has {body} bytes; at most {} are taken",
                scope.limits.definition_bytes
            );
            self.collector.error(
                self.source,
                outline.position(),
                format!("resources.{}", outline.name),
                message,
            );
            return None;
        }
        if self.compiled_bytes > limit {
            if before <= limit {
                let message =
                    format!("from here on, all definitions together have more than {limit} bytes");
                self.collector.error(
                    self.source,
                    outline.position(),
                    format!("resources.{}", outline.name),
                    message,
                );
            }
            return None;
        }
        Some(())
    }

    fn define<'t>(
        &mut self,
        outline: &Outline<'t, 'a>,
        type_name: Arc<str>,
        schema: Option<&'a TypeSchema>,
        scope: Scope<'_>,
    ) -> Option<(Definition, Uses)> {
        let errors_before = self.collector.errors();
        let mut patterns = std::mem::take(&mut self.patterns);
        let plain_meta = self.plain_meta.clone();
        let mut folder = self.folder(scope, Place::at(&["resources", outline.name]));
        let mut meta = Meta::default();
        let mut depends_on = BTreeSet::new();
        let mut properties = None;
        for entry in outline.entry.value.entries().into_iter().flatten() {
            match entry.name() {
                "type" | "condition" => {}
                "properties" => properties = Some(entry),
                "depends_on" => read_depends_on(entry, outline.name, &mut depends_on, &mut folder),
                other if KEYS.contains(&other) => crate::meta::read(entry, &mut meta, &mut folder),
                _ => {}
            }
        }
        let mut reader = PropertyReader {
            schema: schema.unwrap_or(&ANYTHING),
            patterns: &mut patterns,
            folder: &mut folder,
        };
        let properties = reader.read(properties, outline.entry);
        if body::levels_of_resource(&properties) > body::LEVELS {
            folder.error(
                outline.entry.key,
                format!(
                    "nested deeper than {} levels, with parameters and functions put in",
                    body::LEVELS
                ),
            );
        }
        let uses = folder.uses;
        self.patterns = patterns;
        if self.collector.errors() > errors_before {
            return None;
        }
        let meta = if meta == *plain_meta {
            plain_meta
        } else {
            Arc::new(meta)
        };
        let body = body::encode_resource(&type_name, &properties);
        let references = uses.references.iter().cloned().collect();
        let depends_on = depends_on.into_iter().collect();
        Some((
            Definition {
                type_name,
                body,
                references,
                depends_on,
                meta,
            },
            uses,
        ))
    }
}

/// Stands for the schema of a type that has none.
static ANYTHING: TypeSchema = TypeSchema {
    properties: BTreeMap::new(),
    attributes: BTreeMap::new(),
    any_property: true,
    any_attribute: true,
    secret_reference_id: false,
};

fn bad_name(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("a resource needs a name".to_owned());
    }
    if name.contains('/') || name.chars().any(char::is_control) {
        return Some(
            "the name of a resource must not contain '/' or control characters".to_owned(),
        );
    }
    (name.chars().count() > NAME_CHARACTERS)
        .then(|| format!("the name is longer than {NAME_CHARACTERS} characters"))
}
