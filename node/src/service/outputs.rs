//! Outputs, evaluated when they are asked for, from what the resources report at that moment.

use anneal_proto::{stored::v1 as stored, v1};
use anneal_provider::Registry;
use anneal_statemachine::id::StackId;
use anneal_template::{EvaluatedOutput, evaluate_output};

use super::mask::mask;
use crate::{
    preview::values::{Secret, StackValues, present},
    replica::Replica,
};

/// Whose outputs, and how they are to be shown.
pub(crate) struct Showing<'a> {
    pub(crate) replica: &'a Replica,
    pub(crate) registry: &'a Registry,
    pub(crate) stack: StackId,
    pub(crate) show_secrets: bool,
}

impl Showing<'_> {
    /// One output.
    pub(crate) fn output(&self, output: &stored::Output) -> v1::Output {
        let shown = v1::Output {
            name: output.name.clone(),
            description: output.description.clone(),
            ..Default::default()
        };
        let evaluated = match self.evaluate(output, Secret::Any) {
            Ok(evaluated) => evaluated,
            Err(error) => return v1::Output { error, ..shown },
        };
        if let Some(error) = self.missing(output, &evaluated) {
            return v1::Output { error, ..shown };
        }
        let sensitive = !evaluated.sensitive.is_empty();
        let hidden = match sensitive {
            true => self.evaluate(output, Secret::Hidden).map(|it| it.sensitive),
            false => Ok(Vec::new()),
        }
        .unwrap_or_else(|_| vec![String::new()]);
        let mut value = evaluated.value;
        if !self.show_secrets {
            mask(&mut value, &hidden);
        }
        v1::Output {
            json: value.to_string(),
            sensitive,
            hidden: !hidden.is_empty(),
            ..shown
        }
    }

    fn evaluate(&self, output: &stored::Output, secret: Secret) -> Result<EvaluatedOutput, String> {
        let values = StackValues {
            replica: self.replica,
            registry: self.registry,
            stack: self.stack,
            secret,
        };
        evaluate_output(&output.body, &values).map_err(|error| error.to_string())
    }

    /// Why the value is not known yet, if it is not.
    fn missing(&self, output: &stored::Output, evaluated: &EvaluatedOutput) -> Option<String> {
        if evaluated.unknown.is_empty() {
            return None;
        }
        let missing = self.replica.read(|state| {
            output
                .references
                .iter()
                .map(|reference| reference.resource.as_str())
                .find(|name| present(state, self.stack, name).is_none())
                .map(str::to_owned)
        });
        Some(match missing {
            Some(resource) => format!("resource {resource} is not there yet"),
            None => "not all of it is known yet".to_owned(),
        })
    }
}
