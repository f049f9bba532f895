//! `Anneal::File`: one file with its content and mode.
//!
//! Written whole beside its place and renamed into it, so that nobody ever reads half of it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

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
use crate::read_values::{boolean, digest, from_private, mode, text, to_private};
use crate::request::{
    Applied, ApplyRequest, ImportRequest, LookUpRequest, Made, Observed, Plan, PlanRequest, Prior,
    PropertyDifference, ReadRequest, Values,
};
use crate::schema::{
    AttributeSchema, Capabilities, Kind, OnChange, PropertySchema, Scope, TypeSchema, When,
};

/// The mode of a file that says nothing about it.
const DEFAULT_MODE: u32 = 0o644;
/// What a person can do about a conflict.
const OVERWRITE_HINT: &str = "; `overwrite: true` would take it over";
/// How much of a file is digested at a time.
const READ_BYTES: usize = 64 * 1024;

/// The provider of `Anneal::File`.
pub struct FileProvider {
    schemas: Vec<TypeSchema>,
}

impl Default for FileProvider {
    fn default() -> Self {
        Self {
            schemas: vec![schema()],
        }
    }
}

fn schema() -> TypeSchema {
    let mut schema = TypeSchema::new(
        "Anneal::File",
        "A file on the engine's host. It is written atomically. A file that is there already and does not \
         belong to the resource is a conflict, unless `overwrite` is true; only a file that belongs to the \
         resource is ever deleted. A changed `path` replaces it.",
    );
    schema.properties = vec![
        PropertySchema::new("path", &[Kind::String], "Where it is.")
            .required()
            .on_change(OnChange::Replace),
        PropertySchema::new("content", &[Kind::String], "What is in it.")
            .default("")
            .secret(),
        PropertySchema::new("mode", &[Kind::Mode], "Its permissions, octal as written.")
            .default("0644"),
        PropertySchema::new(
            "overwrite",
            &[Kind::Boolean],
            "Take over a file that is there already.",
        )
        .default(false),
    ];
    schema.attributes = vec![
        AttributeSchema::new("path", Kind::String, "Its absolute path."),
        AttributeSchema::new(
            "digest",
            Kind::String,
            "SHA-256 of its content, as `sha256:…`.",
        ),
    ];
    schema.scope = Scope::HostBound;
    schema.capabilities = Capabilities {
        honours_keys: When::Always,
        named: true,
        ..Capabilities::plain()
    };
    schema
}

/// What a file should be. Kept as the provider's own bytes, so that it can be observed and deleted alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Wanted {
    path_as_given: String,
    path: PathBuf,
    digest: String,
    mode: u32,
    overwrite: bool,
}

impl Wanted {
    fn of(properties: &Values) -> Result<(Self, String), Failure> {
        let path_as_given = text(properties, "path")?;
        let content = content(properties)?;
        let wanted = Self {
            path: absolute(&path_as_given)?,
            path_as_given,
            digest: digest(content.as_bytes()),
            mode: mode(properties, "mode", DEFAULT_MODE)?,
            overwrite: boolean(properties, "overwrite", false)?,
        };
        Ok((wanted, content))
    }

    fn made(&self, found_digest: &str) -> Made {
        let mut attributes = Values::new();
        attributes.insert("path".to_owned(), as_id(&self.path).into());
        attributes.insert("digest".to_owned(), format!("sha256:{found_digest}").into());
        Made {
            physical_id: as_id(&self.path),
            attributes,
            private: to_private(self),
            ..Made::default()
        }
    }
}

fn content(properties: &Values) -> Result<String, Failure> {
    Ok(crate::read_values::optional_text(properties, "content")?.unwrap_or_default())
}

