//! A checkpoint put together from the parts of a stream, complete and on disk, or not kept at all.

use std::{
    fs::{self, File},
    io::Write,
    path::{Component, Path},
};

use anneal_proto::peer::v1::{SnapshotHead, SnapshotPart, snapshot_part::Part};
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tonic::Status;

use crate::{
    codec,
    failpoint::{self, Failpoint},
    storage::{
        checkpoint::{Checkpoints, Staging},
        state::Position,
    },
};

/// Parts that have come and are not written yet.
const PARTS_WAITING: usize = 4;

/// Everything that came before a stream's end, all of it on disk.
pub(super) struct Received {
    /// What the sender says it is.
    pub(super) head: SnapshotHead,
    /// Where it is.
    pub(super) staging: Staging,
    /// What it contains, by itself; the head says the same.
    pub(super) position: Position,
}

/// Takes a whole stream. The disk is waited for off the async threads, on which heartbeats are answered.
pub(super) async fn receive(
    checkpoints: Checkpoints,
    mut parts: impl Stream<Item = Result<SnapshotPart, Status>> + Unpin,
) -> Result<Received, Status> {
    let (came, waiting) = mpsc::channel(PARTS_WAITING);
    let written = tokio::task::spawn_blocking(move || write(&checkpoints, waiting));
    while let Some(part) = parts.next().await {
        // Whoever writes has ended, and says why.
        if came.send(part).await.is_err() {
            break;
        }
    }
    drop(came);
    let written = written.await;
    written.unwrap_or_else(|panic| Err(Status::internal(format!("a checkpoint: {panic}"))))
}

fn write(
    checkpoints: &Checkpoints,
    mut parts: mpsc::Receiver<Result<SnapshotPart, Status>>,
) -> Result<Received, Status> {
    let mut next = || parts.blocking_recv().transpose();
    let Some(Part::Head(head)) = next()?.and_then(|part| part.part) else {
        return Err(broken("it has no head"));
    };
    let staging = checkpoints.stage().map_err(|error| failed(&error))?;
    fs::create_dir(staging.path()).map_err(|error| failed(&error))?;
    let mut files = Files {
        staging,
        open: None,
        finished: 0,
    };
    while let Some(part) = next()? {
        match part.part {
            Some(Part::File(file)) => {
                if files.finish()? {
                    failpoint::pass(Failpoint::CheckpointHalfReceived);
                }
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
    let staging = files.staging;
    File::open(staging.path())
        .and_then(|directory| directory.sync_all())
        .map_err(|error| failed(&error))?;
    let position = checkpoints
        .inspect(&staging)
        .map_err(|error| broken(&format!("it cannot be read: {error}")))?;
    if position.last != head.last.map(codec::raft::read_log_id) {
        return Err(broken("it is not what its head says"));
    }
    failpoint::pass(Failpoint::CheckpointReceived);
    Ok(Received {
        head,
        staging,
        position,
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

    /// Makes the file that is open durable; false if there is none.
    fn finish(&mut self) -> Result<bool, Status> {
        match self.open.take() {
            None => return Ok(false),
            Some((file, 0)) => file.sync_all().map_err(|error| failed(&error))?,
            Some(_) => return Err(broken("a file is shorter than it said")),
        }
        self.finished += 1;
        Ok(true)
    }
}

fn broken(why: &str) -> Status {
    Status::invalid_argument(format!("the checkpoint is not usable: {why}"))
}

fn failed(error: &std::io::Error) -> Status {
    Status::internal(format!("the checkpoint cannot be kept: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        codec::key,
        network::send_checkpoint,
        replica::types::{LeadershipId, LogId, Vote},
        storage::state::StateStore,
    };

    /// The parts of a checkpoint of one entry, and where they come from.
    async fn sent(directory: &Path) -> Vec<SnapshotPart> {
        let store = StateStore::open(&directory.join("state"), &key::FAMILIES).unwrap();
        let leader = LeadershipId {
            term: 3,
            node_id: 1,
        };
        let position = Position {
            last: Some(LogId::new(leader, 9)),
            ..Position::default()
        };
        store.batch().write(&position).unwrap();
        let made = Checkpoints::open(&directory.join("made")).unwrap();
        let checkpoint: Arc<_> = made.make(&store).unwrap();
        let vote = Vote::new_committed(3, 1);
        send_checkpoint::parts(&vote, checkpoint).collect().await
    }

    fn staged(directory: &Path) -> usize {
        fs::read_dir(directory).unwrap().count()
    }

    #[tokio::test]
    async fn a_checkpoint_is_received_whole_or_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let parts = sent(directory.path()).await;
        let root = directory.path().join("received");
        let checkpoints = Checkpoints::open(&root).unwrap();
        let stream = |parts: &[SnapshotPart]| {
            let parts: Vec<_> = parts.iter().cloned().map(Ok).collect();
            futures_util::stream::iter(parts)
        };
        let received = receive(checkpoints.clone(), stream(&parts)).await.unwrap();
        assert_eq!(received.position.last.map(|last| last.index), Some(9));
        assert_eq!(staged(&root), 1);
        checkpoints.finish(received.staging).unwrap();

        let early = receive(checkpoints.clone(), stream(&parts[..parts.len() - 1])).await;
        assert!(early.is_err());
        let mut cut: Vec<_> = parts[..2].iter().cloned().map(Ok).collect();
        cut.push(Err(Status::unavailable("the line was cut")));
        let cut = receive(checkpoints.clone(), futures_util::stream::iter(cut)).await;
        assert_eq!(cut.err().unwrap().message(), "the line was cut");
        let mut other = parts.clone();
        if let Some(Part::Head(head)) = &mut other[0].part {
            head.last = None;
        }
        let other = receive(checkpoints, stream(&other)).await.err().unwrap();
        assert!(
            other.message().contains("not what its head says"),
            "{other}"
        );
        assert_eq!(staged(&root), 1, "only what was finished");
    }
}
