//! Preparing an object beside its place, marking it, and putting it there, so that nobody ever sees half of it, or
//! all of it without its mark.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::mark::Marks;
use super::named::Object;
use super::place::{
    before_effect, out_of_time, preparation, put_exclusively, sync_parent, without_verdict,
};
use crate::call::CallContext;
use crate::failure::Failure;
use crate::instance_record::InstanceRecords;

const RECORDS: InstanceRecords = InstanceRecords { kind: "files" };

/// Where an instance's object is to be, and who began last to put it there. Without it a lost create could only be
/// found by somebody who still knows its path, and what it prepared only by searching the directory.
#[derive(Debug, Serialize, Deserialize)]
struct Begun {
    path: PathBuf,
    fencing_token: u64,
}

/// The path of what an instance has, or began to make, on this host.
pub(super) fn begun_at(ctx: &CallContext) -> Option<PathBuf> {
    RECORDS.recall::<Begun>(ctx).map(|begun| begun.path)
}

/// The instance has nothing on this host any more.
pub(super) fn forget(ctx: &CallContext) {
    sweep(ctx);
    RECORDS.forget(ctx);
}

/// Makes the object whole and puts it in its place. False if that was to be `exclusive` and something is there.
pub(super) fn put<T: Object>(
    ctx: &CallContext,
    wanted: &T,
    exclusive: bool,
) -> Result<bool, Failure> {
    let path = &wanted.place().path;
    if !ctx.may_act() {
        return Err(out_of_time());
    }
    sweep(ctx);
    RECORDS.remember(
        ctx,
        &Begun {
            path: path.clone(),
            fencing_token: ctx.fencing_token,
        },
    )?;
    let prepared = preparation(path, &ctx.instance_id, ctx.fencing_token);
    let placed = prepare(ctx, wanted, &prepared).and_then(|()| {
        if !ctx.may_act() {
            return Err(out_of_time());
        }
        let placed = if exclusive {
            put_exclusively(&prepared, path)
        } else {
            fs::rename(&prepared, path).map(|()| true)
        };
        placed.map_err(|error| before_effect("put in place", path, &error))
    });
    if !matches!(placed, Ok(true)) {
        remove(&prepared);
        return placed;
    }
    sync_parent(path).map_err(|error| without_verdict("make durable", path, &error))?;
    Ok(true)
}

fn prepare<T: Object>(ctx: &CallContext, wanted: &T, prepared: &Path) -> Result<(), Failure> {
    let path = &wanted.place().path;
    let prepare = || {
        let object = wanted.make(prepared)?;
        Marks::new(&ctx.host_dir).put(&object, path, &ctx.instance_id)?;
        object.set_permissions(Permissions::from_mode(wanted.place().mode))?;
        object.sync_all()
    };
    prepare().map_err(|error| before_effect("make", path, &error))
}

/// Removes what the last attempt of this instance prepared and did not put in place.
fn sweep(ctx: &CallContext) {
    if let Some(begun) = RECORDS.recall::<Begun>(ctx) {
        remove(&preparation(
            &begun.path,
            &ctx.instance_id,
            begun.fencing_token,
        ));
    }
}

/// What can't be removed now is swept by the next action; it is not what was asked for.
fn remove(prepared: &Path) {
    let _ = fs::remove_file(prepared).or_else(|_| fs::remove_dir(prepared));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::watch;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::call::BootTime;

    #[test]
    fn what_a_lost_attempt_prepared_is_removed_by_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let (_lease, lease) = watch::channel(BootTime::NEVER);
        let ctx = CallContext {
            instance_id: "c-1".to_owned(),
            idempotency_key: "c-1-create-1".to_owned(),
            fencing_token: 8,
            host_bound: true,
            stack: Arc::from("stack"),
            resource: Arc::from("resource"),
            not_after: BootTime::NEVER,
            lease,
            cancel: CancellationToken::new(),
            host_dir: Arc::from(dir.path().join("host")),
            progress: None,
        };
        let path = dir.path().join("page");
        let prepared = |token| preparation(&path, "c-1", token);
        fs::write(prepared(7), "half of it").unwrap();
        fs::write(prepared(8), "another's").unwrap();
        let begun = Begun {
            path: path.clone(),
            fencing_token: 7,
        };
        RECORDS.remember(&ctx, &begun).unwrap();
        sweep(&ctx);
        assert!(!prepared(7).exists() && prepared(8).exists());
        assert_eq!(begun_at(&ctx), Some(path));
    }
}
