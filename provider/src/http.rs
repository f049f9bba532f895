//! `Anneal::Http`: an object behind a REST API, or only a look at one.

mod exchange;
mod fields;
mod look;
mod told;

use async_trait::async_trait;
use reqwest::Client;
use serde_json::Value;

use self::exchange::{Answer, exchange};
use self::look::Lost;
use self::told::{Action, DEFAULT_ID, DEFAULT_TIMEOUT, Names, Told};
use crate::call::CallContext;
use crate::compare::Comparison;
use crate::failure::{Failure, FailureClass};
use crate::path::PropertyPath;
use crate::provider::Provider;
use crate::read_values::{from_private, given, to_private};
use crate::request::{
    Applied, ApplyRequest, Diagnostic, ImportRequest, LookUpRequest, Made, Observed, Plan,
    PlanRequest, Prior, ReadRequest, Values,
};
use crate::schema::{
    AttributeSchema, Capabilities, Kind, Nested, OnChange, PropertySchema, TypeSchema, When,
};
use crate::value::as_text;

pub(crate) use exchange::told_whole;

/// A text answer that is longer is no attribute.
const TEXT_ATTRIBUTE_MAX_BYTES: usize = 64 * 1024;

/// The provider of `Anneal::Http`.
pub struct HttpProvider {
    schemas: Vec<TypeSchema>,
    client: Client,
}

impl Default for HttpProvider {
    fn default() -> Self {
        // A kept connection may close under a request, and then nobody knows whether that was taken. A redirect
        // may turn a change into a read, so it is an answer like any other.
        let client = Client::builder()
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none());
        Self {
            schemas: vec![schema()],
            client: client.build().expect("its settings are constants"),
        }
    }
}

fn action(name: &str, description: &str, more: Option<PropertySchema>) -> PropertySchema {
    let mut keys = vec![
        PropertySchema::new("method", &[Kind::String], "The request's method."),
        PropertySchema::new(
            "path",
            &[Kind::String],
            "What follows the `url`; may contain {id}, {key}, {instance}.",
        ),
        PropertySchema::new(
            "body",
            &[Kind::Any],
            "What is sent, as JSON; the common `body` if left out.",
        ),
        PropertySchema::new("headers", &[Kind::Map], "Headers beside the common ones.")
            .nested(Nested::EachOf(vec![Kind::String]))
            .secret(),
        PropertySchema::new(
            "expected",
            &[Kind::List],
            "Statuses that mean success; any 2xx if left out.",
        )
        .nested(Nested::EachOf(vec![Kind::Integer])),
    ];
    keys.extend(more);
    PropertySchema::new(name, &[Kind::Map], description).nested(Nested::Keys(keys))
}

fn schema() -> TypeSchema {
    let text =
        |name: &str, description: &str| PropertySchema::new(name, &[Kind::String], description);
    let items = text(
        "items",
        "JSON pointer to the found objects in the answer: a list, or one object.",
    )
    .default("");
    let mut schema = TypeSchema::new(
        "Anneal::Http",
        "An object behind a REST API. Without `create` it only reads. A change of `url` replaces it; so does one of \
         `body` or `create` if there is no `update`. {id}, {key} (the idempotency key), {instance} and {token} may \
         stand in paths and headers, and be a whole text in a body.",
    );
    schema.properties = vec![
        text("url", "What all paths are appended to.")
            .required()
            .on_change(OnChange::Replace),
        PropertySchema::new("headers", &[Kind::Map], "Headers of all requests.")
            .nested(Nested::EachOf(vec![Kind::String]))
            .secret(),
        PropertySchema::new(
            "body",
            &[Kind::Any],
            "What the object should be; sent by create and update.",
        )
        .on_change(OnChange::Depends),
        action("create", "Makes it; POST if no method is given.", None)
            .on_change(OnChange::Depends),
        action(
            "read",
            "Looks at it; GET if no method is given. 404 and 410 mean that it is not there.",
            None,
        ),
        action("update", "Changes it; PUT if no method is given.", None),
        action(
            "delete",
            "Deletes it; DELETE if no method is given. 404 and 410 mean that it was gone.",
            None,
        ),
        action(
            "find",
            "Finds it after a lost create, by a tag that the create sent; GET. Without it and without \
             `idempotency_header`, a lost create waits for a person to say what became of it.",
            Some(items),
        ),
        text("id", "JSON pointer to the id in the answer.").default(DEFAULT_ID),
        PropertySchema::new(
            "attributes",
            &[Kind::Map],
            "Attributes by name, as JSON pointers into the answer.",
        )
        .nested(Nested::EachOf(vec![Kind::String])),
        text(
            "idempotency_header",
            "Header that carries the idempotency key, for a server that honours it.",
        ),
        text(
            "fencing_header",
            "Header that carries the fencing token, for a server that refuses smaller ones.",
        ),
        PropertySchema::new(
            "timeout_seconds",
            &[Kind::Number],
            "How soon a request is answered.",
        )
        .default(DEFAULT_TIMEOUT.as_secs())
        .at_least(0.0),
    ];
    schema.attributes = vec![
        AttributeSchema::new("status", Kind::Integer, "The status of the last answer."),
        AttributeSchema::new(
            "body",
            Kind::Any,
            "The last answer: JSON if it is that, else its text.",
        ),
    ];
    schema.any_attribute = true;
    let any =
        |names: &[&str]| When::WithAnyProperty(names.iter().map(ToString::to_string).collect());
    schema.capabilities = Capabilities {
        honours_keys: When::WithProperty("idempotency_header".to_owned()),
        fences: When::WithProperty("fencing_header".to_owned()),
        looks: any(&["find", "read", "idempotency_header"]),
        finds: any(&["find", "idempotency_header"]),
        cancellable: true,
        ..Capabilities::plain()
    };
    // Far more than one API likes, and far less than what a large stack would send it. What is too much for it all
    // the same, it says by itself (429).
    schema.limits.max_calls_per_second = Some(500);
    schema
}

