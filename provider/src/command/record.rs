//! What a command's creation was told, kept on the host until the deletion.
//!
//! A create that ended half-way, or whose report was lost, has given its engine nothing to keep; the commands
//! that read and delete it must be known all the same.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::Told;
use crate::call::CallContext;
use crate::read_values::{digest, from_private, to_private};

fn path(host_dir: &Path, instance_id: &str) -> PathBuf {
    host_dir
        .join("commands")
        .join(&digest(instance_id.as_bytes())[..32])
}

/// Writes it down, durably, readable to nobody else: it may hold secrets.
pub(super) fn remember(ctx: &CallContext, told: &Told) -> io::Result<()> {
    let path = path(&ctx.host_dir, &ctx.instance_id);
    let dir = path.parent().expect("it was joined to a directory");
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(&to_private(told))?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Reads it back, if it was written on this host.
pub(super) fn recall(ctx: &CallContext) -> Option<Told> {
    from_private(&fs::read(path(&ctx.host_dir, &ctx.instance_id)).ok()?)
}

/// It is not needed any more.
pub(super) fn forget(ctx: &CallContext) {
    // A record that stays behind is only looked for by an instance that is not there any more.
    let _ = fs::remove_file(path(&ctx.host_dir, &ctx.instance_id));
}
