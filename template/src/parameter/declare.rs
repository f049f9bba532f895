//! Reads the `parameters` and `parameter_groups` sections of a template.

use super::{Declaration, KINDS, ParameterConstraint, ParameterKind};
use crate::constraint::Patterns;
use crate::literal::Reporter;
use crate::schema::Constraint;
use crate::tree::{Entry, NodeKind, NodeRef};

const KEYS: &[&str] = &[
    "type",
    "label",
    "description",
    "default",
    "hidden",
    "constraints",
    "immutable",
    "tags",
];
const CONSTRAINTS: &[&str] = &[
    "length",
    "range",
    "modulo",
    "allowed_values",
    "allowed_pattern",
    "custom_constraint",
];

/// All parameters that a template declares, in its order.
pub(crate) fn declarations(section: NodeRef<'_>, reporter: &mut Reporter<'_>) -> Vec<Declaration> {
    if section.kind() == NodeKind::Null {
        return Vec::new();
    }
    let Some(entries) = section.entries() else {
        reporter.error(
            section,
            "parameters",
            format!("must be a map, not {}", section.in_words()),
        );
        return Vec::new();
    };
    entries
        .filter_map(|entry| declaration(entry, reporter))
        .collect()
}

fn declaration(entry: Entry<'_>, reporter: &mut Reporter<'_>) -> Option<Declaration> {
    let path = format!("parameters.{}", entry.name());
    let Some(attributes) = entry.value.entries() else {
        reporter.error(
            entry.value,
            path,
            format!("must be a map, not {}", entry.value.in_words()),
        );
        return None;
    };
    let mut declared = Declaration {
        name: entry.name().to_owned(),
        kind: ParameterKind::String,
        default: None,
        hidden: false,
        immutable: false,
        constraints: Vec::new(),
        position: entry.key.position(),
    };
    let mut typed = false;
    for attribute in attributes {
        let (value, path) = (attribute.value, format!("{path}.{}", attribute.name()));
        match attribute.name() {
            "type" => {
                typed = true;
                declared.kind = kind(value, &path, reporter)?;
            }
            "label" | "description" => {
                reporter.text(value, path);
            }
            "default" if value.kind() == NodeKind::Null => {}
            "default" => {
                declared.default =
                    Some((reporter.literal_json(value, &path).ok()?, value.position()))
            }
            "hidden" => declared.hidden = reporter.flag(value, path)?,
            "immutable" => declared.immutable = reporter.flag(value, path)?,
            "tags" => check_tags(value, path, reporter),
            "constraints" => declared.constraints = constraints(value, &path, reporter),
            other => {
                reporter.unknown(attribute.key, path, "key", other, KEYS.iter().copied());
            }
        }
    }
    if !typed {
        reporter.error(entry.key, path, "the type is missing");
        return None;
    }
    check_applicable(&declared, entry, &path, reporter);
    warn_of_number(&declared, entry, &path, reporter);
    Some(declared)
}

/// `0644` unquoted is the number 420 to YAML, and as a string "420": seldom what is meant.
fn warn_of_number(
    declared: &Declaration,
    entry: Entry<'_>,
    path: &str,
    reporter: &mut Reporter<'_>,
) {
    let Some(default) = entry.value.get("default") else {
        return;
    };
    let (ParameterKind::String, NodeKind::Int, Some(number)) =
        (declared.kind, default.kind(), default.number())
    else {
        return;
    };
    if number.to_string() != default.written() {
        let message = format!(
            "{} is read as the number {number}; quote it if it is meant as text",
            default.written()
        );
        reporter.warning(default, format!("{path}.default"), message);
    }
}

fn kind(value: NodeRef<'_>, path: &str, reporter: &mut Reporter<'_>) -> Option<ParameterKind> {
    let word = reporter.text(value, path)?;
    let found = KINDS
        .iter()
        .find(|(known, _)| *known == word)
        .map(|(_, kind)| *kind);
    if found.is_none() {
        reporter.unknown(
            value,
            path,
            "parameter type",
            word,
            KINDS.iter().map(|(known, _)| *known),
        );
    }
    found
}

