//! The small values that commands and rows share: digests, texts, policies, traits, options.

use anneal_proto::log::v1 as proto;
use anneal_statemachine::{
    command::{
        DeletionPolicy, Drift, ErrorClass, OnFailure, Placement, Policy, Reference,
        ReplacementPolicy, Settings, StackOptions, TypeTraits,
    },
    digest::Digest,
    id::{EngineRef, RequestId, Text},
};
use bytes::Bytes;

use super::{DecodeError, required};

pub(super) fn digest(digest: &Digest) -> Bytes {
    Bytes::copy_from_slice(&digest.0)
}

pub(super) fn read_digest(bytes: &[u8]) -> Result<Digest, DecodeError> {
    let bytes = bytes.try_into();
    Ok(Digest(bytes.map_err(|_| {
        DecodeError::Malformed("a digest is not 32 bytes".into())
    })?))
}

pub(super) fn read_optional_digest(bytes: Option<Bytes>) -> Result<Option<Digest>, DecodeError> {
    bytes.map(|bytes| read_digest(&bytes)).transpose()
}

pub(super) fn request(request: &RequestId) -> Bytes {
    Bytes::copy_from_slice(&request.0)
}

pub(super) fn read_request(bytes: &[u8]) -> Result<RequestId, DecodeError> {
    let bytes = bytes.try_into();
    let wrong = |_| DecodeError::Malformed("a request id is not 16 bytes".into());
    Ok(RequestId(bytes.map_err(wrong)?))
}

pub(super) fn text(text: &Text) -> String {
    text.to_string()
}

pub(super) fn texts(texts: &[Text]) -> Vec<String> {
    texts.iter().map(text).collect()
}

pub(super) fn optional_text(value: &Option<Text>) -> Option<String> {
    value.as_ref().map(text)
}

pub(super) fn read_texts<C: FromIterator<Text>>(texts: Vec<String>) -> C {
    texts.into_iter().map(Text::from).collect()
}

pub(super) fn read_optional_text(text: Option<String>) -> Option<Text> {
    text.map(Text::from)
}

pub(super) fn labels(labels: &[(Text, Text)]) -> Vec<proto::Label> {
    labels
        .iter()
        .map(|(name, value)| proto::Label {
            name: text(name),
            value: text(value),
        })
        .collect()
}

pub(super) fn read_labels<C: FromIterator<(Text, Text)>>(labels: Vec<proto::Label>) -> C {
    labels
        .into_iter()
        .map(|label| (label.name.into(), label.value.into()))
        .collect()
}

pub(super) fn engine(engine: &EngineRef) -> proto::EngineRef {
    proto::EngineRef {
        member: engine.member,
        incarnation: engine.incarnation,
    }
}

pub(super) fn read_engine(engine: Option<proto::EngineRef>) -> Result<EngineRef, DecodeError> {
    let proto::EngineRef {
        member,
        incarnation,
    } = required(engine, "an engine")?;
    Ok(EngineRef {
        member,
        incarnation,
    })
}

pub(super) fn reference(reference: &Reference) -> proto::Reference {
    proto::Reference {
        resource: text(&reference.resource),
        attribute: optional_text(&reference.attribute),
    }
}

pub(super) fn read_reference(reference: proto::Reference) -> Reference {
    Reference {
        resource: reference.resource.into(),
        attribute: read_optional_text(reference.attribute),
    }
}

fn drift(drift: Drift) -> proto::Drift {
    match drift {
        Drift::Heal => proto::Drift::Heal,
        Drift::Report => proto::Drift::Report,
    }
}

fn read_drift(value: i32) -> Result<Drift, DecodeError> {
    Ok(match read_enum::<proto::Drift>(value, "drift policy")? {
        proto::Drift::Heal => Drift::Heal,
        proto::Drift::Report => Drift::Report,
    })
}

pub(super) fn policy(policy: &Policy) -> proto::Policy {
    let deletion = match policy.deletion {
        DeletionPolicy::Delete => proto::DeletionPolicy::Delete,
        DeletionPolicy::Retain => proto::DeletionPolicy::Retain,
    };
    let replacement = match policy.replacement {
        ReplacementPolicy::CreateFirst => proto::ReplacementPolicy::CreateFirst,
        ReplacementPolicy::DeleteFirst => proto::ReplacementPolicy::DeleteFirst,
    };
    proto::Policy {
        deletion: deletion.into(),
        replacement: replacement.into(),
        protect: policy.protect,
        drift: policy.drift.map(|value| drift(value).into()),
        host: optional_text(&policy.placement.host),
        labels: labels(&policy.placement.labels),
        timeout_ms: policy.timeout_ms,
    }
}

pub(super) fn read_policy(policy: proto::Policy) -> Result<Policy, DecodeError> {
    let deletion = match read_enum::<proto::DeletionPolicy>(policy.deletion, "deletion policy")? {
        proto::DeletionPolicy::Delete => DeletionPolicy::Delete,
        proto::DeletionPolicy::Retain => DeletionPolicy::Retain,
    };
    let replacement =
        read_enum::<proto::ReplacementPolicy>(policy.replacement, "replacement policy");
    let replacement = match replacement? {
        proto::ReplacementPolicy::CreateFirst => ReplacementPolicy::CreateFirst,
        proto::ReplacementPolicy::DeleteFirst => ReplacementPolicy::DeleteFirst,
    };
    Ok(Policy {
        deletion,
        replacement,
        protect: policy.protect,
        drift: policy.drift.map(read_drift).transpose()?,
        placement: Placement {
            host: read_optional_text(policy.host),
            labels: read_labels(policy.labels),
        },
        timeout_ms: policy.timeout_ms,
    })
}

