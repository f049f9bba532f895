//! `Anneal::Command`: whatever scripts make, look at, change and delete.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::call::CallContext;
use crate::companion::Companion;
use crate::compare::{Comparison, Recorded};
use crate::failure::{Failure, FailureClass, Verdict};
use crate::guard::{self, Ended, Guarded, HowEnded};
use crate::instance_record::InstanceRecords;
use crate::path::PropertyPath;
use crate::provider::Provider;
use crate::read_values::{
    from_private, given, optional_seconds, optional_text, program, text_map, to_private,
};
use crate::request::{
    ActionKind, Applied, ApplyRequest, Diagnostic, Found, ImportRequest, LookUpRequest, Made,
    Observed, Plan, PlanRequest, Prior, ReadRequest, Values,
};
use crate::schema::{
    AttributeSchema, Capabilities, Kind, Nested, OnChange, PropertySchema, Scope, TypeSchema, When,
};
use crate::value::as_text;

/// A command that says nothing about its time may take so long.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);
/// The kernel refuses a variable beyond 128 KiB, so larger attributes are not passed on.
const VARIABLE_MAX_BYTES: usize = 96 * 1024;
/// What its creation was told: the commands that read and delete it.
const RECORDS: InstanceRecords = InstanceRecords { kind: "commands" };
/// What `read` exits with when nothing is there.
const ABSENT_CODE: i32 = 1;

/// The provider of `Anneal::Command`.
pub struct CommandProvider {
    schemas: Vec<TypeSchema>,
    companion: Companion,
}

impl CommandProvider {
    /// One that runs its commands under guards started from `companion`.
    pub fn new(companion: Companion) -> Self {
        Self {
            schemas: vec![schema()],
            companion,
        }
    }
}

fn schema() -> TypeSchema {
    let mut schema = TypeSchema::new(
        "Anneal::Command",
        "Commands that create, read, update and delete something. Each is a list of arguments, or a string for \
         `sh -c`. A JSON object on the last line of output becomes the attributes; its `id`, or else the \
         idempotency key, is the physical id. `read` exits with 0 if it is there and with 1 if not. Without \
         `update`, a change of `create`, `environment` or `working_directory` replaces it; a change of `read`, \
         `delete` or `timeout_seconds` runs nothing.",
    );
    let command = |name: &str, description: &str| {
        PropertySchema::new(name, &[Kind::String, Kind::List], description)
            .nested(Nested::EachOf(vec![Kind::String]))
    };
    schema.properties = vec![
        command("create", "Makes it.")
            .required()
            .on_change(OnChange::Depends),
        command("update", "Changes it.").on_change(OnChange::Depends),
        command("read", "Exits with 0 if it is there, with 1 if not."),
        command("delete", "Deletes it."),
        PropertySchema::new("environment", &[Kind::Map], "Variables for all of them.")
            .nested(Nested::EachOf(vec![Kind::String]))
            .on_change(OnChange::Depends),
        PropertySchema::new("working_directory", &[Kind::String], "Where they run.")
            .on_change(OnChange::Depends),
        PropertySchema::new(
            "timeout_seconds",
            &[Kind::Number],
            "How long each of them may take.",
        )
        .default(DEFAULT_TIMEOUT.as_secs())
        .at_least(0.0),
        PropertySchema::new(
            "scope",
            &[Kind::String],
            "Whether it belongs to the host that ran it, or to all.",
        )
        .words(&["host", "cluster"])
        .default("host")
        .on_change(OnChange::Replace),
    ];
    schema.attributes = vec![AttributeSchema::new(
        "id",
        Kind::String,
        "The physical id, if the output has one.",
    )];
    schema.any_attribute = true;
    schema.scope = Scope::HostBoundUnless {
        property: "scope".to_owned(),
        value: "cluster".to_owned(),
    };
    schema.capabilities = Capabilities {
        looks: When::WithProperty("read".to_owned()),
        finds: When::WithProperty("read".to_owned()),
        // A look runs under the guard too, and so under the instance's lock: no earlier command of it runs any
        // more, and a guard that wakes up late finds its lease over before it starts one.
        fences: When::Always,
        cancellable: true,
        ..Capabilities::plain()
    };
    schema
}

