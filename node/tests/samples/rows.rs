//! Rows: one for every kind, and one for every way that a part of it can be.

use anneal_statemachine::{
    command::{ErrorClass, TypeTraits},
    id::{InstanceId, ResourceId, Revision, StackId, Subject, Token},
    outcome::{Outcome, Rejection, StackAnswer},
    row::{
        Action, AssignmentRow, AttributeRow, ClusterRow, Deadline, DefinitionRow, DesiredRow,
        EffectRow, EngineRow, InstanceRow, LeaseState, Observed, Output, Pending, ReportedDrift,
        ResourceRow, RevisionRow, Role, RowKey, RowValue, StackRow, StageRow, StagedRow, Stop,
        Telling, TombstoneRow, TroubleRow, Unsettling,
    },
};
use bytes::Bytes;

use super::{
    ENGINE, Sample, digest, options, policy, references, request, sample, settings, traits,
};

const STACK: StackId = StackId(9);
const RESOURCE: ResourceId = ResourceId(4);
const INSTANCE: InstanceId = InstanceId(5);

type Row = (RowKey, RowValue);

pub(crate) fn all() -> Vec<Sample<Row>> {
    let named = |(name, key, value)| sample(name, (key, value));
    let mut all: Vec<_> = kinds().into_iter().map(named).collect();
    all.extend(instances());
    all.extend(stacks());
    all.extend(answers());
    // The compiler asks for a sample of whatever is new.
    for Sample {
        value: (key, _), ..
    } in &all
    {
        match key {
            RowKey::Cluster
            | RowKey::Stack(_)
            | RowKey::Resource(_)
            | RowKey::Instance(_)
            | RowKey::Attribute(..)
            | RowKey::Private(_)
            | RowKey::Properties(_)
            | RowKey::Trouble(_)
            | RowKey::Definition(_)
            | RowKey::Blob(_)
            | RowKey::Engine(_)
            | RowKey::Request(_)
            | RowKey::Revision(..)
            | RowKey::Past(..)
            | RowKey::Stage(_)
            | RowKey::Staged(..)
            | RowKey::Tombstone(_) => {}
        }
    }
    all
}

