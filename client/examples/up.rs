//! Brings a stack up from a template and follows it to the end.
//!
//! `cargo run -p anneal-client --example up -- 127.0.0.1:7400 web web.yaml`

use std::{env, fs, process::ExitCode};

use anneal_client::{Client, Ended, Goal, StackName, Step, Submission};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [endpoints, name, path] = arguments.as_slice() else {
        eprintln!("usage: up HOST:PORT[,HOST:PORT…] NAME TEMPLATE");
        return ExitCode::from(2);
    };
    match up(endpoints, name, path).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(1)
        }
    }
}

async fn up(
    endpoints: &str,
    name: &str,
    path: &str,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let client = Client::connect(endpoints)?;
    let name = StackName::new(name);
    let submission = Submission::up(name.clone(), path, fs::read(path)?);
    let reply = client.submit(&submission).await?;

    let revision = reply.revision;
    let mut follow = client.follow(&name, Goal::Converged { revision }, reply.index);
    loop {
        match follow.next().await? {
            Step::Event(event) => println!("{} {} {}", event.kind, event.resource, event.text),
            Step::Stack(_) => {}
            Step::Ended(Ended::Reached(stack)) => {
                for output in &stack.outputs {
                    println!("{} = {}", output.name, output.json);
                }
                return Ok(ExitCode::SUCCESS);
            }
            Step::Ended(ended) => {
                eprintln!("{ended:?}");
                return Ok(ExitCode::from(3));
            }
        }
    }
}
