//! The answers.

use anneal_client::v1;
use prost::Message;
use tonic::{Code, Status};

/// A stack, by its name.
pub(crate) fn stack(name: &str) -> Result<v1::Stack, Status> {
    let counts = |settled, in_flight, failed| v1::Counts {
        settled,
        in_flight,
        failed,
        total: settled + in_flight + failed,
        ..Default::default()
    };
    let (status, reason, counts) = match name {
        "web" => ("converged", "", counts(3, 0, 0)),
        "broken" => ("failed", "1 resource has failed", counts(2, 0, 1)),
        "slow" => ("converging", "", counts(1, 1, 0)),
        "quiet" => ("paused", "", counts(1, 0, 0)),
        "gone" => ("deleted", "", counts(0, 0, 0)),
        "rolled" => ("converged", "", counts(2, 0, 0)),
        _ => return Err(not_found(name)),
    };
    Ok(v1::Stack {
        name: name.into(),
        namespace: "default".into(),
        id: 12,
        revision: if name == "rolled" { 4 } else { 3 },
        status: status.into(),
        reason: reason.into(),
        counts: Some(counts),
        outputs: if name == "web" { outputs() } else { Vec::new() },
        options: Some(v1::StackOptions {
            on_failure: v1::OnFailure::Halt.into(),
            timeout_ms: Some(3_600_000),
            drift: v1::DriftPolicy::Heal.into(),
            observe_interval_ms: Some(300_000),
            parallelism: Some(0),
            protect: Some(true),
        }),
        settled_revision: 2,
        description: "A web site".into(),
        created_ms: 1_700_000_000_000,
        updated_ms: 1_700_000_060_000,
        stuck: status == "failed",
    })
}

/// Outputs of every kind.
pub(crate) fn outputs() -> Vec<v1::Output> {
    let output = |name: &str, json: &str| v1::Output {
        name: name.into(),
        json: json.into(),
        ..Default::default()
    };
    vec![
        v1::Output {
            description: "Where it is".into(),
            ..output("url", "\"http://127.0.0.1:8080/\"")
        },
        output("ports", "[80,443]"),
        v1::Output {
            sensitive: true,
            ..output("password", "\"random-string-value\"")
        },
        v1::Output {
            sensitive: true,
            hidden: true,
            ..output("key", "\"hidden-parameter-value\"")
        },
        v1::Output {
            error: "server has no attribute yet".into(),
            ..output("later", "")
        },
    ]
}

/// A settled and a failed resource.
pub(crate) fn resources() -> Vec<v1::Resource> {
    let attribute = |name: &str, json: &str, hidden| v1::Attribute {
        name: name.into(),
        json: json.into(),
        sensitive: hidden,
        hidden,
    };
    vec![
        v1::Resource {
            name: "page".into(),
            r#type: "Anneal::File".into(),
            phase: "settled".into(),
            physical_id: "/srv/page".into(),
            desired_revision: 3,
            observed: "present".into(),
            requires: vec!["home".into()],
            required_by: vec!["server".into()],
            attributes: vec![
                attribute("path", "\"/srv/page\"", false),
                attribute("token", "\"hidden-parameter-value\"", true),
            ],
            deposed: vec![v1::Deposed {
                instance: 9,
                physical_id: "/srv/old".into(),
                observed: "present".into(),
                reason: "waits for server".into(),
            }],
            instance: 14,
            host: "host-a".into(),
            ..Default::default()
        },
        v1::Resource {
            name: "server".into(),
            r#type: "Anneal::Command".into(),
            phase: "failed".into(),
            desired_revision: 3,
            observed: "absent".into(),
            reason: "exit code 7\nthe disk of the moon is full".into(),
            requires: vec!["page".into()],
            attempts: 5,
            ..Default::default()
        },
    ]
}

/// Two events of a stack.
pub(crate) fn events(stack: &str) -> Vec<v1::Event> {
    let event = |index, resource: &str, kind: &str, text: &str| v1::Event {
        index,
        time_ms: 1_700_000_000_000 + index,
        namespace: "default".into(),
        stack: stack.into(),
        resource: resource.into(),
        kind: kind.into(),
        text: text.into(),
        stack_id: 12,
        ..Default::default()
    };
    let mut events = vec![
        event(41, "", "revised", "revision 3"),
        event(43, "page", "created", ""),
    ];
    if stack == "rolled" {
        events.push(event(44, "server", "failed", "exit code 7"));
        events.push(event(44, "", "halted", "resource server failed"));
        events.push(event(45, "", "revised", "revision 4: back to revision 2"));
    }
    for (sequence, event) in (0..).zip(&mut events) {
        event.sequence = sequence;
    }
    events
}

/// What is wrong with the stack `bad`.
pub(crate) fn problems() -> Vec<v1::Problem> {
    vec![v1::Problem {
        severity: "error".into(),
        source: "stack.yaml".into(),
        line: 3,
        column: 14,
        field: "resources.a.type".into(),
        message: "unknown resource type OS::Heat::Nome".into(),
        suggestion: "OS::Heat::None".into(),
    }]
}

/// A refusal with its stable word.
pub(crate) fn refusal(code: Code, reason: &str, message: String) -> Status {
    let detail = v1::ErrorDetail {
        reason: reason.into(),
        problems: if reason == "invalid_template" {
            problems()
        } else {
            Vec::new()
        },
        revision: if reason == "base_moved" { 3 } else { 0 },
        ..Default::default()
    };
    Status::with_details(code, message, detail.encode_to_vec().into())
}

/// There is no such stack.
pub(crate) fn not_found(stack: &str) -> Status {
    refusal(
        Code::NotFound,
        "stack_not_found",
        format!("there is no stack {stack} in namespace default"),
    )
}
