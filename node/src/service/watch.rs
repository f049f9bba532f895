//! A watch: what happened, from the rows as far as they reach, then as it is applied. In order, without a gap and
//! without a repetition; a listener that falls behind is served from the rows again.

use std::{sync::Arc, time::Duration};

use anneal_proto::v1::{self, watch_reply::Reply};
use anneal_statemachine::{
    StateMachine,
    event::{Event, EventKind},
    id::{StackId, Text},
};
use tokio::{
    sync::{broadcast, mpsc},
    time::{Instant, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::{
    Api,
    events::{Names, shown},
    reads::{begin, outage},
    stack::{dress, gone, see},
    stacks::no_stack,
    status::{refused, status, storage},
};
use crate::{
    replica::{Changes, Rows},
    submit::namespace,
};

/// A silent watch says how far it is this often, so that a client knows a quiet stack from a frozen member.
const SIGN_OF_LIFE: Duration = Duration::from_secs(2);
/// Every so many signs of life, the member makes sure that it is not cut off from the others.
const SIGNS_A_PROOF: u32 = 4;
/// And gives itself this long for it.
const PROOF_WITHIN: Duration = Duration::from_millis(1500);
/// Between two snapshots of the stack at least: ten a second are as many as anybody reads.
const SNAPSHOT_PAUSE: Duration = Duration::from_millis(100);
/// Replies on their way to the client.
const OUTBOUND: usize = 256;
/// Events read from the rows in one go.
const EVENTS_AT_ONCE: usize = 500;

/// After the last event of an entry.
const END_OF_ENTRY: u32 = u32::MAX;

type Place = (u64, u32);

enum Scope {
    Stack(StackId),
    Namespace(String),
}

impl Scope {
    fn ids(&self, state: &StateMachine) -> Vec<StackId> {
        match self {
            Self::Stack(id) => vec![*id],
            Self::Namespace(namespace) => {
                let named = state.stacks_after(namespace, "");
                named.chain(state.nameless(namespace)).collect()
            }
        }
    }

    /// It is of one stack, and that went; maybe it came back for what is heard late of its past.
    fn is_gone(&self, state: &StateMachine) -> bool {
        match self {
            Self::Stack(id) => state.stack(*id).is_none_or(|stack| !stack.row.named),
            Self::Namespace(_) => false,
        }
    }

    fn names(&self, state: &StateMachine) -> Names {
        Names::now(state, self.ids(state))
    }
}

/// Stored events after a cursor, as of one moment.
struct Page {
    events: Vec<Event>,
    /// Of every stack in scope, at that moment.
    names: Names,
    /// These are all events up to this entry, which was the last one applied then.
    whole: Option<u64>,
}

/// Why a watch is over.
enum Over {
    /// The stack is gone, and that was said.
    Gone,
    /// Nobody listens any more, or this member stops.
    Quiet,
    /// The client is told.
    With(Box<Status>),
}

impl From<Status> for Over {
    fn from(status: Status) -> Self {
        Self::With(Box::new(status))
    }
}

/// Begins a watch.
///
/// # Errors
/// No such stack; or the history no longer reaches back to where the watch is to begin.
pub(crate) async fn start(
    api: &Api,
    request: v1::WatchRequest,
) -> Result<ReceiverStream<Result<v1::WatchReply, Status>>, Status> {
    begin(&api.replica, false).await?;
    let within = namespace(&request.namespace).map_err(refused)?;
    let scope = match request.stack.as_str() {
        "" => Scope::Namespace(within.to_owned()),
        name => {
            let id = api.replica.read(|state| state.stack_named(within, name));
            Scope::Stack(id.ok_or_else(|| no_stack(name))?)
        }
    };
    // Before anything is read, so that nothing is missed in between.
    let changes = api.replica.changes();
    let (names, now) = api.replica.read_at(|state, now| (scope.names(state), now));
    let cursor = match request.from_now {
        true => (now, END_OF_ENTRY),
        false => (request.after_index, request.after_sequence),
    };
    let (replies, stream) = mpsc::channel(OUTBOUND);
    let mut watching = Watching {
        api: api.clone(),
        scope,
        cursor,
        names,
        any_gone: false,
        missing: Missing::default(),
        replies,
        snapshots: request.with_stack,
        snapshot: None,
        snapshot_at: Instant::now() - SNAPSHOT_PAUSE,
        is_stale: true,
        is_urgent: false,
    };
    // Told at once if it can't be served.
    let is_behind = !request.from_now;
    if is_behind {
        let begins = |state: &StateMachine| begins(state, &watching.scope.ids(state));
        let missing = api
            .replica
            .read_then(begins, |begins, rows| watching.missing(begins, rows))?;
        match watching.cursor.0 {
            // From the oldest on is from what is kept.
            0 => watching.missing = missing,
            _ => watching.check_history(missing)?,
        }
    }
    tokio::spawn(watching.run(changes, is_behind));
    Ok(ReceiverStream::new(stream))
}

/// What is not kept any more of the history of a scope, by log index.
#[derive(Clone, Copy, Default)]
struct Missing {
    /// A stack's history begins here, though the stack is older.
    before: u64,
    /// A stack went here, and its history with it.
    removed: u64,
}

struct Watching {
    api: Api,
    scope: Scope,
    /// Everything up to and including this was sent.
    cursor: Place,
    /// Of every stack in scope that was there at the cursor, or came since.
    names: Names,
    /// Some of these are gone.
    any_gone: bool,
    /// What was not kept any more when it began from the oldest on.
    missing: Missing,
    replies: mpsc::Sender<Result<v1::WatchReply, Status>>,
    snapshots: bool,
    snapshot: Option<v1::Stack>,
    snapshot_at: Instant,
    /// Something was applied since the last look at the stack.
    is_stale: bool,
    /// It came to an end of some kind: whoever waits for that is told at once.
    is_urgent: bool,
}

impl Watching {
    async fn run(mut self, mut changes: broadcast::Receiver<Arc<Changes>>, is_behind: bool) {
        let stop = self.api.stop.clone();
        let over = tokio::select! {
            over = self.follow(&mut changes, is_behind) => over,
            () = stop.cancelled() => Err(stopping().into()),
        };
        if let Err(Over::With(status)) = over {
            let _ = self.replies.send(Err(*status)).await;
        }
    }

    async fn follow(
        &mut self,
        changes: &mut broadcast::Receiver<Arc<Changes>>,
        is_behind: bool,
    ) -> Result<(), Over> {
        if is_behind {
            self.catch_up().await?;
        }
        self.say_progress().await?;
        let mut signs = tokio::time::interval(SIGN_OF_LIFE);
        let mut count = 0;
        loop {
            self.look_at_stack().await?;
            let next_look = match self.snapshots && self.is_stale {
                true => self.snapshot_at + SNAPSHOT_PAUSE,
                false => Instant::now() + SIGN_OF_LIFE,
            };
            tokio::select! {
                biased;
                received = changes.recv() => match received {
                    Ok(changes) if !changes.all => self.take(&changes).await?,
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => self.catch_up().await?,
                    Err(broadcast::error::RecvError::Closed) => return Err(stopping().into()),
                },
                () = tokio::time::sleep_until(next_look) => {}
                _ = signs.tick() => {
                    count += 1;
                    if count % SIGNS_A_PROOF == 0 {
                        self.prove().await?;
                    }
                    self.forget_names();
                    self.say_progress().await?;
                }
            }
        }
    }

    /// What was applied just now.
    async fn take(&mut self, changes: &Changes) -> Result<(), Over> {
        self.is_stale = true;
        for (id, names) in &changes.names {
            if self.contains(*id, names) {
                self.names.learn(*id, names);
            }
        }
        for event in &changes.events {
            if (event.index, event.ordinal) > self.cursor {
                self.say_event(event).await?;
            }
        }
        self.cursor = self.cursor.max((changes.index, END_OF_ENTRY));
        let has_lost = |event: &Event| event.kind == EventKind::Deleted;
        if changes.events.iter().any(has_lost) {
            // Whoever takes it up from here has all of what is not kept any more.
            self.say_progress().await?;
        }
        Ok(())
    }

    /// The names of stacks that are gone are needed no more once all that was applied has been told. Not with the event that
    /// says so: one that is gone comes back, without a name, when a late effect of its past is heard of.
    fn forget_names(&mut self) {
        if !self.any_gone {
            return;
        }
        let (now, index) = self
            .api
            .replica
            .read_at(|state, index| (self.scope.names(state), index));
        if (index, END_OF_ENTRY) <= self.cursor {
            self.names = now;
            self.any_gone = false;
        }
    }

    fn contains(&self, id: StackId, (namespace, _): &(Text, Text)) -> bool {
        match &self.scope {
            Scope::Stack(own) => *own == id,
            Scope::Namespace(own) => **own == **namespace,
        }
    }

    /// Everything that the rows have after the cursor.
    async fn catch_up(&mut self) -> Result<(), Over> {
        self.is_stale = true;
        loop {
            let page = self.stored()?;
            // A stack that is gone by then has told its name before, if it is the one that is watched.
            self.names.learn_all(page.names);
            for event in page.events {
                self.say_event(&event).await?;
                self.cursor = (event.index, event.ordinal);
            }
            if let Some(index) = page.whole {
                self.cursor = self.cursor.max((index, END_OF_ENTRY));
                break;
            }
        }
        Ok(())
    }

    /// The next stored events, in order. Of several stacks, as far as all of them were read.
    ///
    /// # Errors
    /// The history no longer reaches back to the cursor.
    fn stored(&self) -> Result<Page, Status> {
        let found = |state: &StateMachine, index| {
            let ids = self.scope.ids(state);
            let begins = begins(state, &ids);
            (
                self.scope.is_gone(state),
                begins,
                ids,
                self.scope.names(state),
                index,
            )
        };
        let replica = &self.api.replica;
        replica.read_then_at(found, |(is_gone, begins, ids, names, index), rows| {
            self.check_history(self.missing(begins, rows)?)?;
            if is_gone {
                // The last word about it is kept, and nothing of what came before that.
                let text =
                    "the stack is gone, and its history with it; not all of that was seen before";
                return Err(status(Code::OutOfRange, "history_gone", text));
            }
            let mut events = Vec::new();
            let mut horizon = None;
            for id in ids {
                let page = rows
                    .events(Some(id), self.cursor, EVENTS_AT_ONCE)
                    .map_err(storage)?;
                if page.len() == EVENTS_AT_ONCE
                    && let Some(last) = page.last()
                {
                    let reached = (last.index, last.ordinal);
                    horizon = Some(horizon.map_or(reached, |before: Place| before.min(reached)));
                }
                events.extend(page);
            }
            if let Some(horizon) = horizon {
                events.retain(|event| (event.index, event.ordinal) <= horizon);
            }
            events.sort_by_key(|event| (event.index, event.ordinal));
            let whole = Some(index).filter(|_| horizon.is_none());
            Ok(Page {
                events,
                names,
                whole,
            })
        })
    }

    fn missing(&self, begins: u64, rows: &Rows<'_>) -> Result<Missing, Status> {
        let removed = match &self.scope {
            Scope::Stack(_) => 0,
            Scope::Namespace(namespace) => rows.removed_in(namespace).map_err(storage)?,
        };
        Ok(Missing {
            before: begins,
            removed,
        })
    }

    /// The history reaches back to the cursor: that of every stack in scope, and of those that were there since. A watch
    /// from the oldest on takes what was kept when it began.
    fn check_history(&self, missing: Missing) -> Result<(), Status> {
        let Missing { before, removed } = missing;
        let after = self.cursor.0;
        let gone = |text: String| Err(status(Code::OutOfRange, "history_gone", &text));
        if after > 0 && after + 1 < before && before > self.missing.before {
            return gone(format!(
                "the history begins at index {before}, after {after}"
            ));
        }
        // Which of that entry's events went with it is not known any more.
        if (removed, END_OF_ENTRY) > self.cursor && removed > self.missing.removed {
            return gone(format!(
                "a stack was removed at index {removed}, and its history with it; not all of that entry was seen before"
            ));
        }
        Ok(())
    }

    /// The stack, if it is watched, was touched, and is not as it was last said to be.
    async fn look_at_stack(&mut self) -> Result<(), Over> {
        let Scope::Stack(id) = self.scope else {
            return Ok(());
        };
        let rested = self.is_urgent || self.snapshot_at.elapsed() >= SNAPSHOT_PAUSE;
        if !self.snapshots || !self.is_stale || !rested {
            return Ok(());
        }
        (self.is_stale, self.is_urgent) = (false, false);
        self.snapshot_at = Instant::now();
        let index = *self.api.replica.applied().borrow();
        let Some(seen) = self.api.replica.read(|state| see(state, id)) else {
            return Ok(());
        };
        let ended = matches!(seen.stack.status.as_str(), "converged" | "failed");
        let stack = match ended {
            true => dress(seen, &self.api.showing(id, false)),
            // Outputs are evaluated when there is something to see, not ten times a second.
            false => seen.stack,
        };
        if self.snapshot.as_ref() == Some(&stack) {
            return Ok(());
        }
        self.snapshot = Some(stack.clone());
        self.say(Reply::Stack(stack), index).await
    }

    async fn say_event(&mut self, event: &Event) -> Result<(), Over> {
        let Some(id) = event.stack else { return Ok(()) };
        // Those of all stacks in scope are known.
        let Some(names) = self.names.get(id) else {
            return Ok(());
        };
        let shown = shown(event, names);
        self.is_urgent |= matches!(event.kind, EventKind::Converged | EventKind::Stuck);
        self.say(Reply::Event(shown), event.index).await?;
        match &self.scope {
            Scope::Stack(own) if *own == id && event.kind == EventKind::Deleted => {
                self.say_gone(id).await
            }
            Scope::Namespace(_) if event.kind == EventKind::Deleted => {
                self.any_gone = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    async fn say_gone(&mut self, id: StackId) -> Result<(), Over> {
        if self.snapshots
            && let Some((namespace, name)) = self.names.get(id)
        {
            let index = *self.api.replica.applied().borrow();
            let stack = gone(namespace, name, id.0);
            self.say(Reply::Stack(stack), index).await?;
        }
        Err(Over::Gone)
    }

    async fn say_progress(&mut self) -> Result<(), Over> {
        self.say(Reply::Progress(self.cursor.0), self.cursor.0)
            .await
    }

    async fn say(&self, reply: Reply, index: u64) -> Result<(), Over> {
        let reply = v1::WatchReply {
            reply: Some(reply),
            progress_index: index,
        };
        self.replies.send(Ok(reply)).await.map_err(|_| Over::Quiet)
    }

    /// A member that is cut off must not go on saying that nothing happens.
    async fn prove(&self) -> Result<(), Over> {
        match timeout(PROOF_WITHIN, self.api.replica.linearize()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(outage(&self.api.replica, &error.to_string()).await.into()),
            Err(_) => {
                let why = "this member has lost touch with the others";
                Err(outage(&self.api.replica, why).await.into())
            }
        }
    }
}

/// Where the histories of stacks begin: the latest of them. One that has not forgotten anything begins with itself.
fn begins(state: &StateMachine, ids: &[StackId]) -> u64 {
    let begins = |id: &StackId| {
        let row = state.stack(*id)?.row;
        // One without a name began anew, after it was gone: that it was is known otherwise.
        Some(row.events_from).filter(|from| row.named && *from > id.0)
    };
    ids.iter().filter_map(begins).max().unwrap_or_default()
}

fn stopping() -> Status {
    super::status::unavailable(crate::submit::Unavailable {
        reason: "stopping",
        message: "this member is stopping".to_owned(),
        ..Default::default()
    })
}