#[async_trait]
impl Provider for FileProvider {
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
            compared.property("content", OnChange::InPlace, || {
                Ok(digest(content(properties)?.as_bytes()) != was.digest)
            })?;
            compared.property("mode", OnChange::InPlace, || {
                Ok(mode(properties, "mode", DEFAULT_MODE)? != was.mode)
            })?;
            compared.property("overwrite", OnChange::InPlace, || {
                Ok(boolean(properties, "overwrite", false)? != was.overwrite)
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
                let (wanted, content) = Wanted::of(properties)?;
                on_disk(move || create(&call, &wanted, &content)).await
            }
            ApplyRequest::Update {
                prior, properties, ..
            } => {
                let (wanted, content) = Wanted::of(properties)?;
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
                on_disk(move || update(&call, &wanted, &content)).await
            }
            ApplyRequest::Delete { prior, .. } => {
                let path = path_of(prior)?;
                on_disk(move || delete(&call, &path)).await
            }
        }
    }

    async fn read(&self, ctx: &CallContext, request: ReadRequest<'_>) -> Result<Observed, Failure> {
        let wanted = match request.aim.and_then(|aim| aim.properties) {
            Some(properties) => Some(Wanted::of(properties)?.0),
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
        on_disk(move || {
            let found = owner(&call, &path)?;
            Ok((found == Some(Owner::Ours)).then(|| as_id(&path)))
        })
        .await
    }

    async fn import(&self, ctx: &CallContext, request: ImportRequest<'_>) -> Result<Made, Failure> {
        let (wanted, _) = Wanted::of(request.properties)?;
        if absolute(request.physical_id)? != wanted.path {
            return Err(Failure::refused(
                "the property `path` is not the path of the file to import",
            ));
        }
        let call = ctx.clone();
        on_disk(move || {
            let file = File::open(&wanted.path)
                .map_err(|error| before_effect("open", &wanted.path, &error))?;
            Marks::new(&call.host_dir)
                .put(&file, &wanted.path, &call.instance_id)
                .map_err(|error| before_effect("mark", &wanted.path, &error))?;
            let (found, _) = observe(&wanted.path)
                .map_err(|error| before_effect("read", &wanted.path, &error))?;
            Ok(wanted.made(&found))
        })
        .await
    }
}

fn path_of(prior: Prior<'_>) -> Result<PathBuf, Failure> {
    match prior.physical_id {
        Some(id) => absolute(id),
        None => match from_private::<Wanted>(prior.private) {
            Some(wanted) => Ok(wanted.path),
            None => Err(Failure::refused("the path of the file is not known")),
        },
    }
}

/// Whose the file at `path` is; none if nothing is there.
fn owner(ctx: &CallContext, path: &Path) -> Result<Option<Owner>, Failure> {
    match Marks::new(&ctx.host_dir).owner(path, &ctx.instance_id) {
        Ok(owner) => Ok(Some(owner)),
        Err(error) if is_nothing(&error) => Ok(None),
        Err(error) => Err(before_effect("look at", path, &error)),
    }
}

fn create(ctx: &CallContext, wanted: &Wanted, content: &str) -> Result<Applied, Failure> {
    let there = owner(ctx, &wanted.path)?;
    // What carries this instance's mark was made by an earlier attempt at the same effect.
    let exclusive = match there {
        Some(Owner::Ours) => false,
        _ => !wanted.overwrite,
    };
    if let (Some(there), true) = (&there, exclusive) {
        return Ok(conflict(&wanted.path, there, OVERWRITE_HINT));
    }
    if put(ctx, wanted, content, exclusive)? {
        return Ok(Applied::Done(wanted.made(&wanted.digest)));
    }
    let there = owner(ctx, &wanted.path)?.unwrap_or(Owner::Nobody);
    Ok(conflict(&wanted.path, &there, OVERWRITE_HINT))
}

fn update(ctx: &CallContext, wanted: &Wanted, content: &str) -> Result<Applied, Failure> {
    let path = &wanted.path;
    let owner = match owner(ctx, path)? {
        None | Some(Owner::Other(_)) => return Ok(Applied::Gone),
        Some(owner) => owner,
    };
    let (found, found_mode) = observe(path).map_err(|error| before_effect("read", path, &error))?;
    if owner == Owner::Ours && found == wanted.digest {
        if found_mode != Some(wanted.mode) {
            if !ctx.may_act() {
                return Err(out_of_time());
            }
            fs::set_permissions(path, Permissions::from_mode(wanted.mode))
                .map_err(|error| before_effect("change the mode of", path, &error))?;
        }
        return Ok(Applied::Done(wanted.made(&found)));
    }
    put(ctx, wanted, content, false)?;
    Ok(Applied::Done(wanted.made(&wanted.digest)))
}

