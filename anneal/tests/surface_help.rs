//! The help of every command, held against the committed copy: flags and their words are what scripts and people rely
//! on, so a change of them must be seen in a review.
//!
//! `BLESS=1 cargo test -p anneal --test surface_help` writes the copy anew.

mod program;

use program::{anneal, compare_with_golden};

#[test]
fn help_is_as_committed() {
    let mut text = String::new();
    let mut waiting = vec![Vec::new()];
    while let Some(command) = waiting.pop() {
        let shown = help(&command);
        text.push_str(&format!(
            "{}\n$ anneal {}--help\n\n{}\n",
            "=".repeat(100),
            command
                .iter()
                .map(|word| format!("{word} "))
                .collect::<String>(),
            shown
        ));
        for name in commands_in(&shown).into_iter().rev() {
            let mut inner = command.clone();
            inner.push(name);
            waiting.push(inner);
        }
    }
    compare_with_golden("help.txt", &text);
}

#[test]
fn the_promised_commands_are_all_there() {
    let top = commands_in(&help(&[]));
    for name in [
        "up",
        "down",
        "serve",
        "validate",
        "stack",
        "resource",
        "cluster",
        "engine",
        "provider",
        "completion",
        "version",
    ] {
        assert!(top.iter().any(|known| known == name), "{name}");
    }
    for (family, verbs) in [
        (
            "stack",
            "create update patch preview delete check list show resources outputs events watch graph explain pause \
             resume cancel rollback",
        ),
        ("resource", "show explain retry resolve"),
        (
            "cluster",
            "members status promote demote remove transfer-leader",
        ),
        ("engine", "list forget"),
        ("provider", "list schema"),
    ] {
        let known = commands_in(&help(&[family.to_string()]));
        for verb in verbs.split_whitespace() {
            assert!(known.iter().any(|name| name == verb), "{family} {verb}");
        }
    }
}

fn help(command: &[String]) -> String {
    let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
    arguments.push("--help");
    let ended = anneal(&arguments);
    assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
    ended.stdout
}

/// The names in the `Commands:` part of a help text.
fn commands_in(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("    "))
        .filter_map(|line| line.split_whitespace().next())
        .map(String::from)
        .collect()
}
