//! Look first: what is `Unknown` is looked at before anything else happens to it. Only what a provider
//! (or a person) sees ends an Unknown.

use crate::digest::{Digest, fingerprint_with};
use crate::id::InstanceId;
use crate::outcome::WaitReason;
use crate::row::{Action, Observed};
use crate::rules::Standing;
use crate::rules::make::name_held;
use crate::rules::settle::desired_fingerprint;
use crate::state::State;

/// Where the look at an instance stands.
pub(crate) fn look_standing(state: &State, id: InstanceId) -> Standing {
    let instance = state.instance(id);
    let row = &instance.row;
    if let Some(flight) = row.flight() {
        return Standing::Waits(WaitReason::InFlight {
            action: flight.action,
            engine: flight.engine,
        });
    }
    if row.observed != Observed::Unknown {
        return Standing::Nothing;
    }
    if row.on_hold || !row.traits.can_look {
        return Standing::Waits(WaitReason::OnHold(id));
    }
    // What would be made again under its key, and can't be, is looked at: others may wait to know, and if its name is
    // held, so may the holder.
    let making_failed = state
        .resource(row.resource)
        .trouble
        .as_ref()
        .is_some_and(|trouble| trouble.failed);
    let making_waits = making_failed || name_held(state, row.resource).is_some();
    if creatable(state, id) && !making_waits {
        return Standing::Nothing;
    }
    if let Some(trouble) = instance.trouble.as_ref().filter(|trouble| trouble.failed) {
        let attempts = trouble.attempts;
        return Standing::Waits(WaitReason::Failed { attempts });
    }
    let first = row
        .requires
        .iter()
        .find(|required| looked_at_first(state, **required));
    if let Some(first) = first {
        return Standing::Waits(WaitReason::LookOrder(*first));
    }
    let mut standing = Standing::Now(Action::Look);
    if let Some(until_ms) = late_effect_until(state, id) {
        let reason = WaitReason::LateEffect { until_ms };
        standing = Standing::Later(Action::Look, until_ms, reason);
    }
    if let Some(trouble) = &instance.trouble {
        let attempts = trouble.attempts;
        let not_before_ms = trouble.not_before_ms;
        if !matches!(standing, Standing::Later(_, until_ms, _) if until_ms >= not_before_ms) {
            let reason = WaitReason::BackingOff {
                attempts,
                not_before_ms,
            };
            standing = Standing::Later(Action::Look, not_before_ms, reason);
        }
    }
    standing
}

/// Seen absent once: until then a late effect of a lost call can't be excluded.
pub(crate) fn late_effect_until(state: &State, id: InstanceId) -> Option<u64> {
    let row = &state.instance(id).row;
    let seen_absent = row.effect.as_ref().is_some_and(|effect| effect.seen_absent);
    row.quiet_from_ms().filter(|_| seen_absent)
}

/// Among Unknowns, what an instance requires comes first, so that what its lost action aimed at is
/// known; unless nobody is going to look at that.
fn looked_at_first(state: &State, required: InstanceId) -> bool {
    state.instances.get(&required).is_some_and(|instance| {
        instance.row.observed == Observed::Unknown
            && !instance.row.on_hold
            && instance.row.traits.can_look
            && !instance
                .trouble
                .as_ref()
                .is_some_and(|trouble| trouble.failed)
    })
}

/// An instance never seen, whose lost create a look did not find, that is still wanted just so, and
/// whose provider honours keys: it is tried again under the same key.
pub(crate) fn creatable(state: &State, id: InstanceId) -> bool {
    let row = &state.instance(id).row;
    let Some(effect) = row.effect.as_deref().filter(|_| row.is_unknown()) else {
        return false;
    };
    row.traits.honours_keys
        && !row.seen_present
        && effect.seen_absent
        && effect.action == Action::Create
        && effect.aim.is_some()
        && state.wanted(id)
        && state.resource(row.resource).unsettled == 0
        && state.resource(row.resource).definition() == Some(effect.definition)
        && effect.aim == desired_fingerprint(state, row.resource)
}

/// The fingerprint that a lost action aimed at, from what the instance was built on; `None` if that is
/// not known.
pub(crate) fn aim_of(state: &State, id: InstanceId, definition: Digest) -> Option<Digest> {
    let row = &state.instance(id).row;
    let stack = state.stack(state.resource(row.resource).row.stack);
    let mut known = true;
    let references = &state.catalogue.definition(definition).references;
    let aim = fingerprint_with(definition, references, |name, attribute| {
        let built_on = stack.names.get(name).and_then(|resource| {
            row.requires
                .iter()
                .filter_map(|required| state.instances.get(required))
                .find(|instance| instance.row.resource == *resource)
        });
        match built_on {
            Some(instance) if instance.row.is_present() => instance.row.output(attribute),
            _ => {
                known = false;
                None
            }
        }
    });
    known.then_some(aim)
}