/// Writes the file whole and puts it in its place. False if it was to be exclusive and something is there.
fn put(
    ctx: &CallContext,
    wanted: &Wanted,
    content: &str,
    exclusive: bool,
) -> Result<bool, Failure> {
    let path = &wanted.path;
    sweep_preparations(path, ctx);
    let prepared = preparation(path, ctx);
    let placed = prepare(ctx, wanted, &prepared, content)
        .map_err(|error| before_effect("write", path, &error))
        .and_then(|()| {
            if ctx.may_act() {
                Ok(())
            } else {
                Err(out_of_time())
            }
        })
        .and_then(|()| {
            let placed = if exclusive {
                put_exclusively(&prepared, path)
            } else {
                fs::rename(&prepared, path).map(|()| true)
            };
            placed.map_err(|error| before_effect("put in place", path, &error))
        });
    if !matches!(placed, Ok(true)) {
        // The sweep of the next action removes what can't be removed now.
        let _ = fs::remove_file(&prepared);
        return placed;
    }
    sync_parent(path).map_err(|error| without_verdict("make durable", path, &error))?;
    Ok(true)
}

fn prepare(ctx: &CallContext, wanted: &Wanted, prepared: &Path, content: &str) -> io::Result<()> {
    // Nobody else may read it before it has the mode that was asked for.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(prepared)?;
    file.write_all(content.as_bytes())?;
    Marks::new(&ctx.host_dir).put(&file, &wanted.path, &ctx.instance_id)?;
    file.set_permissions(Permissions::from_mode(wanted.mode))?;
    file.sync_all()
}

fn delete(ctx: &CallContext, path: &Path) -> Result<Applied, Failure> {
    sweep_preparations(path, ctx);
    if owner(ctx, path)? != Some(Owner::Ours) {
        return Ok(Applied::Gone);
    }
    if !ctx.may_act() {
        return Err(out_of_time());
    }
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if is_nothing(&error) => return Ok(Applied::Gone),
        Err(error) => return Err(before_effect("delete", path, &error)),
    }
    Marks::new(&ctx.host_dir).forget(path);
    sync_parent(path)
        .map_err(|error| without_verdict("make durable the deletion of", path, &error))?;
    Ok(Applied::Deleted)
}

/// The digest of what is there and its mode; no mode, and a word instead of a digest, if it is no file.
fn observe(path: &Path) -> io::Result<(String, Option<u32>)> {
    let is = fs::symlink_metadata(path)?;
    if !is.is_file() {
        return Ok((
            if is.is_dir() {
                "a directory"
            } else {
                "not a regular file"
            }
            .to_owned(),
            None,
        ));
    }
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    let digest = hash
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Ok((digest, Some(is.mode() & 0o7777)))
}

fn read(ctx: &CallContext, path: &Path, wanted: Option<Wanted>) -> Result<Observed, Failure> {
    let owner = match owner(ctx, path)? {
        None => return Ok(Observed::absent()),
        Some(Owner::Other(instance)) => {
            return Ok(Observed::Absent {
                because: Some(format!("the file there belongs to instance {instance}")),
            });
        }
        Some(owner) => owner,
    };
    let (found, found_mode) = match observe(path) {
        Ok(observed) => observed,
        Err(error) if is_nothing(&error) => return Ok(Observed::absent()),
        Err(error) => {
            let failure = before_effect("read", path, &error);
            return Err(Failure {
                class: FailureClass::Transient,
                ..failure
            });
        }
    };
    let Some(wanted) = wanted.filter(|wanted| wanted.path == path) else {
        // Nobody knows what it should be; that is no reason to replace it, an update follows.
        let unknown = PropertyDifference {
            path: PropertyPath::default(),
            desired: serde_json::Value::Null,
            found: json!(format!("sha256:{found}")),
        };
        let made = Made {
            physical_id: as_id(path),
            ..Made::default()
        };
        return Ok(Observed::present(made, vec![unknown]));
    };
    let mut differences = Vec::new();
    let mut differ = |name: &str, desired: String, found: String| {
        if desired != found {
            differences.push(PropertyDifference {
                path: PropertyPath::property(name),
                desired: desired.into(),
                found: found.into(),
            });
        }
    };
    let shown = if found_mode.is_some() {
        format!("sha256:{found}")
    } else {
        found.clone()
    };
    differ("content", format!("sha256:{}", wanted.digest), shown);
    if let Some(found_mode) = found_mode {
        differ(
            "mode",
            format!("{:04o}", wanted.mode),
            format!("{found_mode:04o}"),
        );
    }
    let held = if owner == Owner::Ours {
        &ctx.instance_id
    } else {
        "nobody"
    };
    differ("owner", ctx.instance_id.clone(), held.to_owned());
    Ok(Observed::present(wanted.made(&found), differences))
}