/// The properties, read. Kept with the instance, so that it can be looked at and deleted alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Told {
    create: Vec<String>,
    update: Option<Vec<String>>,
    read: Option<Vec<String>>,
    delete: Option<Vec<String>>,
    environment: Vec<(String, String)>,
    working_directory: Option<PathBuf>,
    timeout: Duration,
    /// What it was last made of. None while it is not what is wanted.
    made_of: Option<Recorded>,
}

impl Told {
    fn of(properties: &Values) -> Result<Self, Failure> {
        let create = program(properties, "create")?;
        Ok(Self {
            create: create
                .ok_or_else(|| Failure::refused("required property `create` is missing"))?,
            update: program(properties, "update")?,
            read: program(properties, "read")?,
            delete: program(properties, "delete")?,
            environment: text_map(properties, "environment")?,
            working_directory: optional_text(properties, "working_directory")?.map(PathBuf::from),
            timeout: optional_seconds(properties, "timeout_seconds")?.unwrap_or(DEFAULT_TIMEOUT),
            made_of: Some(Recorded::of(properties)),
        })
    }

    /// What is known of an instance, wherever it is known from.
    fn known(prior: Prior<'_>) -> Option<Self> {
        from_private(prior.private).or_else(|| Self::of(prior.properties?).ok())
    }

    /// The same, on the host that may have its own record of it.
    fn known_here(ctx: &CallContext, prior: Prior<'_>) -> Option<Self> {
        from_private(prior.private)
            .or_else(|| RECORDS.recall(ctx))
            .or_else(|| Self::of(prior.properties?).ok())
    }

    fn made(&self, physical_id: String, attributes: Values) -> Made {
        Made {
            physical_id,
            attributes,
            private: to_private(self),
            ..Made::default()
        }
    }
}

/// What a change of a property does to an instance that has, or has not, a command for updates.
fn on_change(name: &str, has_update: bool) -> Option<OnChange> {
    match name {
        "create" | "environment" | "working_directory" if has_update => Some(OnChange::InPlace),
        "create" | "environment" | "working_directory" | "scope" => Some(OnChange::Replace),
        "update" if has_update => Some(OnChange::InPlace),
        _ => None,
    }
}

struct Run<'a> {
    action: &'a str,
    program: &'a [String],
    told: &'a Told,
    physical_id: Option<&'a str>,
    attributes: Option<&'a Values>,
}

impl CommandProvider {
    async fn run(&self, ctx: &CallContext, run: Run<'_>) -> Result<Ended, Failure> {
        let mut environment = run.told.environment.clone();
        let mut variable =
            |name: &str, value: String| environment.push((format!("ANNEAL_{name}"), value));
        variable("INSTANCE_ID", ctx.instance_id.clone());
        variable("IDEMPOTENCY_KEY", ctx.idempotency_key.clone());
        variable("FENCING_TOKEN", ctx.fencing_token.to_string());
        variable("ACTION", run.action.to_owned());
        variable("STACK", ctx.stack.to_string());
        variable("RESOURCE", ctx.resource.to_string());
        variable(
            "PHYSICAL_ID",
            run.physical_id.unwrap_or_default().to_owned(),
        );
        let attributes = run
            .attributes
            .map(|attributes| Value::Object(attributes.clone()).to_string());
        let attributes = attributes.filter(|text| text.len() <= VARIABLE_MAX_BYTES);
        variable("ATTRIBUTES", attributes.unwrap_or_default());
        let command = Guarded {
            program: run.program.to_vec(),
            environment,
            working_directory: run.told.working_directory.clone(),
            timeout: Some(run.told.timeout),
            // A look that nobody was assigned neither disturbs an action nor waits for one.
            exclusive: ctx.fencing_token > 0,
        };
        guard::run(&self.companion, ctx, command).await
    }

