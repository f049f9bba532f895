//! One sample of everything durable. Every field has a value that is not its default, so that one which is lost is missed.

pub(crate) mod commands;
pub(crate) mod entries;
pub(crate) mod events;
pub(crate) mod rows;

use anneal_statemachine::{
    command::{
        DeletionPolicy, Drift, OnFailure, Placement, Policy, Reference, ReplacementPolicy,
        Settings, StackOptions, TypeTraits,
    },
    digest::Digest,
    id::{EngineRef, RequestId},
};

/// A value and its name in the golden file.
pub(crate) struct Sample<T> {
    pub(crate) name: &'static str,
    pub(crate) value: T,
}

pub(crate) fn sample<T>(name: &'static str, value: T) -> Sample<T> {
    Sample { name, value }
}

pub(crate) const ENGINE: EngineRef = EngineRef {
    member: 3,
    incarnation: 300,
};

pub(crate) fn request() -> RequestId {
    RequestId(*b"\x01\x93\x5f\x00\x00\x00\x70\x00\x80request")
}

pub(crate) fn digest(byte: u8) -> Digest {
    Digest([byte; 32])
}

pub(crate) fn policy() -> Policy {
    Policy {
        deletion: DeletionPolicy::Retain,
        replacement: ReplacementPolicy::DeleteFirst,
        protect: true,
        drift: Some(Drift::Report),
        placement: Placement {
            host: Some("host-a".into()),
            labels: vec![("zone".into(), "b".into())],
        },
        timeout_ms: Some(90_000),
    }
}

pub(crate) fn traits() -> TypeTraits {
    TypeTraits {
        host_bound: true,
        derived_id: true,
        honours_keys: true,
        fences: true,
        can_look: true,
        named: true,
        cancellable: true,
        lag_ms: 250,
        by_id_only: false,
    }
}

pub(crate) fn options() -> StackOptions {
    StackOptions {
        on_failure: OnFailure::Rollback,
        timeout_ms: Some(60_000),
        drift: Drift::Report,
        observe_interval_ms: 1000,
        parallelism: Some(7),
        protect: true,
    }
}

pub(crate) fn settings() -> Settings {
    Settings {
        request_window_ms: 1,
        stage_lifetime_ms: 2,
        max_resources: 3,
        retry_base_ms: 4,
        retry_max_ms: 5,
        transient_attempts: 6,
        quota_attempts: 7,
        permanent_attempts: 8,
        conflict_attempts: 9,
        ..Settings::default()
    }
}

pub(crate) fn references() -> Vec<Reference> {
    vec![
        Reference {
            resource: "db".into(),
            attribute: Some("address".into()),
        },
        Reference {
            resource: "net".into(),
            attribute: None,
        },
    ]
}
