//! `Anneal::Process`: a long-running process that lives as long as its resource, not as its engine.

mod health;
mod record;
mod run;
mod supervisor;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use self::health::Health;
use self::record::{Order, Record, Restart, State};
use crate::call::CallContext;
use crate::companion::Companion;
use crate::compare::{Comparison, Recorded};
use crate::failure::Failure;
use crate::name::physical_name;
use crate::path::PropertyPath;
use crate::process_id::tagged;
use crate::provider::Provider;
use crate::read_values::{
    from_private, optional_seconds, optional_text, program, text_map, to_private,
};
use crate::request::{
    Applied, ApplyRequest, Diagnostic, LookUpRequest, Made, Observed, Plan, PlanRequest, Prior,
    PropertyDifference, ReadRequest, Values,
};
use crate::schema::{
    AttributeSchema, Capabilities, Kind, Nested, OnChange, PropertySchema, Scope, TypeSchema, When,
};
use crate::wait::ended;

pub(crate) use supervisor::{LAUNCH_WORD, SUPERVISE_WORD, launch_main, supervise_main};

const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// So much of the end of what it printed is told when it fails.
const PROCESS_LOG_TAIL_BYTES: u64 = 2 * 1024;
/// An unhealthy answer counts after so many in a row: one that was only slow is not restarted for it.
const UNHEALTHY_ANSWERS: usize = 3;
const ANSWER_TICK: Duration = Duration::from_millis(300);

/// The provider of `Anneal::Process`.
pub struct ProcessProvider {
    schemas: Vec<TypeSchema>,
    companion: Companion,
}

impl ProcessProvider {
    /// One whose supervisors are started from `companion`.
    pub fn new(companion: Companion) -> Self {
        Self {
            schemas: vec![schema()],
            companion,
        }
    }
}

fn schema() -> TypeSchema {
    let mut schema = TypeSchema::new(
        "Anneal::Process",
        "A supervised long-running process on the engine's host. It ends with its resource, not with the \
         engine. A change of what it runs stops it and starts it again.",
    );
    schema.properties = vec![
        PropertySchema::new(
            "command",
            &[Kind::String, Kind::List],
            "What runs: arguments, or a string for `sh -c`.",
        )
        .required()
        .nested(Nested::EachOf(vec![Kind::String])),
        PropertySchema::new(
            "environment",
            &[Kind::Map],
            "Its variables, beside the engine's.",
        )
        .nested(Nested::EachOf(vec![Kind::String])),
        PropertySchema::new("working_directory", &[Kind::String], "Where it runs.").default("/"),
        health::schema(),
        PropertySchema::new(
            "restart",
            &[Kind::String],
            "When it is started again by its supervisor after its end.",
        )
        .words(&["never", "on_failure", "always"])
        .default("never"),
        PropertySchema::new(
            "stop_timeout_seconds",
            &[Kind::Number],
            "How long it may take to end when it is asked to.",
        )
        .default(DEFAULT_STOP_TIMEOUT.as_secs())
        .at_least(0.0),
    ];
    schema.attributes = vec![
        AttributeSchema::new("pid", Kind::Integer, "Its process id."),
        AttributeSchema::new("started_at", Kind::String, "When it was last started."),
    ];
    schema.scope = Scope::HostBound;
    schema.capabilities = Capabilities {
        honours_keys: When::Always,
        cancellable: true,
        ..Capabilities::plain()
    };
    schema
}

/// The properties, read. Kept with the instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    order: Order,
    health: Option<Health>,
    made_of: Recorded,
}

impl Told {
    fn of(ctx: &CallContext, properties: &Values) -> Result<Self, Failure> {
        let restart = match optional_text(properties, "restart")?.as_deref() {
            None | Some("never") => Restart::Never,
            Some("on_failure") => Restart::OnFailure,
            Some("always") => Restart::Always,
            Some(other) => {
                return Err(Failure::refused(format!(
                    "property `restart`: unknown word `{other}`"
                )));
            }
        };
        let program = program(properties, "command")?;
        let mut environment = text_map(properties, "environment")?;
        environment.push(("ANNEAL_STACK".to_owned(), ctx.stack.to_string()));
        environment.push(("ANNEAL_RESOURCE".to_owned(), ctx.resource.to_string()));
        let order = Order {
            instance_id: ctx.instance_id.clone(),
            program: program
                .ok_or_else(|| Failure::refused("required property `command` is missing"))?,
            environment,
            working_directory: optional_text(properties, "working_directory")?.map(PathBuf::from),
            restart,
            stop_timeout: optional_seconds(properties, "stop_timeout_seconds")?
                .unwrap_or(DEFAULT_STOP_TIMEOUT),
        };
        Ok(Self {
            order,
            health: Health::of(properties)?,
            made_of: Recorded::of(properties),
        })
    }