    async fn create(&self, ctx: &CallContext, told: &Told) -> Result<Applied, Failure> {
        RECORDS.remember(ctx, told)?;
        let run = Run {
            action: "create",
            program: &told.create,
            told,
            physical_id: None,
            attributes: None,
        };
        let ended = self.run(ctx, run).await.inspect_err(|failure| {
            // What can't be run at all needs no deletion, and its record may hold secrets. Of what was only not run
            // now, somebody else may still be running it.
            if (failure.class, &failure.verdict) == (FailureClass::Permanent, &Verdict::NothingDone)
            {
                RECORDS.forget(ctx);
            }
        })?;
        let attributes = attributes_of(&ended);
        let physical_id =
            physical_id_of(&attributes).unwrap_or_else(|| ctx.idempotency_key.clone());
        let made = told.made(physical_id, attributes);
        if ended.how == HowEnded::Exited(0) {
            return Ok(Applied::Done(made));
        }
        let failure = failed("create", told, &ended, Some(made));
        // If it can be looked at, say whether there is anything to delete.
        match self.look_at(ctx, told, Prior::default()).await {
            Ok(None) => {
                RECORDS.forget(ctx);
                Err(Failure {
                    verdict: Verdict::NothingDone,
                    ..failure
                })
            }
            Ok(Some(_)) | Err(_) => Err(failure),
        }
    }

    async fn update(
        &self,
        ctx: &CallContext,
        prior: Prior<'_>,
        told: &Told,
    ) -> Result<Applied, Failure> {
        let was = Told::known_here(ctx, prior).and_then(|was| was.made_of);
        let wanted = told.made_of.as_ref();
        let changed = match (&was, wanted) {
            (Some(was), Some(wanted)) => was.changed_to(&self.schemas[0], wanted),
            _ => Vec::new(),
        };
        let effect =
            |path: &PropertyPath| on_change(path.top().unwrap_or_default(), told.update.is_some());
        let because: Vec<PropertyPath> = changed
            .iter()
            .filter(|path| effect(path) == Some(OnChange::Replace))
            .cloned()
            .collect();
        if !because.is_empty() {
            return Ok(Applied::NeedsReplace { because });
        }
        let physical_id = prior.physical_id.unwrap_or(&ctx.idempotency_key).to_owned();
        let before = prior.attributes.cloned().unwrap_or_default();
        // With nothing to run for, only what is kept of it changes. If nobody knows what it was made of, or if
        // it has drifted, the update runs.
        let quiet = !changed.is_empty() && changed.iter().all(|path| effect(path).is_none());
        let Some(program) = told.update.as_ref().filter(|_| !quiet) else {
            return Ok(Applied::Done(told.made(physical_id, before)));
        };
        let (id, attributes) = (Some(physical_id.as_str()), prior.attributes);
        let run = Run {
            action: "update",
            program,
            told,
            physical_id: id,
            attributes,
        };
        let ended = self.run(ctx, run).await?;
        match ended.how {
            HowEnded::Exited(0) => {
                let printed = attributes_of(&ended);
                let attributes = if printed.is_empty() { before } else { printed };
                Ok(Applied::Done(told.made(physical_id, attributes)))
            }
            _ => {
                let unfinished = Told {
                    made_of: None,
                    ..told.clone()
                };
                Err(failed(
                    "update",
                    told,
                    &ended,
                    Some(unfinished.made(physical_id, before)),
                ))
            }
        }
    }