/// What a change of a property does.
fn on_change(name: &str, told: &Told) -> Option<OnChange> {
    match name {
        "url" => Some(OnChange::Replace),
        "create" | "body" if told.create.is_none() => None,
        "create" | "body" if told.update.is_none() => Some(OnChange::Replace),
        "create" | "body" | "update" => Some(OnChange::InPlace),
        _ => None,
    }
}

impl Told {
    fn known(prior: Prior<'_>) -> Option<Self> {
        from_private(prior.private).or_else(|| Self::of(prior.properties?).ok())
    }

    fn id_in(&self, object: &Value) -> Option<String> {
        object
            .pointer(&self.id)
            .and_then(as_text)
            .filter(|id| !id.is_empty())
    }

    /// The id of an object that has none of its own: where it is.
    fn place(&self) -> String {
        let action = self.read.as_ref().or(self.create.as_ref());
        format!(
            "{}{}",
            self.url,
            action
                .map(|action| action.path.as_str())
                .unwrap_or_default()
        )
    }

    /// The id as it is known; empty if it has one, and nobody knows it.
    fn id_or_place(&self, physical_id: Option<&str>) -> String {
        let place = || {
            if self.needs_id() {
                String::new()
            } else {
                self.place()
            }
        };
        physical_id.map_or_else(place, str::to_owned)
    }

    fn made(&self, physical_id: String, answer: Option<&Answer>, before: Option<&Values>) -> Made {
        let mut attributes = before.cloned().unwrap_or_default();
        if let Some(answer) = answer {
            let object = answer.json();
            attributes.insert("status".to_owned(), answer.status.into());
            let text = (answer.text.len() <= TEXT_ATTRIBUTE_MAX_BYTES).then(|| answer.text.clone());
            let body = if object.is_null() {
                text.into()
            } else {
                object.clone()
            };
            attributes.insert("body".to_owned(), body);
            for (name, pointer) in &self.attributes {
                if let Some(value) = object.pointer(pointer) {
                    attributes.insert(name.clone(), value.clone());
                }
            }
        }
        Made {
            physical_id,
            attributes,
            private: to_private(self),
            ..Made::default()
        }
    }

    fn having_seen(mut self, answer: &Answer) -> Self {
        if let Some(desired) = self.desired() {
            self.seen_fields = fields::told_fields(desired, &answer.json());
        }
        self
    }
}

impl HttpProvider {
    async fn send(
        &self,
        ctx: &CallContext,
        told: &Told,
        action: &Action,
        id: Option<&str>,
    ) -> Result<Answer, Failure> {
        if action.needs_id() {
            // What is left of a path without its id is the collection; with one of these, what holds that.
            let id = id.filter(|id| !["", ".", ".."].contains(id));
            id.ok_or_else(|| Failure::refused("the id of the object is not known"))?;
        }
        let names = Names { ctx, id };
        let is_change = matches!(action.method.as_str(), "POST" | "PUT" | "PATCH");
        let body = action
            .body
            .as_ref()
            .or(told.body.as_ref().filter(|_| is_change));
        exchange(&self.client, told, action, &names, body).await
    }

