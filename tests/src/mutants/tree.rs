//! The copy of the tree that is broken. Files keep their times unless their content changes, so that only what a mutant
//! touches is built again.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// The copy, within the directory of everything about mutants.
pub(super) const TREE: &str = "tree";

/// Says where libraries of the system are; `scripts/setup.sh` writes it, and it is not under version control.
const CARGO_CONFIGURATION: &str = ".cargo/config.toml";

/// The root of the tree that this crate belongs to.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// Makes a copy what the tree is now: what is under version control, what is new and not ignored, and what tells cargo where
/// libraries are.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others"])
        .arg("--exclude-standard")
        .current_dir(from)
        .output()?;
    let listed = String::from_utf8_lossy(&well("git ls-files", listed)?.stdout).into_owned();
    let wanted: BTreeSet<PathBuf> = listed
        .split('\0')
        .chain([CARGO_CONFIGURATION])
        .filter(|name| !name.is_empty() && from.join(name).is_file())
        .map(PathBuf::from)
        .collect();
    for name in &wanted {
        let content = fs::read(from.join(name))?;
        let there = to.join(name);
        if fs::read(&there).is_ok_and(|before| before == content) {
            continue;
        }
        if let Some(above) = there.parent() {
            fs::create_dir_all(above)?;
        }
        fs::write(&there, content)?;
        fs::set_permissions(&there, fs::metadata(from.join(name))?.permissions())?;
    }
    remove_others(to, to, &wanted)
}

fn remove_others(root: &Path, at: &Path, wanted: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(at)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(root, &path, wanted)?;
        } else if path
            .strip_prefix(root)
            .is_ok_and(|name| !wanted.contains(name))
        {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// Whether a patch fits a tree; nothing is changed.
///
/// # Errors
/// It does not fit, and why.
pub fn applies(tree: &Path, patch: &str) -> io::Result<()> {
    git_apply(tree, patch, &["--check"])
}

/// Applies a patch to a tree.
pub(super) fn apply(tree: &Path, patch: &str) -> io::Result<()> {
    git_apply(tree, patch, &[])
}

fn git_apply(tree: &Path, patch: &str, more: &[&str]) -> io::Result<()> {
    let mut git = Command::new("git");
    git.arg("apply").args(more).arg("-").current_dir(tree);
    // Within a repository `git apply` takes paths from its root, and passes over what is not below this directory.
    if let Some(above) = tree.parent().filter(|_| !tree.join(".git").exists()) {
        git.env("GIT_CEILING_DIRECTORIES", above);
    }
    let mut git = git
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(mut stdin) = git.stdin.take() {
        io::Write::write_all(&mut stdin, patch.as_bytes())?;
    }
    well("git apply", git.wait_with_output()?).map(drop)
}

fn well(what: &str, output: Output) -> io::Result<Output> {
    if output.status.success() {
        return Ok(output);
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("{what}: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATCH: &str = "\
--- a/file
+++ b/file
@@ -1,3 +1,3 @@
 one
-two
+three
 four
";

    fn init(directory: &Path) {
        let mut git = Command::new("git");
        let git = git.args(["init", "--quiet"]).current_dir(directory);
        assert!(git.status().expect("git is there").success());
    }

    #[test]
    fn a_patch_fits_or_is_refused_wherever_the_tree_is() {
        // Within a repository, and yet no part of it.
        let repository = tempfile::tempdir().expect("a directory");
        init(repository.path());
        let tree = tempfile::tempdir_in(repository.path()).expect("a directory");
        fs::write(tree.path().join("file"), "one\ntwo\nfour\n").expect("written");
        applies(tree.path(), PATCH).expect("it fits");
        apply(tree.path(), PATCH).expect("it is applied");
        let after = fs::read_to_string(tree.path().join("file")).expect("still there");
        assert_eq!(after, "one\nthree\nfour\n");
        let error = applies(tree.path(), PATCH).expect_err("it is broken already");
        assert!(error.to_string().contains("does not apply"), "{error}");
    }

    #[test]
    fn a_copy_follows_the_tree_and_keeps_times() {
        let from = tempfile::tempdir().expect("a directory");
        let to = tempfile::tempdir().expect("a directory");
        init(from.path());
        let written = |name: &str, text: &str| fs::write(from.path().join(name), text);
        written("kept", "1").expect("written");
        written("goes", "2").expect("written");
        copy(from.path(), to.path()).expect("copied");
        let time = |name| fs::metadata(to.path().join(name)).and_then(|about| about.modified());
        let before = time("kept").expect("it is there");
        fs::write(to.path().join("kept"), "broken").expect("written");
        copy(from.path(), to.path()).expect("copied");
        assert_eq!(
            fs::read_to_string(to.path().join("kept")).expect("there"),
            "1"
        );
        let mended = time("kept").expect("it is there");
        assert!(mended >= before);
        fs::remove_file(from.path().join("goes")).expect("removed");
        copy(from.path(), to.path()).expect("copied");
        assert!(!to.path().join("goes").exists());
        assert_eq!(time("kept").expect("it is there"), mended);
    }
}
