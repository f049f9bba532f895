//! Heat's own types that need no cloud. None of them has an outside: nothing to look at, nothing to lose.

mod delay;
mod none;
mod random_string;
mod test_resource;
mod value;

pub use delay::DelayProvider;
pub use none::NoneProvider;
pub use random_string::RandomStringProvider;
pub use test_resource::TestResourceProvider;
pub use value::ValueProvider;

use crate::name::physical_name;
use crate::request::{ActionKind, Found, Made, Observed, ReadRequest, Values};
use crate::schema::{Capabilities, When};

fn no_outside() -> Capabilities {
    Capabilities {
        honours_keys: When::Always,
        derived_id: true,
        cancellable: true,
        ..Capabilities::plain()
    }
}

/// What has no outside is there as it was last reported; only a lost update may or may not have been it.
fn as_reported(request: ReadRequest<'_>, reference_id: Option<String>) -> Observed {
    let prior = request.prior;
    let Some(physical_id) = prior.physical_id else {
        return Observed::absent();
    };
    let made = Made {
        physical_id: physical_id.to_owned(),
        reference_id,
        attributes: prior.attributes.cloned().unwrap_or_default(),
        private: bytes::Bytes::copy_from_slice(prior.private),
        ..Made::default()
    };
    let as_aimed = request
        .aim
        .is_none_or(|aim| aim.action == ActionKind::Create);
    Observed::Present(Box::new(Found {
        made,
        as_aimed,
        differences: Vec::new(),
    }))
}

/// Attributes with one value.
fn single(name: &str, value: serde_json::Value) -> Values {
    let mut values = Values::new();
    values.insert(name.to_owned(), value);
    values
}
