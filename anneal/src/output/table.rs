//! Tables and blocks for people.
//!
//! Knows the client API's messages; masks what must not be seen over a shoulder.

use anneal_client::v1;
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};

use super::text::{self, cell, value};

/// Blanks between two columns.
const GAP: u16 = 2;

/// Widths of columns in characters, carried from page to page so that the columns of a long listing stay lined up.
#[derive(Debug, Default)]
pub(crate) struct Widths(Vec<u16>);

/// One page of a listing, with the header if it is the first.
pub(crate) fn page(header: Option<&[&str]>, rows: Vec<Vec<String>>, widths: &mut Widths) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    if let Some(header) = header {
        table.set_header(header.iter().map(|word| word.to_uppercase()));
    }
    for row in rows {
        table.add_row(row.iter().map(|text| cell(text)).collect::<Vec<_>>());
    }
    let now = table.column_max_content_widths();
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, GAP));
        let before = widths.0.get(index).copied().unwrap_or(0);
        let width = before.max(now.get(index).copied().unwrap_or(0));
        // The boundary counts the padding too.
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width + GAP)));
        match widths.0.get_mut(index) {
            Some(known) => *known = width,
            None => widths.0.push(width),
        }
    }
    table.lines().fold(String::new(), |mut text, line| {
        text.push_str(line.trim_end());
        text.push('\n');
        text
    })
}

/// A listing: a header and one line for each row; `none` when there is no row.
pub(crate) fn listing(header: &[&str], rows: Vec<Vec<String>>, none: &str) -> String {
    if rows.is_empty() {
        return format!("{none}\n");
    }
    page(Some(header), rows, &mut Widths::default())
}

/// A block of `name: value` lines, values lined up; empty values are left out.
pub(crate) fn block(pairs: &[(&str, String)]) -> String {
    let shown: Vec<_> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    shown
        .iter()
        .fold(String::new(), |mut block, (name, value)| {
            let margin = width + 3;
            let label = format!("{name}:");
            block.push_str(&format!("{label:<0$}", margin));
            block.push_str(&text::indented(value, margin));
            block.push('\n');
            block
        })
}

/// The columns of a listing of stacks.
pub(crate) const STACKS: &[&str] = &["name", "status", "revision", "settled", "total", "reason"];

/// One row of it.
pub(crate) fn stack_row(stack: &v1::Stack) -> Vec<String> {
    let counts = stack.counts.unwrap_or_default();
    vec![
        stack.name.clone(),
        stack.status.clone(),
        stack.revision.to_string(),
        counts.settled.to_string(),
        counts.total.to_string(),
        stack.reason.clone(),
    ]
}

/// One stack.
pub(crate) fn stack(stack: &v1::Stack, show_secrets: bool) -> String {
    let mut block = block(&[
        ("name", stack.name.clone()),
        ("namespace", stack.namespace.clone()),
        ("description", stack.description.clone()),
        ("status", stack.status.clone()),
        ("reason", stack.reason.clone()),
        ("revision", revision(stack)),
        ("resources", text::counts(&stack.counts.unwrap_or_default())),
        ("options", options(stack.options.as_ref())),
        ("created", moment(stack.created_ms)),
        ("updated", moment(stack.updated_ms)),
    ]);
    if !stack.outputs.is_empty() {
        block.push_str("\nOutputs:\n");
        block.push_str(&outputs(&stack.outputs, show_secrets));
    }
    block
}

fn revision(stack: &v1::Stack) -> String {
    match stack.settled_revision {
        settled if settled == stack.revision => stack.revision.to_string(),
        0 => format!("{} (none has settled yet)", stack.revision),
        settled => format!("{} (last settled: {settled})", stack.revision),
    }
}

