//! Commands: the state machine's own, and the bytes that log entries carry.

use anneal_proto::log::v1::{self as proto, assign_item, command::Kind};
use anneal_statemachine::{
    command::{AssignItem, AssignWork, Command, CommandKind, RegisterEngine, Stamp},
    id::{InstanceId, ResourceId, Revision, StackId},
};
use bytes::Bytes;
use prost::Message;

use super::{DecodeError, change, parts, report, required};

/// The bytes of a command.
pub fn encode_command(command: &Command) -> Bytes {
    let Command {
        stamp: Stamp { state_ms, wall_ms },
        kind: what,
    } = command;
    let message = proto::Command {
        state_ms: *state_ms,
        wall_ms: *wall_ms,
        kind: Some(kind(what)),
    };
    message.encode_to_vec().into()
}

/// The command of these bytes.
///
/// # Errors
/// Also for a command of a newer release: it must stop the replica, never be skipped.
pub fn decode_command(bytes: Bytes) -> Result<Command, DecodeError> {
    let command = proto::Command::decode(bytes)?;
    let stamp = Stamp {
        state_ms: command.state_ms,
        wall_ms: command.wall_ms,
    };
    let kind = command.kind.ok_or_else(|| DecodeError::Unknown {
        what: "command",
        value: "of a newer release".into(),
    })?;
    Ok(Command {
        stamp,
        kind: read_kind(kind)?,
    })
}

fn kind(kind: &CommandKind) -> Kind {
    match kind {
        CommandKind::RegisterEngine(engine) => Kind::RegisterEngine(register_engine(engine)),
        CommandKind::ExpireEngine(engine) => Kind::ExpireEngine(parts::engine(engine)),
        CommandKind::DrainEngine(engine) => Kind::DrainEngine(parts::engine(engine)),
        CommandKind::ForgetHost { request, host } => Kind::ForgetHost(proto::ForgetHost {
            request: parts::request(request),
            host: parts::text(host),
        }),
        CommandKind::ChangeStack(change) => Kind::ChangeStack(change::change_stack(change)),
        CommandKind::StagePart(part) => Kind::StagePart(change::stage_part(part)),
        CommandKind::CommitStaged(commit) => Kind::CommitStaged(change::commit_staged(commit)),
        CommandKind::Advance => Kind::Advance(proto::Advance {}),
        CommandKind::Assign { items } => Kind::Assign(proto::Assign {
            items: items.iter().map(assign_item).collect(),
        }),
        CommandKind::Report { items } => Kind::Report(proto::ReportBatch {
            items: items.iter().map(report::report).collect(),
        }),
        CommandKind::Observe { items } => Kind::Observe(proto::ObservedBatch {
            items: items.iter().map(report::observed).collect(),
        }),
        CommandKind::Retry {
            request,
            stack,
            resource,
        } => Kind::Retry(proto::Retry {
            request: parts::request(request),
            stack: stack.0,
            resource: parts::text(resource),
        }),
        CommandKind::Resolve {
            request,
            stack,
            resource,
            instance,
            physical_id,
        } => Kind::Resolve(proto::Resolve {
            request: parts::request(request),
            stack: stack.0,
            resource: parts::text(resource),
            instance: instance.map(|instance| instance.0),
            physical_id: parts::optional_text(physical_id),
        }),
        CommandKind::FireDeadlines => Kind::FireDeadlines(proto::FireDeadlines {}),
        CommandKind::ExpireHistory {
            stack,
            revisions_through,
            events_before,
        } => Kind::ExpireHistory(proto::ExpireHistory {
            stack: stack.0,
            revisions_through: revisions_through.0,
            events_before: *events_before,
        }),
        CommandKind::ExpireRequests => Kind::ExpireRequests(proto::ExpireRequests {}),
        CommandKind::ClusterSettings { request, settings } => {
            Kind::ClusterSettings(proto::ClusterSettings {
                request: parts::request(request),
                settings: Some(parts::settings(settings)),
            })
        }
        CommandKind::FeatureLevel { level } => {
            Kind::FeatureLevel(proto::FeatureLevel { level: *level })
        }
        CommandKind::AllocateMemberId { request } => {
            Kind::AllocateMemberId(proto::AllocateMemberId {
                request: parts::request(request),
            })
        }
    }
}

