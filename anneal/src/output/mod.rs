//! Answers: JSON for programs, tables and lines for people.
//!
//! Knows the client API's messages and nothing of how they were got.

pub(crate) mod dot;
pub(crate) mod json;
pub(crate) mod listing;
pub(crate) mod problems;
pub(crate) mod progress;
pub(crate) mod schema;
pub(crate) mod table;
pub(crate) mod text;

use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;

use crate::exit::{Failure, Outcome};

/// Standard output, buffered; every write can fail, and a closed pipe is not a crash.
pub(crate) struct Out(BufWriter<io::Stdout>);

impl Out {
    /// Standard output from here on.
    pub(crate) fn new() -> Self {
        Self(BufWriter::new(io::stdout()))
    }

    /// One line of text.
    pub(crate) fn line(&mut self, text: &str) -> Outcome {
        writeln!(self.0, "{text}")?;
        Ok(())
    }

    /// Text as it is.
    pub(crate) fn text(&mut self, text: &str) -> Outcome {
        self.bytes(text.as_bytes())
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Outcome {
        self.0.write_all(bytes)?;
        Ok(())
    }

    /// One value as JSON on lines of its own.
    pub(crate) fn json<T: Serialize>(&mut self, value: &T) -> Outcome {
        serde_json::to_writer_pretty(&mut self.0, value).map_err(json_failure)?;
        writeln!(self.0)?;
        Ok(())
    }

    /// One value as JSON on one line, written through at once: the reader of a stream waits for it.
    pub(crate) fn json_line<T: Serialize>(&mut self, value: &T) -> Outcome {
        serde_json::to_writer(&mut self.0, value).map_err(json_failure)?;
        writeln!(self.0)?;
        self.flush()
    }

    /// Writes through what is buffered.
    pub(crate) fn flush(&mut self) -> Outcome {
        self.0.flush()?;
        Ok(())
    }

    /// The end of an answer: nothing may be lost silently in a buffer.
    pub(crate) fn done(mut self) -> Outcome {
        self.flush()
    }
}

fn json_failure(error: serde_json::Error) -> Failure {
    Failure::Output(error.into())
}

/// One JSON array that is written as its pages arrive, so that a listing of any length takes little memory.
pub(crate) struct JsonArray {
    empty: bool,
}

impl JsonArray {
    /// Opens the array.
    pub(crate) fn open(out: &mut Out) -> Outcome<Self> {
        out.text("[")?;
        Ok(Self { empty: true })
    }

    /// One element more.
    pub(crate) fn push<T: Serialize>(&mut self, out: &mut Out, value: &T) -> Outcome {
        out.text(if self.empty { "\n" } else { ",\n" })?;
        self.empty = false;
        serde_json::to_writer(&mut out.0, value).map_err(json_failure)
    }

    /// Closes it.
    pub(crate) fn close(self, out: &mut Out) -> Outcome {
        out.line(if self.empty { "]" } else { "\n]" })
    }
}

/// Tells a failure on standard error; if even that is closed there is nobody left to tell.
pub(crate) fn complain(failure: &Failure) {
    let _ = writeln!(io::stderr(), "{failure}");
}

/// A line on standard error that belongs to no answer.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether a person watches standard output.
pub(crate) fn on_terminal() -> bool {
    io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
