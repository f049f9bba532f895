//! Which files a text includes, so that the caller can fetch them. Knows no files.

use crate::compile::SourceText;
use crate::function::Function;
use crate::limits::Limits;
use crate::problem::{Collector, Problems};
use crate::tree::Tree;

/// A file that a text includes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileReference {
    /// The path as the text has it: relative to the text's own place.
    pub path: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// Every file that a template or patch includes by `get_file`, in the order of the text, each use. Only the
/// text's syntax is checked.
pub fn files_used(text: SourceText<'_>, limits: &Limits) -> Result<Vec<FileReference>, Problems> {
    let mut collector = Collector::new(limits.problems);
    let source = collector.source(text.name);
    let mut found = Vec::new();
    match Tree::read(text.text, limits) {
        Err(error) => {
            collector.error(source, error.position, String::new(), error.message);
        }
        Ok(tree) => {
            let mut open = vec![tree.root()];
            while let Some(node) = open.pop() {
                open.extend(node.items().into_iter().flatten());
                for entry in node.entries().into_iter().flatten() {
                    open.push(entry.value);
                    if node.len() > 1 || entry.name() != Function::GetFile.name() {
                        continue;
                    }
                    let position = entry.value.position();
                    match entry.value.text() {
                        Some(path) => {
                            let (line, column) = (position.line, position.column);
                            found.push(FileReference {
                                path: path.to_owned(),
                                line,
                                column,
                            });
                        }
                        None => {
                            let message = format!(
                                "get_file takes a path as it is, not {}",
                                entry.value.in_words()
                            );
                            collector.error(source, position, String::new(), message);
                        }
                    }
                }
            }
        }
    }
    collector.finish()?;
    found.sort_by(|a, b| (a.line, a.column, &a.path).cmp(&(b.line, b.column, &b.path)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(text: &str) -> Result<Vec<String>, String> {
        let text = SourceText {
            name: "t.yaml",
            text,
        };
        let files =
            files_used(text, &Limits::default()).map_err(|problems| problems.to_string())?;
        Ok(files
            .into_iter()
            .map(|file| format!("{}:{}:{}", file.line, file.column, file.path))
            .collect())
    }

    #[test]
    fn every_use_of_a_file_is_found_with_its_place() {
        let text = "a:\n  - {get_file: x}\nb: {if: [c, {get_file: y}, {get_file: x}]}\nc: {get_file: z, other: 1}\n";
        assert_eq!(used(text).unwrap(), ["2:16:x", "3:24:y", "3:39:x"]);
    }

    #[test]
    fn a_path_that_is_computed_cannot_be_fetched_beforehand() {
        let error = used("a: {get_file: {get_param: p}}\n").unwrap_err();
        assert_eq!(
            error,
            "t.yaml:1:15: get_file takes a path as it is, not a map\n"
        );
    }
}
