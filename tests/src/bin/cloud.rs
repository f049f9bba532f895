//! The simulated cloud as a process. Prints its URL, and ends when its standard input does: with whoever started it.

use std::{io::Read as _, path::PathBuf, process::ExitCode, thread};

use clap::Parser;

#[derive(Parser)]
#[command(about = "An outside world that writes down every call")]
struct Flags {
    /// The journal, appended to.
    #[arg(long)]
    journal: PathBuf,
    /// The address that it listens on, on a port of its choice.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    thread::spawn(|| {
        let mut sink = Vec::new();
        let _ = std::io::stdin().read_to_end(&mut sink);
        std::process::exit(0);
    });
    let listener = match tokio::net::TcpListener::bind((flags.host.as_str(), 0)).await {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("cloud: {error}");
            return ExitCode::from(2);
        }
    };
    match listener.local_addr() {
        Ok(address) => println!("http://{address}"),
        Err(error) => eprintln!("cloud: {error}"),
    }
    if let Err(error) = anneal_tests::cloud::serve(listener, &flags.journal).await {
        eprintln!("cloud: {error}");
        return ExitCode::from(2);
    }
    ExitCode::SUCCESS
}
