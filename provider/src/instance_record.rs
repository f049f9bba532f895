//! What a host keeps of an instance from before its creation until its deletion.
//!
//! A create that ended half-way, or whose report was lost, has given its engine nothing to keep; how to find and
//! delete what it made must be known all the same. What a host has no record of never began on it.

use std::fs::{self, DirBuilder};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::CallContext;
use crate::failure::{Failure, FailureClass};
use crate::read_values::{digest, from_private, to_private};

/// The records of one kind of instance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InstanceRecords {
    /// Their directory within the host's.
    pub(crate) kind: &'static str,
}

impl InstanceRecords {
    fn path(self, ctx: &CallContext) -> PathBuf {
        let name = &digest(ctx.instance_id.as_bytes())[..32];
        ctx.host_dir.join(self.kind).join(name)
    }

    /// Writes it down, durably, readable to nobody else: it may hold secrets.
    pub(crate) fn remember<T: Serialize>(
        self,
        ctx: &CallContext,
        record: &T,
    ) -> Result<(), Failure> {
        self.write(ctx, record).map_err(|error| {
            let message = format!("cannot write to {}: {error}", ctx.host_dir.display());
            Failure::nothing_done(FailureClass::Transient, message)
        })
    }

    fn write<T: Serialize>(self, ctx: &CallContext, record: &T) -> io::Result<()> {
        let path = self.path(ctx);
        let dir = path.parent().expect("it was joined to a directory");
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(&to_private(record))?;
        file.as_file().sync_data()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    }

    /// Reads it back, if it was written on this host.
    pub(crate) fn recall<T: DeserializeOwned>(self, ctx: &CallContext) -> Option<T> {
        from_private(&fs::read(self.path(ctx)).ok()?)
    }

    /// It is not needed any more.
    pub(crate) fn forget(self, ctx: &CallContext) {
        // A record that stays behind is only looked for by an instance that is not there any more.
        let _ = fs::remove_file(self.path(ctx));
    }
}
