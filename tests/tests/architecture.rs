//! The house rules that must fail the build when they are broken: which crate may know which, what the pure crates
//! must not touch, and that the code map tells the truth. They read source text and manifests, nothing else.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Crate directory → the workspace crates it may depend on (outside of tests and build scripts).
const ARROWS: [(&str, &[&str]); 8] = [
    ("proto", &[]),
    ("statemachine", &[]),
    ("template", &[]),
    ("provider", &[]),
    ("client", &["anneal-proto"]),
    (
        "node",
        &[
            "anneal-statemachine",
            "anneal-provider",
            "anneal-template",
            "anneal-proto",
        ],
    ),
    (
        "anneal",
        &[
            "anneal-node",
            "anneal-client",
            "anneal-template",
            "anneal-provider",
        ],
    ),
    (
        "tests",
        &[
            "anneal",
            "anneal-node",
            "anneal-client",
            "anneal-statemachine",
        ],
    ),
];

/// What neither pure crate may say: effects, clocks, chance, and iteration in hash order.
const IMPURE: [&str; 14] = [
    "std::time",
    "Instant::now",
    "SystemTime",
    "std::fs",
    "std::net",
    "std::thread",
    "std::process",
    "std::env",
    "async fn",
    "tokio",
    "tracing",
    "rand::",
    "println!",
    "RandomState",
];

/// A file longer than this is a swollen heart in the making.
const MAX_LINES: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests crate lies in the workspace")
        .to_owned()
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir)
            .unwrap_or_else(|e| panic!("{}: {e}", dir.display()))
            .flatten()
        {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|x| x == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Production code only: a trailing `#[cfg(test)]` module may do what it likes.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod ")
        .next()
        .expect("split yields at least one piece")
}

/// The lines of code, with comments dropped.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    production(text)
        .lines()
        .enumerate()
        .map(|(n, line)| (n + 1, line.split("//").next().unwrap_or_default()))
}

/// Whether `line` names the std hash collections; a wrapper without iteration may, in a file of its own.
fn names_hash_collection(line: &str) -> bool {
    line.contains("HashMap") || line.contains("HashSet")
}

#[test]
fn dependencies_follow_the_arrows() {
    let mut broken = Vec::new();
    for (dir, allowed) in ARROWS {
        let manifest = fs::read_to_string(root().join(dir).join("Cargo.toml")).expect("a manifest");
        let mut section = "";
        for line in manifest.lines() {
            if line.starts_with('[') {
                section = line;
            }
            let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
            let ours = name == "anneal" || name.starts_with("anneal-");
            if ours && section == "[dependencies]" && !allowed.contains(&name) {
                broken.push(format!("{dir} must not depend on {name}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_pure_crates_stay_pure() {
    let mut broken = Vec::new();
    for dir in ["statemachine", "template"] {
        for path in sources(&root().join(dir).join("src")) {
            let text = fs::read_to_string(&path).expect("a source file");
            let lookup_only = text.contains("lookup only: it has no iteration");
            for (line_number, line) in code_lines(&text) {
                let impure = IMPURE.iter().find(|word| line.contains(**word)).copied();
                let hash =
                    (names_hash_collection(line) && !lookup_only).then_some("a hash collection");
                let float = (dir == "statemachine"
                    && (line.contains("f64") || line.contains("f32")))
                .then_some("a float");
                for word in [impure, hash, float].into_iter().flatten() {
                    broken.push(format!(
                        "{}:{line_number}: {word} has no place in a pure crate",
                        path.display()
                    ));
                }
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn no_source_file_swells() {
    let mut broken = Vec::new();
    for (dir, _) in ARROWS {
        for path in sources(&root().join(dir).join("src")) {
            let lines = production(&fs::read_to_string(&path).expect("a source file"))
                .lines()
                .count();
            if lines > MAX_LINES {
                broken.push(format!(
                    "{}: {lines} lines, at most {MAX_LINES}",
                    path.display()
                ));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn every_path_in_the_code_map_exists() {
    let page =
        fs::read_to_string(root().join("docs/architecture.md")).expect("the architecture page");
    let map = page
        .split("## Code map")
        .nth(1)
        .expect("the page has a code map")
        .split("\n## ")
        .next()
        .unwrap_or_default();
    let mut named = BTreeSet::new();
    for piece in map.split('`').skip(1).step_by(2) {
        if piece.contains('/') && !piece.contains([' ', '*', ':']) {
            named.insert(piece.to_owned());
        }
    }
    assert!(
        named.len() >= 20,
        "the code map names {} paths only",
        named.len()
    );
    let gone: Vec<_> = named
        .iter()
        .filter(|path| !root().join(path).exists())
        .collect();
    assert!(
        gone.is_empty(),
        "the code map names what does not exist: {gone:?}"
    );
    for (dir, _) in ARROWS {
        assert!(
            named.iter().any(|path| path.starts_with(dir)),
            "the code map says nothing of {dir}/"
        );
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace manifest");
    let page =
        fs::read_to_string(root().join("docs/dependencies.md")).expect("the dependencies page");
    let section = manifest
        .split("[workspace.dependencies]")
        .nth(1)
        .expect("the section")
        .split("\n[")
        .next()
        .unwrap_or_default();
    let without: Vec<_> = section
        .lines()
        .filter_map(|line| line.split([' ', '=']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#') && !name.starts_with("anneal-"))
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    assert!(
        without.is_empty(),
        "docs/dependencies.md has no reason for: {without:?}"
    );
}
