//! `Anneal::Directory`: one directory with its mode.
//!
//! Made beside its place, marked, and renamed into it, so that it is never there without its mark.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::mark::{Marks, Owner};
use super::place::{
    absolute, as_id, before_effect, conflict, is_nothing, on_disk, out_of_time, preparation,
    put_exclusively, sweep_preparations, sync_parent, without_verdict,
};
use crate::call::CallContext;
use crate::compare::Comparison;
use crate::failure::{Failure, FailureClass};
use crate::path::PropertyPath;
use crate::provider::Provider;
use crate::read_values::{boolean, from_private, mode, text, to_private};
use crate::request::{
    Applied, ApplyRequest, ImportRequest, LookUpRequest, Made, Observed, Plan, PlanRequest, Prior,
    PropertyDifference, ReadRequest, Values,
};
use crate::schema::{
    AttributeSchema, Capabilities, Kind, OnChange, PropertySchema, Scope, TypeSchema, When,
};

/// The mode of a directory that says nothing about it.
const DEFAULT_MODE: u32 = 0o755;

/// The provider of `Anneal::Directory`.
pub struct DirectoryProvider {
    schemas: Vec<TypeSchema>,
}

impl Default for DirectoryProvider {
    fn default() -> Self {
        Self {
            schemas: vec![schema()],
        }
    }
}

