//! `anneal completion`: scripts that complete commands and flags in a shell.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::Outcome;
use crate::output::Out;

/// Prints a completion script.
#[derive(Debug, Args)]
#[command(
    after_help = "For this session:     source <(anneal completion bash)\n\
For every session:    anneal completion bash > ~/.local/share/bash-completion/completions/anneal"
)]
pub(crate) struct Completion {
    /// The shell: bash, zsh or fish
    #[arg(value_enum, hide_possible_values = true)]
    shell: KnownShell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KnownShell {
    Bash,
    Zsh,
    Fish,
}

impl Completion {
    /// Prints the script.
    pub(crate) fn run(self) -> Outcome {
        let shell = match self.shell {
            KnownShell::Bash => Shell::Bash,
            KnownShell::Zsh => Shell::Zsh,
            KnownShell::Fish => Shell::Fish,
        };
        // The generator takes a writer and panics when it fails, so it gets one that cannot.
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "anneal", &mut script);
        let mut out = Out::new();
        out.bytes(&script)?;
        out.done()
    }
}