fn read_kind(kind: Kind) -> Result<CommandKind, DecodeError> {
    Ok(match kind {
        Kind::RegisterEngine(engine) => CommandKind::RegisterEngine(read_register_engine(engine)),
        Kind::ExpireEngine(engine) => CommandKind::ExpireEngine(parts::read_engine(Some(engine))?),
        Kind::DrainEngine(engine) => CommandKind::DrainEngine(parts::read_engine(Some(engine))?),
        Kind::ForgetHost(forget) => CommandKind::ForgetHost {
            request: parts::read_request(&forget.request)?,
            host: forget.host.into(),
        },
        Kind::ChangeStack(change) => CommandKind::ChangeStack(change::read_change_stack(change)?),
        Kind::StagePart(part) => CommandKind::StagePart(change::read_stage_part(part)?),
        Kind::CommitStaged(commit) => {
            CommandKind::CommitStaged(change::read_commit_staged(commit)?)
        }
        Kind::Advance(proto::Advance {}) => CommandKind::Advance,
        Kind::Assign(assign) => CommandKind::Assign {
            items: assign
                .items
                .into_iter()
                .map(read_assign_item)
                .collect::<Result<_, _>>()?,
        },
        Kind::Report(batch) => CommandKind::Report {
            items: batch
                .items
                .into_iter()
                .map(report::read_report)
                .collect::<Result<_, _>>()?,
        },
        Kind::Observe(batch) => CommandKind::Observe {
            items: batch
                .items
                .into_iter()
                .map(report::read_observed)
                .collect::<Result<_, _>>()?,
        },
        Kind::Retry(retry) => CommandKind::Retry {
            request: parts::read_request(&retry.request)?,
            stack: StackId(retry.stack),
            resource: retry.resource.into(),
        },
        Kind::Resolve(resolve) => CommandKind::Resolve {
            request: parts::read_request(&resolve.request)?,
            stack: StackId(resolve.stack),
            resource: resolve.resource.into(),
            instance: resolve.instance.map(InstanceId),
            physical_id: parts::read_optional_text(resolve.physical_id),
        },
        Kind::FireDeadlines(proto::FireDeadlines {}) => CommandKind::FireDeadlines,
        Kind::ExpireHistory(expire) => CommandKind::ExpireHistory {
            stack: StackId(expire.stack),
            revisions_through: Revision(expire.revisions_through),
            events_before: expire.events_before,
        },
        Kind::ExpireRequests(proto::ExpireRequests {}) => CommandKind::ExpireRequests,
        Kind::ClusterSettings(settings) => CommandKind::ClusterSettings {
            request: parts::read_request(&settings.request)?,
            settings: parts::read_settings(settings.settings)?,
        },
        Kind::FeatureLevel(level) => CommandKind::FeatureLevel { level: level.level },
        Kind::AllocateMemberId(allocate) => CommandKind::AllocateMemberId {
            request: parts::read_request(&allocate.request)?,
        },
    })
}

fn register_engine(engine: &RegisterEngine) -> proto::RegisterEngine {
    proto::RegisterEngine {
        member: engine.member,
        host: parts::text(&engine.host),
        address: parts::text(&engine.address),
        capacity: engine.capacity,
        offers: parts::texts(&engine.offers),
        labels: parts::labels(&engine.labels),
        follows: engine.follows,
    }
}

fn read_register_engine(engine: proto::RegisterEngine) -> RegisterEngine {
    RegisterEngine {
        member: engine.member,
        host: engine.host.into(),
        address: engine.address.into(),
        capacity: engine.capacity,
        offers: parts::read_texts(engine.offers),
        labels: parts::read_labels(engine.labels),
        follows: engine.follows,
    }
}

fn assign_item(item: &AssignItem) -> proto::AssignItem {
    use assign_item::Work;
    let work = match &item.work {
        AssignWork::Make {
            resource,
            definition,
        } => Work::Make(proto::MakeWork {
            resource: resource.0,
            definition: parts::digest(definition),
        }),
        AssignWork::Look { instance } => Work::Look(instance.0),
        AssignWork::Delete { instance } => Work::Delete(instance.0),
    };
    proto::AssignItem {
        work: Some(work),
        engine: Some(parts::engine(&item.engine)),
        not_after_ms: item.not_after_ms,
        chunk: item.chunk,
    }
}

fn read_assign_item(item: proto::AssignItem) -> Result<AssignItem, DecodeError> {
    use assign_item::Work;
    let work = match required(item.work, "the work of an assignment")? {
        Work::Make(make) => AssignWork::Make {
            resource: ResourceId(make.resource),
            definition: parts::read_digest(&make.definition)?,
        },
        Work::Look(instance) => AssignWork::Look {
            instance: InstanceId(instance),
        },
        Work::Delete(instance) => AssignWork::Delete {
            instance: InstanceId(instance),
        },
    };
    Ok(AssignItem {
        work,
        engine: parts::read_engine(item.engine)?,
        not_after_ms: item.not_after_ms,
        chunk: item.chunk,
    })
}