    async fn create(&self, ctx: &CallContext, told: Told) -> Result<Applied, Failure> {
        let Some(action) = &told.create else {
            let action = told
                .read
                .as_ref()
                .expect("without a create there is a read");
            let answer = self
                .send(ctx, &told, action, None)
                .await
                .map_err(without_effect)?;
            if !action.expects(answer.status) {
                return Err(without_effect(Failure {
                    class: FailureClass::Transient,
                    ..answer.failure("read")
                }));
            }
            return Ok(Applied::Done(told.made(told.place(), Some(&answer), None)));
        };
        let answer = self.send(ctx, &told, action, None).await?;
        if !action.expects(answer.status) {
            return Err(answer.failure("create"));
        }
        let made = self.made_by(told, &answer)?;
        ctx.report_physical_id(&made.physical_id);
        Ok(Applied::Done(made))
    }

    async fn update(
        &self,
        ctx: &CallContext,
        prior: Prior<'_>,
        told: Told,
    ) -> Result<Applied, Failure> {
        let was = Told::known(prior);
        let changed = match was
            .as_ref()
            .and_then(|was| was.made_of.as_ref())
            .zip(told.made_of.as_ref())
        {
            Some((was, now)) => was.changed_to(&self.schemas[0], now),
            None => Vec::new(),
        };
        let effect = |path: &PropertyPath| on_change(path.top().unwrap_or_default(), &told);
        let because: Vec<PropertyPath> = changed
            .iter()
            .filter(|path| effect(path) == Some(OnChange::Replace))
            .cloned()
            .collect();
        if !because.is_empty() {
            return Ok(Applied::NeedsReplace { because });
        }
        let id = told.id_or_place(prior.physical_id);
        let quiet = !changed.is_empty() && changed.iter().all(|path| effect(path).is_none());
        if let Some(action) = told
            .update
            .as_ref()
            .filter(|_| told.create.is_some() && !quiet)
        {
            let answer = self.send(ctx, &told, action, Some(&id)).await?;
            return match () {
                () if answer.says_absent() => Ok(Applied::Gone),
                () if !action.expects(answer.status) => Err(answer.failure("update")),
                () => {
                    let told = told.having_seen(&answer);
                    Ok(Applied::Done(told.made(
                        id,
                        Some(&answer),
                        prior.attributes,
                    )))
                }
            };
        }
        // Nothing is to be changed there, but there may be other attributes to take from it.
        let told = Told {
            seen_fields: was.map(|was| was.seen_fields).unwrap_or_default(),
            ..told
        };
        let Some(action) = &told.read else {
            return Ok(Applied::Done(told.made(id, None, prior.attributes)));
        };
        let answer = self
            .send(ctx, &told, action, Some(&id))
            .await
            .map_err(without_effect)?;
        match () {
            () if answer.says_absent() => Ok(Applied::Gone),
            () if !action.expects(answer.status) => Err(without_effect(answer.failure("read"))),
            () if told.create.is_some() && !wrong_fields(&told, &answer).is_empty() => {
                // It has drifted, and there is no way to change it.
                let because = wrong_fields(&told, &answer)
                    .into_iter()
                    .map(|one| one.path)
                    .collect();
                Ok(Applied::NeedsReplace { because })
            }
            () => Ok(Applied::Done(told.made(
                id,
                Some(&answer),
                prior.attributes,
            ))),
        }
    }

    async fn delete(&self, ctx: &CallContext, prior: Prior<'_>) -> Result<Applied, Failure> {
        let told =
            Told::known(prior).ok_or_else(|| Failure::refused("how to delete it is not known"))?;
        let Some(action) = told.delete.as_ref().filter(|_| told.create.is_some()) else {
            return Ok(Applied::Deleted);
        };
        let answer = self.send(ctx, &told, action, prior.physical_id).await?;
        match () {
            () if action.expects(answer.status) => Ok(Applied::Deleted),
            () if answer.says_absent() => Ok(Applied::Gone),
            () => Err(answer.failure("delete")),
        }
    }
}

fn wrong_fields(told: &Told, answer: &Answer) -> Vec<crate::request::PropertyDifference> {
    told.desired()
        .map(|desired| fields::differences(desired, &answer.json(), &told.seen_fields))
        .unwrap_or_default()
}

/// How to look: as aimed, else as it was made.
fn told_of(request: &ReadRequest<'_>) -> Result<Told, Failure> {
    let aimed = request.aim.and_then(|aim| aim.properties);
    let aimed = aimed.map(Told::of).transpose()?;
    let told = aimed.or_else(|| Told::known(request.prior));
    told.ok_or_else(not_known)
}

fn not_known() -> Failure {
    Failure::cannot_tell("how to look at it is not known any more")
}

