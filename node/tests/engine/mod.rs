//! Stacks and a small world of their own, for the tests of engines.

#![allow(dead_code, reason = "every test file uses its part of it")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anneal_node::submit::{Asked, Received, Submitter, Text, Workshop};
use anneal_node::{Config, Member};
use anneal_proto::v1;
use anneal_provider::{
    Applied, ApplyRequest, AttributeSchema, CallContext, Failure, Kind, LookUpRequest, Made,
    Observed, Plan, PlanRequest, PlannedAction, PropertySchema, Provider, ReadRequest, Registry,
    TypeSchema, Values,
};
use anneal_statemachine::command::Change;
use anneal_statemachine::id::{RequestId, StackId};
use anneal_statemachine::view::Status;
use async_trait::async_trait;

use crate::cluster::{config, eventually, until_leading};

/// Short leases, so that an expiry is seen within a test.
pub(crate) fn quick(directory: &Path, join: &[&str], host: &str) -> Config {
    let mut config = config(directory, join);
    config.host_id = Some(host.into());
    config.capacity = 64;
    config.leases.heartbeat_ms = 200;
    config.leases.lease_ms = 1_500;
    config.leases.margin_ms = 300;
    config
}

/// A value that no thing can be updated to.
pub(crate) const IMPOSSIBLE: &str = "impossible";

/// One thing of the little world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thing {
    pub(crate) value: String,
    pub(crate) times_made: u32,
}

/// A world of things that every engine can reach, by the id of the instance that they carry.
pub(crate) struct World {
    pub(crate) things: Mutex<BTreeMap<String, Thing>>,
    /// Resources whose next create has its effect and never answers.
    pub(crate) stuck: Mutex<Vec<String>>,
    /// Every call that had an effect: action and resource.
    pub(crate) effects: Mutex<Vec<(&'static str, String)>>,
    /// Every look at something Unknown.
    pub(crate) looks: Mutex<Vec<String>>,
    /// Resources whose next create panics before anything is done.
    pub(crate) panics: Mutex<Vec<String>>,
    /// Resources whose next call answers only once [`World::release`] is called.
    pub(crate) held: Mutex<Vec<String>>,
    released: tokio::sync::Semaphore,
    /// Observations so far, of anything.
    pub(crate) reads: std::sync::atomic::AtomicUsize,
}

impl World {
    /// A world with nothing in it.
    pub(crate) fn new() -> Self {
        Self {
            things: Mutex::default(),
            stuck: Mutex::default(),
            effects: Mutex::default(),
            looks: Mutex::default(),
            panics: Mutex::default(),
            held: Mutex::default(),
            released: tokio::sync::Semaphore::new(0),
            reads: Default::default(),
        }
    }

    /// Lets one held create answer.
    pub(crate) fn release(&self) {
        self.released.add_permits(1);
    }

    async fn until_released(&self, name: &str) {
        if take(&self.held, name) {
            let permit = self.released.acquire().await;
            permit.expect("it is never closed").forget();
        }
    }

    /// How many observations there were.
    pub(crate) fn reads(&self) -> usize {
        self.reads.load(std::sync::atomic::Ordering::Acquire)
    }

    pub(crate) fn effects_on(&self, resource: &str) -> Vec<&'static str> {
        let effects = self.effects.lock().unwrap();
        let of = effects.iter().filter(|(_, name)| name == resource);
        of.map(|(action, _)| *action).collect()
    }
}

/// The way into a [`World`].
pub(crate) struct Worldly {
    pub(crate) world: Arc<World>,
    schemas: Vec<TypeSchema>,
}

impl Worldly {
    fn new(world: Arc<World>) -> Self {
        let mut schema = TypeSchema::new("Test::Thing", "A thing of the test's world.");
        let value = PropertySchema::new("value", &[Kind::String], "What it is.").required();
        schema.properties.push(value);
        let value = AttributeSchema::new("value", Kind::String, "What it is.");
        schema.attributes.push(value);
        Self {
            world,
            schemas: vec![schema],
        }
    }
}

fn made(ctx: &CallContext, value: &str) -> Made {
    let mut attributes = Values::new();
    attributes.insert("value".into(), value.into());
    Made {
        physical_id: format!("thing-{}", ctx.instance_id),
        attributes,
        ..Made::default()
    }
}

fn value_of(properties: &Values) -> String {
    properties["value"].as_str().unwrap_or_default().to_owned()
}

fn take(list: &Mutex<Vec<String>>, name: &str) -> bool {
    let mut list = list.lock().unwrap();
    let at = list.iter().position(|listed| listed == name);
    at.map(|at| list.remove(at)).is_some()
}

#[async_trait]
impl Provider for Worldly {
    fn schemas(&self) -> &[TypeSchema] {
        &self.schemas
    }

    async fn plan(&self, _: PlanRequest<'_>) -> Result<Plan, Failure> {
        Ok(Plan {
            action: PlannedAction::Create,
            attributes: Values::new(),
        })
    }

