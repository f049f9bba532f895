//! Circles that a patch closes through stored resources. Looked for from the new edges only, from both ends
//! at once, so that the shorter side decides the cost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::definition::CompiledResource;
use crate::order::{needed, tell_circle};
use crate::problem::{Collector, Position, SourceId};
use crate::stack_view::StackView;
use crate::tree::NodeRef;

/// Tells every circle that a new edge of the compiled resources closes.
pub(super) fn find(
    resources: &[CompiledResource],
    removed: &BTreeMap<&str, NodeRef<'_>>,
    view: &dyn StackView,
    position: &impl Fn(&str) -> Position,
    source: SourceId,
    collector: &mut Collector,
) {
    let edges = Edges::new(resources, removed, view);
    for (name, needs) in &edges.needs {
        let old: BTreeSet<String> = view.dependencies_of(name).into_iter().collect();
        for needed in needs.iter().filter(|needed| !old.contains(**needed)) {
            if let Some(circle) = edges.way_back(name, needed) {
                let mut names: Vec<&str> = vec![name];
                names.extend(circle.iter().map(String::as_str));
                tell_circle(&names, position(name), source, collector);
                return;
            }
        }
    }
}

/// Edges of the stack with the patch on it.
struct Edges<'x> {
    /// Of the compiled resources: what each needs.
    needs: BTreeMap<&'x str, BTreeSet<&'x str>>,
    /// The same, the other way round.
    needed_by: BTreeMap<&'x str, Vec<&'x str>>,
    removed: &'x BTreeMap<&'x str, NodeRef<'x>>,
    view: &'x dyn StackView,
}

impl<'x> Edges<'x> {
    fn new(
        resources: &'x [CompiledResource],
        removed: &'x BTreeMap<&'x str, NodeRef<'x>>,
        view: &'x dyn StackView,
    ) -> Self {
        let mut needs = BTreeMap::new();
        let mut needed_by: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for resource in resources {
            let own: BTreeSet<&str> = resource.definition.iter().flat_map(needed).collect();
            for needed in &own {
                needed_by.entry(needed).or_default().push(&resource.name);
            }
            needs.insert(resource.name.as_str(), own);
        }
        Self {
            needs,
            needed_by,
            removed,
            view,
        }
    }

    fn needs_of(&self, name: &str) -> Vec<String> {
        match self.needs.get(name) {
            Some(needs) => needs.iter().map(|needed| (*needed).to_owned()).collect(),
            None => self.view.dependencies_of(name),
        }
    }

    fn users_of(&self, name: &str) -> Vec<String> {
        let mut users = self.view.dependents_of(name);
        users.retain(|user| {
            !self.needs.contains_key(user.as_str()) && !self.removed.contains_key(user.as_str())
        });
        users.extend(
            self.needed_by
                .get(name)
                .into_iter()
                .flatten()
                .map(|user| (*user).to_owned()),
        );
        users
    }

    /// A way from `from` along what is needed to `to`: both ends included.
    fn way_back(&self, to: &str, from: &str) -> Option<Vec<String>> {
        let mut down = Side::starting(from);
        let mut up = Side::starting(to);
        loop {
            let meeting = down.step(|name| self.needs_of(name), &up)?;
            if let Some(meeting) = meeting.or(up.step(|name| self.users_of(name), &down)?) {
                let mut way = down.way_to(&meeting);
                way.reverse();
                way.extend(up.way_to(&meeting).into_iter().skip(1));
                return Some(way);
            }
        }
    }
}

/// One end of a search.
struct Side {
    /// From which neighbour each was come to; the start from itself.
    came_from: BTreeMap<String, String>,
    open: VecDeque<String>,
}

impl Side {
    fn starting(name: &str) -> Self {
        Self {
            came_from: BTreeMap::from([(name.to_owned(), name.to_owned())]),
            open: VecDeque::from([name.to_owned()]),
        }
    }

    /// Looks around one more resource. None: there is none left, the ends cannot meet. Some(Some): they met there.
    fn step(
        &mut self,
        neighbours: impl Fn(&str) -> Vec<String>,
        other: &Self,
    ) -> Option<Option<String>> {
        let at = self.open.pop_front()?;
        if other.came_from.contains_key(&at) {
            return Some(Some(at));
        }
        for next in neighbours(&at) {
            if !self.came_from.contains_key(&next) {
                self.came_from.insert(next.clone(), at.clone());
                self.open.push_back(next);
            }
        }
        Some(None)
    }

    /// From a resource back to the start.
    fn way_to(&self, name: &str) -> Vec<String> {
        let mut way = vec![name.to_owned()];
        let mut at = name;
        while let Some(before) = self.came_from.get(at).filter(|before| *before != at) {
            way.push(before.clone());
            at = before;
        }
        way
    }
}