fn check_tags(value: NodeRef<'_>, path: String, reporter: &mut Reporter<'_>) {
    let fits = value
        .items()
        .is_some_and(|mut tags| tags.all(|tag| tag.text().is_some()));
    if !fits {
        reporter.error(value, path, "must be a list of strings");
    }
}

fn constraints(
    section: NodeRef<'_>,
    path: &str,
    reporter: &mut Reporter<'_>,
) -> Vec<ParameterConstraint> {
    let Some(items) = section.items() else {
        reporter.error(
            section,
            path,
            format!("must be a list, not {}", section.in_words()),
        );
        return Vec::new();
    };
    let numbered = items.enumerate();
    numbered
        .filter_map(|(index, item)| constraint(item, format!("{path}[{index}]"), reporter))
        .collect()
}

fn constraint(
    item: NodeRef<'_>,
    path: String,
    reporter: &mut Reporter<'_>,
) -> Option<ParameterConstraint> {
    let Some(entries) = item.entries() else {
        reporter.error(
            item,
            path,
            format!("must be a map, not {}", item.in_words()),
        );
        return None;
    };
    let mut description = None;
    let mut found = None;
    for entry in entries {
        match entry.name() {
            "description" => {
                description = reporter.text(entry.value, path.as_str()).map(str::to_owned)
            }
            name if found.is_some() && CONSTRAINTS.contains(&name) => {
                reporter.error(
                    entry.key,
                    path.as_str(),
                    "more than one constraint; give each its own list item",
                );
                return None;
            }
            name => {
                found = Some(one_constraint(
                    name,
                    entry,
                    &format!("{path}.{name}"),
                    reporter,
                )?)
            }
        }
    }
    if found.is_none() {
        reporter.error(
            item,
            path,
            format!("no constraint; there are {}", CONSTRAINTS.join(", ")),
        );
    }
    found.map(|constraint| ParameterConstraint {
        constraint,
        description,
    })
}

fn one_constraint(
    name: &str,
    entry: Entry<'_>,
    path: &str,
    reporter: &mut Reporter<'_>,
) -> Option<Constraint> {
    let value = entry.value;
    match name {
        "length" => {
            let [min, max] = numbers(value, ["min", "max"], path, reporter)?;
            let whole = |bound: Option<f64>| bound.map(|number| number as u64);
            Some(Constraint::Length {
                min: whole(min),
                max: whole(max),
            })
        }
        "range" => {
            let [min, max] = numbers(value, ["min", "max"], path, reporter)?;
            Some(Constraint::Range { min, max })
        }
        "modulo" => {
            let [step, offset] = numbers(value, ["step", "offset"], path, reporter)?;
            match (step, offset) {
                (Some(step), Some(offset)) if step != 0.0 => Some(Constraint::Modulo {
                    step: step as i64,
                    offset: offset as i64,
                }),
                _ => {
                    reporter.error(value, path, "needs a step that is not 0, and an offset");
                    None
                }
            }
        }
        "allowed_values" => {
            let Some(items) = value.items() else {
                reporter.error(
                    value,
                    path,
                    format!("must be a list, not {}", value.in_words()),
                );
                return None;
            };
            let values: Result<Vec<_>, _> = items
                .map(|item| reporter.literal_json(item, path))
                .collect();
            values.ok().map(Constraint::AllowedValues)
        }
        "allowed_pattern" => {
            let pattern = reporter.text(value, path)?;
            if let Err(message) = Patterns::default().compile(pattern) {
                reporter.error(value, path, message);
                return None;
            }
            Some(Constraint::AllowedPattern(pattern.to_owned()))
        }
        "custom_constraint" => {
            reporter.error(
                entry.key,
                path,
                "custom constraints ask OpenStack services, which there are none of here",
            );
            None
        }
        other => {
            reporter.unknown(
                entry.key,
                path,
                "constraint",
                other,
                CONSTRAINTS.iter().copied(),
            );
            None
        }
    }
}

