//! `Anneal::File` and `Anneal::Directory`: named objects on a host's disk.

mod directory;
mod excerpt;
mod file;
mod mark;
mod named;
mod place;
mod put;
mod seen;

use directory::Directory;
use file::File;
use named::NamedProvider;

/// The provider of `Anneal::File`.
pub type FileProvider = NamedProvider<File>;
/// The provider of `Anneal::Directory`.
pub type DirectoryProvider = NamedProvider<Directory>;
