//! What an `Anneal::Command` has, and what a change of it does.

use super::told::DEFAULT_TIMEOUT;
use crate::schema::{
    AttributeSchema, Capabilities, Kind, Nested, OnChange, PropertySchema, Scope, TypeSchema, When,
};

pub(super) fn schema() -> TypeSchema {
    let mut schema = TypeSchema::new(
        "Anneal::Command",
        "Commands that create, read, update and delete something. Each is a list of arguments, or a string for \
         `sh -c`. A JSON object on the last line of output becomes the attributes; its `id`, or else the \
         idempotency key, is the physical id. `read` exits with 0 if it is there and with 1 if not. Without \
         `update`, a change of `create`, `environment` or `working_directory` replaces it; a change of `read`, \
         `delete` or `timeout_seconds` runs nothing.",
    );
    let command = |name: &str, description: &str| {
        PropertySchema::new(name, &[Kind::String, Kind::List], description)
            .nested(Nested::EachOf(vec![Kind::String]))
    };
    schema.properties = vec![
        command("create", "Makes it.")
            .required()
            .on_change(OnChange::Depends),
        command("update", "Changes it.").on_change(OnChange::Depends),
        command("read", "Exits with 0 if it is there, with 1 if not."),
        command("delete", "Deletes it."),
        PropertySchema::new("environment", &[Kind::Map], "Variables for all of them.")
            .nested(Nested::EachOf(vec![Kind::String]))
            .on_change(OnChange::Depends),
        PropertySchema::new("working_directory", &[Kind::String], "Where they run.")
            .on_change(OnChange::Depends),
        PropertySchema::new(
            "timeout_seconds",
            &[Kind::Number],
            "How long each of them may take.",
        )
        .default(DEFAULT_TIMEOUT.as_secs())
        .at_least(0.0),
        PropertySchema::new(
            "scope",
            &[Kind::String],
            "Whether it belongs to the host that ran it, or to all.",
        )
        .words(&["host", "cluster"])
        .default("host")
        .on_change(OnChange::Replace),
    ];
    schema.attributes = vec![AttributeSchema::new(
        "id",
        Kind::String,
        "The physical id, if the output has one.",
    )];
    schema.any_attribute = true;
    schema.scope = Scope::HostBoundUnless {
        property: "scope".to_owned(),
        value: "cluster".to_owned(),
    };
    schema.capabilities = Capabilities {
        looks: When::WithProperty("read".to_owned()),
        finds: When::WithProperty("read".to_owned()),
        // A look runs under the guard too, and so under the instance's lock: no earlier command of it runs any
        // more, and a guard that wakes up late finds its lease over before it starts one.
        fences: When::Always,
        cancellable: true,
        ..Capabilities::plain()
    };
    schema
}

/// What a change of a property does to an instance that has, or has not, a command for updates.
pub(super) fn on_change(name: &str, has_update: bool) -> Option<OnChange> {
    match name {
        "create" | "environment" | "working_directory" if has_update => Some(OnChange::InPlace),
        "create" | "environment" | "working_directory" | "scope" => Some(OnChange::Replace),
        "update" if has_update => Some(OnChange::InPlace),
        _ => None,
    }
}
