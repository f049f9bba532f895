//! Tells a failing history in lines that people can read: entries, answers, and what changed in the rows.

use anneal_statemachine::command::{CommandKind, Difference};
use anneal_statemachine::outcome::Outcome;
use anneal_statemachine::row::{InstanceRow, RowKey, RowValue};

use crate::reference::Rows;

/// One entry in a line.
pub fn entry(kind: &CommandKind) -> String {
    match kind {
        CommandKind::ChangeStack(change) => match &change.change {
            anneal_statemachine::command::Change::Create { difference } => {
                format!("create {}: {}", change.name, declared(difference))
            }
            anneal_statemachine::command::Change::Update { base, difference } => {
                format!(
                    "update {} from revision {base}: {}",
                    change.name,
                    declared(difference)
                )
            }
            anneal_statemachine::command::Change::Rollback {
                base,
                to,
                difference,
                failed,
            } => format!(
                "roll back {} from {base} to {to} (failed: {failed:?}): {}",
                change.name,
                declared(difference)
            ),
            other => format!("{other:?} {}", change.name),
        },
        CommandKind::StagePart(part) => {
            let names: Vec<&str> = part.set.iter().map(|s| &*s.name).collect();
            format!(
                "stage part {} of {:?}: {names:?}, remove {:?}",
                part.part, part.stage, part.remove
            )
        }
        CommandKind::Report { items } => {
            let items: Vec<String> = items
                .iter()
                .map(|i| {
                    let result = format!("{:?}", i.result);
                    let short: String = result.chars().take(160).collect();
                    format!(
                        "i{} token {} from {}: {short}",
                        i.instance, i.token, i.engine
                    )
                })
                .collect();
            format!("report {}", items.join("; "))
        }
        CommandKind::RegisterEngine(register) => {
            format!("register engine {} on {}", register.member, register.host)
        }
        other => format!("{other:?}"),
    }
}

fn declared(difference: &Difference) -> String {
    let set: Vec<String> = difference
        .set
        .iter()
        .map(|item| String::from_utf8_lossy(&item.fragment.bytes).into_owned())
        .collect();
    format!(
        "\n        set {}\n        remove {:?}, options {:?}",
        set.join("\n            "),
        difference.remove,
        difference.options
    )
}

/// An answer in a line.
pub fn outcome(outcome: &Outcome) -> String {
    format!("{outcome:?}")
}

/// What an entry changed, in the rows that matter to a reader.
pub fn changes(story: &mut Vec<String>, old: &Rows, new: &Rows) {
    for (key, value) in new {
        if old.get(key) == Some(value) {
            continue;
        }
        match value {
            RowValue::Instance(row) => story.push(format!("       {key:?} {}", instance(row))),
            RowValue::Resource(row) => story.push(format!(
                "       {key:?} {} requires {:?} desired {:?} replacing {:?}",
                row.name,
                row.requires,
                row.desired.as_ref().and_then(|d| d.definition),
                row.replacing
            )),
            RowValue::Stack(row) => story.push(format!(
                "       {key:?} revision {} settled {} paused {} deleting {} stop {:?} queue {:?}",
                row.revision, row.settled_revision, row.paused, row.deleting, row.stop, row.queue
            )),
            RowValue::Trouble(row) => story.push(format!("       {key:?} {row:?}")),
            RowValue::Tombstone(_) => story.push(format!("       {key:?}")),
            _ => {}
        }
    }
    for key in old.keys() {
        let told = matches!(
            key,
            RowKey::Instance(_)
                | RowKey::Resource(_)
                | RowKey::Stack(_)
                | RowKey::Trouble(_)
                | RowKey::Tombstone(_)
        );
        if told && !new.contains_key(key) {
            story.push(format!("       {key:?} is gone"));
        }
    }
}

fn instance(row: &InstanceRow) -> String {
    let mut words = vec![
        format!("of r{}", row.resource),
        format!("{:?}", row.role),
        format!("{:?}", row.observed),
        format!("id {:?}", row.physical_id.as_deref().unwrap_or("-")),
        format!("fp {:?}", row.fingerprint),
        format!("requires {:?}", row.requires),
    ];
    if let Some(a) = &row.assignment {
        let lost = if a.lost { " LOST" } else { "" };
        words.push(format!(
            "[{} by {} token {}{lost} until {}]",
            a.action, a.engine, a.token, a.not_after_ms
        ));
    }
    if let Some(e) = &row.effect {
        words.push(format!(
            "effect {} key {} aim {:?} until {} doubt {} seen_absent {}",
            e.action, e.key, e.aim, e.not_after_ms, e.in_doubt, e.seen_absent
        ));
    }
    for (flag, word) in [
        (row.delete_begun, "delete_begun"),
        (row.condemned, "condemned"),
        (row.on_hold, "on_hold"),
        (row.seen_present, "seen"),
    ] {
        if flag {
            words.push(word.into());
        }
    }
    if row.drift.is_some() {
        words.push(format!("drift {:?}", row.drift));
    }
    if row.host.is_some() {
        words.push(format!("on {:?}", row.host));
    }
    words.join(" ")
}