fn schema() -> TypeSchema {
    let mut schema = TypeSchema::new(
        "Anneal::Directory",
        "A directory on the engine's host; the one that holds it must be there. A directory that is there \
         already is a conflict. It is deleted only when it is empty, unless `force` is true. A changed \
         `path` replaces it.",
    );
    schema.properties = vec![
        PropertySchema::new("path", &[Kind::String], "Where it is.")
            .required()
            .on_change(OnChange::Replace),
        PropertySchema::new("mode", &[Kind::Mode], "Its permissions, octal as written.")
            .default("0755"),
        PropertySchema::new(
            "force",
            &[Kind::Boolean],
            "Delete it with all that is in it.",
        )
        .default(false),
    ];
    schema.attributes = vec![AttributeSchema::new(
        "path",
        Kind::String,
        "Its absolute path.",
    )];
    schema.scope = Scope::HostBound;
    schema.capabilities = Capabilities {
        honours_keys: When::Always,
        named: true,
        ..Capabilities::plain()
    };
    schema
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wanted {
    path_as_given: String,
    path: PathBuf,
    mode: u32,
    force: bool,
}

impl Wanted {
    fn of(properties: &Values) -> Result<Self, Failure> {
        let path_as_given = text(properties, "path")?;
        Ok(Self {
            path: absolute(&path_as_given)?,
            path_as_given,
            mode: mode(properties, "mode", DEFAULT_MODE)?,
            force: boolean(properties, "force", false)?,
        })
    }

    fn made(&self) -> Made {
        let mut attributes = Values::new();
        attributes.insert("path".to_owned(), as_id(&self.path).into());
        Made {
            physical_id: as_id(&self.path),
            attributes,
            private: to_private(self),
            ..Made::default()
        }
    }
}

#[async_trait]
impl Provider for DirectoryProvider {
    fn schemas(&self) -> &[TypeSchema] {
        &self.schemas
    }

    async fn plan(&self, request: PlanRequest<'_>) -> Result<Plan, Failure> {
        let Some(prior) = request.prior else {
            return Ok(Plan::create());
        };
        let mut compared = Comparison::new(&request);
        if let Some(was) = from_private::<Wanted>(prior.private) {
            let properties = request.properties;
            compared.property("path", OnChange::Replace, || {
                Ok(text(properties, "path")? != was.path_as_given)
            })?;
            compared.property("mode", OnChange::InPlace, || {
                Ok(mode(properties, "mode", DEFAULT_MODE)? != was.mode)
            })?;
            compared.property("force", OnChange::InPlace, || {
                Ok(boolean(properties, "force", false)? != was.force)
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
                let wanted = Wanted::of(properties)?;
                on_disk(move || create(&call, &wanted)).await
            }
            ApplyRequest::Update {
                prior, properties, ..
            } => {
                let wanted = Wanted::of(properties)?;
                let moved = match from_private::<Wanted>(prior.private) {
                    Some(was) => was.path_as_given != wanted.path_as_given,
                    None => prior
                        .physical_id
                        .is_some_and(|id| id != as_id(&wanted.path)),
                };
                if moved {
                    return Ok(Applied::NeedsReplace {
                        because: vec![PropertyPath::property("path")],
                    });
                }
                on_disk(move || update(&call, &wanted)).await
            }
            ApplyRequest::Delete { prior, .. } => {
                let path = path_of(prior)?;
                let force =
                    from_private::<Wanted>(prior.private).is_some_and(|wanted| wanted.force);
                on_disk(move || delete(&call, &path, force)).await
            }
        }
    }

    async fn read(&self, ctx: &CallContext, request: ReadRequest<'_>) -> Result<Observed, Failure> {
        let wanted = match request.aim.and_then(|aim| aim.properties) {
            Some(properties) => Some(Wanted::of(properties)?),
            None => from_private(request.prior.private),
        };
        let path = path_of(request.prior)?;
        let call = ctx.clone();
        on_disk(move || read(&call, &path, wanted)).await
    }

    async fn look_up(
        &self,
        ctx: &CallContext,
        request: LookUpRequest<'_>,
    ) -> Result<Option<String>, Failure> {
        let Some(properties) = request.properties else {
            return Ok(None);
        };
        let path = absolute(&text(properties, "path")?)?;
        let call = ctx.clone();
        on_disk(move || Ok((owner(&call, &path)? == Some(Owner::Ours)).then(|| as_id(&path)))).await
    }

    async fn import(&self, ctx: &CallContext, request: ImportRequest<'_>) -> Result<Made, Failure> {
        let wanted = Wanted::of(request.properties)?;
        if absolute(request.physical_id)? != wanted.path {
            return Err(Failure::refused(
                "the property `path` is not the path of the directory to import",
            ));
        }
        let call = ctx.clone();
        on_disk(move || {
            mark(&call, &wanted.path, &wanted.path)
                .map_err(|error| before_effect("mark", &wanted.path, &error))?;
            Ok(wanted.made())
        })
        .await
    }
}

fn path_of(prior: Prior<'_>) -> Result<PathBuf, Failure> {
    match (prior.physical_id, from_private::<Wanted>(prior.private)) {
        (Some(id), _) => absolute(id),
        (None, Some(wanted)) => Ok(wanted.path),
        (None, None) => Err(Failure::refused("the path of the directory is not known")),
    }
}

/// Whose the directory at `path` is; none if there is none.
fn owner(ctx: &CallContext, path: &Path) -> Result<Option<Owner>, Failure> {
    match fs::symlink_metadata(path) {
        Ok(is) if !is.is_dir() => return Ok(Some(Owner::Nobody)),
        Ok(_) => {}
        Err(error) if is_nothing(&error) => return Ok(None),
        Err(error) => return Err(before_effect("look at", path, &error)),
    }
    let owner = Marks::new(&ctx.host_dir).owner(path, &ctx.instance_id);
    owner
        .map(Some)
        .map_err(|error| before_effect("look at", path, &error))
}

/// Marks the directory `object`, which is or will be at `path`.
fn mark(ctx: &CallContext, object: &Path, path: &Path) -> io::Result<()> {
    Marks::new(&ctx.host_dir).put(&File::open(object)?, path, &ctx.instance_id)
}

fn create(ctx: &CallContext, wanted: &Wanted) -> Result<Applied, Failure> {
    let path = &wanted.path;
    match owner(ctx, path)? {
        // An earlier attempt at the same effect made it.
        Some(Owner::Ours) => return update(ctx, wanted),
        Some(there) => return Ok(conflict(path, &there, "")),
        None => {}
    }
    sweep_preparations(path, ctx);
    let prepared = preparation(path, ctx);
    let placed = prepare(ctx, wanted, &prepared)
        .map_err(|error| before_effect("make", path, &error))
        .and_then(|()| {
            if ctx.may_act() {
                Ok(())
            } else {
                Err(out_of_time())
            }
        })
        .and_then(|()| {
            put_exclusively(&prepared, path)
                .map_err(|error| before_effect("put in place", path, &error))
        });
    if !matches!(placed, Ok(true)) {
        // The sweep of the next action removes what can't be removed now.
        let _ = fs::remove_dir(&prepared);
        let there = owner(ctx, path)?.unwrap_or(Owner::Nobody);
        return placed.map(|_| conflict(path, &there, ""));
    }
    sync_parent(path).map_err(|error| without_verdict("make durable", path, &error))?;
    Ok(Applied::Done(wanted.made()))
}

fn prepare(ctx: &CallContext, wanted: &Wanted, prepared: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(prepared)?;
    mark(ctx, prepared, &wanted.path)?;
    fs::set_permissions(prepared, Permissions::from_mode(wanted.mode))
}

fn update(ctx: &CallContext, wanted: &Wanted) -> Result<Applied, Failure> {
    let path = &wanted.path;
    let owner = match owner(ctx, path)? {
        None | Some(Owner::Other(_)) => return Ok(Applied::Gone),
        Some(owner) => owner,
    };
    let is = fs::symlink_metadata(path).map_err(|error| before_effect("look at", path, &error))?;
    if !is.is_dir() {
        return Err(Failure::refused(format!(
            "{} is no directory any more",
            path.display()
        )));
    }
    if !ctx.may_act() {
        return Err(out_of_time());
    }
    if owner == Owner::Nobody {
        mark(ctx, path, path).map_err(|error| before_effect("mark", path, &error))?;
    }
    if is.mode() & 0o7777 != wanted.mode {
        fs::set_permissions(path, Permissions::from_mode(wanted.mode))
            .map_err(|error| before_effect("change the mode of", path, &error))?;
    }
    Ok(Applied::Done(wanted.made()))
}

fn delete(ctx: &CallContext, path: &Path, force: bool) -> Result<Applied, Failure> {
    sweep_preparations(path, ctx);
    if owner(ctx, path)? != Some(Owner::Ours) {
        return Ok(Applied::Gone);
    }
    if !ctx.may_act() {
        return Err(out_of_time());
    }
    match fs::remove_dir(path) {
        Ok(()) => {}
        Err(error) if is_nothing(&error) => return Ok(Applied::Gone),
        Err(error) if error.kind() != io::ErrorKind::DirectoryNotEmpty => {
            return Err(before_effect("delete", path, &error));
        }
        Err(_) if force => {
            fs::remove_dir_all(path)
                .map_err(|error| without_verdict("delete all of", path, &error))?;
        }
        Err(_) => return Err(not_empty(path)),
    }
    Marks::new(&ctx.host_dir).forget(path);
    sync_parent(path)
        .map_err(|error| without_verdict("make durable the deletion of", path, &error))?;
    Ok(Applied::Deleted)
}

fn not_empty(path: &Path) -> Failure {
    let first = fs::read_dir(path)
        .ok()
        .and_then(|mut entries| entries.next()?.ok());
    let example = first.map(|entry| format!(" ({} is in it)", entry.file_name().to_string_lossy()));
    let message = format!(
        "{} is not empty{}; not deleted",
        path.display(),
        example.unwrap_or_default()
    );
    Failure::nothing_done(FailureClass::Transient, message)
}

fn read(ctx: &CallContext, path: &Path, wanted: Option<Wanted>) -> Result<Observed, Failure> {
    let owner = match owner(ctx, path)? {
        None => return Ok(Observed::absent()),
        Some(Owner::Other(instance)) => {
            return Ok(Observed::Absent {
                because: Some(format!("the directory belongs to instance {instance}")),
            });
        }
        Some(owner) => owner,
    };
    let is = match fs::symlink_metadata(path) {
        Ok(is) => is,
        Err(error) if is_nothing(&error) => return Ok(Observed::absent()),
        Err(error) => return Err(before_effect("look at", path, &error)),
    };
    if !is.is_dir() {
        return Ok(Observed::Absent {
            because: Some(format!("{} is no directory", path.display())),
        });
    }
    let mut differences = Vec::new();
    let mut differ = |at: PropertyPath, desired: Value, found: Value| {
        if desired != found {
            differences.push(PropertyDifference {
                path: at,
                desired,
                found,
            });
        }
    };
    let Some(wanted) = wanted.filter(|wanted| wanted.path == path) else {
        differ(
            PropertyPath::default(),
            Value::Null,
            format!("{:04o}", is.mode() & 0o7777).into(),
        );
        return Ok(Observed::present(
            Made {
                physical_id: as_id(path),
                ..Made::default()
            },
            differences,
        ));
    };
    let octal = |mode: u32| Value::from(format!("{mode:04o}"));
    differ(
        PropertyPath::property("mode"),
        octal(wanted.mode),
        octal(is.mode() & 0o7777),
    );
    let held = if owner == Owner::Ours {
        &ctx.instance_id
    } else {
        "nobody"
    };
    differ(
        PropertyPath::property("owner"),
        ctx.instance_id.clone().into(),
        held.into(),
    );
    Ok(Observed::present(wanted.made(), differences))
}
