//! Folds a part of a template into a value: parameters, conditions and files are put in, functions whose
//! arguments are known are computed, and what is left waits for values of resources.

mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::condition::{Conditions, Decided, holds};
use crate::definition::{FileContent, Files, Reference};
use crate::function::{self, Function};
use crate::limits::Limits;
use crate::literal::Reporter;
use crate::parameter::{self, Parameters};
use crate::place::{Place, Step};
use crate::problem::{Reported, nearest};
use crate::schema::{Nested, PropertySchema, TypeSchema};
use crate::tree::{Entry, NodeKind, NodeRef};
use crate::value::{Entries, Value};

/// What a name in a reference is.
pub(crate) enum Neighbour<'a> {
    /// No resource at all.
    Missing,
    /// A resource that a condition leaves out.
    LeftOut,
    /// A resource whose type is not known; that has been told.
    Untyped,
    Typed(&'a TypeSchema),
}

/// The resources that can be referred to.
pub(crate) trait Neighbours {
    fn neighbour(&self, name: &str) -> Neighbour<'_>;
    /// Names for suggestions.
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_>;
}

/// All that folding looks at beside the text.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) stack_name: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) parameters: &'a Parameters,
    pub(crate) files: &'a Files,
    pub(crate) limits: &'a Limits,
    pub(crate) neighbours: &'a dyn Neighbours,
}

/// What a part of a text was found to use.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    pub(crate) parameters: BTreeSet<String>,
    pub(crate) files: BTreeMap<String, Arc<[u8]>>,
    pub(crate) references: BTreeSet<Reference>,
    /// Nodes that stand for their text as written.
    pub(crate) written: Vec<u32>,
}

impl Uses {
    pub(crate) fn file_contents(&self) -> Vec<FileContent> {
        self.files
            .iter()
            .map(|(path, content)| FileContent {
                path: path.clone(),
                content: content.clone(),
            })
            .collect()
    }
}

pub(crate) struct Folder<'a, 't, 'c> {
    pub(crate) scope: Scope<'a>,
    /// None while conditions are being decided.
    pub(crate) conditions: Option<&'a Conditions>,
    pub(crate) reporter: Reporter<'c>,
    pub(crate) place: Place<'t>,
    pub(crate) uses: Uses,
    /// What is being folded, if values of resources are of no use there.
    pub(crate) constant: Option<&'static str>,
}

type Folded = Result<Option<Value>, Reported>;

impl<'t> Folder<'_, 't, '_> {
    pub(crate) fn error(&mut self, node: NodeRef<'_>, message: impl Into<String>) -> Reported {
        let path = self.place.text();
        self.reporter.error(node, path, message)
    }

    /// The value of a part; none if an `if` removed it. The schema tells only where text is meant as written.
    pub(crate) fn fold(&mut self, node: NodeRef<'t>, schema: Option<&PropertySchema>) -> Folded {
        match node.kind() {
            NodeKind::List => self.list(node, schema).map(Some),
            NodeKind::Map => self.map(node, schema),
            NodeKind::Text => Ok(Some(Value::Text(node.written().to_owned()))),
            NodeKind::Null => Ok(Some(Value::Null)),
            _ if schema.is_some_and(|schema| schema.as_written) => {
                self.uses.written.push(node.index());
                Ok(Some(Value::Text(node.written().to_owned())))
            }
            NodeKind::Bool(flag) => Ok(Some(Value::Bool(flag))),
            NodeKind::Int | NodeKind::Float => match node.number() {
                Some(number) => Ok(Some(Value::Number(number))),
                None => {
                    let path = self.place.text();
                    Err(self.reporter.bad_number(node, path))
                }
            },
        }
    }

    /// The value of a part that cannot be removed.
    pub(crate) fn fold_present(&mut self, node: NodeRef<'t>) -> Result<Value, Reported> {
        match self.fold(node, None)? {
            Some(value) => Ok(value),
            None => Err(self.error(
                node,
                "the condition is false and there is no third argument: nothing is left here",
            )),
        }
    }

    fn list(
        &mut self,
        node: NodeRef<'t>,
        schema: Option<&PropertySchema>,
    ) -> Result<Value, Reported> {
        let inner = schema.and_then(|schema| match &schema.nested {
            Some(Nested::Each(items)) => Some(&**items),
            _ => None,
        });
        let mut items = Vec::with_capacity(node.len());
        let mut failed = None;
        for (index, item) in node.items().into_iter().flatten().enumerate() {
            self.place.enter(Step::Index(index));
            match self.fold(item, inner) {
                Ok(value) => items.extend(value),
                Err(reported) => failed = Some(reported),
            }
            self.place.leave();
        }
        failed.map_or(Ok(Value::List(items)), Err)
    }

