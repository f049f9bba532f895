//! What files and directories have in common: an object with a path and a mode, made exclusively, known by its mark,
//! and deleted only if it carries that.

use std::fs;
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::mark::{Marks, Owner};
use super::place::{
    absolute, as_id, before_effect, conflict, is_nothing, on_disk, out_of_time, sync_parent,
    without_verdict,
};
use super::put::{begun_at, forget, put};
use super::seen::{Opened, Seen, see};
use crate::call::CallContext;
use crate::compare::Comparison;
use crate::failure::{Failure, FailureClass, Verdict};
use crate::path::PropertyPath;
use crate::provider::Provider;
use crate::read_values::{from_private, mode, text, to_private};
use crate::request::{
    Applied, ApplyRequest, ImportRequest, LookUpRequest, Made, Observed, Plan, PlanRequest, Prior,
    PropertyDifference, ReadRequest, Values,
};
use crate::schema::{Capabilities, Kind, OnChange, PropertySchema, Scope, TypeSchema, When};

/// Where an object is to be, and with which permissions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Place {
    path_as_given: String,
    pub(super) path: PathBuf,
    pub(super) mode: u32,
}

/// One kind of object, as it should be. Its serialised form is kept as the provider's own bytes, so that it can be
/// observed and deleted alone.
pub(super) trait Object:
    Clone + Send + Sync + Serialize + DeserializeOwned + 'static
{
    /// What it is called.
    const NOUN: &'static str;
    /// The permissions of one that says nothing about them.
    const DEFAULT_MODE: u32;
    /// What a person can do about a conflict.
    const CONFLICT_HINT: &'static str = "";
    /// Whether one that is not as it should be is made anew and put in the place of what is there.
    const REMADE: bool;

    /// Its type, to which the properties `path` and `mode`, and what all types here promise, are added.
    fn schema() -> TypeSchema;

    /// Reads the properties.
    fn of(properties: &Values, place: Place) -> Result<Self, Failure>;

    /// Where it is to be.
    fn place(&self) -> &Place;

    /// Whether it takes the place of what is there already.
    fn takes_over(&self) -> bool {
        false
    }

    /// Compares the properties that only this kind has.
    fn compare(&self, properties: &Values, compared: &mut Comparison<'_>) -> Result<(), Failure>;

    /// Makes it at a path where nothing is, readable to nobody else yet.
    fn make(&self, at: &Path) -> io::Result<fs::File>;

    /// Its attributes beside the path, as it should be.
    fn attributes(&self) -> Values {
        Values::new()
    }

    /// Compares what is there with what should be, mode and owner apart; `made` is what will be told of it.
    fn examine(
        &self,
        there: &mut Opened,
        made: &mut Made,
    ) -> io::Result<Option<PropertyDifference>>;

    /// Deletes what is at the path. False if nothing was.
    fn remove(ctx: &CallContext, path: &Path, known: Option<&Self>) -> Result<bool, Failure>;

    /// Whether something that is open is of this kind.
    fn is_kind(there: &Opened) -> bool;
}

/// The provider of one kind of object.
pub struct NamedProvider<T> {
    schemas: Vec<TypeSchema>,
    kind: PhantomData<fn() -> T>,
}

impl<T: Object> Default for NamedProvider<T> {
    fn default() -> Self {
        let mut schema = T::schema();
        let path = PropertySchema::new("path", &[Kind::String], "Where it is.")
            .required()
            .on_change(OnChange::Replace);
        let mode = PropertySchema::new("mode", &[Kind::Mode], "Its permissions, octal as written.")
            .default(format!("{:04o}", T::DEFAULT_MODE));
        schema.properties.insert(0, path);
        schema.properties.insert(1, mode);
        schema.scope = Scope::HostBound;
        schema.capabilities = Capabilities {
            honours_keys: When::Always,
            named: true,
            ..Capabilities::plain()
        };
        Self {
            schemas: vec![schema],
            kind: PhantomData,
        }
    }
}

fn wanted<T: Object>(properties: &Values) -> Result<T, Failure> {
    let path_as_given = text(properties, "path")?;
    let place = Place {
        path: absolute(&path_as_given)?,
        path_as_given,
        mode: mode(properties, "mode", T::DEFAULT_MODE)?,
    };
    T::of(properties, place)
}

fn made<T: Object>(wanted: &T) -> Made {
    let path = as_id(&wanted.place().path);
    let mut attributes = wanted.attributes();
    attributes.insert("path".to_owned(), path.clone().into());
    Made {
        physical_id: path,
        attributes,
        private: to_private(wanted),
        ..Made::default()
    }
}

#[async_trait]
impl<T: Object> Provider for NamedProvider<T> {
    fn schemas(&self) -> &[TypeSchema] {
        &self.schemas
    }

    async fn plan(&self, request: PlanRequest<'_>) -> Result<Plan, Failure> {
        let Some(prior) = request.prior else {
            return Ok(Plan::create());
        };
        let mut compared = Comparison::new(&request);
        if let Some(was) = from_private::<T>(prior.private) {
            let (properties, place) = (request.properties, was.place());
            compared.property("path", OnChange::Replace, || {
                Ok(text(properties, "path")? != place.path_as_given)
            })?;
            was.compare(properties, &mut compared)?;
            compared.property("mode", OnChange::InPlace, || {
                Ok(mode(properties, "mode", T::DEFAULT_MODE)? != place.mode)
            })?;
        }
        Ok(compared.into_plan())
    }

    async fn apply(
        &self,
        ctx: &CallContext,
        request: ApplyRequest<'_>,
    ) -> Result<Applied, Failure> {
        let call = ctx.clone();
        match request {
            ApplyRequest::Create { properties, .. } => {
                let wanted = wanted::<T>(properties)?;
                on_disk(move || create(&call, &wanted)).await
            }
            ApplyRequest::Update {
                prior, properties, ..
            } => {
                let wanted = wanted::<T>(properties)?;
                if moved(prior, &wanted) {
                    return Ok(Applied::NeedsReplace {
                        because: vec![PropertyPath::property("path")],
                    });
                }
                on_disk(move || update(&call, &wanted)).await
            }
            ApplyRequest::Delete { prior, .. } => {
                let known = from_private::<T>(prior.private);
                let path = path_of(ctx, prior.physical_id, known.as_ref())?;
                on_disk(move || delete(&call, &path, known.as_ref())).await
            }
        }
    }

    async fn read(&self, ctx: &CallContext, request: ReadRequest<'_>) -> Result<Observed, Failure> {
        let prior = request.prior;
        let aimed = request.aim.and_then(|aim| aim.properties);
        let made_to_be = from_private::<T>(prior.private);
        let should_be = match (aimed, prior.properties) {
            (Some(aimed), _) => Some(wanted(aimed)?),
            // The properties tell more than what was kept of them, if they are the same.
            (None, Some(properties)) => {
                let told = wanted::<T>(properties).ok();
                let told = told.filter(|told| to_private(told) == prior.private);
                told.or_else(|| made_to_be.clone())
            }
            (None, None) => made_to_be.clone(),
        };
        let path = path_of(ctx, prior.physical_id, made_to_be.as_ref())?;
        let call = ctx.clone();
        on_disk(move || read(&call, &path, should_be)).await
    }

    async fn look_up(
        &self,
        ctx: &CallContext,
        request: LookUpRequest<'_>,
    ) -> Result<Option<String>, Failure> {
        let path = match request.properties {
            Some(properties) => Some(absolute(&text(properties, "path")?)?),
            None => None,
        };
        let call = ctx.clone();
        on_disk(move || {
            // What this host has no record of was never begun.
            let Some(path) = path.or_else(|| begun_at(&call)) else {
                return Ok(None);
            };
            Ok((owner(&call, &path)? == Some(Owner::Ours)).then(|| as_id(&path)))
        })
        .await
    }

    async fn import(&self, ctx: &CallContext, request: ImportRequest<'_>) -> Result<Made, Failure> {
        let wanted = wanted::<T>(request.properties)?;
        if absolute(request.physical_id)? != wanted.place().path {
            return Err(Failure::refused(format!(
                "the property `path` is not the path of the {} to import",
                T::NOUN
            )));
        }
        let call = ctx.clone();
        on_disk(move || import(&call, &wanted)).await
    }
}

fn moved<T: Object>(prior: Prior<'_>, wanted: &T) -> bool {
    let place = wanted.place();
    match from_private::<T>(prior.private) {
        Some(was) => was.place().path_as_given != place.path_as_given,
        None => prior.physical_id.is_some_and(|id| id != as_id(&place.path)),
    }
}

fn path_of<T: Object>(
    ctx: &CallContext,
    physical_id: Option<&str>,
    known: Option<&T>,
) -> Result<PathBuf, Failure> {
    if let Some(id) = physical_id {
        return absolute(id);
    }
    let path = known.map(|known| known.place().path.clone());
    path.or_else(|| begun_at(ctx))
        .ok_or_else(|| Failure::refused(format!("the path of the {} is not known", T::NOUN)))
}

/// Whose the object at `path` is; none if nothing is there.
fn owner(ctx: &CallContext, path: &Path) -> Result<Option<Owner>, Failure> {
    match Marks::new(&ctx.host_dir).owner(path, &ctx.instance_id) {
        Ok(owner) => Ok(Some(owner)),
        Err(error) if is_nothing(&error) => Ok(None),
        Err(error) => Err(before_effect("look at", path, &error)),
    }
}

fn create<T: Object>(ctx: &CallContext, wanted: &T) -> Result<Applied, Failure> {
    let path = &wanted.place().path;
    match owner(ctx, path)? {
        // An earlier attempt at the same effect made it.
        Some(Owner::Ours) => return update(ctx, wanted),
        Some(there) if !wanted.takes_over() => {
            return Ok(conflict(path, &there, T::CONFLICT_HINT));
        }
        _ => {}
    }
    match put(ctx, wanted, !wanted.takes_over()) {
        Ok(true) => return Ok(Applied::Done(made(wanted))),
        Err(failure) if failure.verdict != Verdict::NothingDone => return Err(failure),
        placed => {
            forget(ctx);
            placed?;
        }
    }
    let there = owner(ctx, path)?.unwrap_or(Owner::Nobody);
    Ok(conflict(path, &there, T::CONFLICT_HINT))
}

fn update<T: Object>(ctx: &CallContext, wanted: &T) -> Result<Applied, Failure> {
    let path = &wanted.place().path;
    let owner = match owner(ctx, path)? {
        None | Some(Owner::Other(_)) => return Ok(Applied::Gone),
        Some(owner) => owner,
    };
    match right_content(path, wanted)?.filter(|_| owner == Owner::Ours || !T::REMADE) {
        Some(there) => adjust(ctx, wanted, &owner, &there)?,
        None if T::REMADE => {
            put(ctx, wanted, false)?;
        }
        None => {
            let message = format!("{} is no {} any more", path.display(), T::NOUN);
            return Err(Failure::refused(message));
        }
    }
    Ok(Applied::Done(made(wanted)))
}

/// What is there, if all of it but the mode and the mark is as wanted.
fn right_content<T: Object>(path: &Path, wanted: &T) -> Result<Option<Opened>, Failure> {
    let seen = match see(path) {
        // One that may not even be read can still be made anew.
        Err(error) if T::REMADE && error.kind() == io::ErrorKind::PermissionDenied => {
            return Ok(None);
        }
        seen => seen.map_err(|error| before_effect("read", path, &error))?,
    };
    let Seen::Open(mut there) = seen else {
        return Ok(None);
    };
    if !T::is_kind(&there) {
        return Ok(None);
    }
    let differs = wanted
        .examine(&mut there, &mut made(wanted))
        .map_err(|error| before_effect("read", path, &error))?;
    Ok(differs.is_none().then_some(there))
}

/// Sets the mark and the mode of what is there.
fn adjust<T: Object>(
    ctx: &CallContext,
    wanted: &T,
    owner: &Owner,
    there: &Opened,
) -> Result<(), Failure> {
    let Place { path, mode, .. } = wanted.place();
    if (owner, there.mode) == (&Owner::Ours, *mode) {
        return Ok(());
    }
    if !ctx.may_act() {
        return Err(out_of_time());
    }
    if *owner != Owner::Ours {
        Marks::new(&ctx.host_dir)
            .put(&there.handle, path, &ctx.instance_id)
            .map_err(|error| before_effect("mark", path, &error))?;
    }
    there
        .set_mode(*mode)
        .map_err(|error| before_effect("change the mode of", path, &error))
}

fn delete<T: Object>(
    ctx: &CallContext,
    path: &Path,
    known: Option<&T>,
) -> Result<Applied, Failure> {
    if !ctx.may_act() {
        return Err(out_of_time());
    }
    if owner(ctx, path)? != Some(Owner::Ours) {
        forget(ctx);
        return Ok(Applied::Gone);
    }
    let was_there = T::remove(ctx, path, known)?;
    Marks::new(&ctx.host_dir).forget(path);
    forget(ctx);
    sync_parent(path)
        .map_err(|error| without_verdict("make durable the deletion of", path, &error))?;
    Ok(if was_there {
        Applied::Deleted
    } else {
        Applied::Gone
    })
}

fn import<T: Object>(ctx: &CallContext, wanted: &T) -> Result<Made, Failure> {
    let path = &wanted.place().path;
    let seen = see(path).map_err(|error| before_effect("open", path, &error))?;
    let mut there = match seen {
        Seen::Open(there) if T::is_kind(&there) => there,
        Seen::Open(_) | Seen::Other(_) => {
            let message = format!("{} is no {}", path.display(), T::NOUN);
            return Err(Failure::refused(message));
        }
    };
    Marks::new(&ctx.host_dir)
        .put(&there.handle, path, &ctx.instance_id)
        .map_err(|error| before_effect("mark", path, &error))?;
    let mut made = made(wanted);
    wanted
        .examine(&mut there, &mut made)
        .map_err(|error| before_effect("read", path, &error))?;
    Ok(made)
}

fn read<T: Object>(ctx: &CallContext, path: &Path, wanted: Option<T>) -> Result<Observed, Failure> {
    let because = |why: String| Ok(Observed::Absent { because: Some(why) });
    let owner = match owner(ctx, path)? {
        None => return Ok(Observed::absent()),
        Some(Owner::Other(instance)) => {
            return because(format!(
                "the {} there belongs to instance {instance}",
                T::NOUN
            ));
        }
        Some(owner) => owner,
    };
    let failed = |error: io::Error| Failure {
        class: FailureClass::Transient,
        ..before_effect("read", path, &error)
    };
    let (what, there) = match see(path) {
        Err(error) if is_nothing(&error) => return Ok(Observed::absent()),
        seen => match seen.map_err(failed)? {
            Seen::Open(there) if T::is_kind(&there) => ("", Some(there)),
            Seen::Open(there) if there.is_dir => ("a directory", None),
            Seen::Open(_) => ("a file", None),
            Seen::Other(what) => (what, None),
        },
    };
    let Some(wanted) = wanted.filter(|wanted| wanted.place().path == path) else {
        // Nobody knows what it should be; that is no reason to replace it, an update follows.
        let found = Made {
            physical_id: as_id(path),
            ..Made::default()
        };
        let unknown = difference(PropertyPath::default(), Value::Null, "something".into());
        return Ok(Observed::present(found, vec![unknown]));
    };
    let Some(mut there) = there else {
        if !T::REMADE {
            return because(format!("{} is {what}", path.display()));
        }
        let kind = difference(PropertyPath::default(), T::NOUN.into(), what.into());
        return Ok(Observed::present(made(&wanted), vec![kind]));
    };
    let mut made = made(&wanted);
    let examined = wanted.examine(&mut there, &mut made).map_err(failed)?;
    let mut differences: Vec<_> = examined.into_iter().collect();
    let octal = |mode: u32| Value::from(format!("{mode:04o}"));
    if there.mode != wanted.place().mode {
        let (desired, found) = (octal(wanted.place().mode), octal(there.mode));
        differences.push(difference(PropertyPath::property("mode"), desired, found));
    }
    if owner != Owner::Ours {
        let desired = ctx.instance_id.clone().into();
        differences.push(difference(
            PropertyPath::property("owner"),
            desired,
            "nobody".into(),
        ));
    }
    Ok(Observed::present(made, differences))
}

fn difference(path: PropertyPath, desired: Value, found: Value) -> PropertyDifference {
    PropertyDifference {
        path,
        desired,
        found,
    }
}