    fn made(&self, physical_id: String, state: &State) -> Made {
        let mut attributes = Values::new();
        attributes.insert(
            "pid".to_owned(),
            json!(state.process.as_ref().map(|process| process.pid)),
        );
        attributes.insert("started_at".to_owned(), state.started_at.clone().into());
        Made {
            physical_id,
            attributes,
            private: to_private(self),
            ..Made::default()
        }
    }
}

fn id_of(ctx: &CallContext, prior: Prior<'_>) -> String {
    prior
        .physical_id
        .map_or_else(|| physical_name(ctx), str::to_owned)
}

fn supervised(record: &Record) -> Result<bool, Failure> {
    record.is_supervised().map_err(|error| {
        Failure::nothing_done(
            crate::failure::FailureClass::Transient,
            format!("{}: {error}", record.dir.display()),
        )
    })
}

impl ProcessProvider {
    async fn create(&self, ctx: &CallContext, told: &Told) -> Result<Applied, Failure> {
        let record = Record::of(&ctx.host_dir, &ctx.instance_id);
        ended(ctx)?;
        let state = self.brought_about(ctx, &record, told).await?;
        Ok(Applied::Done(told.made(physical_name(ctx), &state)))
    }

    /// Makes the process run as told: leaves it alone if it does, changes or restarts it if it must.
    async fn brought_about(
        &self,
        ctx: &CallContext,
        record: &Record,
        told: &Told,
    ) -> Result<State, Failure> {
        if supervised(record)? {
            let runs_the_same = record
                .order()
                .is_some_and(|order| order.runs_the_same(&told.order));
            if runs_the_same {
                record
                    .write_order(&told.order)
                    .map_err(|error| Failure::refused(error.to_string()))?;
                if let Ok(state) = self.healthy_now(ctx, record, told).await {
                    return Ok(state);
                }
            }
            run::stop(ctx, record, told.order.stop_timeout).await?;
        } else {
            // What a killed supervisor left behind may hold what the new one needs.
            run::end_strays(ctx).await?;
        }
        run::start(&self.companion, ctx, record, told).await
    }

    /// The state of a process that runs and answers; else what is wrong with it.
    async fn healthy_now(
        &self,
        ctx: &CallContext,
        record: &Record,
        told: &Told,
    ) -> Result<State, String> {
        let mut wrong = String::new();
        for attempt in 0..UNHEALTHY_ANSWERS {
            if attempt > 0 {
                tokio::time::sleep(ANSWER_TICK).await;
            }
            let state = record.state();
            let running = state
                .process
                .as_ref()
                .is_some_and(crate::process_id::ProcessId::is_alive);
            let answer = match (&told.health, running) {
                (_, false) => Err(state
                    .ended
                    .clone()
                    .unwrap_or_else(|| "it does not run".to_owned())),
                (None, true) => Ok(()),
                (Some(health), true) => {
                    health
                        .ask(&self.companion, ctx, told, health::ANSWER_TIMEOUT)
                        .await
                }
            };
            match answer {
                Ok(()) => return Ok(state),
                Err(why) => wrong = why,
            }
        }
        Err(wrong)
    }

    async fn update(
        &self,
        ctx: &CallContext,
        prior: Prior<'_>,
        told: &Told,
    ) -> Result<Applied, Failure> {
        let record = Record::of(&ctx.host_dir, &ctx.instance_id);
        ended(ctx)?;
        if !supervised(&record)? && tagged(&ctx.instance_id).is_empty() {
            return Ok(Applied::Gone);
        }
        let state = self.brought_about(ctx, &record, told).await?;
        Ok(Applied::Done(told.made(id_of(ctx, prior), &state)))
    }

