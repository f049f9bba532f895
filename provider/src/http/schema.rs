//! What an `Anneal::Http` has, and what it can promise.

use super::told::{DEFAULT_ID, DEFAULT_TIMEOUT};
use crate::schema::{
    AttributeSchema, Capabilities, Kind, Nested, OnChange, PropertySchema, TypeSchema, When,
};

fn action(name: &str, description: &str, more: Option<PropertySchema>) -> PropertySchema {
    let mut keys = vec![
        PropertySchema::new("method", &[Kind::String], "The request's method."),
        PropertySchema::new(
            "path",
            &[Kind::String],
            "What follows the `url`; may contain {id}, {key}, {instance}.",
        ),
        PropertySchema::new(
            "body",
            &[Kind::Any],
            "What is sent, as JSON; the common `body` if left out.",
        ),
        PropertySchema::new("headers", &[Kind::Map], "Headers beside the common ones.")
            .nested(Nested::EachOf(vec![Kind::String]))
            .secret(),
        PropertySchema::new(
            "expected",
            &[Kind::List],
            "Statuses that mean success; any 2xx if left out.",
        )
        .nested(Nested::EachOf(vec![Kind::Integer])),
    ];
    keys.extend(more);
    PropertySchema::new(name, &[Kind::Map], description).nested(Nested::Keys(keys))
}

pub(super) fn schema() -> TypeSchema {
    let text =
        |name: &str, description: &str| PropertySchema::new(name, &[Kind::String], description);
    let items = text(
        "items",
        "JSON pointer to the found objects in the answer: a list, or one object.",
    )
    .default("");
    let mut schema = TypeSchema::new(
        "Anneal::Http",
        "An object behind a REST API. Without `create` it only reads. A change of `url` replaces it; so does one of \
         `body` or `create` if there is no `update`. {id}, {key} (the idempotency key), {instance} and {token} may \
         stand in paths and headers, and be a whole text in a body.",
    );
    schema.properties = vec![
        text("url", "What all paths are appended to.")
            .required()
            .on_change(OnChange::Replace),
        PropertySchema::new("headers", &[Kind::Map], "Headers of all requests.")
            .nested(Nested::EachOf(vec![Kind::String]))
            .secret(),
        PropertySchema::new(
            "body",
            &[Kind::Any],
            "What the object should be; sent by create and update.",
        )
        .on_change(OnChange::Depends),
        action("create", "Makes it; POST if no method is given.", None)
            .on_change(OnChange::Depends),
        action(
            "read",
            "Looks at it; GET if no method is given. 404 and 410 mean that it is not there.",
            None,
        ),
        action("update", "Changes it; PUT if no method is given.", None),
        action(
            "delete",
            "Deletes it; DELETE if no method is given. 404 and 410 mean that it was gone.",
            None,
        ),
        action(
            "find",
            "Finds it after a lost create, by a tag that the create sent; GET. Without it and without \
             `idempotency_header`, a lost create waits for a person to say what became of it.",
            Some(items),
        ),
        text("id", "JSON pointer to the id in the answer.").default(DEFAULT_ID),
        PropertySchema::new(
            "attributes",
            &[Kind::Map],
            "Attributes by name, as JSON pointers into the answer.",
        )
        .nested(Nested::EachOf(vec![Kind::String])),
        text(
            "idempotency_header",
            "Header that carries the idempotency key, for a server that honours it.",
        ),
        text(
            "fencing_header",
            "Header that carries the fencing token, for a server that refuses smaller ones.",
        ),
        PropertySchema::new(
            "timeout_seconds",
            &[Kind::Number],
            "How soon a request is answered.",
        )
        .default(DEFAULT_TIMEOUT.as_secs())
        .at_least(0.0),
    ];
    schema.attributes = vec![
        AttributeSchema::new("status", Kind::Integer, "The status of the last answer."),
        AttributeSchema::new(
            "body",
            Kind::Any,
            "The last answer: JSON if it is that, else its text.",
        ),
    ];
    schema.any_attribute = true;
    let any =
        |names: &[&str]| When::WithAnyProperty(names.iter().map(ToString::to_string).collect());
    schema.capabilities = Capabilities {
        honours_keys: When::WithProperty("idempotency_header".to_owned()),
        fences: When::WithProperty("fencing_header".to_owned()),
        looks: any(&["find", "read", "idempotency_header"]),
        finds: any(&["find", "idempotency_header"]),
        cancellable: true,
        ..Capabilities::plain()
    };
    // Far more than one API likes, and far less than what a large stack would send it. What is too much for it all
    // the same, it says by itself (429).
    schema.limits.max_calls_per_second = Some(500);
    schema
}