pub(super) fn traits(traits: &TypeTraits) -> proto::TypeTraits {
    let TypeTraits {
        host_bound,
        derived_id,
        honours_keys,
        fences,
        can_look,
        named,
        cancellable,
        lag_ms,
        by_id_only,
    } = *traits;
    proto::TypeTraits {
        host_bound,
        derived_id,
        honours_keys,
        fences,
        can_look,
        named,
        cancellable,
        lag_ms,
        by_id_only,
    }
}

pub(super) fn read_traits(traits: Option<proto::TypeTraits>) -> TypeTraits {
    let traits = traits.unwrap_or_default();
    TypeTraits {
        host_bound: traits.host_bound,
        derived_id: traits.derived_id,
        honours_keys: traits.honours_keys,
        fences: traits.fences,
        can_look: traits.can_look,
        named: traits.named,
        cancellable: traits.cancellable,
        lag_ms: traits.lag_ms,
        by_id_only: traits.by_id_only,
    }
}

pub(super) fn options(options: &StackOptions) -> proto::StackOptions {
    let on_failure = match options.on_failure {
        OnFailure::Continue => proto::OnFailure::Continue,
        OnFailure::Halt => proto::OnFailure::Halt,
        OnFailure::Rollback => proto::OnFailure::Rollback,
    };
    proto::StackOptions {
        on_failure: on_failure.into(),
        timeout_ms: options.timeout_ms,
        drift: drift(options.drift).into(),
        observe_interval_ms: options.observe_interval_ms,
        parallelism: options.parallelism,
        protect: options.protect,
    }
}

pub(super) fn read_options(options: proto::StackOptions) -> Result<StackOptions, DecodeError> {
    let on_failure = match read_enum::<proto::OnFailure>(options.on_failure, "failure policy")? {
        proto::OnFailure::Continue => OnFailure::Continue,
        proto::OnFailure::Halt => OnFailure::Halt,
        proto::OnFailure::Rollback => OnFailure::Rollback,
    };
    Ok(StackOptions {
        on_failure,
        timeout_ms: options.timeout_ms,
        drift: read_drift(options.drift)?,
        observe_interval_ms: options.observe_interval_ms,
        parallelism: options.parallelism,
        protect: options.protect,
    })
}

pub(super) fn settings(settings: &Settings) -> proto::Settings {
    let usual = Settings::default();
    let unusual = |value: u32, usual: u32| (value != usual).then_some(value);
    proto::Settings {
        request_window_ms: settings.request_window_ms,
        stage_lifetime_ms: settings.stage_lifetime_ms,
        max_resources: settings.max_resources,
        retry_base_ms: settings.retry_base_ms,
        retry_max_ms: settings.retry_max_ms,
        transient_attempts: settings.transient_attempts,
        quota_attempts: settings.quota_attempts,
        permanent_attempts: settings.permanent_attempts,
        conflict_attempts: settings.conflict_attempts,
        items_per_entry: unusual(settings.items_per_entry, usual.items_per_entry),
        tells_per_entry: unusual(settings.tells_per_entry, usual.tells_per_entry),
    }
}

pub(super) fn read_settings(settings: Option<proto::Settings>) -> Result<Settings, DecodeError> {
    let settings = required(settings, "the settings")?;
    let usual = Settings::default();
    Ok(Settings {
        request_window_ms: settings.request_window_ms,
        stage_lifetime_ms: settings.stage_lifetime_ms,
        max_resources: settings.max_resources,
        retry_base_ms: settings.retry_base_ms,
        retry_max_ms: settings.retry_max_ms,
        transient_attempts: settings.transient_attempts,
        quota_attempts: settings.quota_attempts,
        permanent_attempts: settings.permanent_attempts,
        conflict_attempts: settings.conflict_attempts,
        items_per_entry: settings.items_per_entry.unwrap_or(usual.items_per_entry),
        tells_per_entry: settings.tells_per_entry.unwrap_or(usual.tells_per_entry),
    })
}

pub(super) fn error_class(class: ErrorClass) -> i32 {
    let class = match class {
        ErrorClass::Transient => proto::ErrorClass::Transient,
        ErrorClass::Quota => proto::ErrorClass::Quota,
        ErrorClass::Permanent => proto::ErrorClass::Permanent,
        ErrorClass::Conflict => proto::ErrorClass::Conflict,
    };
    class.into()
}

pub(super) fn read_error_class(value: i32) -> Result<ErrorClass, DecodeError> {
    Ok(
        match read_enum::<proto::ErrorClass>(value, "error class")? {
            proto::ErrorClass::Unspecified => return Err(DecodeError::Missing("an error class")),
            proto::ErrorClass::Transient => ErrorClass::Transient,
            proto::ErrorClass::Quota => ErrorClass::Quota,
            proto::ErrorClass::Permanent => ErrorClass::Permanent,
            proto::ErrorClass::Conflict => ErrorClass::Conflict,
        },
    )
}

pub(super) fn read_enum<E: TryFrom<i32>>(value: i32, what: &'static str) -> Result<E, DecodeError> {
    E::try_from(value).map_err(|_| DecodeError::Unknown {
        what,
        value: value.to_string(),
    })
}