fn kinds() -> Vec<(&'static str, RowKey, RowValue)> {
    let bytes = Bytes::from_static(b"bytes");
    let attribute = AttributeRow {
        digest: digest(5),
        bytes: bytes.clone(),
        sensitive: true,
    };
    let cluster = ClusterRow {
        last_resource: 40,
        last_instance: 50,
        last_member: 3,
        feature_level: 2,
        settings: settings(),
        forgetting: Vec::new(),
    };
    let forgetting = ClusterRow {
        forgetting: vec!["a1b2".into(), "c3d4".into()],
        ..cluster.clone()
    };
    let definition = DefinitionRow {
        type_name: "Anneal::File".into(),
        references: references().into(),
        body: bytes.clone(),
    };
    let revision = RevisionRow {
        head: Some(digest(3)),
        parameters: Some(digest(4)),
        options: options(),
        wall_ms: 1_700_000_000_000,
        rollback_to: Some(Revision(1)),
    };
    let tombstone = TombstoneRow {
        stack: STACK,
        namespace: "default".into(),
        stack_name: "shop".into(),
        resource: "web".into(),
        definition: digest(1),
        traits: traits(),
        host: Some("host-a".into()),
        token: Token(77),
        wall_ms: 1_700_000_000_000,
        retained: None,
    };
    let retained = TombstoneRow {
        retained: Some("web-1".into()),
        ..tombstone.clone()
    };
    let staged = StagedRow {
        name: "web".into(),
        desired: Some(desired()),
    };
    let removed = StagedRow {
        name: "web".into(),
        desired: None,
    };
    let stage = StageRow {
        parts: 2,
        items: 300,
        done: 0,
        expires_ms: Some(600),
    };
    let past = |desired| RowValue::Past(desired);
    let path = || Some("path".into());
    vec![
        ("cluster", RowKey::Cluster, RowValue::Cluster(cluster)),
        (
            "cluster_forgetting",
            RowKey::Cluster,
            RowValue::Cluster(forgetting),
        ),
        (
            "resource",
            RowKey::Resource(RESOURCE),
            RowValue::Resource(resource().into()),
        ),
        (
            "attribute",
            RowKey::Attribute(INSTANCE, path()),
            RowValue::Attribute(attribute.clone()),
        ),
        (
            "reference_id",
            RowKey::Attribute(INSTANCE, None),
            RowValue::Attribute(attribute),
        ),
        (
            "private",
            RowKey::Private(INSTANCE),
            RowValue::Private(bytes.clone()),
        ),
        (
            "properties",
            RowKey::Properties(INSTANCE),
            RowValue::Properties(bytes.clone()),
        ),
        trouble(
            "trouble_resource",
            Subject::Resource(RESOURCE),
            ErrorClass::Quota,
        ),
        trouble(
            "trouble_instance",
            Subject::Instance(INSTANCE),
            ErrorClass::Conflict,
        ),
        (
            "definition",
            RowKey::Definition(digest(1)),
            RowValue::Definition(definition),
        ),
        ("blob", RowKey::Blob(digest(2)), RowValue::Blob(bytes)),
        engine("engine_live", LeaseState::Live),
        engine("engine_draining", LeaseState::Draining),
        engine("engine_expired", LeaseState::Expired),
        (
            "revision",
            RowKey::Revision(STACK, Revision(4)),
            RowValue::Revision(revision.into()),
        ),
        ("past", past_key(), past(Some(desired().into()))),
        ("past_absent", past_key(), past(None)),
        (
            "stage_half_done",
            RowKey::Stage(request()),
            RowValue::Stage(StageRow {
                done: 20,
                ..stage.clone()
            }),
        ),
        ("stage", RowKey::Stage(request()), RowValue::Stage(stage)),
        (
            "staged",
            RowKey::Staged(request(), 7),
            RowValue::Staged([staged.clone()].into()),
        ),
        (
            "staged_removal",
            RowKey::Staged(request(), 8),
            RowValue::Staged([removed.clone()].into()),
        ),
        (
            "staged_together",
            RowKey::Staged(request(), 9),
            RowValue::Staged([staged.clone(), removed, staged].into()),
        ),
        (
            "tombstone",
            RowKey::Tombstone(INSTANCE),
            RowValue::Tombstone(tombstone.into()),
        ),
        (
            "tombstone_retained",
            RowKey::Tombstone(INSTANCE),
            RowValue::Tombstone(retained.into()),
        ),
    ]
}

fn past_key() -> RowKey {
    RowKey::Past(STACK, Revision(4), "web/3/server".into())
}

fn trouble(
    name: &'static str,
    subject: Subject,
    class: ErrorClass,
) -> (&'static str, RowKey, RowValue) {
    let row = TroubleRow {
        attempts: 3,
        class,
        not_before_ms: 900,
        failed: true,
        holder: Some(InstanceId(6)),
        message: "no more".into(),
    };
    (name, RowKey::Trouble(subject), RowValue::Trouble(row))
}

fn engine(name: &'static str, lease: LeaseState) -> (&'static str, RowKey, RowValue) {
    let row = EngineRow {
        incarnation: 300,
        host: "host-a".into(),
        address: "three:7400".into(),
        capacity: 64,
        offers: ["Anneal::File".into()].into(),
        labels: [("zone".into(), "b".into())].into(),
        lease,
    };
    (name, RowKey::Engine(3), RowValue::Engine(row.into()))
}

fn desired() -> DesiredRow {
    DesiredRow {
        definition: Some(digest(1)),
        fragment: digest(2),
        depends_on: ["disk".into()].into(),
        parameters_used: ["size".into()].into(),
        policy: Some(policy().into()),
        traits: traits(),
        revision: Revision(4),
    }
}

fn resource() -> ResourceRow {
    ResourceRow {
        stack: STACK,
        name: "web/3/server".into(),
        desired: Some(desired()),
        last_policy: Some(policy().into()),
        requires: [ResourceId(2), ResourceId(3)].into(),
        replacing: Some(digest(8).into()),
    }
}