    async fn delete(&self, ctx: &CallContext, prior: Prior<'_>) -> Result<Applied, Failure> {
        let Some(told) = Told::known_here(ctx, prior) else {
            return Err(Failure::refused("the command that deletes it is not known"));
        };
        let Some(program) = &told.delete else {
            RECORDS.forget(ctx);
            return Ok(Applied::Deleted);
        };
        let Prior {
            physical_id,
            attributes,
            ..
        } = prior;
        let ended = self
            .run(
                ctx,
                Run {
                    action: "delete",
                    program,
                    told: &told,
                    physical_id,
                    attributes,
                },
            )
            .await?;
        match ended.how {
            HowEnded::Exited(0) => {
                RECORDS.forget(ctx);
                Ok(Applied::Deleted)
            }
            _ => {
                let physical_id = physical_id.unwrap_or(&ctx.idempotency_key).to_owned();
                let made = told.made(physical_id, attributes.cloned().unwrap_or_default());
                Err(failed("delete", &told, &ended, Some(made)))
            }
        }
    }

    /// Whether it is there, and what `read` printed of it. None if there is no `read`.
    async fn look_at(
        &self,
        ctx: &CallContext,
        told: &Told,
        prior: Prior<'_>,
    ) -> Result<Option<Values>, Failure> {
        let Some(program) = &told.read else {
            return Err(Failure::cannot_tell(
                "a command without `read` can't be looked at",
            ));
        };
        let Prior {
            physical_id,
            attributes,
            ..
        } = prior;
        let ended = self
            .run(
                ctx,
                Run {
                    action: "read",
                    program,
                    told,
                    physical_id,
                    attributes,
                },
            )
            .await?;
        match ended.how {
            HowEnded::Exited(0) => Ok(Some(attributes_of(&ended))),
            HowEnded::Exited(ABSENT_CODE) => Ok(None),
            _ => Err(failed("read", told, &ended, None)),
        }
    }
}

#[async_trait]
impl Provider for CommandProvider {
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
        for name in ["create", "update", "read", "delete"] {
            let path = PropertyPath::property(name);
            let empty = given(properties, name)
                .and_then(Value::as_array)
                .is_some_and(Vec::is_empty);
            if empty && !unknown.contains(&path) {
                found.push(Diagnostic {
                    path,
                    message: "at least the program's name is needed".to_owned(),
                });
            }
        }
        found
    }

    async fn plan(&self, request: PlanRequest<'_>) -> Result<Plan, Failure> {
        let Some(prior) = request.prior else {
            return Ok(Plan::create());
        };
        let mut compared = Comparison::new(&request);
        if let Some(was) = Told::known(prior).and_then(|was| was.made_of) {
            let has_update = given(request.properties, "update").is_some();
            let effect = |name: &str| on_change(name, has_update).unwrap_or(OnChange::InPlace);
            compared.recorded(&was, &self.schemas[0], request.properties, effect);
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
                self.create(ctx, &Told::of(properties)?).await
            }
            ApplyRequest::Update {
                prior, properties, ..
            } => self.update(ctx, prior, &Told::of(properties)?).await,
            ApplyRequest::Delete { prior, .. } => self.delete(ctx, prior).await,
        }
    }

    async fn read(&self, ctx: &CallContext, request: ReadRequest<'_>) -> Result<Observed, Failure> {
        let prior = request.prior;
        let aimed = request
            .aim
            .and_then(|aim| aim.properties)
            .map(Told::of)
            .transpose()?;
        let told = aimed.or_else(|| Told::known_here(ctx, prior));
        let lost_create = request
            .aim
            .is_some_and(|aim| aim.action == ActionKind::Create);
        let Some(told) = told else {
            if !lost_create || prior.physical_id.is_some() {
                return Err(not_known());
            }
            return never_begun(ctx).map(|()| Observed::absent());
        };
        let Some(printed) = self.look_at(ctx, &told, prior).await? else {
            return Ok(Observed::absent());
        };
        // A lost create cannot be told from a finished one; only an update makes sure, if there is one.
        let as_aimed = match request.aim.map(|aim| aim.action) {
            None => true,
            Some(ActionKind::Create) => told.update.is_none(),
            Some(ActionKind::Update | ActionKind::Delete) => false,
        };
        let mut attributes = prior.attributes.cloned().unwrap_or_default();
        let physical_id = prior
            .physical_id
            .map(str::to_owned)
            .or_else(|| physical_id_of(&printed));
        attributes.extend(printed);
        let told = if as_aimed {
            told
        } else {
            Told {
                made_of: None,
                ..told
            }
        };
        let made = told.made(
            physical_id.unwrap_or_else(|| ctx.idempotency_key.clone()),
            attributes,
        );
        Ok(Observed::Present(Box::new(Found {
            made,
            as_aimed,
            differences: Vec::new(),
        })))
    }

    async fn look_up(
        &self,
        ctx: &CallContext,
        request: LookUpRequest<'_>,
    ) -> Result<Option<String>, Failure> {
        let told = match request.properties {
            Some(properties) => Some(Told::of(properties)?),
            None => RECORDS.recall(ctx),
        };
        let Some(told) = told else {
            return never_begun(ctx).map(|()| None);
        };
        let found = self.look_at(ctx, &told, Prior::default()).await?;
        Ok(found
            .map(|printed| physical_id_of(&printed).unwrap_or_else(|| ctx.idempotency_key.clone())))
    }

    /// The look is one run of `read`, which is told no physical id if none is known.
    async fn look(&self, ctx: &CallContext, request: ReadRequest<'_>) -> Result<Observed, Failure> {
        self.read(ctx, request).await
    }

    async fn import(&self, ctx: &CallContext, request: ImportRequest<'_>) -> Result<Made, Failure> {
        let told = Told::of(request.properties)?;
        let prior = Prior {
            physical_id: Some(request.physical_id),
            ..Prior::default()
        };
        match self.look_at(ctx, &told, prior).await? {
            Some(attributes) => Ok(told.made(request.physical_id.to_owned(), attributes)),
            None => Err(Failure::refused(format!(
                "`read` says that {} is not there",
                request.physical_id
            ))),
        }
    }
}

