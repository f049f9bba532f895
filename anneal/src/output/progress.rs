//! The way of a stack to its end, as it is shown: a bar with counts and the actions now running on a terminal, plain
//! lines in a pipe, nothing when a program reads.
//!
//! Knows events and snapshots; decides nothing.

use std::time::Duration;

use anneal_client::v1;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{note, on_terminal, table, text};
use crate::exit::Outcome;

/// Actions named on the bar at most; a terminal has few lines.
const ACTIONS_SHOWN: usize = 6;
/// Redraws of the bar while nothing happens, so that its clock goes on.
const TICK: Duration = Duration::from_millis(200);
/// In a pipe, stacks with more resources than this get counts instead of a line for each event.
const LINES_FOR_RESOURCES: u64 = 1_000;
/// What runs now is looked up in stacks of no more resources than one page of a listing has.
const RUNNING_FOR_RESOURCES: u64 = 1_000;

/// Where progress goes.
pub(crate) enum Progress {
    /// A terminal.
    Bar(Box<Bar>),
    /// A pipe.
    Lines(Lines),
    /// Nowhere.
    Silent,
}

impl Progress {
    /// For people, on standard output.
    pub(crate) fn for_people() -> Self {
        if on_terminal() {
            Self::Bar(Box::new(Bar::new()))
        } else {
            Self::Lines(Lines::default())
        }
    }

    /// Something happened.
    pub(crate) fn event(&mut self, event: &v1::Event) -> Outcome {
        match self {
            Self::Bar(bar) => {
                bar.event(event);
                Ok(())
            }
            Self::Lines(lines) => {
                let told = lines.event(event);
                self.unless_nobody_reads(told)
            }
            Self::Silent => Ok(()),
        }
    }

    /// Whoever read the progress has gone (`anneal up | head -1`): the stack is followed all the same.
    fn unless_nobody_reads(&mut self, told: Outcome) -> Outcome {
        match told {
            Err(failure) if failure.is_silent() => {
                *self = Self::Silent;
                Ok(())
            }
            told => told,
        }
    }

    /// The stack as it is now.
    pub(crate) fn stack(&mut self, stack: &v1::Stack) -> Outcome {
        match self {
            Self::Bar(bar) => {
                bar.stack(stack);
                Ok(())
            }
            Self::Lines(lines) => {
                let told = lines.stack(stack);
                self.unless_nobody_reads(told)
            }
            Self::Silent => Ok(()),
        }
    }

    /// Whether it is shown what runs now, and something does.
    pub(crate) fn wants_running(&self) -> bool {
        match self {
            Self::Bar(bar) => bar.counts.in_flight > 0 && bar.counts.total <= RUNNING_FOR_RESOURCES,
            _ => false,
        }
    }

    /// What runs now.
    pub(crate) fn running(&mut self, resources: Vec<v1::Resource>) {
        if let Self::Bar(bar) = self {
            bar.running = Running(resources);
            bar.draw();
        }
    }

    /// Something about the way itself.
    pub(crate) fn remark(&self, text: &str) {
        match self {
            Self::Bar(bar) => bar.bar.suspend(|| note(text)),
            _ => note(text),
        }
    }

    /// Makes room for the answer.
    pub(crate) fn done(self) {
        if let Self::Bar(bar) = self {
            bar.bar.finish_and_clear();
        }
    }
}

/// The bar on a terminal.
pub(crate) struct Bar {
    bar: ProgressBar,
    running: Running,
    counts: v1::Counts,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        bar.set_style(style());
        bar.set_length(1);
        bar.enable_steady_tick(TICK);
        Self {
            bar,
            running: Running::default(),
            counts: v1::Counts::default(),
        }
    }

    fn event(&mut self, event: &v1::Event) {
        if is_worth_a_line(event) {
            self.bar.suspend(|| println_quietly(&line(event)));
        }
        self.draw();
    }

    fn stack(&mut self, stack: &v1::Stack) {
        self.counts = stack.counts.unwrap_or_default();
        if self.counts.in_flight == 0 {
            self.running = Running::default();
        }
        self.draw();
    }

    fn draw(&self) {
        // A bar without a length is drawn full, and nothing is done yet.
        self.bar.set_length(self.counts.total.max(1));
        self.bar.set_position(self.counts.settled);
        self.bar.set_message(format!(
            "{}{}",
            text::counts(&self.counts),
            self.running.lines()
        ));
    }
}

/// The message has further lines: what runs now.
const STYLE: &str = "{elapsed_precise} [{bar:30}] {msg}";

fn style() -> ProgressStyle {
    ProgressStyle::with_template(STYLE)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

fn println_quietly(line: &str) {
    use std::io::Write;
    // Progress that nobody can read any more is no reason to stop following.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The actions that run now.
#[derive(Debug, Default)]
struct Running(Vec<v1::Resource>);

impl Running {
    fn lines(&self) -> String {
        let mut lines = String::new();
        for resource in self.0.iter().take(ACTIONS_SHOWN) {
            lines.push_str(&format!(
                "\n    {} {}  ({})",
                resource.action,
                text::cell(&resource.name),
                resource.r#type
            ));
        }
        if self.0.len() > ACTIONS_SHOWN {
            lines.push_str(&format!("\n    and {} more", self.0.len() - ACTIONS_SHOWN));
        }
        lines
    }
}

/// Lines in a pipe.
#[derive(Default)]
pub(crate) struct Lines {
    last: Option<v1::Counts>,
    total: u64,
}

impl Lines {
    fn event(&mut self, event: &v1::Event) -> Outcome {
        // The first snapshot tells the size; what comes before it is the change itself.
        let wanted = self.total <= LINES_FOR_RESOURCES || is_worth_a_line(event);
        if wanted {
            print(&line(event))?;
        }
        Ok(())
    }

    fn stack(&mut self, stack: &v1::Stack) -> Outcome {
        let counts = stack.counts.unwrap_or_default();
        self.total = counts.total;
        if self.total > LINES_FOR_RESOURCES && self.last.as_ref() != Some(&counts) {
            print(&format!("{}: {}", stack.name, text::counts(&counts)))?;
        }
        self.last = Some(counts);
        Ok(())
    }
}

fn print(line: &str) -> Outcome {
    let mut out = super::Out::new();
    out.line(line)?;
    out.done()
}

/// What a person wants to have seen even when the bar has moved on.
fn is_worth_a_line(event: &v1::Event) -> bool {
    matches!(
        event.kind.as_str(),
        "failed" | "on_hold" | "halted" | "stuck" | "drifted" | "unknown" | "retrying"
    )
}

fn line(event: &v1::Event) -> String {
    table::event_without_stack(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(count: usize) -> Running {
        let resource = |number| v1::Resource {
            name: format!("r{number}"),
            r#type: "OS::Heat::Delay".into(),
            action: "create".into(),
            ..Default::default()
        };
        Running((0..count).map(resource).collect())
    }

    #[test]
    fn a_terminal_has_few_lines() {
        assert_eq!(running(0).lines(), "");
        assert_eq!(running(1).lines(), "\n    create r0  (OS::Heat::Delay)");
        assert_eq!(running(100).lines().lines().count(), ACTIONS_SHOWN + 2);
        assert!(running(100).lines().ends_with("and 94 more"));
    }

    #[test]
    fn the_style_of_the_bar_is_readable() {
        assert!(ProgressStyle::with_template(STYLE).is_ok());
    }
}
