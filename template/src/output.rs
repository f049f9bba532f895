//! Compiles outputs. Knows folding, no types.

use crate::body;
use crate::condition::{Conditions, Decided, holds};
use crate::definition::CompiledOutput;
use crate::fold::{Folder, Scope, Uses};
use crate::literal::Reporter;
use crate::place::{Place, Step};
use crate::problem::{Collector, SourceId};
use crate::tree::{Entry, NodeKind};
use crate::value::Value;

const KEYS: &[&str] = &["description", "value", "condition"];

/// Compiles one output; what it uses is added. None if something is wrong with it, which has been told.
pub(crate) fn compile<'a>(
    entry: Entry<'_>,
    scope: Scope<'a>,
    conditions: &'a Conditions,
    collector: &mut Collector,
    source: SourceId,
    uses: &mut Uses,
) -> Option<CompiledOutput> {
    let mut folder = Folder {
        scope,
        conditions: Some(conditions),
        reporter: Reporter { collector, source },
        place: Place::at(&["outputs", entry.name()]),
        uses: Uses::default(),
        constant: None,
    };
    let Some(keys) = entry.value.entries() else {
        folder.error(
            entry.value,
            format!("must be a map, not {}", entry.value.in_words()),
        );
        return None;
    };
    let (mut description, mut value, mut enabled) = (None, None, Ok(true));
    for key in keys {
        folder.place.enter(Step::Key(key.name()));
        match key.name() {
            "description" => {
                let path = folder.place.text();
                description = folder.reporter.text(key.value, path).map(str::to_owned);
            }
            "value" => value = Some(key.value),
            "condition" if key.value.kind() == NodeKind::Null => {}
            "condition" => enabled = holds(key.value, &mut folder, &mut Decided(conditions)),
            other => {
                let path = folder.place.text();
                folder
                    .reporter
                    .unknown(key.key, path, "key", other, KEYS.iter().copied());
            }
        }
        folder.place.leave();
    }
    let Some(value) = value else {
        folder.error(entry.key, "the value is missing");
        return None;
    };
    folder.place.enter(Step::Key("value"));
    let folded = match enabled {
        Ok(true) => folder
            .fold(value, None)
            .map(|value| value.unwrap_or(Value::Null)),
        Ok(false) => {
            folder.note_files(value);
            Ok(Value::Null)
        }
        Err(reported) => Err(reported),
    };
    let folded = match folded {
        Ok(value) if body::levels_of_output(&value) > body::LEVELS => {
            let message = format!(
                "nested deeper than {} levels, with parameters and functions put in",
                body::LEVELS
            );
            Err(folder.error(entry.key, message))
        }
        folded => folded,
    };
    let found = folder.uses;
    uses.parameters.extend(found.parameters);
    uses.files.extend(found.files);
    let references = found.references.into_iter().collect();
    let body = body::encode_output(&folded.ok()?);
    Some(CompiledOutput {
        name: entry.name().to_owned(),
        description,
        body,
        references,
    })
}