fn instance() -> InstanceRow {
    InstanceRow {
        resource: RESOURCE,
        role: Role::Current,
        origin: InstanceId(6),
        traits: traits(),
        host: Some("host-a".into()),
        physical_id: Some("i-1".into()),
        definition: digest(1),
        fingerprint: Some(digest(9)),
        outputs: [
            Output {
                name: Some("path".into()),
                digest: digest(5),
            },
            Output {
                name: None,
                digest: digest(6),
            },
        ]
        .into(),
        requires: [InstanceId(2), InstanceId(3)].into(),
        observed: Observed::Present { healthy: true },
        seen_present: true,
        delete_begun: true,
        condemned: true,
        lost_once: true,
        on_hold: true,
        drift: Some(ReportedDrift::Changed),
        assignment: None,
        effect: None,
        last_change: 70,
    }
}

fn instances() -> Vec<Sample<Row>> {
    let assigned = |action| InstanceRow {
        assignment: Some(Box::new(AssignmentRow {
            engine: ENGINE,
            token: Token(77),
            action,
            definition: digest(1),
            not_after_ms: 99,
            chunk: Some((1, 2)),
            lost: true,
            since_ms: 88,
            requires_before: [InstanceId(2)].into(),
            requires_after: [InstanceId(3)].into(),
            first_delete: true,
            cut: [InstanceId(4)].into(),
        })),
        effect: Some(Box::new(EffectRow {
            key: 71,
            action,
            definition: digest(1),
            aim: Some(digest(9)),
            not_after_ms: 99,
            in_doubt: true,
            seen_absent: true,
        })),
        ..instance()
    };
    let seen = |observed, drift| InstanceRow {
        observed,
        drift,
        ..instance()
    };
    let deposed = Role::Deposed {
        since: 60,
        before_successor: true,
    };
    [
        ("instance", instance()),
        (
            "instance_by_id_only",
            InstanceRow {
                traits: TypeTraits {
                    by_id_only: true,
                    ..traits()
                },
                ..instance()
            },
        ),
        (
            "instance_deposed",
            InstanceRow {
                role: deposed,
                ..instance()
            },
        ),
        ("instance_absent", seen(Observed::Absent, None)),
        (
            "instance_unknown",
            seen(Observed::Unknown, Some(ReportedDrift::Vanished)),
        ),
        (
            "instance_unhealthy",
            seen(
                Observed::Present { healthy: false },
                Some(ReportedDrift::Unhealthy),
            ),
        ),
        ("instance_created", assigned(Action::Create)),
        ("instance_updated", assigned(Action::Update)),
        ("instance_deleted", assigned(Action::Delete)),
        ("instance_looked_at", assigned(Action::Look)),
    ]
    .map(|(name, row)| {
        sample(
            name,
            (RowKey::Instance(INSTANCE), RowValue::Instance(row.into())),
        )
    })
    .into()
}

fn stacks() -> Vec<Sample<Row>> {
    let stack = |stop, deadline| StackRow {
        namespace: "default".into(),
        name: "shop".into(),
        named: true,
        revision: Revision(4),
        settled_revision: Revision(3),
        options: options(),
        head: Some(digest(3)),
        parameters: Some(digest(4)),
        paused: true,
        cancelling: true,
        deleting: true,
        stop,
        rolling_back: true,
        deadline,
        events_from: 12,
        queue: vec![
            Pending::Switch {
                stage: request(),
                revision: Revision(4),
            },
            Pending::Clear {
                revision: Revision(5),
                after: Some("web".into()),
            },
            Pending::Forgive,
        ],
        created_wall_ms: 1_700_000_000_000,
        revised_wall_ms: 1_700_000_000_001,
        telling: Vec::new(),
        unsettling: Vec::new(),
    };
    let telling = StackRow {
        telling: vec![Telling {
            resource: ResourceId(5),
            through: ResourceId(300),
        }],
        ..stack(None, None)
    };
    let unsettling = StackRow {
        unsettling: vec![Unsettling {
            resource: ResourceId(5),
            after: ResourceId(200),
            through: ResourceId(u64::MAX),
        }],
        ..stack(None, None)
    };
    [
        ("stack", stack(None, None)),
        ("stack_telling", telling),
        ("stack_unsettling", unsettling),
        (
            "stack_halted",
            stack(Some(Stop::Halted), Some(Deadline::At(500))),
        ),
        (
            "stack_timed_out",
            stack(Some(Stop::TimedOut), Some(Deadline::Left(0))),
        ),
        (
            "stack_rollback_due",
            stack(Some(Stop::RollbackDue), Some(Deadline::Left(400))),
        ),
    ]
    .map(|(name, row)| sample(name, (RowKey::Stack(STACK), RowValue::Stack(row.into()))))
    .into()
}

