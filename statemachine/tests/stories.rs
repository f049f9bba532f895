//! Stories: scripts of commands with what came of them, to be read and reviewed as text.
//!
//! A line at the margin is told to the state machine; the indented lines under it are what it said.
//! `ANNEAL_STORIES=regenerate cargo test -p anneal-statemachine --test stories` writes them anew.

#[path = "stories/script.rs"]
mod script;
#[path = "stories/teller.rs"]
mod teller;

use std::fs;
use std::path::PathBuf;
use teller::Teller;

fn stories() -> Vec<PathBuf> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
    let entries = fs::read_dir(directory).expect("the stories are there");
    let mut stories: Vec<PathBuf> = entries
        .map(|entry| entry.expect("the directory can be read").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    stories.sort();
    stories
}

/// The story as it is told now.
fn told(script: &str) -> String {
    let mut teller = Teller::new();
    let mut told = String::new();
    for line in script.lines().filter(|line| !line.starts_with("    ")) {
        told.push_str(line);
        told.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        for said in teller.tell(line) {
            told.push_str("    ");
            told.push_str(&said);
            told.push('\n');
        }
    }
    told
}

#[test]
fn every_story_is_told_as_written() {
    let regenerate = std::env::var("ANNEAL_STORIES").is_ok_and(|value| value == "regenerate");
    let stories = stories();
    assert!(stories.len() >= 6, "the stories are there");
    let mut differ = Vec::new();
    for path in stories {
        let written = fs::read_to_string(&path).expect("a story can be read");
        let told = told(&written);
        if told == written {
            continue;
        }
        if regenerate {
            fs::write(&path, told).expect("a story can be written");
        } else {
            let line = written
                .lines()
                .zip(told.lines())
                .position(|(one, other)| one != other);
            let line = line.unwrap_or_else(|| written.lines().count().min(told.lines().count()));
            differ.push(format!(
                "{}:{}: written {:?}, told {:?}",
                path.display(),
                line + 1,
                written.lines().nth(line).unwrap_or_default(),
                told.lines().nth(line).unwrap_or_default(),
            ));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
