//! Rows: the state machine's own, and the bytes that are stored under their keys.
//!
//! Which message a row's bytes are follows from its key alone.

use anneal_proto::log::v1 as proto;
use anneal_statemachine::{
    command::{Policy, Reference},
    id::{InstanceId, ResourceId, Revision, StackId, Token},
    row::{
        AttributeRow, ClusterRow, Deadline, DefinitionRow, DesiredRow, EngineRow, LeaseState,
        Pending, ResourceRow, RevisionRow, RowKey, RowValue, StackRow, StageRow, StagedRow, Stop,
        Telling, TombstoneRow, TroubleRow, Unsettling,
    },
};
use bytes::Bytes;
use prost::Message;

use super::{DecodeError, answer, instance, parts, required};

/// The bytes of a row.
pub fn encode_row(value: &RowValue) -> Bytes {
    let bytes = match value {
        RowValue::Cluster(row) => cluster(row).encode_to_vec(),
        RowValue::Stack(row) => stack(row).encode_to_vec(),
        RowValue::Resource(row) => resource(row).encode_to_vec(),
        RowValue::Instance(row) => instance::instance(row).encode_to_vec(),
        RowValue::Attribute(row) => attribute(row).encode_to_vec(),
        RowValue::Private(bytes) | RowValue::Properties(bytes) | RowValue::Blob(bytes) => {
            return bytes.clone();
        }
        RowValue::Trouble(row) => trouble(row).encode_to_vec(),
        RowValue::Definition(row) => definition(row).encode_to_vec(),
        RowValue::Engine(row) => engine(row).encode_to_vec(),
        RowValue::Request(outcome) => answer::answer(outcome).encode_to_vec(),
        RowValue::Revision(row) => revision(row).encode_to_vec(),
        RowValue::Past(row) => proto::PastRow {
            desired: row.as_deref().map(desired),
        }
        .encode_to_vec(),
        RowValue::Stage(row) => stage(row).encode_to_vec(),
        RowValue::Staged(items) => staged(items).encode_to_vec(),
        RowValue::Tombstone(row) => tombstone(row).encode_to_vec(),
    };
    bytes.into()
}

/// The row of a key.
pub fn decode_row(key: &RowKey, bytes: Bytes) -> Result<RowValue, DecodeError> {
    Ok(match key {
        RowKey::Cluster => RowValue::Cluster(read_cluster(Message::decode(bytes)?)?),
        RowKey::Stack(_) => RowValue::Stack(read_stack(Message::decode(bytes)?)?.into()),
        RowKey::Resource(_) => RowValue::Resource(read_resource(Message::decode(bytes)?)?.into()),
        RowKey::Instance(_) => {
            RowValue::Instance(instance::read_instance(Message::decode(bytes)?)?.into())
        }
        RowKey::Attribute(..) => RowValue::Attribute(read_attribute(Message::decode(bytes)?)?),
        RowKey::Private(_) => RowValue::Private(bytes),
        RowKey::Properties(_) => RowValue::Properties(bytes),
        RowKey::Trouble(_) => RowValue::Trouble(read_trouble(Message::decode(bytes)?)?),
        RowKey::Definition(_) => RowValue::Definition(read_definition(Message::decode(bytes)?)),
        RowKey::Blob(_) => RowValue::Blob(bytes),
        RowKey::Engine(_) => RowValue::Engine(read_engine(Message::decode(bytes)?)?.into()),
        RowKey::Request(_) => RowValue::Request(answer::read_answer(Message::decode(bytes)?)?),
        RowKey::Revision(..) => RowValue::Revision(read_revision(Message::decode(bytes)?)?.into()),
        RowKey::Past(..) => {
            let row: proto::PastRow = Message::decode(bytes)?;
            RowValue::Past(row.desired.map(read_desired).transpose()?.map(Box::new))
        }
        RowKey::Stage(_) => RowValue::Stage(read_stage(&Message::decode(bytes)?)),
        RowKey::Staged(..) => RowValue::Staged(read_staged(Message::decode(bytes)?)?),
        RowKey::Tombstone(_) => {
            RowValue::Tombstone(read_tombstone(Message::decode(bytes)?)?.into())
        }
    })
}

fn cluster(row: &ClusterRow) -> proto::ClusterRow {
    proto::ClusterRow {
        last_resource: row.last_resource,
        last_instance: row.last_instance,
        last_member: row.last_member,
        feature_level: row.feature_level,
        settings: Some(parts::settings(&row.settings)),
        forgetting: row.forgetting.iter().map(parts::text).collect(),
    }
}

