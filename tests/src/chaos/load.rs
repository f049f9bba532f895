//! The client load: one client a stack, one operation after the other, every outcome written down.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anneal_client::{Client, Error, RequestId, StackName, Submission, Text, v1};
use tokio::time::{sleep, timeout};

use super::{
    content::{Content, Patch, draw_content, template},
    history::{Asked, Done, Known, Outcome},
    record::now_ns,
};
use crate::{Chance, cloud::now_us};

/// An operation that is not answered within this has an unknown outcome: longer than any leader is missing.
pub(super) const PATIENT: Duration = Duration::from_secs(12);

/// The same for clients in a hurry, who learn less of what became of their operations.
pub(super) const HASTY: Duration = Duration::from_millis(800);

/// An unknown outcome is asked for again this often, where it is.
const ASK_AGAIN: u32 = 3;

/// How often the world is looked at in the background, so that what was changed by hand is healed. Milliseconds.
const OBSERVE_MS: u64 = 4_000;

/// Between two operations on one stack. Milliseconds.
const PAUSE_MS: (u64, u64) = (200, 1_800);

/// One stack and what happened to it.
#[derive(Debug)]
pub(super) struct Story {
    /// Its name.
    pub(super) stack: String,
    /// In order.
    pub(super) done: Vec<Done>,
    /// What it may contain.
    pub(super) known: Known,
    /// Answers that can not be: each is a failure of the product.
    pub(super) broken: Vec<String>,
}

/// The stories, shared between the clients and the run.
pub(super) type Stories = Vec<Arc<Mutex<Story>>>;

/// A client of one stack.
#[derive(Debug)]
pub(super) struct Load {
    client: Client,
    within: Duration,
    chance: Chance,
    url: String,
    name: StackName,
    story: Arc<Mutex<Story>>,
    /// Revisions whose content is certain, of the present stack.
    revisions: Vec<(u64, u64, Content)>,
    paused: bool,
}

impl Load {
    /// A client of a stack of that name, which does not exist yet. Every other is in a hurry.
    ///
    /// # Errors
    /// When the endpoints are none.
    pub(super) fn new(
        endpoints: &str,
        mut chance: Chance,
        url: &str,
        stack: &str,
    ) -> Result<Self, String> {
        let within = if chance.per_mille(500) {
            PATIENT
        } else {
            HASTY
        };
        let client = Client::builder(endpoints)
            .and_then(|builder| builder.call_deadline(within).build())
            .map_err(|e| e.to_string())?;
        let story = Story {
            stack: stack.to_owned(),
            done: Vec::new(),
            known: Known::default(),
            broken: Vec::new(),
        };
        Ok(Self {
            client,
            within,
            chance,
            url: url.to_owned(),
            name: StackName::new(stack),
            story: Arc::new(Mutex::new(story)),
            revisions: Vec::new(),
            paused: false,
        })
    }

    /// What happened to it, as it happens.
    pub(super) fn story(&self) -> Arc<Mutex<Story>> {
        Arc::clone(&self.story)
    }

    /// Goes on until it is told to end.
    pub(super) async fn run(mut self, end: Arc<AtomicBool>) {
        while !end.load(Ordering::Relaxed) {
            let asked = self.draw();
            self.carry_out(asked, &end).await;
            let pause = self.chance.between(PAUSE_MS.0, PAUSE_MS.1);
            sleep(Duration::from_millis(pause)).await;
        }
    }

    fn draw(&mut self) -> Asked {
        let certain = {
            let story = self.story.lock().unwrap_or_else(PoisonError::into_inner);
            story.known.certain().cloned()
        };
        if self.paused && self.chance.per_mille(700) {
            return Asked::Resume;
        }
        let chance = &mut self.chance;
        match certain {
            // What says everything makes it certain again.
            None if chance.per_mille(200) => Asked::Delete,
            None => Asked::Up(draw_content(chance)),
            Some(None) if chance.per_mille(500) => Asked::Create(draw_content(chance)),
            Some(None) => Asked::Up(draw_content(chance)),
            Some(Some(content)) => match chance.between(0, 100) {
                0..45 => Asked::Patch(Patch::draw(chance, &content)),
                45..65 => Asked::Up(draw_content(chance)),
                65..70 => Asked::Up(content),
                70..80 => match chance.one(&self.revisions) {
                    Some((_, to, content)) => Asked::Rollback {
                        to: *to,
                        content: content.clone(),
                    },
                    None => Asked::Up(content),
                },
                80..88 => Asked::Pause,
                88..92 => Asked::Create(draw_content(chance)),
                _ => Asked::Delete,
            },
        }
    }

