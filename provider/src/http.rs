//! `Anneal::Http`: an object behind a REST API, or only a look at one.

mod act;
mod exchange;
mod fields;
mod look;
mod schema;
mod told;

use async_trait::async_trait;
use reqwest::Client;
use serde_json::Value;

use self::exchange::Answer;
use self::look::Lost;
use self::schema::schema;
use self::told::Told;
use crate::call::CallContext;
use crate::compare::Comparison;
use crate::failure::Failure;
use crate::path::PropertyPath;
use crate::provider::Provider;
use crate::read_values::{from_private, given, to_private};
use crate::request::{
    Applied, ApplyRequest, Certain, Diagnostic, ImportRequest, LookUpRequest, Made, Observed, Plan,
    PlanRequest, Prior, ReadRequest, Values,
};
use crate::schema::{OnChange, TypeSchema};
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

impl Told {
    fn known(prior: Prior<'_>) -> Option<Self> {
        from_private(prior.private).or_else(|| Self::of(prior.properties?).ok())
    }

    /// Enough to find it and to delete it: all but the body, which says what it should be and not where it is. It is not
    /// enough to make it, or to say that it is as it should be.
    fn certain(certain: Certain<'_>) -> Option<Self> {
        if certain.left_out.iter().any(|name| name != "body") {
            return None;
        }
        let told = Self::of(certain.properties).ok()?;
        Some(Self {
            made_of: None,
            ..told
        })
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

fn wrong_fields(told: &Told, answer: &Answer) -> Vec<crate::request::PropertyDifference> {
    told.desired()
        .map(|desired| fields::differences(desired, &answer.json(), &told.seen_fields))
        .unwrap_or_default()
}

/// How to look: as aimed, else as it was made, else by what is certain of the aim.
fn told_of(request: &ReadRequest<'_>) -> Result<Told, Failure> {
    let aimed = request.aim.and_then(|aim| aim.properties);
    let aimed = aimed.map(Told::of).transpose()?;
    let told = aimed.or_else(|| Told::known(request.prior));
    told.or_else(|| Told::certain(request.aim?.certain?))
        .ok_or_else(not_known)
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
        // Only one whose body is known is sent again.
        let known = request.aim.filter(|aim| aim.properties.is_some());
        let lost = known.map(|aim| aim.action);
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
