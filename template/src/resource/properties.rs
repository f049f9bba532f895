//! Reads the properties of one resource against the schema of its type. Knows nothing of its neighbours.

use std::collections::BTreeSet;

use crate::constraint::Patterns;
use crate::fit::{Fitting, Misfit, PathStep};
use crate::fold::Folder;
use crate::function::Function;
use crate::place::{Place, Step};
use crate::problem::Reported;
use crate::schema::{PropertySchema, TypeSchema};
use crate::tree::{Entry, NodeKind, NodeRef};
use crate::value::{Entries, Value};

/// Reads the properties of a resource against its schema.
pub(super) struct PropertyReader<'x, 'a, 't, 'c> {
    pub(super) schema: &'x TypeSchema,
    pub(super) patterns: &'x mut Patterns,
    pub(super) folder: &'x mut Folder<'a, 't, 'c>,
}

impl<'x, 't> PropertyReader<'x, '_, 't, '_> {
    /// All properties; that of a missing one is told. `resource`: where to tell it if there is no section.
    pub(super) fn read(&mut self, section: Option<Entry<'t>>, resource: Entry<'t>) -> Entries {
        let mut read = Entries::new();
        let mut given = BTreeSet::new();
        if let Some(section) = section {
            self.folder.place.enter(Step::Key("properties"));
            match section.value.kind() {
                NodeKind::Null => {}
                NodeKind::Map if self.is_function(section.value) => {
                    self.computed(section, &mut read, &mut given)
                }
                NodeKind::Map => {
                    for entry in section.value.entries().into_iter().flatten() {
                        self.written(entry, &mut read, &mut given);
                    }
                }
                _ => {
                    self.folder.error(
                        section.value,
                        format!("must be a map, not {}", section.value.in_words()),
                    );
                }
            }
            self.folder.place.leave();
        }
        let at = section.map_or(resource.key, |section| section.key);
        for (name, property) in &self.schema.properties {
            if property.required && property.default.is_none() && !given.contains(name.as_str()) {
                let path = self.folder.place.text_with("properties");
                self.folder
                    .reporter
                    .error(at, path, format!("the property {name:?} is required"));
            }
        }
        read
    }

    /// Whether the properties are all one function's result.
    fn is_function(&self, section: NodeRef<'t>) -> bool {
        let first = section.entries().into_iter().flatten().next();
        section.len() == 1
            && first.is_some_and(|entry| {
                Function::named(entry.name()).is_some()
                    && !self.schema.properties.contains_key(entry.name())
            })
    }

    fn computed(&mut self, section: Entry<'t>, read: &mut Entries, given: &mut BTreeSet<String>) {
        let Ok(value) = self.folder.fold(section.value, None) else {
            given.extend(self.schema.properties.keys().cloned());
            return;
        };
        let (entries, secret) = match value.as_ref().map(Value::unmarked) {
            None | Some((Value::Null, _)) => return,
            Some((Value::Map(entries), secret)) => (entries.clone(), secret),
            Some((other, _)) => {
                let message = format!(
                    "must be a map whose keys are known here, not {}",
                    other.in_words()
                );
                self.folder.error(section.value, message);
                given.extend(self.schema.properties.keys().cloned());
                return;
            }
        };
        for (name, value) in entries {
            let schema = self.property(&name, section.value, given);
            self.keep(&name, value.marked(secret), schema, section.value, read);
        }
    }

    fn written(&mut self, entry: Entry<'t>, read: &mut Entries, given: &mut BTreeSet<String>) {
        self.folder.place.enter(Step::Key(entry.name()));
        let schema = self.property(entry.name(), entry.key, given);
        match self.folder.fold(entry.value, schema) {
            Ok(Some(value)) => {
                if value == Value::Null {
                    given.remove(entry.name());
                }
                self.keep(entry.name(), value, schema, entry.value, read);
            }
            Ok(None) => {
                given.remove(entry.name());
            }
            Err(Reported) => {}
        }
        self.folder.place.leave();
    }

    /// The schema of a property; none if any is taken. That it is unknown is told.
    fn property(
        &mut self,
        name: &str,
        at: NodeRef<'t>,
        given: &mut BTreeSet<String>,
    ) -> Option<&'x PropertySchema> {
        let schema: &'x TypeSchema = self.schema;
        let Some(property) = schema.properties.get(name) else {
            if !schema.any_property {
                let path = self.folder.place.text();
                self.folder.reporter.unknown(
                    at,
                    path,
                    "property",
                    name,
                    schema.properties.keys().map(String::as_str),
                );
            }
            return None;
        };
        if let Some(reason) = &property.refused {
            self.folder.error(at, reason.clone());
        }
        given.insert(name.to_owned());
        Some(property)
    }

    fn keep(
        &mut self,
        name: &str,
        value: Value,
        schema: Option<&PropertySchema>,
        at: NodeRef<'t>,
        read: &mut Entries,
    ) {
        // Null is as if it were not there.
        if value == Value::Null {
            return;
        }
        let value = match schema {
            None => value,
            Some(schema) => {
                let mut fitting = Fitting::new(self.patterns);
                let fitted = fitting.fit(value, schema, false);
                for misfit in fitting.misfits {
                    self.tell(misfit, at);
                }
                fitted
            }
        };
        read.insert(name.to_owned(), value);
    }

    /// Tells a misfit, as near to its spot as the text goes: inside of a function's result there is none.
    fn tell(&mut self, misfit: Misfit, value: NodeRef<'t>) {
        let mut at = value;
        for step in &misfit.path {
            let inner = match step {
                PathStep::Key(key) => at.get(key),
                PathStep::Index(index) => at.items().into_iter().flatten().nth(*index),
            };
            match inner {
                Some(inner) => at = inner,
                None => break,
            }
        }
        let mut path: Place<'_> = self.folder.place.clone();
        for step in &misfit.path {
            path.enter(step.as_step());
        }
        let (collector, source) = (
            &mut *self.folder.reporter.collector,
            self.folder.reporter.source,
        );
        match misfit.unknown {
            Some((word, known)) => {
                let known = known.iter().map(String::as_str);
                collector.unknown_word(
                    source,
                    at.position(),
                    path.text(),
                    misfit.message,
                    &word,
                    known,
                );
            }
            None => {
                collector.error(source, at.position(), path.text(), misfit.message);
            }
        }
    }
}
