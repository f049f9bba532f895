//! Listings of any length, written page by page: one JSON array, or one table.
//!
//! Knows nothing of what is listed.

use serde::Serialize;

use super::{JsonArray, Out, table};
use crate::cli::Form;
use crate::exit::Outcome;

/// A listing as it is written.
pub(crate) struct Listing {
    out: Out,
    kind: Kind,
}

enum Kind {
    Json(JsonArray),
    Table {
        header: &'static [&'static str],
        widths: table::Widths,
        empty: bool,
    },
}

impl Listing {
    /// Begins one.
    pub(crate) fn open(form: Form, header: &'static [&'static str]) -> Outcome<Self> {
        let mut out = Out::new();
        let kind = match form {
            Form::Json => Kind::Json(JsonArray::open(&mut out)?),
            Form::Table => Kind::Table {
                header,
                widths: table::Widths::default(),
                empty: true,
            },
        };
        Ok(Self { out, kind })
    }

    /// One page more.
    pub(crate) fn page<T, J: Serialize>(
        &mut self,
        page: Vec<T>,
        row: impl Fn(&T) -> Vec<String>,
        json: impl Fn(T) -> J,
    ) -> Outcome {
        match &mut self.kind {
            Kind::Json(array) => {
                for item in page {
                    array.push(&mut self.out, &json(item))?;
                }
            }
            Kind::Table { .. } if page.is_empty() => {}
            Kind::Table {
                header,
                widths,
                empty,
            } => {
                let rows = page.iter().map(row).collect();
                let text = table::page(empty.then_some(*header), rows, widths);
                *empty = false;
                self.out.text(&text)?;
            }
        }
        Ok(())
    }

    /// Ends it; `none` is said when nothing was listed.
    pub(crate) fn close(mut self, none: &str) -> Outcome {
        match self.kind {
            Kind::Json(array) => array.close(&mut self.out)?,
            Kind::Table { empty: true, .. } => self.out.line(none)?,
            Kind::Table { .. } => {}
        }
        self.out.done()
    }
}
