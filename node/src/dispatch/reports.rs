//! Takes results from engines and proposes them, batch after batch.
//!
//! Judges nothing: whether a result counts is decided in the state machine. An engine is told "applied" only when
//! it is; whatever else becomes of a batch, the engine sends it again.

use std::sync::Arc;
use std::time::Duration;

use anneal_statemachine::command::{CommandKind, ReportItem};
use anneal_statemachine::id::EngineRef;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use prost::Message;
use tokio::sync::mpsc;

use crate::codec::{self, DecodeError};
use crate::failpoint::{self, Failpoint};
use crate::lease::hub::{Hub, Intake};
use crate::replica::{Leadership, ProposeError, Replica};

/// Results in one log entry, at most: a few milliseconds of `apply`.
const MAX_ENTRY_RESULTS: usize = 512;
/// Bytes in one log entry, at most, unless one batch alone is larger.
const MAX_ENTRY_BYTES: usize = 512 * 1_024;
/// Entries proposed and not yet applied, at most. Few, so that what comes in meanwhile shares an entry.
const MAX_PENDING_ENTRIES: usize = 2;

/// Before an engine is told to send results again: a quorum that was lost is not back at once.
const AGAIN: Duration = Duration::from_millis(100);

/// Proposes what comes in for as long as the leadership lasts.
pub(super) async fn run(
    replica: Replica,
    leadership: Leadership,
    hub: Arc<Hub>,
    mut intake: mpsc::Receiver<Intake>,
) -> Result<(), ProposeError> {
    let mut pending = FuturesUnordered::new();
    loop {
        tokio::select! {
            Some((answers, applied)) = pending.next(), if !pending.is_empty() => {
                let answers: Vec<(EngineRef, u64)> = answers;
                failpoint::pass(Failpoint::ReportDecided);
                for (engine, sequence) in answers {
                    hub.answer_results(engine, sequence, applied);
                }
            }
            first = intake.recv(), if pending.len() < MAX_PENDING_ENTRIES => {
                let Some(first) = first else { return Ok(()) };
                let entry = gather(first, &mut intake);
                let command = CommandKind::Report { items: entry.items };
                let answers = entry.answers;
                failpoint::pass(Failpoint::ReportReceived);
                let submitted = replica.submit(&leadership, command).await?;
                pending.push(async move {
                    let committed = submitted.committed().await;
                    if let Err(error) = &committed {
                        tracing::debug!(%error, "results were not applied");
                        // They come again as soon as this is told.
                        tokio::time::sleep(AGAIN).await;
                    }
                    (answers, committed.is_ok())
                });
            }
        }
    }
}

/// What one log entry will hold, and whom to answer.
struct Entry {
    items: Vec<ReportItem>,
    answers: Vec<(EngineRef, u64)>,
    bytes: usize,
}

/// The first batch and whatever else has come in.
fn gather(first: Intake, intake: &mut mpsc::Receiver<Intake>) -> Entry {
    let mut entry = Entry {
        items: Vec::new(),
        answers: Vec::new(),
        bytes: 0,
    };
    entry.add(first);
    while entry.items.len() < MAX_ENTRY_RESULTS
        && entry.bytes < MAX_ENTRY_BYTES
        && let Ok(next) = intake.try_recv()
    {
        entry.add(next);
    }
    entry
}

impl Entry {
    fn add(&mut self, batch: Intake) {
        self.answers.push((batch.engine, batch.sequence));
        for report in batch.reports {
            self.bytes += report.len();
            match read(report) {
                Ok(item) => self.items.push(item),
                // Sending it again would not mend it; its action stays in flight until its engine is expired.
                Err(error) => {
                    tracing::error!(engine = %batch.engine, %error, "a result can't be read");
                }
            }
        }
    }
}

fn read(report: bytes::Bytes) -> Result<ReportItem, DecodeError> {
    let report = anneal_proto::log::v1::Report::decode(report)?;
    codec::read_report(report)
}
