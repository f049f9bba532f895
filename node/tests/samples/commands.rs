//! Commands: one for every kind, and one for every way that a part of it can be.

use anneal_statemachine::{
    command::{
        ActionResult, AssignItem, AssignWork, Blob, Change, ChangeStack, Command, CommandKind,
        CommitStaged, Definition, Difference, Done, ErrorClass, Failure, Input, Left, Looked,
        ObserveItem, RegisterEngine, ReportItem, Seen, SetResource, StagePart, Stamp, Value,
    },
    id::{InstanceId, ResourceId, Revision, StackId, Token},
};
use bytes::Bytes;

use super::{
    ENGINE, Sample, digest, options, policy, references, request, sample, settings, traits,
};

pub(crate) fn all() -> Vec<Sample<Command>> {
    let mut all: Vec<_> = kinds()
        .into_iter()
        .chain(changes())
        .map(|(name, kind)| {
            let stamp = Stamp {
                state_ms: 11,
                wall_ms: 1_700_000_000_000,
            };
            sample(name, Command { stamp, kind })
        })
        .collect();
    // The compiler asks for a sample of whatever is new.
    for Sample { value, .. } in &all {
        match value.kind {
            CommandKind::RegisterEngine(_)
            | CommandKind::ExpireEngine(_)
            | CommandKind::DrainEngine(_)
            | CommandKind::ForgetHost { .. }
            | CommandKind::ChangeStack(_)
            | CommandKind::StagePart(_)
            | CommandKind::CommitStaged(_)
            | CommandKind::Advance
            | CommandKind::Assign { .. }
            | CommandKind::Report { .. }
            | CommandKind::Observe { .. }
            | CommandKind::Retry { .. }
            | CommandKind::Resolve { .. }
            | CommandKind::FireDeadlines
            | CommandKind::ExpireHistory { .. }
            | CommandKind::ExpireRequests
            | CommandKind::ClusterSettings { .. }
            | CommandKind::FeatureLevel { .. }
            | CommandKind::AllocateMemberId { .. } => {}
        }
    }
    all.sort_by_key(|sample| sample.name);
    all
}

fn kinds() -> Vec<(&'static str, CommandKind)> {
    let request = request();
    let stack = StackId(9);
    vec![
        (
            "register_engine",
            CommandKind::RegisterEngine(RegisterEngine {
                member: 3,
                host: "host-a".into(),
                address: "three:7400".into(),
                capacity: 64,
                offers: vec!["Anneal::File".into(), "OS::Heat::None".into()],
                labels: vec![("zone".into(), "b".into())],
                follows: None,
            }),
        ),
        (
            "register_engine_after",
            CommandKind::RegisterEngine(RegisterEngine {
                member: 3,
                host: "host-a".into(),
                address: "three:7400".into(),
                capacity: 64,
                offers: vec!["Anneal::File".into()],
                labels: Vec::new(),
                follows: Some(17),
            }),
        ),
        ("expire_engine", CommandKind::ExpireEngine(ENGINE)),
        ("drain_engine", CommandKind::DrainEngine(ENGINE)),
        (
            "forget_host",
            CommandKind::ForgetHost {
                request,
                host: "host-a".into(),
            },
        ),
        ("stage_part", stage_part(None)),
        ("stage_part_of_a_stack", stage_part(Some(StackId(7)))),
        (
            "commit_staged",
            CommandKind::CommitStaged(CommitStaged {
                stage: request,
                parts: 3,
                change: change(Change::Update {
                    base: Revision(4),
                    difference: difference(),
                }),
            }),
        ),
        ("advance", CommandKind::Advance),
        (
            "assign",
            CommandKind::Assign {
                items: assignments(),
            },
        ),
        ("report", CommandKind::Report { items: reports() }),
        (
            "report_left",
            CommandKind::Report {
                items: vec![half_made()],
            },
        ),
        (
            "observe",
            CommandKind::Observe {
                items: observations(),
            },
        ),
        (
            "retry",
            CommandKind::Retry {
                request,
                stack,
                resource: "web".into(),
            },
        ),
        (
            "resolve",
            CommandKind::Resolve {
                request,
                stack,
                resource: "web".into(),
                instance: Some(InstanceId(5)),
                physical_id: Some("i-1".into()),
            },
        ),
        ("fire_deadlines", CommandKind::FireDeadlines),
        (
            "expire_history",
            CommandKind::ExpireHistory {
                stack,
                revisions_through: Revision(2),
                events_before: 50,
            },
        ),
        ("expire_requests", CommandKind::ExpireRequests),
        (
            "cluster_settings",
            CommandKind::ClusterSettings {
                request,
                settings: settings(),
            },
        ),
        ("feature_level", CommandKind::FeatureLevel { level: 2 }),
        (
            "allocate_member_id",
            CommandKind::AllocateMemberId { request },
        ),
    ]
}

fn change(change: Change) -> ChangeStack {
    ChangeStack {
        request: request(),
        namespace: "default".into(),
        name: "shop".into(),
        change,
    }
}

