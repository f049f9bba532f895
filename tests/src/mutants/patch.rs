//! A mutant as it stands in its file: some lines of head, and a unified diff.

use std::{fs, io, path::Path};

use super::instrument::{Instrument, Within};

/// One way in which the code is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// The name of its file.
    pub name: String,
    /// What no longer holds, in a sentence.
    pub breaks: String,
    /// What must find it.
    pub instrument: Instrument,
    /// How soon.
    pub within: Within,
    /// Head and diff: `git apply` passes over the head.
    pub text: String,
}

impl Mutant {
    /// Reads a mutant's text.
    ///
    /// # Errors
    /// The head lacks a line, or one says what nobody understands.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let head: Vec<&str> = text
            .lines()
            .take_while(|line| !line.starts_with("diff "))
            .collect();
        let field = |key: &str| {
            let mut lines = head.iter().filter_map(|line| line.strip_prefix(key));
            let value = lines.next().map(|line| line.trim().to_owned());
            value.ok_or_else(|| format!("{name}: its head has no line \"{key} …\""))
        };
        if head.len() == text.lines().count() {
            return Err(format!("{name}: it changes nothing"));
        }
        let wrong = |why: String| format!("{name}: {why}");
        Ok(Self {
            name: name.to_owned(),
            breaks: field("Breaks:")?,
            instrument: field("Found by:")?.parse().map_err(wrong)?,
            within: field("Within:")?.parse().map_err(wrong)?,
            text: text.to_owned(),
        })
    }
}

/// The mutants in a directory, by name.
///
/// # Errors
/// One that can't be read, or there is none.
pub fn all(directory: &Path) -> io::Result<Vec<Mutant>> {
    let mut mutants = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(name) = path.file_stem().filter(|_| is_patch(&path)) else {
            continue;
        };
        let mutant = Mutant::parse(&name.to_string_lossy(), &fs::read_to_string(&path)?);
        mutants.push(mutant.map_err(io::Error::other)?);
    }
    if mutants.is_empty() {
        let text = format!("{} has no mutants", directory.display());
        return Err(io::Error::other(text));
    }
    mutants.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(mutants)
}

fn is_patch(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "patch")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Breaks: one and one is two.
Found by: anneal-node lib sums
Within: 30 seconds
diff --git a/one b/one
--- a/one
+++ b/one
";

    #[test]
    fn a_head_says_what_is_broken_and_what_must_find_it() {
        let mutant = Mutant::parse("sums", TEXT).expect("a sound one");
        assert_eq!(mutant.breaks, "one and one is two.");
        assert_eq!(mutant.within, Within::Seconds(30));
        assert_eq!(mutant.instrument.to_string(), "anneal-node lib sums");
    }

    #[test]
    fn a_head_that_lacks_something_is_refused() {
        for line in TEXT.lines().take(3) {
            let text = TEXT.replace(line, "");
            assert!(Mutant::parse("sums", &text).is_err(), "without {line}");
        }
        let head: String = TEXT.lines().take(3).collect::<Vec<_>>().join("\n");
        let error = Mutant::parse("sums", &head).expect_err("no diff");
        assert!(error.contains("changes nothing"), "{error}");
    }
}