fn options(options: Option<&v1::StackOptions>) -> String {
    let Some(options) = options else {
        return String::new();
    };
    let limit = |ms: Option<u64>| match ms {
        None | Some(0) => "none".to_string(),
        Some(ms) => crate::duration::show(std::time::Duration::from_millis(ms)),
    };
    let mut words = vec![
        format!("on-failure={}", on_failure(options.on_failure())),
        format!("timeout={}", limit(options.timeout_ms)),
        format!("drift={}", drift(options.drift())),
    ];
    if let Some(ms) = options.observe_interval_ms {
        words.push(match ms {
            0 => "observe-interval=never".into(),
            ms => format!("observe-interval={}", limit(Some(ms))),
        });
    }
    if let Some(parallelism) = options.parallelism.filter(|number| *number > 0) {
        words.push(format!("parallelism={parallelism}"));
    }
    if options.protect == Some(true) {
        words.push("protect".into());
    }
    words.join(" ")
}

fn on_failure(word: v1::OnFailure) -> &'static str {
    match word {
        v1::OnFailure::Unspecified | v1::OnFailure::Continue => "continue",
        v1::OnFailure::Halt => "halt",
        v1::OnFailure::Rollback => "rollback",
    }
}

fn drift(word: v1::DriftPolicy) -> &'static str {
    match word {
        v1::DriftPolicy::Unspecified | v1::DriftPolicy::Heal => "heal",
        v1::DriftPolicy::Report => "report",
    }
}

/// The outputs of a stack, secrets masked.
pub(crate) fn outputs(outputs: &[v1::Output], show_secrets: bool) -> String {
    let rows = outputs
        .iter()
        .map(|output| {
            vec![
                format!("  {}", output.name),
                output_value(output, show_secrets),
                output.description.clone(),
            ]
        })
        .collect();
    listing(&["  name", "value", "description"], rows, "  none")
}

/// One output's value for people.
pub(crate) fn output_value(output: &v1::Output, show_secrets: bool) -> String {
    if output.error.is_empty() {
        value(
            &output.json,
            (output.sensitive || output.hidden) && !show_secrets,
        )
    } else {
        format!("({})", output.error)
    }
}

/// The columns of a listing of resources.
pub(crate) const RESOURCES: &[&str] = &["name", "type", "phase", "physical id", "reason"];

/// One row of it.
pub(crate) fn resource_row(resource: &v1::Resource) -> Vec<String> {
    vec![
        resource.name.clone(),
        resource.r#type.clone(),
        phase(resource),
        resource.physical_id.clone(),
        resource.reason.clone(),
    ]
}

fn phase(resource: &v1::Resource) -> String {
    if resource.action.is_empty() {
        resource.phase.clone()
    } else {
        format!("{} ({})", resource.phase, resource.action)
    }
}

