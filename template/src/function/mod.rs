//! The functions of the template language, as a table. Knows values, not where they are written.
//!
//! [`apply`] computes a function whose arguments are all known; both the compiler and the engine use it,
//! so a value is the same whenever it is computed. Three functions are not here because they look beyond
//! their arguments: `get_param`, `get_file` and `if` are the compiler's, `get_attr` and `get_resource` the
//! evaluation's.

mod collection;
mod digest;
mod make_url;
mod path;
mod repeat;
mod text;

use crate::limits::Limits;
use crate::value::Value;

pub(crate) use path::{select, select_parameter};

/// Every function there is a word for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    GetParam,
    GetFile,
    If,
    GetResource,
    GetAttr,
    /// The id of the stack, which does not exist before the stack does.
    StackId,
    StrReplace,
    StrReplaceStrict,
    StrReplaceVstrict,
    ListJoin,
    StrSplit,
    MakeUrl,
    MapMerge,
    MapReplace,
    ListConcat,
    ListConcatUnique,
    Filter,
    Contains,
    Repeat,
    Digest,
    Yaql,
    ResourceFacade,
}

const TABLE: &[(&str, Function)] = &[
    ("get_param", Function::GetParam),
    ("get_file", Function::GetFile),
    ("if", Function::If),
    ("get_resource", Function::GetResource),
    ("get_attr", Function::GetAttr),
    ("str_replace", Function::StrReplace),
    ("str_replace_strict", Function::StrReplaceStrict),
    ("str_replace_vstrict", Function::StrReplaceVstrict),
    ("list_join", Function::ListJoin),
    ("str_split", Function::StrSplit),
    ("make_url", Function::MakeUrl),
    ("map_merge", Function::MapMerge),
    ("map_replace", Function::MapReplace),
    ("list_concat", Function::ListConcat),
    ("list_concat_unique", Function::ListConcatUnique),
    ("filter", Function::Filter),
    ("contains", Function::Contains),
    ("repeat", Function::Repeat),
    ("digest", Function::Digest),
    ("yaql", Function::Yaql),
    ("resource_facade", Function::ResourceFacade),
];

/// How the id of the stack is called inside a body. Not a word of the language.
const STACK_ID: &str = "stack_id";

/// CloudFormation's functions, which the first version of the language had, and what took their place.
const REPLACED: &[(&str, &str)] = &[
    ("Ref", "get_resource or get_param"),
    ("Fn::GetAtt", "get_attr"),
    ("Fn::Select", "get_attr or get_param with a path"),
    ("Fn::Join", "list_join"),
    ("Fn::Split", "str_split"),
    ("Fn::Replace", "str_replace"),
    ("Fn::If", "if"),
];

impl Function {
    /// The function that a template calls by this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        TABLE
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, function)| *function)
    }

    /// The function that a body calls by this name.
    pub(crate) fn in_body(name: &str) -> Option<Self> {
        if name == STACK_ID {
            Some(Self::StackId)
        } else {
            Self::named(name)
        }
    }

    pub(crate) fn name(self) -> &'static str {
        TABLE
            .iter()
            .find(|(_, function)| *function == self)
            .map_or(STACK_ID, |(name, _)| name)
    }

    /// All names, for suggestions.
    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        TABLE.iter().map(|(name, _)| *name)
    }

    /// Why the function is known but refused.
    pub(crate) fn refusal(self) -> Option<&'static str> {
        match self {
            Self::Yaql => Some(
                "yaql is not supported; str_split, repeat, filter and map_merge cover many of its uses",
            ),
            Self::ResourceFacade => Some(
                "resource_facade has a meaning only inside nested templates, which are not supported yet",
            ),
            _ => None,
        }
    }
}

/// What took the place of one of CloudFormation's functions; an empty text if nothing did.
pub(crate) fn replaced_by(name: &str) -> Option<&'static str> {
    match REPLACED.iter().find(|(old, _)| *old == name) {
        Some((_, new)) => Some(new),
        None => name.starts_with("Fn::").then_some(""),
    }
}

/// The nearest function, if `name` can hardly be meant as anything else: map keys are the user's to choose.
pub(crate) fn misspelt(name: &str) -> Option<&'static str> {
    /// Letters wrong, missing, too many or swapped.
    const SLIPS: usize = 2;
    /// A short word is near to too many.
    const LETTERS: usize = 7;
    if name.len() < LETTERS || !name.contains('_') {
        return None;
    }
    Function::names()
        .filter(|known| known.contains('_'))
        .map(|known| (strsim::osa_distance(name, known), known))
        .filter(|(distance, _)| (1..=SLIPS).contains(distance))
        .min()
        .map(|(_, known)| known)
}

