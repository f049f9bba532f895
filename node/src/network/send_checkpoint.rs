//! A checkpoint as a stream of parts: a head, then file by file, each piece with its checksum.

use std::{
    fs::File,
    io::{self, Read},
    sync::Arc,
};

use anneal_proto::peer::v1::{
    SnapshotData, SnapshotFile, SnapshotHead, SnapshotPart, snapshot_part::Part,
};
use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::{codec, replica::types::Vote, storage::checkpoint::Checkpoint};

/// Bytes of one piece: large enough that its own cost does not count, small enough to share a line.
const PIECE_BYTES: usize = 256 << 10;
/// Pieces read ahead of the network.
const PIECES_AHEAD: usize = 8;

/// The parts, read as they are taken. If a file cannot be read, the stream ends early, which the receiver
/// notices; the reason is logged here.
pub(super) fn parts(vote: &Vote, checkpoint: Arc<Checkpoint>) -> ReceiverStream<SnapshotPart> {
    let (sender, parts) = mpsc::channel(PIECES_AHEAD);
    let vote = codec::raft::vote(vote);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = send(vote, &checkpoint, &sender) {
            tracing::warn!(path = %checkpoint.path().display(), %error, "sending a checkpoint ended early");
        }
    });
    ReceiverStream::new(parts)
}

fn send(
    vote: anneal_proto::log::v1::Vote,
    checkpoint: &Checkpoint,
    parts: &mpsc::Sender<SnapshotPart>,
) -> io::Result<()> {
    let put = |part| {
        let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "nobody takes it any more");
        parts
            .blocking_send(SnapshotPart { part: Some(part) })
            .map_err(|_| gone())
    };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(checkpoint.path())? {
        let entry = entry?;
        files.push((
            entry.file_name().to_string_lossy().into_owned(),
            entry.path(),
        ));
    }
    files.sort();
    let position = checkpoint.position();
    put(Part::Head(SnapshotHead {
        vote: Some(vote),
        last: position.last.as_ref().map(codec::raft::log_id),
        membership: Some(codec::raft::stored_membership(&position.membership)),
        files: u32::try_from(files.len()).unwrap_or(u32::MAX),
    }))?;
    for (name, path) in files {
        let mut file = File::open(path)?;
        put(Part::File(SnapshotFile {
            name,
            bytes: file.metadata()?.len(),
        }))?;
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let length = file.read(&mut piece)?;
            if length == 0 {
                break;
            }
            let data = Bytes::copy_from_slice(&piece[..length]);
            let crc = crc32c::crc32c(&data);
            put(Part::Data(SnapshotData { data, crc }))?;
        }
    }
    Ok(())
}
