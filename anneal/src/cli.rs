//! The arguments of the whole binary, and the way from them to an exit code.
//!
//! Knows the names of the commands and what all of them share; each command's own file knows the rest.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, ValueEnum};

use crate::call::Call;
use crate::command::Command;
use crate::duration;
use crate::exit::{self, Failure, Outcome};
use crate::log;

/// Longest one call to a member may take, unless `--timeout` says otherwise.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Anneal makes the world match a template, and keeps it matching.
///
/// With no cluster named, commands use the embedded one-member cluster in ./.anneal, which `anneal up` makes;
/// where there is none, they ask the member at 127.0.0.1:7400.
#[derive(Debug, Parser)]
#[command(
    name = "anneal",
    version,
    propagate_version = false,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = EXIT_CODES
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,

    /// Longest time for one call, such as 10s. Put after `up`, `stack create` or `stack update`, --timeout is the
    /// stack's own limit instead
    #[arg(long = "timeout", value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) call_timeout: Option<Duration>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done; 1 refused, not found, invalid template, unavailable; 2 wrong flags; \
3 the stack ended failed; 4 gave up waiting.";

/// What every command takes, before or after its name.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Common options")]
pub(crate) struct Common {
    /// Members to ask, each tried in turn
    #[arg(
        long,
        global = true,
        value_name = "HOST:PORT,…",
        env = "ANNEAL_ENDPOINTS",
        hide_env_values = true,
        value_delimiter = ',',
        value_parser = parse_endpoint
    )]
    pub(crate) endpoints: Vec<String>,

    /// Namespace of the stack
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "ANNEAL_NAMESPACE",
        hide_env_values = true,
        default_value = "default"
    )]
    pub(crate) namespace: String,

    /// Form of the answer
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORM",
        value_enum,
        default_value_t = Form::Table,
        hide_possible_values = true,
        help = "Form of the answer: table or json"
    )]
    pub(crate) output: Form,

    #[command(flatten)]
    pub(crate) tls: Tls,
}

/// Mutual TLS. For `serve` these are the member's own, for every other command the client's.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Mutual TLS (PEM files)")]
pub(crate) struct Tls {
    /// Certificates of the authority that signed the other side's
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ANNEAL_TLS_CA",
        hide_env_values = true
    )]
    pub(crate) tls_ca: Option<PathBuf>,

    /// This side's certificate
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ANNEAL_TLS_CERT",
        hide_env_values = true
    )]
    pub(crate) tls_cert: Option<PathBuf>,

    /// The key of this side's certificate
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "ANNEAL_TLS_KEY",
        hide_env_values = true
    )]
    pub(crate) tls_key: Option<PathBuf>,
}

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// For people.
    Table,
    /// For programs: one array for a listing, one object for a thing, one object a line for a stream.
    Json,
}

/// The limit of one call, on every command that calls and has no other `--timeout`.
#[derive(Debug, Clone, Args)]
pub(crate) struct CallLimit {
    /// Longest time for one call [default: 10s]; streams, submissions and --wait are not cut by it
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) timeout: Option<Duration>,
}

/// `--wait`, on every command that changes something.
#[derive(Debug, Clone, Args)]
pub(crate) struct Wait {
    /// Follow the change to its end, for at most DURATION; without it, return when it is committed
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        value_parser = duration::parse
    )]
    wait: Option<Option<Duration>>,
}

/// `--wait`, on the commands that follow in any case.
#[derive(Debug, Clone, Args)]
pub(crate) struct WaitAtMost {
    /// Follow for at most DURATION; without it, to the end
    #[arg(
        long,
        value_name = "DURATION",
        num_args = 0..=1,
        require_equals = true,
        value_parser = duration::parse
    )]
    wait: Option<Option<Duration>>,
}

impl WaitAtMost {
    /// What was asked for, as one value.
    pub(crate) fn patience(&self) -> Patience {
        match self.wait {
            Some(Some(limit)) => Patience::Limited(limit),
            None | Some(None) => Patience::Endless,
        }
    }
}

