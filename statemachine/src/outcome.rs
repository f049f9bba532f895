//! What applying a command says back: the answer, or a deterministic "no". Knows nothing of errors of
//! operation: those never reach the log.

use crate::event::Event;
use crate::id::{EngineRef, InstanceId, RequestId, Revision, StackId, Text, Token};
use crate::row::RowChange;

/// Everything that one applied command leads to. Nothing else has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The answer to whoever proposed it.
    pub outcome: Outcome,
    /// Rows to write, each key at most once.
    pub rows: Vec<RowChange>,
    /// Events to append, in order.
    pub events: Vec<Event>,
}

/// The answer to a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// It was taken; there is nothing more to say.
    #[default]
    Taken,
    /// A change of a stack was taken.
    Stack(StackAnswer),
    /// A part was taken; so many are there now.
    Staged {
        /// Number of parts.
        parts: u32,
    },
    /// An engine is registered.
    Registered(EngineRef),
    /// A member id that was never used before.
    Member(u64),
    /// The queues were carried on.
    Advanced {
        /// More is left.
        more: bool,
    },
    /// Deadlines were fired.
    Fired {
        /// How many.
        count: u64,
    },
    /// One answer an item.
    Assigned(Vec<Result<Assigned, Refusal>>),
    /// One answer an item.
    Reported(Vec<Judgement>),
    /// One answer an item: was it taken?
    Observed(Vec<bool>),
    /// No.
    Rejected(Rejection),
}

/// What became of a change of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackAnswer {
    /// The stack.
    pub stack: StackId,
    /// Its newest revision.
    pub revision: Revision,
    /// The declaration was as before: no revision was made.
    pub unchanged: bool,
}

/// An assignment that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The instance to act on.
    pub instance: InstanceId,
    /// The fencing token.
    pub token: Token,
}

/// Why an item of an `Assign` was not given.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The work's resource or instance is gone.
    #[error("there is no such resource or instance any more")]
    Unknown,
    /// The resource should be something else by now.
    #[error("the resource's desired definition is another one by now")]
    Superseded,
    /// The engine can't take it.
    #[error("the engine is not live under this incarnation")]
    EngineNotLive,
    /// The engine takes nothing new.
    #[error("the engine is draining")]
    EngineDraining,
    /// The engine offers no provider for the type.
    #[error("the engine does not offer the type {0}")]
    TypeNotOffered(Text),
    /// Only engines of another host can.
    #[error("it can be done on host {0} only")]
    WrongHost(Text),
    /// The engine lacks a label that placement asks for.
    #[error("the engine lacks the label {0}")]
    LabelMissing(Text),
    /// It waits.
    #[error("{0}")]
    Waits(WaitReason),
    /// It can't travel in this chunk.
    #[error("it can't travel in a chunk: {0}")]
    NotInChunk(ChunkRefusal),
}

/// Why an item can't be part of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkRefusal {
    /// An instance exists already.
    #[error("only creates of what does not exist, and deletes, travel in chunks")]
    NotACreate,
    /// The provider can't look.
    #[error("its provider can't look")]
    CannotLook,
    /// It stands on something outside that is not ready.
    #[error("it requires something that is neither settled nor earlier in the chunk")]
    Footing,
    /// Something outside still requires it.
    #[error("something outside the chunk requires it")]
    StillRequired,
    /// One chunk, one engine.
    #[error("a chunk is for one engine")]
    AnotherEngine,
}

/// How a report was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It counts.
    Counts,
    /// A newer assignment was given, or this one was reported before.
    Late,
    /// Late, but its physical id is kept.
    IdKept,
    /// Nothing is known of the instance.
    UnknownInstance,
}