    async fn delete(&self, ctx: &CallContext, prior: Prior<'_>) -> Result<Applied, Failure> {
        let record = Record::of(&ctx.host_dir, &ctx.instance_id);
        ended(ctx)?;
        let told = from_private::<Told>(prior.private).map(|told| told.order);
        let order = told.or_else(|| record.order());
        let stop_timeout = order.map_or(DEFAULT_STOP_TIMEOUT, |order| order.stop_timeout);
        let ran = supervised(&record)? || !tagged(&ctx.instance_id).is_empty();
        if ran {
            run::stop(ctx, &record, stop_timeout).await?;
        }
        // What is left of a record names a process that has ended, and harms nobody.
        let _ = record.remove();
        Ok(if ran { Applied::Deleted } else { Applied::Gone })
    }
}

#[async_trait]
impl Provider for ProcessProvider {
    fn schemas(&self) -> &[TypeSchema] {
        &self.schemas
    }

    async fn validate(
        &self,
        _type_name: &str,
        properties: &Values,
        unknown: &[PropertyPath],
    ) -> Vec<Diagnostic> {
        let mut found = self.schemas[0].check(properties, unknown);
        if found.is_empty() {
            found.extend(health::check(properties, unknown));
        }
        found
    }

    async fn plan(&self, request: PlanRequest<'_>) -> Result<Plan, Failure> {
        let Some(prior) = request.prior else {
            return Ok(Plan::create());
        };
        let mut compared = Comparison::new(&request);
        if let Some(was) = from_private::<Told>(prior.private) {
            compared.recorded(&was.made_of, &self.schemas[0], request.properties, |_| {
                OnChange::InPlace
            });
        }
        Ok(compared.into_plan())
    }

    async fn apply(
        &self,
        ctx: &CallContext,
        request: ApplyRequest<'_>,
    ) -> Result<Applied, Failure> {
        match request {
            ApplyRequest::Create { properties, .. } => {
                self.create(ctx, &Told::of(ctx, properties)?).await
            }
            ApplyRequest::Update {
                prior, properties, ..
            } => self.update(ctx, prior, &Told::of(ctx, properties)?).await,
            ApplyRequest::Delete { prior, .. } => self.delete(ctx, prior).await,
        }
    }

    async fn read(&self, ctx: &CallContext, request: ReadRequest<'_>) -> Result<Observed, Failure> {
        let record = Record::of(&ctx.host_dir, &ctx.instance_id);
        let prior = request.prior;
        let aimed = request.aim.and_then(|aim| aim.properties);
        let told = aimed
            .map(|properties| Told::of(ctx, properties))
            .transpose()?;
        let told = told.or_else(|| from_private(prior.private));
        let is_supervised = supervised(&record)?;
        if !is_supervised && tagged(&ctx.instance_id).is_empty() {
            return Ok(Observed::Absent {
                because: record.state().ended,
            });
        }
        let mut differences = Vec::new();
        let mut differ = |name: &str, desired: Value, found: Value| {
            let path = PropertyPath::property(name);
            differences.push(PropertyDifference {
                path,
                desired,
                found,
            });
        };
        let Some(told) = told else {
            differ("command", Value::Null, "something runs".into());
            let made = Made {
                physical_id: id_of(ctx, prior),
                ..Made::default()
            };
            return Ok(Observed::present(made, differences));
        };
        if !is_supervised {
            // Gone would mean that nobody ends what is left.
            differ("supervisor", "alive".into(), "killed".into());
            let made = told.made(id_of(ctx, prior), &record.state());
            return Ok(Observed::present(made, differences));
        }
        // What it runs may hold secrets, so it is not told.
        if record
            .order()
            .is_none_or(|order| !order.runs_the_same(&told.order))
        {
            differ(
                "command",
                "as told".into(),
                "another, or with another environment".into(),
            );
        }
        let state = match self.healthy_now(ctx, &record, &told).await {
            Ok(state) => state,
            Err(wrong) => {
                differ("health", "healthy".into(), wrong.into());
                record.state()
            }
        };
        let made = told.made(id_of(ctx, prior), &state);
        let known = prior
            .attributes
            .and_then(|attributes| attributes.get("pid"));
        if let (Some(known), Some(found)) = (known, made.attributes.get("pid"))
            && known != found
        {
            differ("pid", known.clone(), found.clone());
        }
        Ok(Observed::present(made, differences))
    }

    async fn look_up(
        &self,
        ctx: &CallContext,
        _request: LookUpRequest<'_>,
    ) -> Result<Option<String>, Failure> {
        let record = Record::of(&ctx.host_dir, &ctx.instance_id);
        let there = supervised(&record)? || !tagged(&ctx.instance_id).is_empty();
        Ok(there.then(|| physical_name(ctx)))
    }
}
