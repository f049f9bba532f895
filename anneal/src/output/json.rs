//! The JSON shapes that scripts rely on. Every field is always there; the golden test holds them.
//!
//! Conversion from the client API's messages happens here and nowhere else.

use anneal_client::v1;
use serde::Serialize;
use serde_json::{Map, Value};

use super::text;

/// What stands for a masked value.
pub(crate) const MASK: &str = "******";

/// Numbers of resources by phase.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Counts {
    waiting: u64,
    ready: u64,
    in_flight: u64,
    settled: u64,
    failed: u64,
    on_hold: u64,
    unwanted: u64,
    total: u64,
}

impl From<v1::Counts> for Counts {
    fn from(counts: v1::Counts) -> Self {
        Self {
            waiting: counts.waiting,
            ready: counts.ready,
            in_flight: counts.in_flight,
            settled: counts.settled,
            failed: counts.failed,
            on_hold: counts.on_hold,
            unwanted: counts.unwanted,
            total: counts.total,
        }
    }
}

/// A stack.
#[derive(Debug, Serialize)]
pub(crate) struct Stack {
    name: String,
    namespace: String,
    id: u64,
    revision: u64,
    status: String,
    reason: Option<String>,
    counts: Counts,
    outputs: Map<String, Value>,
}

impl Stack {
    /// A stack, with hidden outputs masked unless they are to be shown.
    pub(crate) fn new(stack: v1::Stack, show_secrets: bool) -> Self {
        Self {
            name: stack.name,
            namespace: stack.namespace,
            id: stack.id,
            revision: stack.revision,
            status: stack.status,
            reason: some(stack.reason),
            counts: stack.counts.unwrap_or_default().into(),
            outputs: outputs(stack.outputs, show_secrets),
        }
    }
}

/// Outputs by name; one that cannot be computed yet is null.
pub(crate) fn outputs(outputs: Vec<v1::Output>, show_secrets: bool) -> Map<String, Value> {
    outputs
        .into_iter()
        .map(|output| {
            let value = value(&output.json, output.hidden && !show_secrets);
            (output.name, value)
        })
        .collect()
}

/// A resource, as listings have it.
#[derive(Debug, Serialize)]
pub(crate) struct Resource {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    phase: String,
    physical_id: Option<String>,
    desired_revision: u64,
    observed: String,
    reason: Option<String>,
    requires: Vec<String>,
    required_by: Vec<String>,
    attributes: Map<String, Value>,
}

impl Resource {
    /// A resource, with hidden attributes masked unless they are to be shown.
    pub(crate) fn new(resource: v1::Resource, show_secrets: bool) -> Self {
        Self {
            name: resource.name,
            kind: resource.r#type,
            phase: resource.phase,
            physical_id: some(resource.physical_id),
            desired_revision: resource.desired_revision,
            observed: resource.observed,
            reason: some(resource.reason),
            requires: resource.requires,
            required_by: resource.required_by,
            attributes: resource
                .attributes
                .into_iter()
                .map(|attribute| {
                    let value = value(&attribute.json, attribute.hidden && !show_secrets);
                    (attribute.name, value)
                })
                .collect(),
        }
    }
}

/// A resource, as `resource show` has it: with the instances that wait to be deleted.
#[derive(Debug, Serialize)]
pub(crate) struct ResourceDetail {
    #[serde(flatten)]
    resource: Resource,
    deposed: Vec<Deposed>,
}

/// An instance that waits to be deleted.
#[derive(Debug, Serialize)]
pub(crate) struct Deposed {
    instance: u64,
    physical_id: Option<String>,
    observed: String,
    reason: Option<String>,
}

impl ResourceDetail {
    /// The same, with what only a single resource's answer has.
    pub(crate) fn new(mut resource: v1::Resource, show_secrets: bool) -> Self {
        let deposed = std::mem::take(&mut resource.deposed);
        Self {
            resource: Resource::new(resource, show_secrets),
            deposed: deposed
                .into_iter()
                .map(|deposed| Deposed {
                    instance: deposed.instance,
                    physical_id: some(deposed.physical_id),
                    observed: deposed.observed,
                    reason: some(deposed.reason),
                })
                .collect(),
        }
    }
}

