//! Watchers: of all stacks or of one, of one member or of any, some slow, some broken off again and again. They write down
//! what the stream itself says, before any client could put it in order; one uses the client library, as people do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anneal_client::{
    Client, Error, From, StackName, WatchItem,
    v1::{self, events_client::EventsClient, watch_reply::Reply},
};
use tokio::time::{sleep, timeout};

use crate::{
    Chance,
    judge::{End, Event, Heard, Place, Recording, Scope, Start},
};

/// A member says something every two seconds; one that is silent for this long is frozen or cut off.
const SILENCE: Duration = Duration::from_secs(6);

/// A member that can't be reached within this is tried again, or another one.
const CONNECTED_WITHIN: Duration = Duration::from_secs(2);

/// Between two tries.
const TRY_EVERY: Duration = Duration::from_millis(200);

/// How a watch can't be served any more: the code of gRPC that says so (`OUT_OF_RANGE`).
const HISTORY_GONE: i32 = 11;

/// The number of heard things after which one that breaks off does so, from and up to.
const BREAKS_AFTER: (u64, u64) = (5, 120);

/// How long a slow one pauses, so that what it does not read fills every buffer on the way. Milliseconds.
const SLOW_MS: (u64, u64) = (2_000, 8_000);

/// How a watcher goes about it.
pub(super) struct Watcher {
    /// As in the records.
    pub(super) called: String,
    pub(super) scope: Scope,
    /// HOST:PORT of the members that it may ask; another one after each break.
    pub(super) members: Vec<String>,
    pub(super) chance: Chance,
    /// Whether it breaks off and begins again after its cursor.
    pub(super) breaks: bool,
    /// Whether it stops listening for a while now and then.
    pub(super) is_slow: bool,
}

pub(super) fn event(event: &v1::Event) -> Event {
    Event {
        index: event.index,
        sequence: event.sequence,
        time_ms: event.time_ms,
        stack_id: event.stack_id,
        stack: event.stack.clone(),
        resource: event.resource.clone(),
        kind: event.kind.clone(),
        text: event.text.clone(),
    }
}

/// The place after what was heard.
fn cursor(start: Start, heard: &[Heard]) -> Start {
    let last = heard.last().map(|heard| match heard {
        Heard::Event(event) => (event.index, event.sequence),
        Heard::Progress(index) => (*index, u32::MAX),
    });
    last.map_or(start, Start::After)
}

impl Watcher {
    /// Watches until it is told to end.
    pub(super) async fn run(mut self, end: Arc<AtomicBool>) -> Vec<Recording> {
        let mut recordings = Vec::new();
        let mut start = match self.scope {
            Scope::All => Start::Now,
            Scope::Named(_) => Start::Oldest,
        };
        while !end.load(Ordering::Relaxed) {
            let mut heard = Vec::new();
            let ended = self.listen(start, &mut heard, &end).await;
            let next = match ended {
                // What is kept is more than one that breaks off ever gets through.
                Some(End::HistoryGone) if self.breaks => Start::Now,
                Some(End::HistoryGone | End::Gone) => Start::Oldest,
                Some(End::Broken) | None => cursor(start, &heard),
            };
            if let Some(ended) = ended {
                recordings.push(Recording {
                    watcher: self.called.clone(),
                    scope: self.scope.clone(),
                    start,
                    heard,
                    end: ended,
                });
            }
            start = next;
            sleep(TRY_EVERY).await;
        }
        recordings
    }