    fn map(&mut self, node: NodeRef<'t>, schema: Option<&PropertySchema>) -> Folded {
        if node.len() == 1 {
            let entry = node
                .entries()
                .into_iter()
                .flatten()
                .next()
                .expect("a map of one has an entry");
            if let Some(function) = Function::named(entry.name()) {
                return self.call(function, entry, schema);
            }
            self.check_name(entry, schema)?;
        }
        let mut entries = Entries::with_capacity(node.len());
        let mut failed = None;
        for entry in node.entries().into_iter().flatten() {
            let inner = schema.and_then(|schema| match &schema.nested {
                Some(Nested::Keys(keys)) => keys.get(entry.name()),
                Some(Nested::Each(values)) => Some(&**values),
                _ => None,
            });
            self.place.enter(Step::Key(entry.name()));
            match self.fold(entry.value, inner) {
                Ok(Some(value)) => {
                    entries.insert(entry.name().to_owned(), value);
                }
                Ok(None) => {}
                Err(reported) => failed = Some(reported),
            }
            self.place.leave();
        }
        failed.map_or(Ok(Some(Value::Map(entries))), Err)
    }

    /// Finds what was meant as a function and is none.
    fn check_name(
        &mut self,
        entry: Entry<'t>,
        schema: Option<&PropertySchema>,
    ) -> Result<(), Reported> {
        let name = entry.name();
        if let Some(Nested::Keys(keys)) = schema.and_then(|schema| schema.nested.as_ref())
            && keys.contains_key(name)
        {
            return Ok(());
        }
        match function::replaced_by(name) {
            Some("") => {
                return Err(self.error(
                    entry.key,
                    format!("{name} is a function of CloudFormation, not of HOT"),
                ));
            }
            Some(new) if name.starts_with("Fn::") || entry.value.text().is_some() => {
                return Err(self.error(
                    entry.key,
                    format!("{name} is a function of CloudFormation; HOT has {new}"),
                ));
            }
            _ => {}
        }
        let takes_map = schema.is_none_or(|schema| {
            schema.kinds.is_empty()
                || schema
                    .kinds
                    .iter()
                    .any(|kind| matches!(kind, crate::Kind::Map | crate::Kind::Any))
        });
        if function::misspelt(name).is_none()
            && (takes_map || nearest(name, Function::names()).is_none())
        {
            return Ok(());
        }
        let path = self.place.text();
        Err(self
            .reporter
            .unknown(entry.key, path, "function", name, Function::names()))
    }

    fn call(
        &mut self,
        function: Function,
        entry: Entry<'t>,
        schema: Option<&PropertySchema>,
    ) -> Folded {
        if let Some(why) = function.refusal() {
            return Err(self.error(entry.key, why));
        }
        self.place.enter(Step::Key(entry.name()));
        let folded = match function {
            Function::If => self.if_then_else(entry, schema),
            Function::GetParam => self.get_param(entry).map(Some),
            Function::GetFile => self.get_file(entry).map(Some),
            Function::GetResource => self.get_resource(entry).map(Some),
            Function::GetAttr => self.get_attr(entry).map(Some),
            _ => self.computed(function, entry).map(Some),
        };
        self.place.leave();
        folded
    }

    fn computed(&mut self, function: Function, entry: Entry<'t>) -> Result<Value, Reported> {
        let arguments = self.fold_present(entry.value)?;
        let result = if arguments.is_pending() {
            function::check_form(function, &arguments).map(|()| Value::call(function, arguments))
        } else {
            function::apply(function, arguments, self.scope.limits)
        };
        result.map_err(|message| self.error(entry.key, message))
    }

    fn if_then_else(&mut self, entry: Entry<'t>, schema: Option<&PropertySchema>) -> Folded {
        let Some(conditions) = self.conditions else {
            return Err(self.error(entry.key, "if cannot be used in a condition"));
        };
        let branches: Vec<NodeRef<'t>> = entry.value.items().into_iter().flatten().collect();
        if !(2..=3).contains(&branches.len()) {
            return Err(self.error(
                entry.value,
                "if takes [condition, value if true, value if false?]",
            ));
        }
        let chosen = if holds(branches[0], self, &mut Decided(conditions))? {
            1
        } else {
            2
        };
        // Another parameter value may choose the other branch, and its files must be at hand then.
        if let Some(other) = branches.get(3 - chosen) {
            self.note_files(*other);
        }
        let Some(branch) = branches.get(chosen) else {
            return Ok(None);
        };
        self.place.enter(Step::Index(chosen));
        let folded = self.fold(*branch, schema);
        self.place.leave();
        folded
    }

