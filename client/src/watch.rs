//! A stream of events that outlives the member it came from: it is taken up again at another endpoint, from its
//! cursor.

use std::time::Duration;

use anneal_proto::v1::{self, watch_reply::Reply};
use tokio::time::{sleep, timeout};
use tonic::Streaming;

use crate::{
    call::back_off,
    client::Client,
    error::{Error, Verdict, judge},
    events::on,
    name::StackName,
};

/// A member says something at least every two seconds, if only how far it is. One that is silent for three times that
/// is frozen or cut off.
const SILENCE: Duration = Duration::from_secs(6);

/// A place in the history: everything up to and including it was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cursor {
    /// The log index.
    pub index: u64,
    /// The event within that index.
    pub sequence: u32,
}

impl Cursor {
    /// Everything up to and including an index.
    pub fn through(index: u64) -> Self {
        Self {
            index,
            sequence: u32::MAX,
        }
    }
}

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// What comes after this call.
    Now,
    /// The oldest that is kept.
    Oldest,
    /// What comes after the cursor.
    After(Cursor),
}

/// One thing that a watch saw.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchItem {
    /// Something happened.
    Event(v1::Event),
    /// The stack as it was at an index.
    Stack {
        /// The stack.
        stack: Box<v1::Stack>,
        /// The log index.
        index: u64,
    },
    /// Everything up to this index was seen.
    Progress(u64),
}

/// See [`Client::watch`].
#[derive(Debug)]
pub struct Watch {
    client: Client,
    stack: StackName,
    from: From,
    snapshots: bool,
    stream: Option<Streaming<v1::WatchReply>>,
    /// The index of the newest snapshot given.
    snapshot_index: u64,
    /// How often in a row it was taken up again without a word from the other side.
    failures: u32,
    over: bool,
}

impl Watch {
    pub(crate) fn new(client: Client, stack: StackName, from: From, snapshots: bool) -> Self {
        Self {
            client,
            stack,
            from,
            snapshots,
            stream: None,
            snapshot_index: 0,
            failures: 0,
            over: false,
        }
    }

    /// Where to begin a later watch that is to see what this one has not; `None` while nothing at all was heard of a
    /// watch from now on.
    pub fn cursor(&self) -> Option<Cursor> {
        match self.from {
            From::Now => None,
            From::Oldest => Some(Cursor::default()),
            From::After(cursor) => Some(cursor),
        }
    }

    /// What comes next, or `None` when the stack is deleted and everything about it was given. Cancel-safe.
    ///
    /// # Errors
    /// Not found; [`Error::HistoryGone`] if the history no longer reaches back; unavailable if no member could be
    /// found within the deadline of calls (asking again goes on looking, from the same cursor).
    pub async fn next(&mut self) -> Result<Option<WatchItem>, Error> {
        while !self.over {
            if self.stream.is_none() {
                self.stream = Some(self.open().await?);
            }
            let Some(stream) = self.stream.as_mut() else {
                continue;
            };
            let broken = match timeout(SILENCE, stream.message()).await {
                Ok(Ok(Some(reply))) => {
                    self.failures = 0;
                    match self.take(reply) {
                        Some(item) => return Ok(Some(item)),
                        None => continue,
                    }
                }
                Ok(Ok(None)) => {
                    self.over = true;
                    continue;
                }
                Ok(Err(status)) => Some(status),
                Err(_) => None,
            };
            self.stream = None;
            self.client.caller.distrust_last();
            if let Some(status) = broken
                && let Verdict::Final(error) = judge(&status)
            {
                self.over = matches!(error, Error::HistoryGone(_));
                return Err(error);
            }
            sleep(back_off(self.failures)).await;
            self.failures = self.failures.saturating_add(1);
        }
        Ok(None)
    }

    async fn open(&self) -> Result<Streaming<v1::WatchReply>, Error> {
        let cursor = self.cursor().unwrap_or_default();
        let request = v1::WatchRequest {
            namespace: self.stack.namespace.clone(),
            stack: self.stack.name.clone(),
            after_index: cursor.index,
            after_sequence: cursor.sequence,
            with_stack: self.snapshots,
            from_now: self.from == From::Now,
        };
        self.client
            .read_patiently(|channel| {
                let request = request.clone();
                async move { Ok(on(channel).watch(request).await?.into_inner()) }
            })
            .await
    }

    /// Takes a message into account; nothing comes of one that was already seen from another member.
    fn take(&mut self, message: v1::WatchReply) -> Option<WatchItem> {
        match message.reply? {
            Reply::Event(event) => {
                let at = Cursor {
                    index: event.index,
                    sequence: event.sequence,
                };
                if self.is_seen(at) {
                    return None;
                }
                self.from = From::After(at);
                Some(WatchItem::Event(event))
            }
            Reply::Stack(stack) => {
                let index = message.progress_index;
                if index < self.snapshot_index {
                    return None;
                }
                self.snapshot_index = index;
                let stack = Box::new(stack);
                Some(WatchItem::Stack { stack, index })
            }
            Reply::Progress(index) => {
                let at = Cursor::through(index);
                // A member that is behind what another one has already told.
                if self.is_seen(at) {
                    return None;
                }
                self.from = From::After(at);
                Some(WatchItem::Progress(index))
            }
        }
    }

    fn is_seen(&self, at: Cursor) -> bool {
        matches!(self.from, From::After(cursor) if at <= cursor)
    }
}