    /// One stream of one member. `None`: it never began.
    async fn listen(
        &mut self,
        start: Start,
        heard: &mut Vec<Heard>,
        end: &AtomicBool,
    ) -> Option<End> {
        let member = self.chance.one(&self.members)?.clone();
        let connect = EventsClient::connect(format!("http://{member}"));
        let mut client = timeout(CONNECTED_WITHIN, connect).await.ok()?.ok()?;
        let stack = match &self.scope {
            Scope::All => String::new(),
            Scope::Named(name) => name.clone(),
        };
        let (after_index, after_sequence) = match start {
            Start::After(place) => place,
            Start::Now | Start::Oldest => (0, 0),
        };
        let request = v1::WatchRequest {
            namespace: "default".to_owned(),
            stack,
            after_index,
            after_sequence,
            with_stack: false,
            from_now: start == Start::Now,
        };
        let mut stream = match timeout(SILENCE, client.watch(request)).await.ok()? {
            Ok(stream) => stream.into_inner(),
            Err(status) if status.code() as i32 == HISTORY_GONE => return Some(End::HistoryGone),
            Err(_) => return None,
        };
        let mut until = self.chance.between(BREAKS_AFTER.0, BREAKS_AFTER.1);
        while !end.load(Ordering::Relaxed) {
            match timeout(SILENCE, stream.message()).await {
                Ok(Ok(Some(reply))) => heard.extend(taken(&reply)),
                Ok(Ok(None)) => return Some(End::Gone),
                Ok(Err(status)) if status.code() as i32 == HISTORY_GONE => {
                    return Some(End::HistoryGone);
                }
                Ok(Err(_)) | Err(_) => return Some(End::Broken),
            }
            until -= 1;
            if until == 0 {
                until = self.chance.between(BREAKS_AFTER.0, BREAKS_AFTER.1);
                if self.breaks {
                    return Some(End::Broken);
                }
                if self.is_slow {
                    let pause = self.chance.between(SLOW_MS.0, SLOW_MS.1);
                    sleep(Duration::from_millis(pause)).await;
                }
            }
        }
        Some(End::Broken)
    }
}

fn taken(reply: &v1::WatchReply) -> Option<Heard> {
    match reply.reply.as_ref()? {
        Reply::Event(one) => Some(Heard::Event(event(one))),
        Reply::Progress(index) => Some(Heard::Progress(*index)),
        Reply::Stack(_) => None,
    }
}

/// What a client hears that follows all stacks over whatever member answers.
pub(super) async fn follow(client: Client, end: Arc<AtomicBool>) -> Vec<Recording> {
    let mut recordings = Vec::new();
    let mut from = From::Now;
    while !end.load(Ordering::Relaxed) {
        let mut watch = client.watch_namespace("default", from);
        let start = match from {
            From::Now => Start::Now,
            From::Oldest => Start::Oldest,
            From::After(cursor) => Start::After((cursor.index, cursor.sequence)),
        };
        let mut heard = Vec::new();
        let mut ended = End::Broken;
        while !end.load(Ordering::Relaxed) {
            match timeout(SILENCE, watch.next()).await {
                Ok(Ok(Some(WatchItem::Event(one)))) => heard.push(Heard::Event(event(&one))),
                Ok(Ok(Some(WatchItem::Progress(index)))) => heard.push(Heard::Progress(index)),
                Ok(Ok(Some(WatchItem::Stack { .. }))) | Err(_) => {}
                Ok(Err(Error::HistoryGone(_))) => {
                    ended = End::HistoryGone;
                    break;
                }
                // It goes on looking when it is asked again.
                Ok(Err(_)) => sleep(TRY_EVERY).await,
                Ok(Ok(None)) => break,
            }
        }
        from = match watch.cursor() {
            Some(cursor) if ended != End::HistoryGone => From::After(cursor),
            _ => From::Oldest,
        };
        recordings.push(Recording {
            watcher: "library".to_owned(),
            scope: Scope::All,
            start,
            heard,
            end: ended,
        });
    }
    recordings
}

/// What is kept of a stack's events, as a recording from the oldest up to the index that all of it was read after.
///
/// # Errors
/// As the client says.
pub(super) async fn listing(
    client: &Client,
    called: &str,
    stack: &StackName,
    read: anneal_client::Read,
) -> Result<Recording, Error> {
    let events = client.list_events(stack, None, read).all().await?;
    let heard: Vec<Heard> = events.iter().map(|one| Heard::Event(event(one))).collect();
    let first: Option<Place> = events.first().map(|one| (one.index, one.sequence));
    Ok(Recording {
        watcher: called.to_owned(),
        scope: Scope::Named(stack.name.clone()),
        // Everything of it: nothing of a stack is from before its id.
        start: match first {
            Some((index, 0)) => Start::After((index - 1, u32::MAX)),
            _ => Start::Oldest,
        },
        heard,
        end: End::Broken,
    })
}
