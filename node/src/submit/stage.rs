//! A difference that is too large for one log entry, in parts. Pure.

use std::{iter::Peekable, vec};

use anneal_statemachine::command::{Blob, Difference, SetResource, items_with};
use anneal_statemachine::id::Text;

use super::refusal::TooLarge;
use crate::replica::COMMAND_BYTES;

/// The most that one entry carries, in bytes. One resource that is larger goes alone.
const ENTRY_LIMIT: usize = 1024 * 1024;
/// Items of one part, and in items without edges what needs no parts, since an entry takes in as much: applying it must not
/// hold up a heartbeat, however small they are. The edges of what is removed are not known here.
const ITEMS_LIMIT: usize = 500;
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
#[derive(Debug)]
pub(crate) struct Proposal {
    /// To be staged first; none if all of it fits into one entry.
    pub(crate) parts: Parts,
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
    let names = difference.set.len() + difference.remove.len();
    // Each counts for one at least: of very many, what edges add need not be known.
    names > ITEMS_LIMIT || {
        let set: usize = difference.set.iter().map(share).sum();
        set + difference.remove.len() > ITEMS_LIMIT
    }
}

fn share(set: &SetResource) -> usize {
    let edges = set.definition.as_ref().map_or(0, |definition| {
        definition.references.len() + definition.depends_on.len()
    });
    items_with(edges)
}

/// Splits a difference, if it must be.
///
/// # Errors
/// As [`check`].
pub(crate) fn split(mut difference: Difference) -> Result<Proposal, TooLarge> {
    check(&difference)?;
    if size(&difference) <= ENTRY_LIMIT && !is_large(&difference) {
        return Ok(Proposal {
            parts: Parts::of(Vec::new(), Vec::new()),
            rest: difference,
        });
    }
    let set = std::mem::take(&mut difference.set);
    let remove = std::mem::take(&mut difference.remove);
    Ok(Proposal {
        parts: Parts::of(set, remove),
        rest: difference,
    })
}

/// The parts of a large difference, in order. Each is put together when its turn comes: all at once they would be a second copy
/// of everything.
#[derive(Debug)]
pub(crate) struct Parts {
    set: Peekable<vec::IntoIter<SetResource>>,
    remove: Peekable<vec::IntoIter<Text>>,
}

impl Parts {
    fn of(set: Vec<SetResource>, remove: Vec<Text>) -> Self {
        Self {
            set: set.into_iter().peekable(),
            remove: remove.into_iter().peekable(),
        }
    }
}

impl Iterator for Parts {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        let mut room = Room::default();
        let mut part = Part::default();
        while let Some(item) = self.set.next_if(|item| room.takes(set_size(item))) {
            part.set.push(item);
        }
        if self.set.peek().is_none() {
            while let Some(name) = self.remove.next_if(|name| room.takes(removal_size(name))) {
                part.remove.push(name);
            }
        }
        (room.items > 0).then_some(part)
    }
}

/// What a part has taken.
#[derive(Default)]
struct Room {
    bytes: usize,
    items: usize,
}

impl Room {
    /// Whether there is room for an item of this size, which is taken then. The first one always fits.
    fn takes(&mut self, size: usize) -> bool {
        let fits = self.bytes + size <= ENTRY_LIMIT && self.items < ITEMS_LIMIT;
        if fits || self.items == 0 {
            self.bytes += size;
            self.items += 1;
            return true;
        }
        false
    }
}

fn size(difference: &Difference) -> usize {
    let set: usize = difference.set.iter().map(set_size).sum();
    let remove: usize = difference.remove.iter().map(removal_size).sum();
    set + remove + blob(&difference.head) + blob(&difference.parameters)
}

fn blob(blob: &Option<Blob>) -> usize {
    blob.as_ref().map_or(0, |blob| blob.bytes.len())
}

fn removal_size(name: &Text) -> usize {
    name.len() + ITEM_OVERHEAD
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
    use crate::submit::resource;

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
        assert_eq!(proposal.parts.count(), 0);
    }

    #[test]
    fn a_large_one_is_staged_in_order_and_every_part_is_bounded() {
        let body: &'static str = Box::leak("x".repeat(1000).into_boxed_str());
        let large = difference(12_000, body);
        let proposal = split(large.clone()).unwrap();
        assert!(proposal.rest.set.is_empty() && proposal.rest.remove.is_empty());
        let parts: Vec<Part> = proposal.parts.collect();
        assert!(parts.len() > 12);
        let mut again = Vec::new();
        for part in &parts {
            let bytes: usize = part.set.iter().map(set_size).sum();
            assert!(bytes <= ENTRY_LIMIT && part.set.len() <= ITEMS_LIMIT);
            again.extend(part.set.clone());
        }
        assert_eq!(again, large.set);
        assert_eq!(parts.last().unwrap().remove, large.remove);
    }

    #[test]
    fn a_resource_that_is_too_large_for_an_entry_goes_alone() {
        let body: &'static str = Box::leak("x".repeat(ENTRY_LIMIT).into_boxed_str());
        let mut large = difference(2, "b");
        large.set.insert(1, resource("huge", body));
        let parts = split(large).unwrap().parts;
        let sizes: Vec<usize> = parts
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
