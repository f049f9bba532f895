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

    use proptest::prelude::*;

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

    /// One way to spoil a stream. Checksums of what is changed are made right again: what comes after them is tried.
    #[derive(Clone, Debug)]
    enum Harm {
        Drop(usize),
        Double(usize),
        Swap(usize, usize),
        Change(usize, usize, u8),
        Shorten(usize, usize),
        Rename(usize, String),
        Resize(usize, u64),
        Files(u32),
        Head(usize),
    }

    impl Harm {
        fn of(&self, mut parts: Vec<SnapshotPart>) -> Vec<SnapshotPart> {
            let count = parts.len().max(1);
            let place = |at: &usize| at % count;
            let data = |parts: &mut Vec<SnapshotPart>, at: usize, change: &dyn Fn(&mut Vec<u8>)| {
                if let Some(Part::Data(data)) =
                    parts.get_mut(at).and_then(|part| part.part.as_mut())
                {
                    let mut bytes = data.data.to_vec();
                    change(&mut bytes);
                    data.crc = crc32c::crc32c(&bytes);
                    data.data = bytes.into();
                }
            };
            match self {
                Self::Drop(at) if !parts.is_empty() => drop(parts.remove(place(at))),
                Self::Double(at) if !parts.is_empty() => {
                    parts.insert(place(at), parts[place(at)].clone());
                }
                Self::Swap(one, other) if !parts.is_empty() => {
                    parts.swap(place(one), place(other));
                }
                Self::Change(at, byte, bit) => data(&mut parts, place(at), &|bytes| {
                    let length = bytes.len();
                    if let Some(byte) = bytes.get_mut(byte % length.max(1)) {
                        *byte ^= 1 << (bit % 8);
                    }
                }),
                Self::Shorten(at, length) => data(&mut parts, place(at), &|bytes| {
                    bytes.truncate(length % (bytes.len() + 1));
                }),
                Self::Rename(at, name) => {
                    if let Some(Part::File(file)) =
                        parts.get_mut(place(at)).and_then(|part| part.part.as_mut())
                    {
                        file.name.clone_from(name);
                    }
                }
                Self::Resize(at, bytes) => {
                    if let Some(Part::File(file)) =
                        parts.get_mut(place(at)).and_then(|part| part.part.as_mut())
                    {
                        file.bytes = *bytes;
                    }
                }
                Self::Files(files) => {
                    if let Some(Part::Head(head)) =
                        parts.first_mut().and_then(|part| part.part.as_mut())
                    {
                        head.files = *files;
                    }
                }
                Self::Head(at) if !parts.is_empty() => {
                    let head = parts[0].clone();
                    parts.insert(place(at), head);
                }
                _ => {}
            }
            parts
        }
    }

    fn harm() -> impl Strategy<Value = Harm> {
        let name = prop_oneof![
            Just(String::new()),
            Just("..".to_owned()),
            Just("../outside".to_owned()),
            Just("/outside".to_owned()),
            Just("a\0b".to_owned()),
            Just("n".repeat(300)),
            Just("CURRENT".to_owned()),
        ];
        let at = || any::<usize>();
        prop_oneof![
            at().prop_map(Harm::Drop),
            at().prop_map(Harm::Double),
            (at(), at()).prop_map(|(one, other)| Harm::Swap(one, other)),
            (at(), at(), any::<u8>()).prop_map(|(at, byte, bit)| Harm::Change(at, byte, bit)),
            (at(), at()).prop_map(|(at, length)| Harm::Shorten(at, length)),
            (at(), name).prop_map(|(at, name)| Harm::Rename(at, name)),
            (at(), any::<u64>()).prop_map(|(at, bytes)| Harm::Resize(at, bytes)),
            any::<u32>().prop_map(Harm::Files),
            at().prop_map(Harm::Head),
        ]
    }

    proptest! {
        // Each case may open a database.
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_spoilt_stream_is_refused_or_is_what_its_head_says(harms in prop::collection::vec(harm(), 1..4)) {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let directory = tempfile::tempdir().unwrap();
                let parts = sent(directory.path()).await;
                let spoilt = harms.iter().fold(parts, |parts, harm| harm.of(parts));
                let root = directory.path().join("received");
                let checkpoints = Checkpoints::open(&root).unwrap();
                let stream = futures_util::stream::iter(spoilt.into_iter().map(Ok));
                match receive(checkpoints, stream).await {
                    Ok(received) => {
                        let said = received.head.last.map(codec::raft::read_log_id);
                        prop_assert_eq!(received.position.last, said);
                    }
                    Err(why) => {
                        // Anything else would be a panic.
                        let told = ["is not usable", "cannot be kept"];
                        prop_assert!(told.iter().any(|told| why.message().contains(told)), "{}", why);
                    }
                }
                prop_assert_eq!(staged(&root), 0, "nothing is left of what was not finished");
                prop_assert!(!directory.path().join("outside").exists());
                Ok(())
            })?;
        }
    }
}
