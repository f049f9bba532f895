//! Commands that change what a stack should be.

use anneal_proto::log::v1::{self as proto, change_stack};
use anneal_statemachine::{
    command::{
        Blob, Change, ChangeStack, CommitStaged, Definition, Difference, SetResource, StagePart,
    },
    id::{Revision, StackId},
};

use super::{DecodeError, parts, required};

pub(super) fn change_stack(change: &ChangeStack) -> proto::ChangeStack {
    use change_stack::Change as To;
    let to = match &change.change {
        Change::Create { difference } => To::Create(from_difference(difference)),
        Change::Update { base, difference } => To::Update(proto::UpdateStack {
            base: base.0,
            difference: Some(from_difference(difference)),
        }),
        Change::Rollback {
            base,
            to,
            difference,
            failed,
        } => To::Rollback(proto::RollbackStack {
            base: base.0,
            to: to.0,
            difference: Some(from_difference(difference)),
            failed: failed.map(|revision| revision.0),
        }),
        Change::Delete { base } => To::Delete(proto::DeleteStack {
            base: base.map(|revision| revision.0),
        }),
        Change::Pause => To::Pause(proto::Nothing {}),
        Change::Resume => To::Resume(proto::Nothing {}),
        Change::Cancel => To::Cancel(proto::Nothing {}),
    };
    proto::ChangeStack {
        request: parts::request(&change.request),
        namespace: parts::text(&change.namespace),
        name: parts::text(&change.name),
        change: Some(to),
    }
}

pub(super) fn read_change_stack(change: proto::ChangeStack) -> Result<ChangeStack, DecodeError> {
    use change_stack::Change as From;
    let to = match required(change.change, "what a change asks for")? {
        From::Create(difference) => Change::Create {
            difference: read_difference(Some(difference))?,
        },
        From::Update(update) => Change::Update {
            base: Revision(update.base),
            difference: read_difference(update.difference)?,
        },
        From::Rollback(rollback) => Change::Rollback {
            base: Revision(rollback.base),
            to: Revision(rollback.to),
            difference: read_difference(rollback.difference)?,
            failed: rollback.failed.map(Revision),
        },
        From::Delete(delete) => Change::Delete {
            base: delete.base.map(Revision),
        },
        From::Pause(proto::Nothing {}) => Change::Pause,
        From::Resume(proto::Nothing {}) => Change::Resume,
        From::Cancel(proto::Nothing {}) => Change::Cancel,
    };
    Ok(ChangeStack {
        request: parts::read_request(&change.request)?,
        namespace: change.namespace.into(),
        name: change.name.into(),
        change: to,
    })
}

pub(super) fn stage_part(part: &StagePart) -> proto::StagePart {
    proto::StagePart {
        stage: parts::request(&part.stage),
        part: part.part,
        set: part.set.iter().map(set_resource).collect(),
        remove: parts::texts(&part.remove),
        stack: part.stack.map_or(0, |stack| stack.0),
    }
}

pub(super) fn read_stage_part(part: proto::StagePart) -> Result<StagePart, DecodeError> {
    Ok(StagePart {
        stage: parts::read_request(&part.stage)?,
        part: part.part,
        stack: (part.stack > 0).then_some(StackId(part.stack)),
        set: part
            .set
            .into_iter()
            .map(read_set_resource)
            .collect::<Result<_, _>>()?,
        remove: parts::read_texts(part.remove),
    })
}

pub(super) fn commit_staged(commit: &CommitStaged) -> proto::CommitStaged {
    proto::CommitStaged {
        stage: parts::request(&commit.stage),
        parts: commit.parts,
        change: Some(change_stack(&commit.change)),
    }
}

pub(super) fn read_commit_staged(commit: proto::CommitStaged) -> Result<CommitStaged, DecodeError> {
    let change = read_change_stack(required(commit.change, "the change of a commit")?)?;
    Ok(CommitStaged {
        stage: parts::read_request(&commit.stage)?,
        parts: commit.parts,
        change,
    })
}

fn from_difference(difference: &Difference) -> proto::Difference {
    proto::Difference {
        set: difference.set.iter().map(set_resource).collect(),
        remove: parts::texts(&difference.remove),
        head: difference.head.as_ref().map(blob),
        parameters: difference.parameters.as_ref().map(blob),
        options: difference.options.as_ref().map(parts::options),
    }
}

fn read_difference(difference: Option<proto::Difference>) -> Result<Difference, DecodeError> {
    let difference = required(difference, "the difference of a change")?;
    Ok(Difference {
        set: difference
            .set
            .into_iter()
            .map(read_set_resource)
            .collect::<Result<_, _>>()?,
        remove: parts::read_texts(difference.remove),
        head: difference.head.map(read_blob).transpose()?,
        parameters: difference.parameters.map(read_blob).transpose()?,
        options: difference.options.map(parts::read_options).transpose()?,
    })
}

fn set_resource(resource: &SetResource) -> proto::SetResource {
    proto::SetResource {
        name: parts::text(&resource.name),
        definition: resource.definition.as_ref().map(definition),
        fragment: Some(blob(&resource.fragment)),
        parameters_used: parts::texts(&resource.parameters_used),
    }
}

fn read_set_resource(resource: proto::SetResource) -> Result<SetResource, DecodeError> {
    Ok(SetResource {
        name: resource.name.into(),
        definition: resource.definition.map(read_definition).transpose()?,
        fragment: read_blob(required(resource.fragment, "the fragment of a resource")?)?,
        parameters_used: parts::read_texts(resource.parameters_used),
    })
}

fn definition(definition: &Definition) -> proto::Definition {
    proto::Definition {
        digest: parts::digest(&definition.digest),
        type_name: parts::text(&definition.type_name),
        body: definition.body.clone(),
        references: definition.references.iter().map(parts::reference).collect(),
        depends_on: parts::texts(&definition.depends_on),
        policy: Some(parts::policy(&definition.policy)),
        traits: Some(parts::traits(&definition.traits)),
    }
}

fn read_definition(definition: proto::Definition) -> Result<Definition, DecodeError> {
    Ok(Definition {
        digest: parts::read_digest(&definition.digest)?,
        type_name: definition.type_name.into(),
        body: definition.body,
        references: definition
            .references
            .into_iter()
            .map(parts::read_reference)
            .collect(),
        depends_on: parts::read_texts(definition.depends_on),
        policy: parts::read_policy(definition.policy.unwrap_or_default())?,
        traits: parts::read_traits(definition.traits),
    })
}

fn blob(blob: &Blob) -> proto::Blob {
    proto::Blob {
        digest: parts::digest(&blob.digest),
        content: blob.bytes.clone(),
    }
}

fn read_blob(blob: proto::Blob) -> Result<Blob, DecodeError> {
    Ok(Blob {
        digest: parts::read_digest(&blob.digest)?,
        bytes: blob.content,
    })
}