/// A read has no effect, however it fails.
fn without_effect(failure: Failure) -> Failure {
    Failure {
        verdict: crate::failure::Verdict::NothingDone,
        ..failure
    }
}

#[async_trait]
impl Provider for HttpProvider {
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
        if found.is_empty()
            && unknown.is_empty()
            && let Err(failure) = Told::of(properties)
        {
            found.push(Diagnostic {
                path: PropertyPath::default(),
                message: failure.message,
            });
        }
        let pointers = given(properties, "attributes")
            .and_then(Value::as_object)
            .into_iter()
            .flatten();
        for (name, pointer) in
            pointers.filter_map(|(name, pointer)| Some((name, pointer.as_str()?)))
        {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                let path = PropertyPath::property("attributes").name(name);
                found.push(Diagnostic {
                    path,
                    message: "a JSON pointer begins with `/`".to_owned(),
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
        if let Some(was) = Told::known(prior) {
            let has = |name: &str| given(request.properties, name).is_some();
            let effect = |name: &str| match name {
                "url" => OnChange::Replace,
                "create" | "body" if has("create") && !has("update") => OnChange::Replace,
                _ => OnChange::InPlace,
            };
            compared.recorded(
                &was.made_of.unwrap_or_default(),
                &self.schemas[0],
                request.properties,
                effect,
            );
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
                self.create(ctx, Told::of(properties)?).await
            }
            ApplyRequest::Update {
                prior, properties, ..
            } => self.update(ctx, prior, Told::of(properties)?).await,
            ApplyRequest::Delete { prior, .. } => self.delete(ctx, prior).await,
        }
    }

    async fn read(&self, ctx: &CallContext, request: ReadRequest<'_>) -> Result<Observed, Failure> {
        let prior = request.prior;
        let told = told_of(&request)?;
        let id = told.id_or_place(prior.physical_id);
        let Some(action) = &told.read else {
            // Nobody can look. Its id is known, so a change or a deletion can be sent again, and finds out.
            let as_aimed = request.aim.is_none();
            let made = told.made(id, None, prior.attributes);
            let found = crate::request::Found {
                made,
                as_aimed,
                differences: Vec::new(),
            };
            return Ok(Observed::Present(Box::new(found)));
        };
        let answer = self
            .send(ctx, &told, action, Some(&id))
            .await
            .map_err(without_effect)?;
        if answer.says_absent() && !action.expects(answer.status) {
            return Ok(Observed::absent());
        }
        if !action.expects(answer.status) {
            return Err(without_effect(answer.failure("read")));
        }
        let differences = if told.create.is_some() {
            if !told.seen_fields.is_empty() {
                // A page that says nothing of them does not say that they are gone.
                answer.parsed("read")?;
            }
            wrong_fields(&told, &answer)
        } else {
            Vec::new()
        };
        Ok(Observed::present(
            told.made(id, Some(&answer), prior.attributes),
            differences,
        ))
    }

    async fn look_up(
        &self,
        ctx: &CallContext,
        request: LookUpRequest<'_>,
    ) -> Result<Option<String>, Failure> {
        let Some(properties) = request.properties else {
            return Err(not_known());
        };
        match self.find(ctx, &Told::of(properties)?, None).await? {
            Lost::Absent => Ok(None),
            Lost::Known(id) => Ok(Some(id)),
            Lost::Made(found) => Ok(Some(found.made.physical_id)),
        }
    }

    async fn look(&self, ctx: &CallContext, request: ReadRequest<'_>) -> Result<Observed, Failure> {
        if request.prior.physical_id.is_some() {
            return self.read(ctx, request).await;
        }
        let told = told_of(&request)?;
        let lost = request.aim.map(|aim| aim.action);
        match self.find(ctx, &told, lost).await? {
            Lost::Absent => Ok(Observed::absent()),
            Lost::Made(found) => Ok(Observed::Present(found)),
            Lost::Known(id) => {
                let prior = Prior {
                    physical_id: Some(&id),
                    ..request.prior
                };
                self.read(ctx, ReadRequest { prior, ..request }).await
            }
        }
    }

    async fn import(&self, ctx: &CallContext, request: ImportRequest<'_>) -> Result<Made, Failure> {
        let told = Told::of(request.properties)?;
        let Some(action) = &told.read else {
            return Err(Failure::refused("an import needs `read`"));
        };
        let answer = self
            .send(ctx, &told, action, Some(request.physical_id))
            .await
            .map_err(without_effect)?;
        if !action.expects(answer.status) {
            return Err(without_effect(answer.failure("read")));
        }
        let told = told.clone().having_seen(&answer);
        Ok(told.made(request.physical_id.to_owned(), Some(&answer), None))
    }
}