fn answers() -> Vec<Sample<Row>> {
    let name = || "shop".into();
    let (stack, revision) = (STACK, Revision(4));
    let rejected = |(row, rejection)| (row, Outcome::Rejected(rejection));
    let rejections = [
        (
            "rejected_already_exists",
            Rejection::AlreadyExists { name: name() },
        ),
        (
            "rejected_stack_not_found",
            Rejection::StackNotFound { name: name() },
        ),
        (
            "rejected_resource_not_found",
            Rejection::ResourceNotFound { name: name() },
        ),
        (
            "rejected_revision_not_found",
            Rejection::RevisionNotFound(revision),
        ),
        (
            "rejected_base_moved",
            Rejection::BaseMoved { current: revision },
        ),
        (
            "rejected_rollback_not_due",
            Rejection::RollbackNotDue(revision),
        ),
        (
            "rejected_stack_protected",
            Rejection::StackProtected { name: name() },
        ),
        (
            "rejected_resource_protected",
            Rejection::ResourceProtected { name: name() },
        ),
        (
            "rejected_dangling_reference",
            Rejection::DanglingReference {
                resource: name(),
                requires: "db".into(),
            },
        ),
        (
            "rejected_duplicate_resource",
            Rejection::DuplicateResource { name: name() },
        ),
        (
            "rejected_too_many_resources",
            Rejection::TooManyResources {
                count: 11,
                limit: 10,
            },
        ),
        (
            "rejected_request_too_old",
            Rejection::RequestTooOld {
                window_ms: 86_400_000,
            },
        ),
        (
            "rejected_stage_incomplete",
            Rejection::StageIncomplete {
                stage: request(),
                present: 1,
                expected: 2,
            },
        ),
        ("rejected_not_a_commit", Rejection::NotACommit),
        ("rejected_engine_not_live", Rejection::EngineNotLive(ENGINE)),
        ("rejected_engine_changed", Rejection::EngineChanged(ENGINE)),
        (
            "rejected_host_is_live",
            Rejection::HostIsLive("host-a".into()),
        ),
        (
            "rejected_host_not_found",
            Rejection::HostNotFound("host-a".into()),
        ),
        (
            "rejected_not_on_hold",
            Rejection::NotOnHold { name: name() },
        ),
        (
            "rejected_physical_id_held",
            Rejection::PhysicalIdHeld {
                physical_id: "i-1".into(),
            },
        ),
        (
            "rejected_feature_level_shrinks",
            Rejection::FeatureLevelShrinks { present: 3 },
        ),
    ];
    let taken = [
        ("answer_taken", Outcome::Taken),
        (
            "answer_stack",
            Outcome::Stack(StackAnswer {
                stack,
                revision,
                unchanged: true,
            }),
        ),
        ("answer_staged", Outcome::Staged { parts: 2 }),
        ("answer_registered", Outcome::Registered(ENGINE)),
        ("answer_member", Outcome::Member(4)),
        ("answer_advanced", Outcome::Advanced { more: true }),
        ("answer_fired", Outcome::Fired { count: 6 }),
    ];
    taken
        .into_iter()
        .chain(rejections.map(rejected))
        .map(|(name, outcome)| {
            sample(
                name,
                (RowKey::Request(request()), RowValue::Request(outcome)),
            )
        })
        .collect()
}
