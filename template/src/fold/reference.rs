//! `get_resource` and `get_attr`: what refers to other resources, and whether it may.

use super::{Folder, Neighbour};
use crate::definition::Reference;
use crate::function::Function;
use crate::problem::Reported;
use crate::schema::TypeSchema;
use crate::tree::Entry;
use crate::value::{Entries, Value};

impl<'a, 't> Folder<'a, 't, '_> {
    pub(super) fn get_resource(&mut self, entry: Entry<'t>) -> Result<Value, Reported> {
        let mut argument = self.fold_present(entry.value)?;
        if argument.strip() {
            return Err(self.hidden_name(entry));
        }
        let Value::Text(resource) = argument else {
            return Err(self.error(
                entry.value,
                format!(
                    "get_resource takes the name of a resource, not {}",
                    argument.in_words()
                ),
            ));
        };
        self.neighbour(&resource, entry)?;
        self.uses.references.insert(Reference {
            resource: resource.clone(),
            attribute: None,
        });
        Ok(Value::call(Function::GetResource, Value::Text(resource)))
    }

    pub(super) fn get_attr(&mut self, entry: Entry<'t>) -> Result<Value, Reported> {
        let form = "get_attr takes [resource, attribute, key or index, …]";
        let Value::List(parts) = self.fold_present(entry.value)? else {
            return Err(self.error(entry.value, form));
        };
        if parts.iter().take(2).any(|part| part.unmarked().1) {
            return Err(self.hidden_name(entry));
        }
        let resource = match parts.first() {
            Some(Value::Text(resource)) => resource.clone(),
            Some(other) if other.is_pending() => {
                return Err(self.error(
                    entry.value,
                    "the name of the resource must not depend on resources",
                ));
            }
            _ => return Err(self.error(entry.value, form)),
        };
        let schema = self.neighbour(&resource, entry)?;
        match parts.get(1) {
            None => self.all_attributes(&resource, schema, entry),
            Some(Value::Text(attribute)) => {
                self.check_attribute(&resource, attribute, schema, entry)?;
                let attribute = Some(attribute.clone());
                self.uses.references.insert(Reference {
                    resource,
                    attribute,
                });
                Ok(Value::call(Function::GetAttr, Value::List(parts)))
            }
            Some(other) if other.is_pending() => Err(self.error(
                entry.value,
                "the name of the attribute must not depend on resources",
            )),
            Some(_) => Err(self.error(entry.value, form)),
        }
    }

    fn check_attribute(
        &mut self,
        resource: &str,
        attribute: &str,
        schema: Option<&TypeSchema>,
        entry: Entry<'t>,
    ) -> Result<(), Reported> {
        match schema {
            Some(schema) if !schema.any_attribute && !schema.attributes.contains_key(attribute) => {
                let path = self.place.text();
                let at = entry
                    .value
                    .items()
                    .into_iter()
                    .flatten()
                    .nth(1)
                    .unwrap_or(entry.value);
                let known = schema.attributes.keys().map(String::as_str);
                Err(self.reporter.unknown(
                    at,
                    path,
                    &format!("attribute of {resource:?}:"),
                    attribute,
                    known,
                ))
            }
            _ => Ok(()),
        }
    }

    /// A map of all attributes that the type names.
    fn all_attributes(
        &mut self,
        resource: &str,
        schema: Option<&TypeSchema>,
        entry: Entry<'t>,
    ) -> Result<Value, Reported> {
        // Its own problem has been told.
        let schema = schema.ok_or(Reported)?;
        if schema.any_attribute && schema.attributes.is_empty() {
            return Err(self.error(entry.value, format!("the type of {resource:?} does not name its attributes: name the one that is meant")));
        }
        let mut all = Entries::new();
        for attribute in schema.attributes.keys() {
            self.uses.references.insert(Reference {
                resource: resource.to_owned(),
                attribute: Some(attribute.clone()),
            });
            let parts = vec![
                Value::Text(resource.to_owned()),
                Value::Text(attribute.clone()),
            ];
            all.insert(
                attribute.clone(),
                Value::call(Function::GetAttr, Value::List(parts)),
            );
        }
        Ok(Value::Map(all))
    }

    /// The schema of a resource that is referred to; none if it has no known type, which has been told.
    fn neighbour(
        &mut self,
        resource: &str,
        entry: Entry<'t>,
    ) -> Result<Option<&'a TypeSchema>, Reported> {
        if let Some(what) = self.constant {
            return Err(self.error(entry.key, format!("{what} cannot refer to resources")));
        }
        match self.scope.neighbours.neighbour(resource) {
            Neighbour::Typed(schema) => Ok(Some(schema)),
            Neighbour::Untyped => Ok(None),
            Neighbour::LeftOut => Err(self.error(
                entry.value,
                format!("the resource {resource:?} is left out: its condition is false"),
            )),
            Neighbour::Missing => {
                let path = self.place.text();
                let names = self.scope.neighbours.names();
                Err(self
                    .reporter
                    .unknown(entry.value, path, "resource", resource, names))
            }
        }
    }
}