fn read_cluster(row: proto::ClusterRow) -> Result<ClusterRow, DecodeError> {
    Ok(ClusterRow {
        last_resource: row.last_resource,
        last_instance: row.last_instance,
        last_member: row.last_member,
        feature_level: row.feature_level,
        settings: parts::read_settings(row.settings)?,
        forgetting: row.forgetting.into_iter().map(Into::into).collect(),
    })
}

fn stack(row: &StackRow) -> proto::StackRow {
    use proto::stack_row::Deadline as To;
    let stop = match row.stop {
        None => proto::Stop::None,
        Some(Stop::Halted) => proto::Stop::Halted,
        Some(Stop::TimedOut) => proto::Stop::TimedOut,
        Some(Stop::RollbackDue) => proto::Stop::RollbackDue,
    };
    proto::StackRow {
        namespace: parts::text(&row.namespace),
        name: parts::text(&row.name),
        named: row.named,
        revision: row.revision.0,
        settled_revision: row.settled_revision.0,
        options: Some(parts::options(&row.options)),
        head: row.head.as_ref().map(parts::digest),
        parameters: row.parameters.as_ref().map(parts::digest),
        paused: row.paused,
        cancelling: row.cancelling,
        deleting: row.deleting,
        stop: stop.into(),
        rolling_back: row.rolling_back,
        deadline: row.deadline.map(|deadline| match deadline {
            Deadline::At(ms) => To::DeadlineAtMs(ms),
            Deadline::Left(ms) => To::DeadlineLeftMs(ms),
        }),
        events_from: row.events_from,
        queue: row.queue.iter().map(pending).collect(),
        created_wall_ms: row.created_wall_ms,
        revised_wall_ms: row.revised_wall_ms,
        telling: row
            .telling
            .iter()
            .map(|telling| proto::Telling {
                resource: telling.resource.0,
                through: telling.through.0,
            })
            .collect(),
        unsettling: row
            .unsettling
            .iter()
            .map(|unsettling| proto::Unsettling {
                resource: unsettling.resource.0,
                after: unsettling.after.0,
                through: unsettling.through.0,
            })
            .collect(),
    }
}

fn read_stack(row: proto::StackRow) -> Result<StackRow, DecodeError> {
    use proto::stack_row::Deadline as From;
    let stop = match parts::read_enum::<proto::Stop>(row.stop, "reason to stop")? {
        proto::Stop::None => None,
        proto::Stop::Halted => Some(Stop::Halted),
        proto::Stop::TimedOut => Some(Stop::TimedOut),
        proto::Stop::RollbackDue => Some(Stop::RollbackDue),
    };
    Ok(StackRow {
        namespace: row.namespace.into(),
        name: row.name.into(),
        named: row.named,
        revision: Revision(row.revision),
        settled_revision: Revision(row.settled_revision),
        options: parts::read_options(required(row.options, "the options of a stack")?)?,
        head: parts::read_optional_digest(row.head)?,
        parameters: parts::read_optional_digest(row.parameters)?,
        paused: row.paused,
        cancelling: row.cancelling,
        deleting: row.deleting,
        stop,
        rolling_back: row.rolling_back,
        deadline: row.deadline.map(|deadline| match deadline {
            From::DeadlineAtMs(ms) => Deadline::At(ms),
            From::DeadlineLeftMs(ms) => Deadline::Left(ms),
        }),
        events_from: row.events_from,
        queue: row
            .queue
            .into_iter()
            .map(read_pending)
            .collect::<Result<_, _>>()?,
        created_wall_ms: row.created_wall_ms,
        revised_wall_ms: row.revised_wall_ms,
        telling: row
            .telling
            .iter()
            .map(|telling| Telling {
                resource: ResourceId(telling.resource),
                through: ResourceId(telling.through),
            })
            .collect(),
        unsettling: row
            .unsettling
            .iter()
            .map(|unsettling| Unsettling {
                resource: ResourceId(unsettling.resource),
                after: ResourceId(unsettling.after),
                through: ResourceId(unsettling.through),
            })
            .collect(),
    })
}

fn pending(pending: &Pending) -> proto::Pending {
    use proto::pending::Step;
    let step = match pending {
        Pending::Switch { stage, revision } => Step::Switch(proto::SwitchStaged {
            stage: parts::request(stage),
            revision: revision.0,
        }),
        Pending::Clear { revision, after } => Step::Clear(proto::ClearStack {
            revision: revision.0,
            after: parts::optional_text(after),
        }),
        Pending::Forgive => Step::Forgive(proto::Nothing {}),
    };
    proto::Pending { step: Some(step) }
}

