//! Fenced in vain: a change under a smaller token than one that the cloud had already seen for the instance.

use std::collections::BTreeMap;

use super::calls;
use crate::cloud::{Did, Happened, Record};

/// Fencing effects, looks among them, that were accepted under a smaller token than an earlier one of their instance.
pub fn accepted_backwards(journal: &[Record]) -> Vec<String> {
    let calls = calls(journal);
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    let mut guilty = Vec::new();
    for record in journal {
        let Happened::Effect(did) = &record.what else {
            continue;
        };
        let Some(call) = calls.get(&record.call).filter(|call| call.fencing) else {
            continue;
        };
        if matches!(did, Did::Fenced { .. }) {
            continue;
        }
        let largest = seen.entry(&call.instance).or_default();
        if call.token < *largest {
            guilty.push(format!(
                "call {}: {}/{} ({}): token {} was accepted after {largest}",
                record.call, call.stack, call.name, call.instance, call.token
            ));
        }
        *largest = call.token.max(*largest);
    }
    guilty
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cloud::Operation, judge::guilty::Story};

    #[test]
    fn a_smaller_token_after_a_larger_one_is_guilty_unless_it_was_refused() {
        let back = Story::default().looks("i", 5, 0).creates("i", "k", 4, "o1");
        assert_eq!(accepted_backwards(&back.told()).len(), 1);
        let fenced = Story::default().looks("i", 5, 0).call(
            Operation::Create,
            "i",
            Some("k"),
            4,
            Did::Fenced { seen: 5 },
        );
        assert_eq!(accepted_backwards(&fenced.told()), [""; 0]);
    }
}