/// A deterministic "no" to a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The stack's name is taken.
    #[error("stack {name} already exists")]
    AlreadyExists {
        /// Its name.
        name: Text,
    },
    /// There is no such stack.
    #[error("there is no stack {name}")]
    StackNotFound {
        /// Its name (or id).
        name: Text,
    },
    /// There is no such resource.
    #[error("there is no resource {name}")]
    ResourceNotFound {
        /// Its name.
        name: Text,
    },
    /// There is no such revision.
    #[error("there is no revision {0}")]
    RevisionNotFound(Revision),
    /// The difference was computed from another revision. Not a final answer: compute it again.
    #[error("the stack is at revision {current} by now")]
    BaseMoved {
        /// The revision that won.
        current: Revision,
    },
    /// The automatic rollback is no longer due.
    #[error("revision {0} is not due to be rolled back")]
    RollbackNotDue(Revision),
    /// The stack is protected.
    #[error("stack {name} is protected")]
    StackProtected {
        /// Its name.
        name: Text,
    },
    /// A resource that would go is protected.
    #[error("resource {name} is protected")]
    ResourceProtected {
        /// Its name.
        name: Text,
    },
    /// A reference to nothing.
    #[error("resource {resource} requires {requires}, which does not exist")]
    DanglingReference {
        /// Who refers.
        resource: Text,
        /// To what.
        requires: Text,
    },
    /// One name twice in a difference.
    #[error("resource {name} is given twice")]
    DuplicateResource {
        /// The name.
        name: Text,
    },
    /// Too many resources.
    #[error("{count} resources are more than {limit}")]
    TooManyResources {
        /// How many there would be.
        count: u64,
        /// How many there may be.
        limit: u64,
    },
    /// The request is older than what is remembered.
    #[error("the request is older than {window_ms} ms")]
    RequestTooOld {
        /// What is remembered.
        window_ms: u64,
    },
    /// A staged change that is not there, or not whole.
    #[error("staged change {stage} has {present} of {expected} parts")]
    StageIncomplete {
        /// Its id.
        stage: RequestId,
        /// Parts there are.
        present: u32,
        /// Parts there should be.
        expected: u32,
    },
    /// A commit that carries resources of its own, or does not suit one.
    #[error(
        "a staged change is committed by a create, update or rollback without resources of its own"
    )]
    NotACommit,
    /// Registered again, or expired.
    #[error("engine {0} is not live")]
    EngineNotLive(EngineRef),
    /// A registration that follows another incarnation than the present one, which is this (0: there is none).
    #[error("the engine is {0} by now")]
    EngineChanged(EngineRef),
    /// The host can't be forgotten.
    #[error("host {0} has a live engine")]
    HostIsLive(Text),
    /// Nothing is known of the host.
    #[error("there is no host {0}")]
    HostNotFound(Text),
    /// Nothing for a person to decide.
    #[error("no instance of resource {name} waits for a person")]
    NotOnHold {
        /// The resource's name.
        name: Text,
    },
    /// Another instance has this physical id.
    #[error("physical id {physical_id} is held by another instance")]
    PhysicalIdHeld {
        /// The id.
        physical_id: Text,
    },
    /// Feature levels only grow.
    #[error("the feature level is {present} already")]
    FeatureLevelShrinks {
        /// The level.
        present: u32,
    },
}

/// Why something does not happen now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WaitReason {
    /// It could start; the dispatcher has not taken it yet.
    #[error("ready, waits for an engine to take it")]
    Ready,
    /// It runs.
    #[error("{action} runs on engine {engine}")]
    InFlight {
        /// The action.
        action: crate::row::Action,
        /// Where.
        engine: EngineRef,
    },
    /// Something it requires is not settled.
    #[error("waits for {count} unsettled, among them {first}")]
    Requires {
        /// The first of them by name.
        first: Text,
        /// How many.
        count: u32,
    },
    /// An action is in flight on what requires it.
    #[error("waits for actions in flight on {count} that require it")]
    RequirersInFlight {
        /// How many.
        count: u32,
    },
    /// Instances still require it.
    #[error("is still required by {first}")]
    StillRequired {
        /// The name of one of them.
        first: Text,
    },
    /// Its successor's resource is not settled.
    #[error("is kept until its successor is settled")]
    SuccessorNotSettled,
    /// The old instance goes first.
    #[error("waits for the deletion of instance {0}, which it replaces")]
    PredecessorFirst(InstanceId),
    /// The current instance is unwanted.
    #[error("waits for the deletion of instance {0}, which can't be kept")]
    UnwantedFirst(InstanceId),
    /// Another instance holds its name, and goes.
    #[error("waits for the deletion of instance {0}, which holds its name")]
    NameHeld(InstanceId),
    /// It is `Unknown`; something it requires is looked at first.
    #[error("is looked at after instance {0}, which it requires")]
    LookOrder(InstanceId),
    /// It was seen absent, and a late effect can't be excluded yet.
    #[error("a late effect can't be excluded before state time {until_ms} ms")]
    LateEffect {
        /// Until then.
        until_ms: u64,
    },
    /// It backs off after a failure.
    #[error("tries again after attempt {attempts} at state time {not_before_ms} ms")]
    BackingOff {
        /// Attempts so far.
        attempts: u32,
        /// When.
        not_before_ms: u64,
    },
    /// It has failed.
    #[error("failed after {attempts} {}", if *attempts == 1 { "attempt" } else { "attempts" })]
    Failed {
        /// Attempts.
        attempts: u32,
    },
    /// No provider can look; a person decides.
    #[error("the provider can't look at instance {0}: a person decides (resource resolve)")]
    OnHold(InstanceId),
    /// What it requires lives on different hosts.
    #[error("what it requires lives on hosts {0} and {1}")]
    HostsDiffer(Text, Text),
    /// No engine of the host is live.
    #[error("host {0} has no live engine")]
    HostGone(Text),
    /// No live engine offers its type.
    #[error("no live engine offers the type {0}")]
    TypeNotOffered(Text),
    /// The stack starts nothing.
    #[error("{0}")]
    Stack(StackStops),
    /// Nothing is to be done.
    #[error("settled")]
    Settled,
}

/// Why a whole stack starts nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StackStops {
    /// A person paused it.
    #[error("the stack is paused")]
    Paused,
    /// A resource failed, and `on_failure` is `halt`.
    #[error("the stack is halted by a failure")]
    Halted,
    /// The stack's timeout passed.
    #[error("the stack's timeout has passed")]
    TimedOut,
    /// A resource failed, and `on_failure` is `rollback`.
    #[error("the stack is about to be rolled back")]
    RollbackDue,
    /// A change is still being taken in.
    #[error("a change of the stack is still being taken in")]
    Queue,
}
