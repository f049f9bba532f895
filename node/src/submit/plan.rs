//! The name of a plan: the digest of a base and the difference to it. Whoever computes the same, computes the same
//! name. Pure.

use anneal_statemachine::{
    command::{Change, ChangeStack, Command, CommandKind, Stamp},
    id::{RequestId, Revision},
};

use super::prepare::Prepared;
use crate::codec;

/// Told apart from every other use of the hash.
const DOMAIN: &str = "anneal plan 1";
/// Characters of a plan's name: 128 bits, which nobody meets twice by chance.
const CHARACTERS: usize = 32;

/// The id of what a submission comes to.
pub fn plan_id(namespace: &str, name: &str, prepared: &Prepared) -> String {
    let difference = prepared.difference.clone();
    let (base, stack) = match &prepared.base {
        None => (Revision(0), 0),
        Some(now) => (now.revision, now.id.0),
    };
    let change = ChangeStack {
        request: RequestId::default(),
        namespace: namespace.into(),
        name: name.into(),
        change: Change::Update { base, difference },
    };
    let command = Command {
        stamp: Stamp::default(),
        kind: CommandKind::ChangeStack(change),
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update(DOMAIN.as_bytes());
    // Another stack of the same name is another base.
    hasher.update(&stack.to_le_bytes());
    hasher.update(&codec::encode_command(&command));
    hasher.finalize().to_hex().as_str()[..CHARACTERS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submit::{
        Stored as _,
        difference::{
            from_nothing,
            tests::{declared, resource},
        },
        fake::Shelf,
    };

    #[test]
    fn a_plan_is_named_by_its_base_and_what_it_does() {
        let prepared = |body| Prepared {
            base: None,
            difference: from_nothing(declared(vec![resource("a", body)])),
            warnings: Vec::new(),
        };
        let plan = plan_id("default", "web", &prepared("1"));
        assert_eq!(plan.len(), CHARACTERS);
        assert_eq!(plan, plan_id("default", "web", &prepared("1")));
        assert_ne!(plan, plan_id("default", "web", &prepared("2")));
        assert_ne!(plan, plan_id("default", "other", &prepared("1")));
        let shelf = Shelf::with(prepared("1").difference);
        let later = Prepared {
            base: shelf.stack("default", "web"),
            ..prepared("1")
        };
        assert_ne!(plan, plan_id("default", "web", &later));
    }
}