/// Two numbers by name, of which at least one is there.
fn numbers(
    map: NodeRef<'_>,
    names: [&str; 2],
    path: &str,
    reporter: &mut Reporter<'_>,
) -> Option<[Option<f64>; 2]> {
    let mut found = [None; 2];
    let Some(entries) = map.entries() else {
        reporter.error(map, path, format!("must be a map, not {}", map.in_words()));
        return None;
    };
    for entry in entries {
        let Some(which) = names.iter().position(|name| *name == entry.name()) else {
            reporter.unknown(entry.key, path, "key", entry.name(), names.into_iter());
            return None;
        };
        let number = match entry.value.kind() {
            NodeKind::Text => crate::fit::number_of(entry.value.written()),
            _ => entry.value.number(),
        };
        let Some(number) = number.and_then(|number| number.as_f64()) else {
            reporter.error(
                entry.value,
                format!("{path}.{}", entry.name()),
                "must be a number",
            );
            return None;
        };
        found[which] = Some(number);
    }
    if found == [None, None] {
        reporter.error(map, path, format!("needs {} or {}", names[0], names[1]));
        return None;
    }
    Some(found)
}

/// Constraints that say nothing about the parameter's kind of value.
fn check_applicable(
    declared: &Declaration,
    entry: Entry<'_>,
    path: &str,
    reporter: &mut Reporter<'_>,
) {
    use ParameterKind as P;
    for constraint in &declared.constraints {
        let (word, kinds): (_, &[P]) = match constraint.constraint {
            Constraint::Length { .. } => ("length", &[P::String, P::CommaDelimitedList, P::Json]),
            Constraint::Range { .. } => ("range", &[P::Number]),
            Constraint::Modulo { .. } => ("modulo", &[P::Number]),
            Constraint::AllowedPattern(_) => ("allowed_pattern", &[P::String]),
            Constraint::AllowedValues(_) => continue,
        };
        if !kinds.contains(&declared.kind) {
            let kind = KINDS
                .iter()
                .find(|(_, kind)| *kind == declared.kind)
                .map_or("", |(word, _)| word);
            reporter.error(
                entry.key,
                path,
                format!("the constraint {word} does not apply to the type {kind}"),
            );
        }
    }
}

/// Checks `parameter_groups`: known parameters, each in one group at most.
pub(crate) fn check_groups(
    section: NodeRef<'_>,
    declared: &[Declaration],
    reporter: &mut Reporter<'_>,
) {
    if section.kind() == NodeKind::Null {
        return;
    }
    let Some(groups) = section.items() else {
        reporter.error(
            section,
            "parameter_groups",
            format!("must be a list, not {}", section.in_words()),
        );
        return;
    };
    let mut seen = std::collections::BTreeSet::new();
    for (index, group) in groups.enumerate() {
        let path = format!("parameter_groups[{index}]");
        let Some(entries) = group.entries() else {
            reporter.error(
                group,
                path,
                format!("must be a map, not {}", group.in_words()),
            );
            continue;
        };
        let mut listed = false;
        for entry in entries {
            let path = format!("{path}.{}", entry.name());
            match (entry.name(), entry.value.items()) {
                ("label" | "description", _) => {
                    reporter.text(entry.value, path);
                }
                ("parameters", Some(names)) => {
                    listed = true;
                    for name in names {
                        check_member(name, &path, declared, &mut seen, reporter);
                    }
                }
                ("parameters", None) => {
                    listed = true;
                    reporter.error(
                        entry.value,
                        path,
                        format!("must be a list, not {}", entry.value.in_words()),
                    );
                }
                (other, _) => {
                    reporter.unknown(
                        entry.key,
                        path,
                        "key",
                        other,
                        ["label", "description", "parameters"].into_iter(),
                    );
                }
            }
        }
        if !listed {
            reporter.error(group, path, "the list of parameters is missing");
        }
    }
}

fn check_member<'t>(
    name: NodeRef<'t>,
    path: &str,
    declared: &[Declaration],
    seen: &mut std::collections::BTreeSet<&'t str>,
    reporter: &mut Reporter<'_>,
) {
    let Some(word) = reporter.text(name, path) else {
        return;
    };
    if !declared.iter().any(|parameter| parameter.name == word) {
        reporter.unknown(
            name,
            path,
            "parameter",
            word,
            declared.iter().map(|parameter| parameter.name.as_str()),
        );
    } else if !seen.insert(word) {
        reporter.error(
            name,
            path,
            format!("the parameter {word:?} is in a group already"),
        );
    }
}