/// Something that happened.
#[derive(Debug, Serialize)]
pub(crate) struct Event {
    index: u64,
    time: String,
    stack: String,
    resource: Option<String>,
    kind: String,
    text: String,
}

impl From<v1::Event> for Event {
    fn from(event: v1::Event) -> Self {
        Self {
            index: event.index,
            time: text::time(event.time_ms),
            stack: event.stack,
            resource: some(event.resource),
            kind: event.kind,
            text: event.text,
        }
    }
}

/// An engine.
#[derive(Debug, Serialize)]
pub(crate) struct Engine {
    member_id: u64,
    incarnation: u64,
    address: String,
    host_id: String,
    lease: String,
    capacity: u32,
    in_flight: u32,
}

impl From<v1::Engine> for Engine {
    fn from(engine: v1::Engine) -> Self {
        Self {
            member_id: engine.member_id,
            incarnation: engine.incarnation,
            address: engine.address,
            host_id: engine.host_id,
            lease: engine.lease,
            capacity: engine.capacity,
            in_flight: engine.in_flight,
        }
    }
}

/// A member of the cluster.
#[derive(Debug, Serialize)]
pub(crate) struct Member {
    id: u64,
    address: String,
    role: String,
    last_log_index: u64,
    applied_index: u64,
}

impl From<v1::Member> for Member {
    fn from(member: v1::Member) -> Self {
        Self {
            id: member.id,
            address: member.address,
            role: member.role,
            last_log_index: member.last_log_index,
            applied_index: member.applied_index,
        }
    }
}

/// The cluster as one member sees it.
#[derive(Debug, Serialize)]
pub(crate) struct ClusterStatus {
    cluster_id: String,
    leader: Option<u64>,
    term: u64,
    answered_by: u64,
    healthy: bool,
    voters: u32,
    learners: u32,
    last_log_index: u64,
    applied_index: u64,
    snapshot_index: u64,
    stacks: u64,
    resources: u64,
    in_flight: u64,
    feature_level: u32,
    version: String,
}

impl From<v1::ClusterStatus> for ClusterStatus {
    fn from(status: v1::ClusterStatus) -> Self {
        Self {
            cluster_id: status.cluster_id,
            leader: (status.leader != 0).then_some(status.leader),
            term: status.term,
            answered_by: status.answered_by,
            healthy: status.healthy,
            voters: status.voters,
            learners: status.learners,
            last_log_index: status.last_log_index,
            applied_index: status.applied_index,
            snapshot_index: status.snapshot_index,
            stacks: status.stacks,
            resources: status.resources,
            in_flight: status.in_flight,
            feature_level: status.feature_level,
            version: status.version,
        }
    }
}

/// What a preview found.
#[derive(Debug, Serialize)]
pub(crate) struct Preview {
    plan_id: String,
    base_revision: u64,
    create: u64,
    update: u64,
    replace: u64,
    delete: u64,
    take_back: u64,
    unchanged: u64,
    warnings: Vec<Problem>,
    resources: Vec<PreviewResource>,
}

/// What would happen to one resource.
#[derive(Debug, Serialize)]
pub(crate) struct PreviewResource {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    action: String,
    properties: Vec<String>,
    because: Option<String>,
    depends_on_unknown: bool,
}

impl Preview {
    /// The whole of it.
    pub(crate) fn new(summary: v1::PreviewSummary, resources: Vec<v1::PreviewResource>) -> Self {
        Self {
            plan_id: summary.plan_id,
            base_revision: summary.base_revision,
            create: summary.create,
            update: summary.update,
            replace: summary.replace,
            delete: summary.delete,
            take_back: summary.take_back,
            unchanged: summary.unchanged,
            warnings: summary.warnings.into_iter().map(Problem::from).collect(),
            resources: resources
                .into_iter()
                .map(|resource| PreviewResource {
                    name: resource.name,
                    kind: resource.r#type,
                    action: resource.action,
                    properties: resource.properties,
                    because: some(resource.because),
                    depends_on_unknown: resource.depends_on_unknown,
                })
                .collect(),
        }
    }
}