    /// A name that comes from a hidden parameter would be shown by whatever names it.
    fn hidden_name(&mut self, entry: Entry<'t>) -> Reported {
        self.error(entry.value, "a name must not come from a hidden parameter")
    }

    /// Notes the files that a part includes, if they were supplied.
    pub(crate) fn note_files(&mut self, node: NodeRef<'t>) {
        for (path, _) in included_files(node) {
            if let Some(content) = self.scope.files.get(path) {
                self.uses.files.insert(path.to_owned(), content.clone());
            }
        }
    }

    fn get_file(&mut self, entry: Entry<'t>) -> Result<Value, Reported> {
        if let Some(what) = self.constant.filter(|_| self.conditions.is_none()) {
            return Err(self.error(entry.key, format!("{what} cannot use files")));
        }
        let Some(path) = entry.value.text() else {
            return Err(self.error(
                entry.value,
                format!(
                    "get_file takes a path as it is, not {}",
                    entry.value.in_words()
                ),
            ));
        };
        let Some(content) = self.scope.files.get(path) else {
            return Err(self.error(entry.value, format!("the file {path:?} was not supplied")));
        };
        if content.len() > self.scope.limits.scalar_bytes {
            let limit = self.scope.limits.scalar_bytes;
            return Err(self.error(
                entry.value,
                format!(
                    "the file {path:?} is {} bytes long; at most {limit} are taken",
                    content.len()
                ),
            ));
        }
        let Ok(text) = std::str::from_utf8(content) else {
            return Err(self.error(
                entry.value,
                format!("the file {path:?} is not text in UTF-8"),
            ));
        };
        self.uses.files.insert(path.to_owned(), content.clone());
        Ok(Value::Text(text.to_owned()))
    }

    fn get_param(&mut self, entry: Entry<'t>) -> Result<Value, Reported> {
        let mut arguments = self.fold_present(entry.value)?;
        if arguments.strip() {
            return Err(self.hidden_name(entry));
        }
        let (name, path) = match &arguments {
            Value::Text(name) => (name.as_str(), &[][..]),
            Value::List(parts) => match parts.as_slice() {
                [Value::Text(name), path @ ..] => (name.as_str(), path),
                _ => {
                    return Err(self.error(
                        entry.value,
                        "get_param takes a name, or [name, key or index, …]",
                    ));
                }
            },
            _ => {
                return Err(self.error(
                    entry.value,
                    "get_param takes a name, or [name, key or index, …]",
                ));
            }
        };
        if path.iter().any(Value::is_pending) {
            return Err(self.error(
                entry.value,
                "the path of get_param must not depend on resources",
            ));
        }
        match name {
            parameter::STACK_NAME => return Ok(Value::Text(self.scope.stack_name.to_owned())),
            parameter::PROJECT_ID => return Ok(Value::Text(self.scope.namespace.to_owned())),
            parameter::STACK_ID => {
                return match self.constant {
                    Some(what) => Err(self.error(entry.value, format!("{what} cannot use OS::stack_id: the id does not exist yet when it is needed"))),
                    None => Ok(Value::call(Function::StackId, Value::Null)),
                };
            }
            _ => {}
        }
        let Some(parameter) = self.scope.parameters.get(name) else {
            let at = self.place.text();
            let known = self
                .scope
                .parameters
                .names()
                .chain(parameter::PSEUDO.iter().copied());
            return Err(self
                .reporter
                .unknown(entry.value, at, "parameter", name, known));
        };
        self.uses.parameters.insert(name.to_owned());
        // Its own problem has been told.
        let parameter = parameter.ok_or(Reported)?;
        let value = Value::from_json(&parameter.value).marked(parameter.hidden);
        Ok(if path.is_empty() {
            value
        } else {
            function::select_parameter(&value, path)
        })
    }
}

/// Every path that a `get_file` in the part names, and where.
pub(crate) fn included_files<'t>(node: NodeRef<'t>) -> Vec<(&'t str, NodeRef<'t>)> {
    let mut found = Vec::new();
    let mut open = vec![node];
    while let Some(node) = open.pop() {
        open.extend(node.items().into_iter().flatten());
        for entry in node.entries().into_iter().flatten() {
            if node.len() == 1
                && entry.name() == Function::GetFile.name()
                && let Some(path) = entry.value.text()
            {
                found.push((path, entry.value));
            }
            open.push(entry.value);
        }
    }
    found
}