    async fn apply(
        &self,
        ctx: &CallContext,
        request: ApplyRequest<'_>,
    ) -> Result<Applied, Failure> {
        let name = ctx.resource.to_string();
        assert!(!take(&self.world.panics, &name), "told to panic");
        let note = |action| {
            self.world
                .effects
                .lock()
                .unwrap()
                .push((action, name.clone()));
        };
        if let ApplyRequest::Update { properties, .. } = request
            && value_of(properties) == IMPOSSIBLE
        {
            note("refuse");
            self.world.until_released(&name).await;
            return Err(Failure::refused("the world can't be like that"));
        }
        let value = match request {
            ApplyRequest::Create { properties, .. } => {
                note("create");
                value_of(properties)
            }
            ApplyRequest::Update { properties, .. } => {
                note("update");
                value_of(properties)
            }
            ApplyRequest::Delete { .. } => {
                note("delete");
                let gone = self.world.things.lock().unwrap().remove(&ctx.instance_id);
                return Ok(gone.map_or(Applied::Gone, |_| Applied::Deleted));
            }
        };
        {
            let mut things = self.world.things.lock().unwrap();
            let thing = things.entry(ctx.instance_id.clone()).or_insert(Thing {
                value: String::new(),
                times_made: 0,
            });
            thing.value.clone_from(&value);
            thing.times_made += 1;
        }
        if take(&self.world.stuck, &name) {
            std::future::pending::<()>().await;
        }
        self.world.until_released(&name).await;
        Ok(Applied::Done(made(ctx, &value)))
    }

    async fn read(&self, ctx: &CallContext, request: ReadRequest<'_>) -> Result<Observed, Failure> {
        self.world
            .reads
            .fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        let things = self.world.things.lock().unwrap();
        let Some(thing) = things.get(&ctx.instance_id) else {
            return Ok(Observed::absent());
        };
        let wanted = match request.aim {
            Some(aim) => aim.properties,
            None => request.prior.properties,
        };
        let mut differences = Vec::new();
        if wanted.map(value_of).as_ref() != Some(&thing.value) {
            differences.push(anneal_provider::PropertyDifference {
                path: anneal_provider::PropertyPath::property("value"),
                desired: wanted.map(value_of).into(),
                found: thing.value.clone().into(),
            });
        }
        Ok(Observed::present(made(ctx, &thing.value), differences))
    }

    async fn look_up(
        &self,
        ctx: &CallContext,
        _: LookUpRequest<'_>,
    ) -> Result<Option<String>, Failure> {
        self.world
            .looks
            .lock()
            .unwrap()
            .push(ctx.resource.to_string());
        let things = self.world.things.lock().unwrap();
        let there = things.contains_key(&ctx.instance_id);
        Ok(there.then(|| format!("thing-{}", ctx.instance_id)))
    }
}

/// Built-in providers, and the test's world.
pub(crate) fn registry(world: &Arc<World>) -> Registry {
    let mut registry = Registry::built_in(&anneal_provider::Companion::this_program());
    registry
        .add(Arc::new(Worldly::new(Arc::clone(world))))
        .unwrap();
    registry
}

pub(crate) async fn start(config: Config, world: &Arc<World>) -> Member {
    // Quiet unless RUST_LOG asks for more.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_test_writer()
        .try_init();
    let started = Member::start(config, registry(world));
    tokio::time::timeout(Duration::from_secs(60), started)
        .await
        .unwrap()
        .unwrap()
}

pub(crate) async fn start_alone(config: Config, world: &Arc<World>) -> Member {
    let member = start(config, world).await;
    until_leading(member.replica()).await;
    member
}

/// Submits a template; the member must lead.
pub(crate) async fn submit(
    member: &Member,
    verb: v1::Verb,
    name: &str,
    template: &str,
    options: Option<v1::StackOptions>,
) -> StackId {
    let received = Received {
        header: v1::SubmitHeader {
            request_id: uuid::Uuid::now_v7().to_string(),
            namespace: "default".into(),
            name: name.into(),
            verb: verb.into(),
            options,
            ..v1::SubmitHeader::default()
        },
        document: Text {
            name: "template.yaml".into(),
            data: template.as_bytes().into(),
        },
        environments: Vec::new(),
        files: BTreeMap::new(),
    };
    submitter(member).submit(received).await.unwrap().stack
}

fn submitter(member: &Member) -> Submitter {
    let workshop = Workshop::new(Arc::new(member.context().providers.clone()));
    Submitter::new(member.replica().clone(), workshop)
}

/// Changes a stack without a template.
pub(crate) async fn change(member: &Member, name: &str, change: Change) {
    let asked = Asked {
        request: RequestId(*uuid::Uuid::now_v7().as_bytes()),
        namespace: "default".into(),
        name: name.into(),
        base: None,
    };
    submitter(member).change(&asked, change).await.unwrap();
}

/// Waits until a stack has this status; `None` is gone.
pub(crate) async fn until(member: &Member, stack: StackId, status: Option<Status>) {
    let mut applied = member.replica().applied();
    let reached = async {
        loop {
            let now = member
                .replica()
                .read(|machine| machine.stack(stack).map(|stack| stack.status));
            if now == status {
                return;
            }
            if applied.changed().await.is_err() {
                return;
            }
        }
    };
    if tokio::time::timeout(Duration::from_secs(60), reached)
        .await
        .is_err()
    {
        panic!(
            "the stack never became {status:?}: {}",
            explain(member, stack)
        );
    }
}

pub(crate) async fn until_converged(member: &Member, stack: StackId) {
    until(member, stack, Some(Status::Converged)).await;
}

/// Why a stack is not further than it is.
pub(crate) fn explain(member: &Member, stack: StackId) -> String {
    member.replica().read(|machine| {
        let mut lines = Vec::new();
        for id in machine.resources_after(stack, None) {
            let name = machine.resource(id).map(|resource| resource.name.clone());
            lines.push(format!("{name:?}: {:?}", machine.explain(id)));
        }
        lines.join("\n")
    })
}

/// The member that leads.
pub(crate) async fn leader<'a>(members: &[&'a Member]) -> &'a Member {
    eventually("somebody leads", async || {
        members
            .iter()
            .find(|member| member.replica().leadership().borrow().leading().is_some())
            .copied()
    })
    .await
}
