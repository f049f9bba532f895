//! `anneal stack events|watch`: what happened, and what happens.

use std::collections::VecDeque;

use anneal_client::{Cursor, Error, From, WatchItem, v1};
use clap::Args;

use super::{Named, Reading};
use crate::call::Call;
use crate::cli::{CallLimit, Form};
use crate::embedded::Purpose;
use crate::exit::Outcome;
use crate::interrupt::Interrupts;
use crate::output::{self, JsonArray, Out, json, table};
use crate::refusal::failure;

/// Lists events.
#[derive(Debug, Args)]
pub(crate) struct Events {
    #[command(flatten)]
    named: Named,

    /// Only those of this resource
    #[arg(long, value_name = "NAME")]
    resource: Option<String>,

    /// Only the last N
    #[arg(long, value_name = "N")]
    last: Option<usize>,

    #[command(flatten)]
    pub(crate) reading: Reading,
}

impl Events {
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        call.with(Purpose::Look, async |client| {
            let stack = call.stack(&self.named.stack);
            let mut pages =
                client.list_events(&stack, self.resource.as_deref(), self.reading.read());
            let mut writer = Writer::open(call.form())?;
            let mut kept = VecDeque::new();
            while let Some(page) = pages.next().await.map_err(failure)? {
                for event in page {
                    match self.last {
                        None => writer.event(event)?,
                        Some(last) => {
                            kept.push_back(event);
                            if kept.len() > last {
                                kept.pop_front();
                            }
                        }
                    }
                }
            }
            for event in kept {
                writer.event(event)?;
            }
            writer.close()
        })
        .await
    }
}

struct Writer {
    out: Out,
    array: Option<JsonArray>,
    empty: bool,
}

impl Writer {
    fn open(form: Form) -> Outcome<Self> {
        let mut out = Out::new();
        let array = match form {
            Form::Json => Some(JsonArray::open(&mut out)?),
            Form::Table => None,
        };
        Ok(Self {
            out,
            array,
            empty: true,
        })
    }

    fn event(&mut self, event: v1::Event) -> Outcome {
        self.empty = false;
        match &mut self.array {
            Some(array) => array.push(&mut self.out, &json::Event::from(event)),
            None => self.out.line(&table::event(&event)),
        }
    }

    fn close(mut self) -> Outcome {
        match self.array {
            Some(array) => array.close(&mut self.out)?,
            None if self.empty => self.out.line("no events")?,
            None => {}
        }
        self.out.done()
    }
}

/// Shows events as they happen.
#[derive(Debug, Args)]
#[command(
    after_help = "Begins with the oldest event that is kept, goes on until it is interrupted or the stack is \
deleted, and rides out members that come and go."
)]
pub(crate) struct Watch {
    #[command(flatten)]
    named: Named,

    /// Only what comes after this log index
    #[arg(long, value_name = "INDEX", conflicts_with = "from_now")]
    after: Option<u64>,

    /// Only what comes from now on
    #[arg(long)]
    from_now: bool,

    #[command(flatten)]
    pub(crate) limit: CallLimit,
}

impl Watch {
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        call.with(Purpose::Look, async |client| {
            let stack = call.stack(&self.named.stack);
            let from = match self.after {
                Some(index) => From::After(Cursor::through(index)),
                None if self.from_now => From::Now,
                None => From::Oldest,
            };
            let mut watch = client.watch(&stack, from, false);
            let mut out = Out::new();
            let mut heard = false;
            let mut interrupts = Interrupts::listen()?;
            loop {
                let next = tokio::select! {
                    next = watch.next() => next,
                    () = interrupts.next() => break,
                };
                match next {
                    Ok(Some(WatchItem::Event(event))) => {
                        heard = true;
                        match call.form() {
                            Form::Json => out.json_line(&json::Event::from(event))?,
                            Form::Table => {
                                out.line(&table::event(&event))?;
                                out.flush()?;
                            }
                        }
                    }
                    Ok(Some(_)) => heard = true,
                    Ok(None) => break,
                    // Once it has begun, a watch outlives every member.
                    Err(Error::Unavailable(_)) if heard => {
                        output::note("no member answers; trying again");
                    }
                    Err(error) => return Err(failure(error)),
                }
            }
            out.done()
        })
        .await
    }
}
