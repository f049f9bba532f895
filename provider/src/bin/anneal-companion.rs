//! The guard and the supervisor by themselves, for programs that embed an engine and don't want to carry
//! these modes in their own `main`.

use std::process::ExitCode;

fn main() -> ExitCode {
    anneal_provider::companion_main().unwrap_or_else(|| {
        eprintln!("anneal-companion: an engine starts it, not a person");
        ExitCode::from(2)
    })
}