fn read_pending(pending: proto::Pending) -> Result<Pending, DecodeError> {
    use proto::pending::Step;
    Ok(match required(pending.step, "the step of a change")? {
        Step::Switch(switch) => Pending::Switch {
            stage: parts::read_request(&switch.stage)?,
            revision: Revision(switch.revision),
        },
        Step::Clear(clear) => Pending::Clear {
            revision: Revision(clear.revision),
            after: parts::read_optional_text(clear.after),
        },
        Step::Forgive(proto::Nothing {}) => Pending::Forgive,
    })
}

fn boxed_policy(policy: Option<proto::Policy>) -> Result<Option<Box<Policy>>, DecodeError> {
    Ok(policy.map(parts::read_policy).transpose()?.map(Box::new))
}

fn desired(row: &DesiredRow) -> proto::DesiredRow {
    proto::DesiredRow {
        definition: row.definition.as_ref().map(parts::digest),
        fragment: parts::digest(&row.fragment),
        depends_on: parts::texts(&row.depends_on),
        parameters_used: parts::texts(&row.parameters_used),
        policy: row.policy.as_deref().map(parts::policy),
        traits: Some(parts::traits(&row.traits)),
        revision: row.revision.0,
    }
}

fn read_desired(row: proto::DesiredRow) -> Result<DesiredRow, DecodeError> {
    Ok(DesiredRow {
        definition: parts::read_optional_digest(row.definition)?,
        fragment: parts::read_digest(&row.fragment)?,
        depends_on: parts::read_texts(row.depends_on),
        parameters_used: parts::read_texts(row.parameters_used),
        policy: boxed_policy(row.policy)?,
        traits: parts::read_traits(row.traits),
        revision: Revision(row.revision),
    })
}

fn resource(row: &ResourceRow) -> proto::ResourceRow {
    proto::ResourceRow {
        stack: row.stack.0,
        name: parts::text(&row.name),
        desired: row.desired.as_ref().map(desired),
        last_policy: row.last_policy.as_deref().map(parts::policy),
        requires: row.requires.iter().map(|id| id.0).collect(),
        replacing: row.replacing.as_deref().map(parts::digest),
    }
}

fn read_resource(row: proto::ResourceRow) -> Result<ResourceRow, DecodeError> {
    Ok(ResourceRow {
        stack: StackId(row.stack),
        name: row.name.into(),
        desired: row.desired.map(read_desired).transpose()?,
        last_policy: boxed_policy(row.last_policy)?,
        requires: row.requires.into_iter().map(ResourceId).collect(),
        replacing: parts::read_optional_digest(row.replacing)?.map(Box::new),
    })
}

fn attribute(row: &AttributeRow) -> proto::AttributeRow {
    proto::AttributeRow {
        digest: parts::digest(&row.digest),
        content: row.bytes.clone(),
        sensitive: row.sensitive,
    }
}

fn read_attribute(row: proto::AttributeRow) -> Result<AttributeRow, DecodeError> {
    let proto::AttributeRow {
        digest,
        content,
        sensitive,
    } = row;
    Ok(AttributeRow {
        digest: parts::read_digest(&digest)?,
        bytes: content,
        sensitive,
    })
}

fn trouble(row: &TroubleRow) -> proto::TroubleRow {
    proto::TroubleRow {
        attempts: row.attempts,
        class: parts::error_class(row.class),
        not_before_ms: row.not_before_ms,
        failed: row.failed,
        holder: row.holder.map(|instance| instance.0),
        message: parts::text(&row.message),
    }
}

fn read_trouble(row: proto::TroubleRow) -> Result<TroubleRow, DecodeError> {
    Ok(TroubleRow {
        attempts: row.attempts,
        class: parts::read_error_class(row.class)?,
        not_before_ms: row.not_before_ms,
        failed: row.failed,
        holder: row.holder.map(InstanceId),
        message: row.message.into(),
    })
}

fn definition(row: &DefinitionRow) -> proto::DefinitionRow {
    proto::DefinitionRow {
        type_name: parts::text(&row.type_name),
        references: row.references.iter().map(parts::reference).collect(),
        body: row.body.clone(),
    }
}

fn read_definition(row: proto::DefinitionRow) -> DefinitionRow {
    let references: Box<[Reference]> = row
        .references
        .into_iter()
        .map(parts::read_reference)
        .collect();
    DefinitionRow {
        type_name: row.type_name.into(),
        references,
        body: row.body,
    }
}

