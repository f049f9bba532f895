//! A Markdown table, row by row, so that a long run is seen as it goes.

/// The rows that head a table.
pub(super) fn head(columns: &[&str]) -> String {
    format!(
        "| {} |\n|{}",
        columns.join(" | "),
        "---|".repeat(columns.len())
    )
}

/// One row.
pub(super) fn row(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

/// A figure with so many decimals; empty if there is none.
pub(super) fn figure(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(String::new, |value| format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_as_many_rules_as_columns() {
        assert_eq!(head(&["a", "b s"]), "| a | b s |\n|---|---|");
        assert_eq!(row(&["1".into(), figure(None, 2)]), "| 1 |  |");
        assert_eq!(figure(Some(1.256), 2), "1.26");
    }
}