fn changes() -> Vec<(&'static str, CommandKind)> {
    let (base, to) = (Revision(4), Revision(2));
    let rollback = Change::Rollback {
        base,
        to,
        difference: difference(),
        failed: Some(Revision(4)),
    };
    [
        (
            "change_create",
            Change::Create {
                difference: difference(),
            },
        ),
        (
            "change_update",
            Change::Update {
                base,
                difference: Difference::default(),
            },
        ),
        ("change_rollback", rollback),
        ("change_delete", Change::Delete { base: None }),
        ("change_delete_at", Change::Delete { base: Some(base) }),
        ("change_pause", Change::Pause),
        ("change_resume", Change::Resume),
        ("change_cancel", Change::Cancel),
    ]
    .map(|(name, what)| (name, CommandKind::ChangeStack(change(what))))
    .into()
}

fn blob(byte: u8) -> Blob {
    Blob {
        digest: digest(byte),
        bytes: Bytes::from_static(b"content"),
    }
}

fn stage_part(stack: Option<StackId>) -> CommandKind {
    CommandKind::StagePart(StagePart {
        stage: request(),
        part: 2,
        stack,
        set: vec![set_resource()],
        remove: vec!["old".into()],
    })
}

fn set_resource() -> SetResource {
    SetResource {
        name: "web".into(),
        definition: Some(Definition {
            digest: digest(1),
            type_name: "Anneal::File".into(),
            body: Bytes::from_static(b"body"),
            references: references(),
            depends_on: vec!["disk".into()],
            policy: policy(),
            traits: traits(),
        }),
        fragment: blob(2),
        parameters_used: vec!["size".into()],
    }
}

fn difference() -> Difference {
    let off = SetResource {
        definition: None,
        name: "off".into(),
        ..set_resource()
    };
    Difference {
        set: vec![set_resource(), off],
        remove: vec!["old".into()],
        head: Some(blob(3)),
        parameters: Some(blob(4)),
        options: Some(options()),
    }
}

fn assignments() -> Vec<AssignItem> {
    let item = |work, chunk| AssignItem {
        work,
        engine: ENGINE,
        not_after_ms: 99,
        chunk,
    };
    let make = AssignWork::Make {
        resource: ResourceId(4),
        definition: digest(1),
    };
    vec![
        item(make, Some(0)),
        item(
            AssignWork::Look {
                instance: InstanceId(5),
            },
            None,
        ),
        item(
            AssignWork::Delete {
                instance: InstanceId(6),
            },
            Some(1),
        ),
    ]
}

fn done() -> Done {
    Done {
        physical_id: Some("i-1".into()),
        values: vec![
            Value {
                name: Some("address".into()),
                digest: digest(5),
                bytes: Bytes::from_static(b"\"10.0.0.1\""),
                sensitive: true,
            },
            Value {
                name: None,
                digest: digest(6),
                bytes: Bytes::from_static(b"\"i-1\""),
                sensitive: false,
            },
        ],
        private: Some(Bytes::from_static(b"private")),
        properties: Some(Bytes::from_static(b"{}")),
        inputs: vec![Input {
            resource: "db".into(),
            attribute: Some("address".into()),
            digest: digest(7),
        }],
        unhealthy: true,
    }
}

fn half_made() -> ReportItem {
    let left = Left {
        values: done().values,
        private: Bytes::from_static(b"private"),
    };
    ReportItem {
        instance: InstanceId(5),
        token: Token(77),
        engine: ENGINE,
        result: ActionResult::Failed(Failure {
            class: ErrorClass::Transient,
            before_effect: false,
            left_something: true,
            message: "half-way".into(),
            retry_after_ms: None,
            physical_id: Some("i-1".into()),
            left: Some(Box::new(left)),
        }),
    }
}

fn reports() -> Vec<ReportItem> {
    let failed = |class| {
        ActionResult::Failed(Failure {
            class,
            before_effect: true,
            left_something: true,
            message: "quota".into(),
            retry_after_ms: Some(500),
            physical_id: Some("i-1".into()),
            left: None,
        })
    };
    let id = || Some("i-1".into());
    let results = [
        ActionResult::Done(done()),
        ActionResult::Done(Done::default()),
        ActionResult::NeedsReplace {
            because: "size".into(),
        },
        ActionResult::Declined {
            reason: "revoked".into(),
        },
        failed(ErrorClass::Transient),
        failed(ErrorClass::Quota),
        failed(ErrorClass::Permanent),
        failed(ErrorClass::Conflict),
        ActionResult::NoVerdict {
            message: "deadline".into(),
            physical_id: id(),
        },
        ActionResult::Looked(Looked::Absent),
        ActionResult::Looked(Looked::AsAimed(done())),
        ActionResult::Looked(Looked::Otherwise(done())),
        ActionResult::Looked(Looked::CannotLook {
            message: "no".into(),
        }),
        ActionResult::Gone,
        ActionResult::Conflict {
            message: "taken".into(),
            physical_id: id(),
        },
        ActionResult::LatePhysicalId {
            physical_id: "i-2".into(),
        },
    ];
    let (instance, token) = (InstanceId(5), Token(77));
    results
        .map(|result| ReportItem {
            instance,
            token,
            engine: ENGINE,
            result,
        })
        .into()
}

fn observations() -> Vec<ObserveItem> {
    let seen = [
        Seen::Same,
        Seen::Vanished,
        Seen::Changed {
            difference: "mode".into(),
        },
        Seen::Unhealthy {
            message: "down".into(),
        },
    ];
    let instance = InstanceId(5);
    seen.map(|seen| ObserveItem {
        instance,
        last_change: 70,
        seen,
    })
    .into()
}