/// Something wrong with a document.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    severity: String,
    file: String,
    line: u32,
    column: u32,
    field: String,
    message: String,
    suggestion: Option<String>,
}

impl From<v1::Problem> for Problem {
    fn from(problem: v1::Problem) -> Self {
        Self {
            severity: problem.severity,
            file: problem.source,
            line: problem.line,
            column: problem.column,
            field: problem.field,
            message: problem.message,
            suggestion: some(problem.suggestion),
        }
    }
}

/// What a check found.
#[derive(Debug, Serialize)]
pub(crate) struct Check {
    read: u64,
    index: u64,
    drifts: Vec<Drift>,
    failures: Vec<CheckFailure>,
}

/// One resource that is not as desired.
#[derive(Debug, Serialize)]
pub(crate) struct Drift {
    resource: String,
    vanished: bool,
    differences: Vec<Difference>,
}

/// One property that is not as desired.
#[derive(Debug, Serialize)]
pub(crate) struct Difference {
    path: String,
    desired: Value,
    found: Value,
}

/// One resource that could not be read.
#[derive(Debug, Serialize)]
pub(crate) struct CheckFailure {
    resource: String,
    message: String,
}

impl From<v1::CheckReply> for Check {
    fn from(reply: v1::CheckReply) -> Self {
        Self {
            read: reply.read,
            index: reply.index,
            drifts: reply.drifts.into_iter().map(Drift::from).collect(),
            failures: reply
                .failures
                .into_iter()
                .map(|failure| CheckFailure {
                    resource: failure.resource,
                    message: failure.message,
                })
                .collect(),
        }
    }
}

impl From<v1::Drift> for Drift {
    fn from(drift: v1::Drift) -> Self {
        Self {
            resource: drift.resource,
            vanished: drift.vanished,
            differences: drift
                .differences
                .into_iter()
                .map(|difference| Difference {
                    path: difference.path,
                    desired: value(&difference.desired, false),
                    found: value(&difference.found, false),
                })
                .collect(),
        }
    }
}

/// A node of the graph, with its edges.
#[derive(Debug, Serialize)]
pub(crate) struct GraphNode {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    phase: String,
    requires: Vec<String>,
}

impl From<v1::GraphNode> for GraphNode {
    fn from(node: v1::GraphNode) -> Self {
        Self {
            name: node.name,
            kind: node.r#type,
            phase: node.phase,
            requires: node.requires,
        }
    }
}

/// Why something is not further than it is.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    status: String,
    reasons: Vec<String>,
    blockers: Vec<String>,
}

impl From<v1::ExplainReply> for Explanation {
    fn from(reply: v1::ExplainReply) -> Self {
        Self {
            status: reply.status,
            reasons: reply.reasons,
            blockers: reply.blockers,
        }
    }
}

/// A resource type.
#[derive(Debug, Serialize)]
pub(crate) struct ProviderType {
    #[serde(rename = "type")]
    kind: String,
    provider: String,
    description: String,
}

impl From<v1::ProviderType> for ProviderType {
    fn from(provider: v1::ProviderType) -> Self {
        Self {
            kind: provider.r#type,
            provider: provider.provider,
            description: provider.description,
        }
    }
}

/// Nothing is null, never the empty string.
fn some(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// A value that came as JSON text. Text that is no JSON is shown as it is rather than lost.
fn value(json: &str, masked: bool) -> Value {
    if masked {
        Value::String(MASK.into())
    } else if json.is_empty() {
        Value::Null
    } else {
        serde_json::from_str(json).unwrap_or_else(|_| Value::String(json.into()))
    }
}