    async fn carry_out(&mut self, asked: Asked, end: &AtomicBool) {
        let request = RequestId::fresh();
        let (asked_us, called_ns) = (now_us(), now_ns());
        let mut outcome = self.ask(&asked, &request).await;
        // Half of what is not known is asked for again by its id; the other half stays unknown.
        let mut again = if self.chance.per_mille(500) {
            ASK_AGAIN
        } else {
            0
        };
        while matches!(outcome, Outcome::Unknown(_)) && again > 0 && !end.load(Ordering::Relaxed) {
            again -= 1;
            outcome = again_after_unknown(outcome, self.ask(&asked, &request).await, &asked);
        }
        let (answered_us, returned_ns) = (now_us(), now_ns());
        let second = if matches!(outcome, Outcome::Ok { .. }) && self.chance.per_mille(100) {
            Some(self.ask(&asked, &request).await)
        } else {
            None
        };
        let mut story = self.story.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(second) = second.filter(|second| contradicts(&outcome, second)) {
            story.broken.push(format!(
                "{} {request}: first answered {outcome:?}, then {second:?}",
                asked.word()
            ));
        }
        if let Err(why) = story.known.take(&asked, &outcome) {
            story.broken.push(format!("{request}: {why}"));
        }
        match (&asked, &outcome) {
            (Asked::Pause, Outcome::Ok { .. } | Outcome::Unknown(_)) => self.paused = true,
            (Asked::Pause, _) => {}
            (_, Outcome::Ok { .. }) => self.paused = false,
            _ => {}
        }
        if let (
            true,
            Outcome::Ok {
                stack_id, revision, ..
            },
            Some(Some(content)),
        ) = (asked.revises(), &outcome, story.known.certain())
        {
            self.revisions.retain(|(id, ..)| id == stack_id);
            self.revisions.push((*stack_id, *revision, content.clone()));
        } else if asked == Asked::Delete {
            self.revisions.clear();
        }
        story.done.push(Done {
            asked_us,
            answered_us,
            called_ns,
            returned_ns,
            request_id: request.to_string(),
            asked,
            outcome,
        });
    }

    async fn ask(&self, asked: &Asked, request: &RequestId) -> Outcome {
        let sent = send(&self.client, &self.url, &self.name, asked, None, request);
        ask(self.within, sent).await
    }
}

/// What comes of a request within a time.
pub(super) async fn ask(
    within: Duration,
    sent: impl Future<Output = Result<Outcome, Error>>,
) -> Outcome {
    match timeout(within, sent).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => outcome(&error),
        Err(_) => Outcome::Unknown("no answer in time".to_owned()),
    }
}

/// Sends a request; with a base, one that is a submission is refused if the stack is not at it.
///
/// # Errors
/// As the client says.
pub(super) async fn send(
    client: &Client,
    url: &str,
    name: &StackName,
    asked: &Asked,
    base: Option<u64>,
    request: &RequestId,
) -> Result<Outcome, Error> {
    let (verb, text) = match asked {
        Asked::Create(content) => (v1::Verb::Create, template(content, &name.name, url)),
        Asked::Up(content) => (v1::Verb::Up, template(content, &name.name, url)),
        Asked::Patch(patch) => (v1::Verb::Patch, patch.document(&name.name, url)),
        Asked::Rollback { to, .. } => {
            return Ok(ok(client.rollback(request, name, Some(*to), base).await?));
        }
        Asked::Delete => return Ok(ok(client.delete_stack(request, name, base).await?)),
        Asked::Pause => return Ok(ok(client.pause(request, name).await?)),
        Asked::Resume => return Ok(ok(client.resume(request, name).await?)),
    };
    let mut submission = Submission::new(verb, name.clone(), Text::new("chaos.json", text));
    submission.request_id = request.clone();
    submission.base_revision = base;
    submission.options.observe_interval_ms = Some(OBSERVE_MS);
    let reply = client.submit(&submission).await?;
    Ok(Outcome::Ok {
        stack_id: reply.stack_id,
        revision: reply.revision,
        changed: reply.changed,
        index: reply.index,
    })
}

fn ok(reply: v1::ChangeReply) -> Outcome {
    Outcome::Ok {
        stack_id: reply.stack_id,
        revision: reply.revision,
        changed: reply.changed,
        index: reply.index,
    }
}

/// What is known after a request whose outcome was unknown was asked for again. That nobody can be asked now says nothing
/// of the first time; nor does a rollback that finds nothing to do, for that is answered without the log.
pub(super) fn again_after_unknown(first: Outcome, second: Outcome, asked: &Asked) -> Outcome {
    match &second {
        Outcome::Refused(why) if why == "unavailable" => first,
        Outcome::Ok { changed: false, .. } if matches!(asked, Asked::Rollback { .. }) => first,
        _ => second,
    }
}

/// Submits a content once, as the load would, and says whether it made a revision.
///
/// # Errors
/// As the client says.
pub(super) async fn submit_once(
    client: &Client,
    stack: &str,
    content: &Content,
    url: &str,
) -> Result<v1::SubmitReply, Error> {
    let name = StackName::new(stack);
    let text = template(content, stack, url);
    let mut submission = Submission::up(name, "chaos.json", text);
    submission.options.observe_interval_ms = Some(OBSERVE_MS);
    client.submit(&submission).await
}

fn outcome(error: &Error) -> Outcome {
    match error {
        Error::OutcomeUnknown { .. } => Outcome::Unknown(error.to_string()),
        // Its words say that it failed inside, not that nothing was done.
        Error::Internal(_) => Outcome::Unknown(format!("internal: {error}")),
        Error::Unavailable(_) => Outcome::Refused("unavailable".to_owned()),
        other => {
            let reason = other.refusal().map_or("", |refusal| &refusal.reason);
            Outcome::Refused(if reason.is_empty() {
                other.to_string()
            } else {
                reason.to_owned()
            })
        }
    }
}

/// The same request id must get the first answer, or none.
pub(super) fn contradicts(first: &Outcome, second: &Outcome) -> bool {
    match (first, second) {
        (_, Outcome::Unknown(_)) => false,
        (_, Outcome::Refused(why)) if why == "unavailable" => false,
        (
            Outcome::Ok {
                stack_id,
                revision,
                changed,
                ..
            },
            Outcome::Ok {
                stack_id: second_id,
                revision: second_revision,
                changed: second_changed,
                ..
            },
        ) => (stack_id, revision, changed) != (second_id, second_revision, second_changed),
        (first, second) => first != second,
    }
}