/// How long a change is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Until the command is committed.
    Committed,
    /// To the end.
    Endless,
    /// To the end, or until this much time has passed.
    Limited(Duration),
}

impl Wait {
    /// What was asked for, as one value.
    pub(crate) fn patience(&self) -> Patience {
        match self.wait {
            None => Patience::Committed,
            Some(None) => Patience::Endless,
            Some(Some(limit)) => Patience::Limited(limit),
        }
    }
}

/// Runs the command that `arguments` name; its exit code.
pub(crate) fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // A closed pipe under `anneal --help | head -1` is no failure.
            let _ = error.print();
            return if error.use_stderr() { exit::USAGE } else { 0 };
        }
    };
    match execute(cli) {
        Ok(()) => 0,
        Err(failure) => {
            if !failure.is_silent() {
                crate::output::complain(&failure);
            }
            failure.code()
        }
    }
}

fn execute(cli: Cli) -> Outcome {
    if !matches!(cli.command, Command::Serve(_)) {
        log::start_if_asked();
    }
    let limit = cli.command.call_timeout().or(cli.call_timeout);
    let call = Call::new(cli.common, limit.unwrap_or(CALL_TIMEOUT));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::refused(format!("cannot start the runtime: {error}")))?;
    let outcome = runtime.block_on(cli.command.run(&call));
    // Threads that still read from a terminal or a dead peer must not hold up the end of the process.
    runtime.shutdown_background();
    outcome
}

/// HOST:PORT of a member.
pub(crate) fn parse_endpoint(text: &str) -> Result<String, String> {
    let text = text.trim();
    let (host, port) = text
        .rsplit_once(':')
        .ok_or_else(|| "expected HOST:PORT".to_string())?;
    if host.is_empty() || host.contains('/') {
        return Err("expected HOST:PORT, without a scheme or path".into());
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok(text.to_string()),
        _ => Err(format!("{port:?} is not a port number (1 to 65535)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_tree_of_commands_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn both_places_of_timeout_keep_their_meaning() {
        let cli = Cli::try_parse_from([
            "anneal",
            "--timeout",
            "5s",
            "up",
            "-f",
            "web.yaml",
            "--timeout",
            "1h",
        ])
        .expect("both are legal");
        assert_eq!(cli.call_timeout, Some(Duration::from_secs(5)));
        assert_eq!(cli.command.call_timeout(), None);
        let Command::Up(up) = &cli.command else {
            panic!("expected up")
        };
        assert_eq!(up.options.timeout, Some(Duration::from_secs(3_600)));

        let cli = Cli::try_parse_from(["anneal", "stack", "show", "web", "--timeout", "3s"])
            .expect("legal");
        assert_eq!(cli.command.call_timeout(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn wait_takes_its_duration_only_after_an_equals_sign() {
        let patience = |arguments: &[&str]| {
            let cli = Cli::try_parse_from(arguments).expect("legal");
            let Command::Down(down) = cli.command else {
                panic!("expected down")
            };
            (down.wait.patience(), down.name)
        };
        assert_eq!(
            patience(&["anneal", "down", "--wait", "web"]),
            (Patience::Endless, Some("web".into()))
        );
        assert_eq!(
            patience(&["anneal", "down", "--wait=30s", "web"]),
            (
                Patience::Limited(Duration::from_secs(30)),
                Some("web".into())
            )
        );
        assert_eq!(patience(&["anneal", "down"]), (Patience::Endless, None));
    }

    #[test]
    fn endpoints_are_host_and_port() {
        for good in ["127.0.0.1:7400", "[::1]:7400", "db.example:1"] {
            assert_eq!(parse_endpoint(good), Ok(good.to_string()));
        }
        for bad in [
            "",
            "localhost",
            ":7400",
            "http://localhost:7400",
            "a:0",
            "a:70000",
            "a:b",
        ] {
            assert!(parse_endpoint(bad).is_err(), "{bad}");
        }
    }
}
