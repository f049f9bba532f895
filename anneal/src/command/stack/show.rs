//! `anneal stack show|outputs|graph|explain`: one stack, looked at.

use anneal_client::{Client, StackName, v1};
use clap::Args;

use super::{Named, Reading};
use crate::call::Call;
use crate::cli::Form;
use crate::embedded::Purpose;
use crate::exit::{Failure, Outcome};
use crate::output::listing::Listing;
use crate::output::{Out, dot, json, table, text};
use crate::refusal::failure;

/// Shows a stack.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    named: Named,

    /// Print the stored template instead: whole, in normal form, without comments
    #[arg(long)]
    template: bool,

    #[command(flatten)]
    pub(crate) reading: Reading,
}

impl Show {
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        call.with(Purpose::Look, async |client| {
            let stack = call.stack(&self.named.stack);
            let mut out = Out::new();
            if self.template {
                let text = client
                    .stack_template(&stack, self.reading.read())
                    .await
                    .map_err(failure)?;
                out.text(&text)?;
                return out.done();
            }
            let stack = client
                .show_stack(&stack, self.reading.read())
                .await
                .map_err(failure)?;
            let secrets = self.reading.show_secrets;
            match call.form() {
                Form::Table => out.text(&table::stack(&stack, secrets))?,
                Form::Json => out.json(&json::Stack::new(stack, secrets))?,
            }
            out.done()
        })
        .await
    }
}

/// Shows the outputs of a stack.
#[derive(Debug, Args)]
#[command(after_help = "With KEY, the bare value is printed, ready for a script.")]
pub(crate) struct Outputs {
    #[command(flatten)]
    named: Named,

    /// Print the value of this output alone
    key: Option<String>,

    #[command(flatten)]
    pub(crate) reading: Reading,
}

impl Outputs {
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        call.with(Purpose::Look, async |client| {
            let stack = call.stack(&self.named.stack);
            let names: Vec<String> = self.key.iter().cloned().collect();
            let outputs = client
                .outputs(&stack, &names, self.reading.read())
                .await
                .map_err(failure)?;
            match &self.key {
                Some(key) => self.one(call, key, outputs),
                None => self.all(call, outputs),
            }
        })
        .await
    }

    fn all(&self, call: &Call, outputs: Vec<v1::Output>) -> Outcome {
        let secrets = self.reading.show_secrets;
        let mut out = Out::new();
        match call.form() {
            Form::Table if outputs.is_empty() => out.line("no outputs")?,
            Form::Table => out.text(&table::outputs(&outputs, secrets))?,
            Form::Json => out.json(&json::outputs(outputs, secrets))?,
        }
        out.done()
    }

    fn one(&self, call: &Call, key: &str, outputs: Vec<v1::Output>) -> Outcome {
        let secrets = self.reading.show_secrets;
        let Some(output) = outputs.into_iter().find(|output| output.name == key) else {
            return Err(Failure::refused_with(
                format!("stack {} has no output {key}", self.named.stack),
                format!("its outputs: anneal stack outputs {}", self.named.stack),
            ));
        };
        if !output.error.is_empty() {
            let why = text::printable(&output.error);
            return Err(Failure::refused(format!(
                "output {key} has no value yet: {why}"
            )));
        }
        let mut out = Out::new();
        match call.form() {
            Form::Table => out.line(&table::output_value(&output, secrets))?,
            Form::Json => {
                let value = json::outputs(vec![output], secrets).remove(key);
                out.json(&value)?;
            }
        }
        out.done()
    }
}

/// Shows the graph.
#[derive(Debug, Args)]
#[command(after_help = "anneal stack graph web | dot -Tsvg > web.svg")]
pub(crate) struct Graph {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    pub(crate) reading: Reading,
}

impl Graph {
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        call.with(Purpose::Look, async |client| {
            let stack = call.stack(&self.named.stack);
            let nodes = client
                .graph(&stack, self.reading.read())
                .await
                .map_err(failure)?;
            match call.form() {
                Form::Table => {
                    let mut out = Out::new();
                    dot::write(&mut out, &stack.name, &nodes)?;
                    out.done()
                }
                Form::Json => {
                    let mut listing = Listing::open(Form::Json, &[])?;
                    listing.page(nodes, |_| Vec::new(), json::GraphNode::from)?;
                    listing.close("")
                }
            }
        })
        .await
    }
}

/// Explains a stack.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    #[command(flatten)]
    named: Named,

    #[command(flatten)]
    pub(crate) reading: Reading,
}

impl Explain {
    pub(crate) async fn run(self, call: &Call) -> Outcome {
        call.with(Purpose::Look, async |client| {
            let stack = call.stack(&self.named.stack);
            explain(call, client, &stack, None, &self.reading).await
        })
        .await
    }
}

/// Why the stack, or one of its resources, is not further than it is.
pub(crate) async fn explain(
    call: &Call,
    client: &Client,
    stack: &StackName,
    resource: Option<&str>,
    reading: &Reading,
) -> Outcome {
    let reply = client
        .explain(stack, resource, reading.read())
        .await
        .map_err(failure)?;
    let mut out = Out::new();
    match call.form() {
        Form::Table => {
            let subject = resource.unwrap_or(&stack.name);
            out.text(&table::explanation(subject, &reply))?;
        }
        Form::Json => out.json(&json::Explanation::from(reply))?,
    }
    out.done()
}