/// Whether the arguments have the form the function takes, as far as they are known.
pub(crate) fn check_form(function: Function, arguments: &Value) -> Result<(), String> {
    let hidden = arguments.is_marked();
    let arguments = arguments.unmarked().0;
    if matches!(arguments, Value::Call(_) | Value::Unknown) {
        return Ok(());
    }
    let checked = match function {
        Function::StrReplace | Function::StrReplaceStrict | Function::StrReplaceVstrict => {
            text::check_replace(arguments)
        }
        Function::ListJoin => text::check_join(arguments),
        Function::StrSplit => text::check_split(arguments),
        Function::MakeUrl => make_url::check(arguments),
        Function::Repeat => repeat::check(arguments),
        Function::Digest => digest::check(arguments),
        Function::MapMerge | Function::ListConcat | Function::ListConcatUnique => {
            collection::check_list(arguments)
        }
        Function::MapReplace | Function::Filter | Function::Contains => {
            collection::check_two(arguments)
        }
        _ => Ok(()),
    };
    checked.map_err(|message| {
        if hidden {
            without_quoted(&message)
        } else {
            message
        }
    })
}

/// Computes a function whose arguments are all known. What is secret in them makes the result secret, as
/// narrowly as the function allows.
pub(crate) fn apply(
    function: Function,
    mut arguments: Value,
    limits: &Limits,
) -> Result<Value, String> {
    check_form(function, &arguments)?;
    let keeps_marks = matches!(function, Function::MapMerge | Function::ListConcat);
    let sensitive = !keeps_marks && arguments.strip();
    let result = match function {
        Function::MapMerge => collection::map_merge(arguments),
        Function::ListConcat => collection::list_concat(arguments, false, limits),
        Function::StrReplace => text::replace(&arguments, text::Strictness::Lenient, limits),
        Function::StrReplaceStrict => text::replace(&arguments, text::Strictness::EveryKey, limits),
        Function::StrReplaceVstrict => {
            text::replace(&arguments, text::Strictness::EveryKeyAndValue, limits)
        }
        Function::ListJoin => text::join(&arguments, limits),
        Function::StrSplit => text::split(&arguments, limits),
        Function::MakeUrl => make_url::make_url(&arguments),
        Function::MapReplace => collection::map_replace(&arguments),
        Function::ListConcatUnique => collection::list_concat(arguments, true, limits),
        Function::Filter => collection::filter(&arguments),
        Function::Contains => collection::contains(&arguments),
        Function::Repeat => repeat::repeat(&arguments, limits),
        Function::Digest => digest::digest(&arguments),
        Function::GetParam
        | Function::GetFile
        | Function::If
        | Function::GetResource
        | Function::GetAttr
        | Function::StackId
        | Function::Yaql
        | Function::ResourceFacade => Err(format!(
            "{} cannot be computed from its arguments alone",
            function.name()
        )),
    };
    match result {
        Ok(value) => Ok(value.marked(sensitive)),
        Err(message) if sensitive => Err(without_quoted(&message)),
        Err(message) => Err(message),
    }
}

/// A message without what it quotes: of hidden values nothing is shown.
fn without_quoted(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in message.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => {
                quoted = !quoted;
                shown.push_str(if quoted { "\"…" } else { "\"" });
            }
            _ if quoted => {}
            _ => shown.push(c),
        }
    }
    shown
}

/// Whether two values are equal as Python has it: `1`, `1.0` and true are.
pub(crate) fn same(a: &Value, b: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Bool(flag) => Some(f64::from(u8::from(*flag))),
        Value::Number(number) => number.as_f64(),
        _ => None,
    };
    let (a, b) = (a.unmarked().0, b.unmarked().0);
    match (a, b) {
        (Value::Number(x), Value::Number(y)) if !x.is_f64() && !y.is_f64() => x == y,
        (Value::List(x), Value::List(y)) => {
            x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y))
        }
        (Value::Map(x), Value::Map(y)) => {
            x.len() == y.len()
                && x.iter()
                    .all(|(key, value)| y.get(key).is_some_and(|other| same(value, other)))
        }
        _ => match (number(a), number(b)) {
            (Some(x), Some(y)) => x == y,
            _ => a == b,
        },
    }
}

#[cfg(test)]
mod tests;