/// Of what this host has no record: a create writes that before its command runs.
fn never_begun(ctx: &CallContext) -> Result<(), Failure> {
    if ctx.host_bound {
        Ok(())
    } else {
        Err(not_known())
    }
}

fn not_known() -> Failure {
    Failure::cannot_tell("the command that reads it is not known")
}

/// The JSON object on the last line of output; nothing if there is none.
fn attributes_of(ended: &Ended) -> Values {
    let line = ended
        .last_line
        .as_deref()
        .map(str::trim)
        .filter(|line| line.starts_with('{'));
    line.and_then(|line| serde_json::from_str(line).ok())
        .unwrap_or_default()
}

fn physical_id_of(attributes: &Values) -> Option<String> {
    attributes
        .get("id")
        .and_then(as_text)
        .filter(|id| !id.is_empty())
}

/// In the command's own words: how it ended, and the end of its error output.
fn failed(action: &str, told: &Told, ended: &Ended, made: Option<Made>) -> Failure {
    let how = match ended.how {
        HowEnded::Exited(code) => format!("`{action}` ended with exit code {code}"),
        HowEnded::Signalled(signal) => format!("`{action}` was killed by signal {signal}"),
        HowEnded::TimedOut { after_ms } => {
            // The call as a whole may have less time than the command alone.
            let time = Duration::from_millis(after_ms)
                .min(told.timeout)
                .as_secs_f64();
            let seconds = (time * 10.0).round() / 10.0;
            format!("`{action}` timed out after {seconds} seconds and was killed")
        }
    };
    let errors = ended.error_tail.trim_end();
    let message = if errors.is_empty() {
        how
    } else {
        format!("{how}: {errors}")
    };
    // The guard has ended all that it started, so nothing more will come of it.
    match made {
        Some(made) => Failure::left_behind(FailureClass::Transient, made, message),
        None => Failure::nothing_done(FailureClass::Transient, message),
    }
}