fn engine(row: &EngineRow) -> proto::EngineRow {
    let lease = match row.lease {
        LeaseState::Live => proto::LeaseState::Live,
        LeaseState::Draining => proto::LeaseState::Draining,
        LeaseState::Expired => proto::LeaseState::Expired,
    };
    proto::EngineRow {
        incarnation: row.incarnation,
        host: parts::text(&row.host),
        address: parts::text(&row.address),
        capacity: row.capacity,
        offers: parts::texts(&row.offers),
        labels: parts::labels(&row.labels),
        lease: lease.into(),
    }
}

fn read_engine(row: proto::EngineRow) -> Result<EngineRow, DecodeError> {
    let lease = match parts::read_enum::<proto::LeaseState>(row.lease, "lease state")? {
        proto::LeaseState::Unspecified => return Err(DecodeError::Missing("a lease state")),
        proto::LeaseState::Live => LeaseState::Live,
        proto::LeaseState::Draining => LeaseState::Draining,
        proto::LeaseState::Expired => LeaseState::Expired,
    };
    Ok(EngineRow {
        incarnation: row.incarnation,
        host: row.host.into(),
        address: row.address.into(),
        capacity: row.capacity,
        offers: parts::read_texts(row.offers),
        labels: parts::read_labels(row.labels),
        lease,
    })
}

fn revision(row: &RevisionRow) -> proto::RevisionRow {
    proto::RevisionRow {
        head: row.head.as_ref().map(parts::digest),
        parameters: row.parameters.as_ref().map(parts::digest),
        options: Some(parts::options(&row.options)),
        wall_ms: row.wall_ms,
        rollback_to: row.rollback_to.map(|revision| revision.0),
    }
}

fn read_revision(row: proto::RevisionRow) -> Result<RevisionRow, DecodeError> {
    Ok(RevisionRow {
        head: parts::read_optional_digest(row.head)?,
        parameters: parts::read_optional_digest(row.parameters)?,
        options: parts::read_options(required(row.options, "the options before")?)?,
        wall_ms: row.wall_ms,
        rollback_to: row.rollback_to.map(Revision),
    })
}

fn stage(row: &StageRow) -> proto::StageRow {
    let StageRow {
        parts,
        items,
        expires_ms,
        done,
    } = *row;
    proto::StageRow {
        parts,
        items,
        expires_ms,
        done,
    }
}

fn read_stage(row: &proto::StageRow) -> StageRow {
    let proto::StageRow {
        parts,
        items,
        expires_ms,
        done,
    } = *row;
    StageRow {
        parts,
        items,
        expires_ms,
        done,
    }
}

fn staged(items: &[StagedRow]) -> proto::StagedRow {
    let mut items = items.iter().map(staged_item);
    let first = items.next().unwrap_or_default();
    proto::StagedRow {
        name: first.name,
        desired: first.desired,
        later: items.collect(),
    }
}

fn staged_item(item: &StagedRow) -> proto::StagedItem {
    proto::StagedItem {
        name: parts::text(&item.name),
        desired: item.desired.as_ref().map(desired),
    }
}

fn read_staged(row: proto::StagedRow) -> Result<Box<[StagedRow]>, DecodeError> {
    let first = proto::StagedItem {
        name: row.name,
        desired: row.desired,
    };
    let items = std::iter::once(first).chain(row.later);
    items.map(read_staged_item).collect()
}

fn read_staged_item(item: proto::StagedItem) -> Result<StagedRow, DecodeError> {
    Ok(StagedRow {
        name: item.name.into(),
        desired: item.desired.map(read_desired).transpose()?,
    })
}

fn tombstone(row: &TombstoneRow) -> proto::TombstoneRow {
    proto::TombstoneRow {
        stack: row.stack.0,
        namespace: parts::text(&row.namespace),
        stack_name: parts::text(&row.stack_name),
        resource: parts::text(&row.resource),
        definition: parts::digest(&row.definition),
        traits: Some(parts::traits(&row.traits)),
        host: parts::optional_text(&row.host),
        token: row.token.0,
        wall_ms: row.wall_ms,
        retained: parts::optional_text(&row.retained),
    }
}

fn read_tombstone(row: proto::TombstoneRow) -> Result<TombstoneRow, DecodeError> {
    Ok(TombstoneRow {
        stack: StackId(row.stack),
        namespace: row.namespace.into(),
        stack_name: row.stack_name.into(),
        resource: row.resource.into(),
        definition: parts::read_digest(&row.definition)?,
        traits: parts::read_traits(row.traits),
        host: parts::read_optional_text(row.host),
        token: Token(row.token),
        wall_ms: row.wall_ms,
        retained: parts::read_optional_text(row.retained),
    })
}
