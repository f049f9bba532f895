//! One entry being applied: the state, what was touched, and what is said about it. Every change of
//! the state goes through here, so that rows and indexes always follow. Decides nothing.

mod edit;
mod finish;
mod hold;

use crate::command::Stamp;
use crate::event::{Event, EventKind};
use crate::id::{InstanceId, RequestId, ResourceId, Revision, StackId, Text};
use crate::row::{RowKey, RowValue, StackRow};
use crate::state::State;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub(crate) use finish::trouble_row;

/// One entry being applied.
pub(crate) struct Turn<'s> {
    pub(crate) state: &'s mut State,
    pub(crate) index: u64,
    pub(crate) stamp: Stamp,
    touched: Touched,
    /// Rows whose content memory does not keep, and removals.
    rows: BTreeMap<RowKey, Option<RowValue>>,
    events: Vec<Event>,
    /// Resources to be examined before the entry ends.
    pub(crate) examine: VecDeque<ResourceId>,
    /// Resources that may have an instance to retain.
    pub(crate) retaining: BTreeSet<ResourceId>,
    /// Settled resources that have dependents to tell; the last is carried on first.
    pub(crate) telling: Vec<ResourceId>,
    /// Resources that are settled no more and have dependents that have yet to hear; likewise.
    pub(crate) unsettling: Vec<ResourceId>,
    /// How many dependents this entry may still tell, of either.
    pub(crate) tells_left: usize,
    /// The rest of whose cones is not what their row says.
    pub(crate) respread: BTreeSet<StackId>,
    /// Rows are being loaded: nothing is said, what was told is told again.
    pub(crate) loading: bool,
}

/// What must be written when the entry ends.
#[derive(Default)]
struct Touched {
    cluster: bool,
    stacks: BTreeSet<StackId>,
    /// Stacks whose row stands, but whose counts moved.
    moved: BTreeSet<StackId>,
    resources: BTreeSet<ResourceId>,
    instances: BTreeSet<InstanceId>,
    engines: BTreeSet<u64>,
    requests: BTreeSet<RequestId>,
    stages: BTreeSet<RequestId>,
    tombstones: BTreeSet<InstanceId>,
    definitions: BTreeSet<crate::digest::Digest>,
    blobs: BTreeSet<crate::digest::Digest>,
}

impl<'s> Turn<'s> {
    pub(crate) fn new(state: &'s mut State, index: u64, stamp: Stamp) -> Turn<'s> {
        let tells_left = state.cluster.settings.tells_per_entry.max(1) as usize;
        Turn {
            state,
            index,
            stamp,
            touched: Touched::default(),
            rows: BTreeMap::new(),
            events: Vec::new(),
            examine: VecDeque::new(),
            retaining: BTreeSet::new(),
            telling: Vec::new(),
            unsettling: Vec::new(),
            tells_left,
            respread: BTreeSet::new(),
            loading: false,
        }
    }

    /// Most items of a queue that this entry takes.
    pub(crate) fn items_per_entry(&self) -> usize {
        self.state.cluster.settings.items_per_entry.max(1) as usize
    }

    /// Changes a stack's row.
    pub(crate) fn edit_stack(&mut self, id: StackId) -> &mut StackRow {
        self.touched.stacks.insert(id);
        self.touched.moved.insert(id);
        &mut self.state.stack_mut(id).row
    }

    pub(crate) fn touch_cluster(&mut self) {
        self.touched.cluster = true;
    }

    pub(crate) fn touch_resource(&mut self, id: ResourceId) {
        self.touched.resources.insert(id);
    }

    pub(crate) fn touch_engine(&mut self, member: u64) {
        self.touched.engines.insert(member);
    }

    pub(crate) fn touch_request(&mut self, id: RequestId) {
        self.touched.requests.insert(id);
    }

    pub(crate) fn touch_stage(&mut self, id: RequestId) {
        self.touched.stages.insert(id);
    }

    pub(crate) fn touch_tombstone(&mut self, id: InstanceId) {
        self.touched.tombstones.insert(id);
    }

    /// The stack's end-of-entry checks are due.
    pub(crate) fn stack_moved(&mut self, id: StackId) {
        self.touched.moved.insert(id);
    }

    /// Writes a row that memory does not keep.
    pub(crate) fn put(&mut self, key: RowKey, value: RowValue) {
        self.rows.insert(key, Some(value));
    }

    /// Removes a row.
    pub(crate) fn remove(&mut self, key: RowKey) {
        self.rows.insert(key, None);
    }

    /// Has the resource examined before the entry ends.
    pub(crate) fn enqueue(&mut self, id: ResourceId) {
        if let Some(resource) = self.state.resources.get_mut(&id)
            && !resource.queued
        {
            resource.queued = true;
            self.examine.push_back(id);
        }
    }

    pub(crate) fn next_resource(&mut self) -> ResourceId {
        self.touched.cluster = true;
        self.state.cluster.last_resource += 1;
        ResourceId(self.state.cluster.last_resource)
    }

    pub(crate) fn next_instance(&mut self) -> InstanceId {
        self.touched.cluster = true;
        self.state.cluster.last_instance += 1;
        InstanceId(self.state.cluster.last_instance)
    }

    /// Tells what happened to a stack or to the cluster.
    pub(crate) fn tell(
        &mut self,
        stack: Option<StackId>,
        kind: EventKind,
        text: impl Into<String>,
    ) {
        let revision = match stack {
            Some(id) => self.state.stack(id).row.revision,
            None => Revision(0),
        };
        self.push_event(stack, None, None, revision, kind, text.into());
    }

    /// Tells what happened to a resource.
    pub(crate) fn tell_resource(
        &mut self,
        id: ResourceId,
        kind: EventKind,
        text: impl Into<String>,
    ) {
        let row = &self.state.resource(id).row;
        let (stack, name) = (row.stack, row.name.clone());
        let revision = self.state.stack(stack).row.revision;
        self.push_event(
            Some(stack),
            Some((id, name)),
            None,
            revision,
            kind,
            text.into(),
        );
    }

    /// Tells what happened to an instance.
    pub(crate) fn tell_instance(
        &mut self,
        id: InstanceId,
        kind: EventKind,
        text: impl Into<String>,
    ) {
        let resource = self.state.instance(id).row.resource;
        let row = &self.state.resource(resource).row;
        let (stack, name) = (row.stack, row.name.clone());
        let revision = self.state.stack(stack).row.revision;
        self.push_event(
            Some(stack),
            Some((resource, name)),
            Some(id),
            revision,
            kind,
            text.into(),
        );
    }

    fn push_event(
        &mut self,
        stack: Option<StackId>,
        resource: Option<(ResourceId, Text)>,
        instance: Option<InstanceId>,
        revision: Revision,
        kind: EventKind,
        text: String,
    ) {
        self.events.push(Event {
            index: self.index,
            ordinal: self.events.len() as u32,
            wall_ms: self.stamp.wall_ms,
            stack,
            resource,
            instance,
            revision,
            kind,
            text,
        });
    }
}
