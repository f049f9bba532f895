//! Resources by name: what the patch sets and takes away, and below it the stored stack.

use std::collections::BTreeMap;

use crate::fold::{Neighbour, Neighbours};
use crate::lookup::LookupTable;
use crate::problem::Position;
use crate::resource::Outline;
use crate::schema::Catalog;
use crate::stack_view::StackView;
use crate::tree::NodeRef;

pub(super) struct Overlay<'x, 't, 'a> {
    outlines: &'x [Outline<'t, 'a>],
    index: LookupTable<&'t str, usize>,
    removed: &'x BTreeMap<&'x str, NodeRef<'x>>,
    view: &'a dyn StackView,
    catalog: &'a dyn Catalog,
}

impl<'x, 't, 'a> Overlay<'x, 't, 'a> {
    pub(super) fn new(
        outlines: &'x [Outline<'t, 'a>],
        removed: &'x BTreeMap<&'x str, NodeRef<'x>>,
        view: &'a dyn StackView,
        catalog: &'a dyn Catalog,
    ) -> Self {
        let index = outlines
            .iter()
            .enumerate()
            .map(|(at, outline)| (outline.name, at))
            .collect();
        Self {
            outlines,
            index,
            removed,
            view,
            catalog,
        }
    }

    /// Where the text sets a resource.
    pub(super) fn position(&self, name: &str) -> Option<Position> {
        self.index.get(name).map(|at| self.outlines[*at].position())
    }
}

impl Neighbours for Overlay<'_, '_, '_> {
    fn neighbour(&self, name: &str) -> Neighbour<'_> {
        if let Some(at) = self.index.get(name) {
            return self.outlines[*at].as_neighbour();
        }
        if self.removed.contains_key(name) {
            return Neighbour::Missing;
        }
        match self.view.type_of(name) {
            Some(type_name) => self
                .catalog
                .resource_type(&type_name)
                .map_or(Neighbour::Untyped, Neighbour::Typed),
            None if self.view.fragment(name).is_some() => Neighbour::LeftOut,
            None => Neighbour::Missing,
        }
    }

    /// Only what the patch names: the stack is not walked for a suggestion.
    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.outlines.iter().map(|outline| outline.name))
    }
}
