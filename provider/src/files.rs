//! `Anneal::File` and `Anneal::Directory`: named objects on a host's disk.

mod directory;
mod file;
mod mark;
mod place;

pub use directory::DirectoryProvider;
pub use file::FileProvider;