/// One resource.
pub(crate) fn resource(resource: &v1::Resource, show_secrets: bool) -> String {
    let number = |number: u64| {
        if number == 0 {
            String::new()
        } else {
            number.to_string()
        }
    };
    let mut block = block(&[
        ("name", resource.name.clone()),
        ("type", resource.r#type.clone()),
        ("phase", phase(resource)),
        ("reason", resource.reason.clone()),
        ("physical id", resource.physical_id.clone()),
        ("observed", resource.observed.clone()),
        ("instance", number(resource.instance)),
        ("desired since", desired(resource.desired_revision)),
        ("engine", number(resource.engine)),
        ("host", resource.host.clone()),
        ("attempts", number(resource.attempts.into())),
        ("next attempt", moment(resource.retry_at_ms)),
        ("requires", resource.requires.join(", ")),
        ("required by", resource.required_by.join(", ")),
    ]);
    if !resource.attributes.is_empty() {
        block.push_str("\nAttributes:\n");
        let rows = resource
            .attributes
            .iter()
            .map(|attribute| {
                let masked = (attribute.sensitive || attribute.hidden) && !show_secrets;
                vec![
                    format!("  {}", attribute.name),
                    value(&attribute.json, masked),
                ]
            })
            .collect();
        block.push_str(&listing(&["  name", "value"], rows, ""));
    }
    if !resource.deposed.is_empty() {
        block.push_str("\nWaiting to be deleted:\n");
        let rows = resource
            .deposed
            .iter()
            .map(|deposed| {
                vec![
                    format!("  {}", deposed.instance),
                    deposed.physical_id.clone(),
                    deposed.observed.clone(),
                    deposed.reason.clone(),
                ]
            })
            .collect();
        block.push_str(&listing(
            &["  instance", "physical id", "observed", "reason"],
            rows,
            "",
        ));
    }
    block
}

fn desired(revision: u64) -> String {
    if revision == 0 {
        "nothing is desired any more".into()
    } else {
        format!("revision {revision}")
    }
}

/// An event on one line.
pub(crate) fn event(event: &v1::Event) -> String {
    let subject = if event.resource.is_empty() {
        event.stack.clone()
    } else {
        format!("{}/{}", event.stack, event.resource)
    };
    event_about(event, &subject)
}

/// The same where only one stack is spoken of.
pub(crate) fn event_without_stack(event: &v1::Event) -> String {
    let subject = if event.resource.is_empty() {
        &event.stack
    } else {
        &event.resource
    };
    event_about(event, subject)
}

fn event_about(event: &v1::Event, subject: &str) -> String {
    let line = format!(
        "{}  {subject}  {}  {}",
        text::time(event.time_ms),
        event.kind.replace('_', " "),
        text::indented(&event.text, 4)
    );
    line.trim_end().to_string()
}

/// The columns of a listing of members.
pub(crate) const MEMBERS: &[&str] = &["id", "address", "role", "last log", "applied", "reachable"];

/// One row of it.
pub(crate) fn member_row(member: &v1::Member) -> Vec<String> {
    vec![
        member.id.to_string(),
        member.address.clone(),
        member.role.clone(),
        member.last_log_index.to_string(),
        member.applied_index.to_string(),
        if member.reachable { "yes" } else { "no" }.into(),
    ]
}

/// The columns of a listing of engines.
pub(crate) const ENGINES: &[&str] = &[
    "member",
    "incarnation",
    "address",
    "host",
    "lease",
    "in flight",
    "capacity",
];

/// One row of it.
pub(crate) fn engine_row(engine: &v1::Engine) -> Vec<String> {
    vec![
        engine.member_id.to_string(),
        engine.incarnation.to_string(),
        engine.address.clone(),
        engine.host_id.clone(),
        engine.lease.clone(),
        engine.in_flight.to_string(),
        engine.capacity.to_string(),
    ]
}

/// The cluster as one member sees it.
pub(crate) fn cluster(status: &v1::ClusterStatus) -> String {
    block(&[
        ("cluster", status.cluster_id.clone()),
        (
            "health",
            if status.healthy {
                "a leader is known and this member has caught up".into()
            } else {
                "not healthy: no leader is known, or this member is behind".to_string()
            },
        ),
        (
            "leader",
            match status.leader {
                0 => "none known".into(),
                leader => format!("member {leader}, term {}", status.term),
            },
        ),
        ("answered by", format!("member {}", status.answered_by)),
        (
            "members",
            format!(
                "{}, {}",
                text::number(status.voters.into(), "voter"),
                text::number(status.learners.into(), "learner")
            ),
        ),
        (
            "log",
            format!(
                "last {}, applied {}, snapshot {}",
                status.last_log_index, status.applied_index, status.snapshot_index
            ),
        ),
        (
            "holds",
            format!(
                "{}, {}, {}",
                text::number(status.stacks, "stack"),
                text::number(status.resources, "resource"),
                text::number(status.in_flight, "action") + " in flight"
            ),
        ),
        (
            "version",
            format!("{}, feature level {}", status.version, status.feature_level),
        ),
    ])
}

/// What would happen to one resource, on one line.
pub(crate) fn preview_line(resource: &v1::PreviewResource) -> String {
    let sign = match resource.action.as_str() {
        "create" => "+",
        "update" => "~",
        "replace" => "±",
        "delete" => "-",
        "take_back" => "<",
        _ => " ",
    };
    let mut line = format!(
        "  {sign} {:<9}  {}  ({})",
        resource.action.replace('_', " "),
        resource.name,
        resource.r#type
    );
    if !resource.properties.is_empty() {
        line.push_str(&format!("  {}", resource.properties.join(", ")));
    }
    if !resource.because.is_empty() {
        line.push_str(&format!("  because {}", text::cell(&resource.because)));
    } else if resource.depends_on_unknown {
        line.push_str("  depends on a value not known yet");
    }
    line
}

/// The sum of a preview.
pub(crate) fn preview_sum(summary: &v1::PreviewSummary) -> String {
    format!(
        "{} to create, {} to update, {} to replace, {} to delete, {} to take back, {} unchanged",
        summary.create,
        summary.update,
        summary.replace,
        summary.delete,
        summary.take_back,
        summary.unchanged
    )
}

/// What a check found.
pub(crate) fn check(reply: &v1::CheckReply) -> String {
    let mut text = String::new();
    for drift in &reply.drifts {
        if drift.vanished {
            text.push_str(&format!("{}: it is gone\n", drift.resource));
            continue;
        }
        text.push_str(&format!("{}:\n", drift.resource));
        for difference in &drift.differences {
            text.push_str(&format!(
                "  {}: desired {}, found {}\n",
                difference.path,
                cell(&difference.desired),
                cell(&difference.found)
            ));
        }
    }
    for failure in &reply.failures {
        text.push_str(&format!(
            "{}: could not be read: {}\n",
            failure.resource,
            text::indented(&failure.message, 2)
        ));
    }
    text.push_str(&format!(
        "{} read, {} not as desired, {} could not be read\n",
        text::number(reply.read, "resource"),
        reply.drifts.len(),
        reply.failures.len()
    ));
    text
}

/// Why something is not further than it is.
pub(crate) fn explanation(subject: &str, reply: &v1::ExplainReply) -> String {
    let mut text = format!("{subject}: {}\n", reply.status);
    for reason in &reply.reasons {
        text.push_str(&format!("  {}\n", text::indented(reason, 4)));
    }
    if !reply.blockers.is_empty() {
        text.push_str(&format!("waits for: {}\n", reply.blockers.join(", ")));
    }
    text
}

fn moment(time_ms: u64) -> String {
    if time_ms == 0 {
        String::new()
    } else {
        text::time(time_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> v1::Output {
        v1::Output {
            name: "password".into(),
            json: "\"hunter2\"".into(),
            sensitive: true,
            ..Default::default()
        }
    }

    #[test]
    fn a_random_string_is_masked_in_tables_and_not_in_json() {
        let stack_message = v1::Stack {
            name: "web".into(),
            outputs: vec![secret()],
            ..Default::default()
        };
        assert!(!stack(&stack_message, false).contains("hunter2"));
        assert!(stack(&stack_message, true).contains("hunter2"));
        let json = serde_json::to_string(&super::super::json::Stack::new(stack_message, false))
            .expect("serializes");
        assert!(json.contains("hunter2"));
    }

    #[test]
    fn a_hidden_parameter_is_masked_in_json_too() {
        let hidden = v1::Output {
            hidden: true,
            ..secret()
        };
        let shown = super::super::json::outputs(vec![hidden.clone()], false);
        assert_eq!(shown["password"], super::super::json::MASK);
        let shown = super::super::json::outputs(vec![hidden], true);
        assert_eq!(shown["password"], "hunter2");
    }

    #[test]
    fn listings_have_no_trailing_blanks() {
        let text = listing(
            &["name", "reason"],
            vec![
                vec!["a".into(), String::new()],
                vec!["bb".into(), "x".into()],
            ],
            "none",
        );
        assert_eq!(text, "NAME  REASON\na\nbb    x\n");
        assert_eq!(listing(&["name"], Vec::new(), "no stacks"), "no stacks\n");
    }
}
