//! A watch: what happened, from the rows as far as they reach, then as it is applied. In order, without a gap and
//! without a repetition; a listener that falls behind is served from the rows again.

use std::{sync::Arc, time::Duration};

use anneal_proto::v1::{self, watch_reply::Reply};
use anneal_statemachine::{
    event::{Event, EventKind},
    id::StackId,
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
use crate::{replica::Changes, submit::namespace};

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
    let now = *api.replica.applied().borrow();
    let cursor = match request.from_now {
        true => (now, END_OF_ENTRY),
        false => (request.after_index, request.after_sequence),
    };
    let (replies, stream) = mpsc::channel(OUTBOUND);
    let watching = Watching {
        api: api.clone(),
        scope,
        cursor,
        names: Names::default(),
        replies,
        snapshots: request.with_stack,
        snapshot: None,
        snapshot_at: Instant::now() - SNAPSHOT_PAUSE,
        is_stale: true,
        is_urgent: false,
    };
    watching.check_history()?;
    tokio::spawn(watching.run(changes));
    Ok(ReceiverStream::new(stream))
}

struct Watching {
    api: Api,
    scope: Scope,
    /// Everything up to and including this was sent.
    cursor: Place,
    names: Names,
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
    async fn run(mut self, mut changes: broadcast::Receiver<Arc<Changes>>) {
        let stop = self.api.stop.clone();
        let over = tokio::select! {
            over = self.follow(&mut changes) => over,
            () = stop.cancelled() => Err(stopping().into()),
        };
        if let Err(Over::With(status)) = over {
            let _ = self.replies.send(Err(*status)).await;
        }
    }

    async fn follow(
        &mut self,
        changes: &mut broadcast::Receiver<Arc<Changes>>,
    ) -> Result<(), Over> {
        if let Scope::Stack(id) = self.scope {
            self.names.of(&self.api.replica, id);
        }
        self.catch_up().await?;
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
                    self.say_progress().await?;
                }
            }
        }
    }

    /// What was applied just now.
    async fn take(&mut self, changes: &Changes) -> Result<(), Over> {
        self.is_stale = true;
        for event in &changes.events {
            if (event.index, event.ordinal) > self.cursor && self.concerns(event) {
                self.say_event(event).await?;
            }
        }
        self.cursor = self.cursor.max((changes.index, END_OF_ENTRY));
        Ok(())
    }

    fn concerns(&mut self, event: &Event) -> bool {
        let Some(id) = event.stack else { return false };
        match &self.scope {
            Scope::Stack(own) => *own == id,
            Scope::Namespace(own) => self
                .names
                .of(&self.api.replica, id)
                .is_some_and(|(namespace, _)| namespace == own),
        }
    }

    /// Everything that the rows have after the cursor.
    async fn catch_up(&mut self) -> Result<(), Over> {
        self.is_stale = true;
        self.check_history()?;
        loop {
            let through = *self.api.replica.applied().borrow();
            let events = self.stored()?;
            if events.is_empty() {
                self.cursor = self.cursor.max((through, END_OF_ENTRY));
                break;
            }
            for event in events {
                self.say_event(&event).await?;
                self.cursor = (event.index, event.ordinal);
            }
        }
        if let Scope::Stack(id) = self.scope
            && self.api.replica.read(|state| see(state, id)).is_none()
        {
            return self.say_gone(id).await;
        }
        Ok(())
    }

    /// The next stored events, in order. Of several stacks, as far as all of them were read.
    fn stored(&self) -> Result<Vec<Event>, Status> {
        let ids = match &self.scope {
            Scope::Stack(id) => vec![*id],
            Scope::Namespace(namespace) => self
                .api
                .replica
                .read(|state| state.stacks_after(namespace, "").collect()),
        };
        let reader = self.api.replica.rows();
        let rows = reader.newest();
        let mut events = Vec::new();
        let mut horizon = (u64::MAX, u32::MAX);
        for id in ids {
            let page = rows
                .events(Some(id), self.cursor, EVENTS_AT_ONCE)
                .map_err(storage)?;
            if let (Some(last), EVENTS_AT_ONCE) = (page.last(), page.len()) {
                horizon = horizon.min((last.index, last.ordinal));
            }
            events.extend(page);
        }
        events.retain(|event| (event.index, event.ordinal) <= horizon);
        events.sort_by_key(|event| (event.index, event.ordinal));
        Ok(events)
    }

    /// The stack's history reaches back to the cursor.
    fn check_history(&self) -> Result<(), Status> {
        let ids: Vec<StackId> = match &self.scope {
            Scope::Stack(id) => vec![*id],
            // Whole namespaces are watched as far as each history goes.
            Scope::Namespace(_) => return Ok(()),
        };
        for id in ids {
            let from = self
                .api
                .replica
                .read(|state| Some(state.stack(id)?.row.events_from));
            let begins = from.filter(|from| *from > id.0).unwrap_or_default();
            if self.cursor.0 > 0 && self.cursor.0 + 1 < begins {
                let text = format!(
                    "the history of the stack begins at index {begins}, after {}",
                    self.cursor.0
                );
                return Err(status(Code::OutOfRange, "history_gone", &text));
            }
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
        let Some(names) = self.names.of(&self.api.replica, id) else {
            return Ok(());
        };
        let shown = shown(event, names);
        self.is_urgent |= matches!(event.kind, EventKind::Converged | EventKind::Stuck);
        self.say(Reply::Event(shown), event.index).await?;
        match self.scope {
            Scope::Stack(own) if own == id && event.kind == EventKind::Deleted => {
                self.say_gone(id).await
            }
            _ => Ok(()),
        }
    }

    async fn say_gone(&mut self, id: StackId) -> Result<(), Over> {
        if self.snapshots
            && let Some((namespace, name)) = self.names.of(&self.api.replica, id).cloned()
        {
            let index = *self.api.replica.applied().borrow();
            let stack = gone(&namespace, &name, id.0);
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

fn stopping() -> Status {
    super::status::unavailable(crate::submit::Unavailable {
        reason: "stopping",
        message: "this member is stopping".to_owned(),
        ..Default::default()
    })
}
