//! A checkpoint put together from the parts of a stream, complete and on disk, or not kept at all.

use std::{
    fs::{self, File},
    io::Write,
    path::{Component, Path},
};

use anneal_proto::peer::v1::{SnapshotHead, SnapshotPart, snapshot_part::Part};
use futures_util::{Stream, StreamExt};
use tonic::Status;

use crate::storage::checkpoint::Staging;

/// Everything that came before a stream's end.
pub(super) struct Received {
    /// What the sender says it is.
    pub(super) head: SnapshotHead,
    /// Where it is.
    pub(super) staging: Staging,
}

/// Takes a whole stream.
pub(super) async fn receive(
    staging: Staging,
    mut parts: impl Stream<Item = Result<SnapshotPart, Status>> + Unpin,
) -> Result<Received, Status> {
    let first = parts.next().await.transpose()?.and_then(|part| part.part);
    let Some(Part::Head(head)) = first else {
        return Err(broken("it has no head"));
    };
    fs::create_dir(staging.path()).map_err(|error| failed(&error))?;
    let mut files = Files {
        staging,
        open: None,
        finished: 0,
    };
    while let Some(part) = parts.next().await.transpose()? {
        match part.part {
            Some(Part::File(file)) => {
                files.finish()?;
                files.open(&file.name, file.bytes)?;
            }
            Some(Part::Data(data)) => {
                if crc32c::crc32c(&data.data) != data.crc {
                    return Err(broken("a checksum does not match"));
                }
                files.write(&data.data)?;
            }
            Some(Part::Head(_)) | None => return Err(broken("a part is not what it should be")),
        }
    }
    files.finish()?;
    if files.finished != head.files {
        return Err(broken("it ended early"));
    }
    let directory = File::open(files.staging.path());
    directory
        .and_then(|directory| directory.sync_all())
        .map_err(|error| failed(&error))?;
    Ok(Received {
        head,
        staging: files.staging,
    })
}

struct Files {
    staging: Staging,
    open: Option<(File, u64)>,
    finished: u32,
}

impl Files {
    fn open(&mut self, name: &str, bytes: u64) -> Result<(), Status> {
        let mut parts = Path::new(name).components();
        let plain = matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        );
        if !plain {
            return Err(broken("a file name is not plain"));
        }
        let file =
            File::create_new(self.staging.path().join(name)).map_err(|error| failed(&error))?;
        self.open = Some((file, bytes));
        Ok(())
    }

    fn write(&mut self, data: &[u8]) -> Result<(), Status> {
        let Some((file, missing)) = &mut self.open else {
            return Err(broken("data of no file"));
        };
        *missing = missing
            .checked_sub(data.len() as u64)
            .ok_or_else(|| broken("a file is longer than it said"))?;
        file.write_all(data).map_err(|error| failed(&error))
    }

    fn finish(&mut self) -> Result<(), Status> {
        match self.open.take() {
            None => return Ok(()),
            Some((file, 0)) => file.sync_all().map_err(|error| failed(&error))?,
            Some(_) => return Err(broken("a file is shorter than it said")),
        }
        self.finished += 1;
        Ok(())
    }
}

fn broken(why: &str) -> Status {
    Status::invalid_argument(format!("the checkpoint is not usable: {why}"))
}

fn failed(error: &std::io::Error) -> Status {
    Status::internal(format!("the checkpoint cannot be kept: {error}"))
}
