//! A difference that is too large for one log entry, in parts. Pure.

use anneal_statemachine::command::{Blob, Difference, SetResource};
use anneal_statemachine::id::Text;

use super::refusal::TooLarge;
use crate::replica::COMMAND_BYTES;

/// The most that one entry carries, in bytes. One resource that is larger goes alone.
const ENTRY_LIMIT: usize = 1024 * 1024;
/// Items of one entry: applying it must not hold up a heartbeat, however small they are.
const ITEMS_LIMIT: usize = 2_500;
/// What an item costs beside its texts, at most, in bytes: digests, lengths, policy.
const ITEM_OVERHEAD: usize = 160;
/// What can't be divided may have this many bytes. Sizes here are estimates from below, which the rest of what an entry
/// may have makes up for.
const WHOLE_LIMIT: usize = COMMAND_BYTES - (4 << 20);

/// One part of a staged difference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) set: Vec<SetResource>,
    pub(crate) remove: Vec<Text>,
}

/// A difference as it is to be proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proposal {
    /// To be staged first; empty if all of it fits into one entry.
    pub(crate) parts: Vec<Part>,
    /// What goes with the last entry.
    pub(crate) rest: Difference,
}

/// Whether what goes into one entry whole fits into one.
///
/// # Errors
/// What is too large, by name.
pub(crate) fn check(difference: &Difference) -> Result<(), TooLarge> {
    let too_large = |what: String| Err(TooLarge::new(what, WHOLE_LIMIT));
    let (head, parameters) = (blob(&difference.head), blob(&difference.parameters));
    if head > WHOLE_LIMIT {
        return too_large(
            "bytes in the template outside its resources (outputs, parameters, conditions)".into(),
        );
    }
    if parameters > WHOLE_LIMIT {
        return too_large("bytes in the parameters".into());
    }
    if head + parameters > WHOLE_LIMIT {
        return too_large(
            "bytes in the template outside its resources and the parameters together".into(),
        );
    }
    match difference
        .set
        .iter()
        .find(|set| set_size(set) > WHOLE_LIMIT)
    {
        Some(set) => too_large(format!("bytes in resource {}", set.name)),
        None => Ok(()),
    }
}

/// Whether there is so much to divide that nobody should wait for it.
pub(crate) fn is_large(difference: &Difference) -> bool {
    difference.set.len() + difference.remove.len() > ITEMS_LIMIT
}

/// Splits a difference, if it must be.
///
/// # Errors
/// As [`check`].
pub(crate) fn split(mut difference: Difference) -> Result<Proposal, TooLarge> {
    check(&difference)?;
    if size(&difference) <= ENTRY_LIMIT && !is_large(&difference) {
        return Ok(Proposal {
            parts: Vec::new(),
            rest: difference,
        });
    }
    let mut parts = Parts::default();
    for set in std::mem::take(&mut difference.set) {
        let size = set_size(&set);
        parts.room_for(size).set.push(set);
    }
    for name in std::mem::take(&mut difference.remove) {
        let size = name.len() + ITEM_OVERHEAD;
        parts.room_for(size).remove.push(name);
    }
    Ok(Proposal {
        parts: parts.done,
        rest: difference,
    })
}

#[derive(Default)]
struct Parts {
    done: Vec<Part>,
    bytes: usize,
    items: usize,
}

impl Parts {
    /// The part that takes an item of this size.
    fn room_for(&mut self, size: usize) -> &mut Part {
        let full = self.bytes + size > ENTRY_LIMIT || self.items >= ITEMS_LIMIT;
        if self.done.is_empty() || full {
            self.done.push(Part::default());
            (self.bytes, self.items) = (0, 0);
        }
        self.bytes += size;
        self.items += 1;
        let last = self.done.len() - 1;
        &mut self.done[last]
    }
}

fn size(difference: &Difference) -> usize {
    let set: usize = difference.set.iter().map(set_size).sum();
    let removed = |name: &Text| name.len() + ITEM_OVERHEAD;
    let remove: usize = difference.remove.iter().map(removed).sum();
    set + remove + blob(&difference.head) + blob(&difference.parameters)
}

fn blob(blob: &Option<Blob>) -> usize {
    blob.as_ref().map_or(0, |blob| blob.bytes.len())
}

fn set_size(set: &SetResource) -> usize {
    let texts = |texts: &[Text]| -> usize { texts.iter().map(|text| text.len() + 4).sum() };
    let definition = set.definition.as_ref().map_or(0, |definition| {
        let references: usize = definition
            .references
            .iter()
            .map(|reference| {
                reference.resource.len() + reference.attribute.as_ref().map_or(0, |a| a.len()) + 8
            })
            .sum();
        definition.body.len() + references + texts(&definition.depends_on)
    });
    let beside = set.name.len() + set.fragment.bytes.len() + texts(&set.parameters_used);
    definition + beside + ITEM_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submit::difference::tests::resource;

    fn difference(count: usize, body: &'static str) -> Difference {
        Difference {
            set: (0..count)
                .map(|n| resource(&format!("r{n}"), body))
                .collect(),
            remove: vec!["gone".into()],
            ..Difference::default()
        }
    }

    #[test]
    fn a_small_difference_is_one_entry() {
        let small = difference(10, "b");
        let proposal = split(small.clone()).unwrap();
        assert_eq!(proposal.rest, small);
        assert!(proposal.parts.is_empty());
    }

    #[test]
    fn a_large_one_is_staged_in_order_and_every_part_is_bounded() {
        let body: &'static str = Box::leak("x".repeat(1000).into_boxed_str());
        let large = difference(12_000, body);
        let proposal = split(large.clone()).unwrap();
        assert!(proposal.parts.len() > 12);
        assert!(proposal.rest.set.is_empty() && proposal.rest.remove.is_empty());
        let mut again = Vec::new();
        for part in &proposal.parts {
            let bytes: usize = part.set.iter().map(set_size).sum();
            assert!(bytes <= ENTRY_LIMIT && part.set.len() <= ITEMS_LIMIT);
            again.extend(part.set.clone());
        }
        assert_eq!(again, large.set);
        assert_eq!(proposal.parts.last().unwrap().remove, large.remove);
    }

    #[test]
    fn a_resource_that_is_too_large_for_an_entry_goes_alone() {
        let body: &'static str = Box::leak("x".repeat(ENTRY_LIMIT).into_boxed_str());
        let mut large = difference(2, "b");
        large.set.insert(1, resource("huge", body));
        let parts = split(large).unwrap().parts;
        let sizes: Vec<usize> = parts
            .iter()
            .map(|part| part.set.len() + part.remove.len())
            .collect();
        assert_eq!(sizes, [1, 1, 2]);
    }

    #[test]
    fn what_no_entry_could_hold_is_refused_by_name() {
        let bytes = "x".repeat(WHOLE_LIMIT / 2 + 1).into_bytes();
        let half = crate::submit::stored::blob(bytes);
        let said = |difference: &Difference| check(difference).unwrap_err().to_string();
        let mut large = difference(1, "b");
        large.head = Some(half.clone());
        assert_eq!(check(&large), Ok(()));
        large.parameters = Some(half);
        assert!(said(&large).ends_with("and the parameters together"));
        let body: &'static str = Box::leak("x".repeat(WHOLE_LIMIT + 1).into_boxed_str());
        let mut large = difference(1, "b");
        large.set.push(resource("huge", body));
        assert!(said(&large).ends_with("bytes in resource huge"));
        assert!(split(large).is_err());
    }
}
