//! `OS::Heat::RandomString`: a secret made once and kept.

use async_trait::async_trait;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{CryptoRng, RngExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{as_reported, no_outside, physical_name, single};
use crate::call::CallContext;
use crate::compare::{Comparison, Recorded};
use crate::failure::Failure;
use crate::path::PropertyPath;
use crate::provider::Provider;
use crate::read_values::{from_private, given, number, text, to_private};
use crate::request::{
    Applied, ApplyRequest, Diagnostic, LookUpRequest, Made, Observed, Plan, PlanRequest,
    PlannedAction, ReadRequest, Values,
};
use crate::schema::{
    AttributeSchema, Constraint, Kind, Nested, OnChange, PropertySchema, Reference, TypeSchema,
};
use crate::value::as_integer;

/// Heat's bounds of `length` and `min`.
const LENGTH_MAX: f64 = 512.0;
const DEFAULT_LENGTH: usize = 32;
const DEFAULT_CLASS: &str = "lettersdigits";

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const CLASSES: [&str; 7] = [
    DEFAULT_CLASS,
    "letters",
    "lowercase",
    "uppercase",
    "digits",
    "hexdigits",
    "octdigits",
];

/// The provider of `OS::Heat::RandomString`.
pub struct RandomStringProvider {
    schemas: Vec<TypeSchema>,
}

impl Default for RandomStringProvider {
    fn default() -> Self {
        Self {
            schemas: vec![schema()],
        }
    }
}

fn schema() -> TypeSchema {
    let min = || {
        PropertySchema::new("min", &[Kind::Integer], "At least so many of them.")
            .default(1)
            .constraint(Constraint::Range {
                min: Some(1.0),
                max: Some(LENGTH_MAX),
            })
    };
    let mut schema = TypeSchema::new(
        "OS::Heat::RandomString",
        "A random string, for passwords and the like. It is made once; any changed property makes a new one.",
    );
    schema.properties = vec![
        PropertySchema::new("length", &[Kind::Integer], "How long it is.")
            .default(DEFAULT_LENGTH)
            .constraint(Constraint::Range {
                min: Some(1.0),
                max: Some(LENGTH_MAX),
            }),
        PropertySchema::new(
            "character_classes",
            &[Kind::List],
            "Classes of characters to take from.",
        )
        .nested(Nested::ListOfKeys(vec![
            PropertySchema::new("class", &[Kind::String], "The class.")
                .default(DEFAULT_CLASS)
                .words(&CLASSES),
            min(),
        ])),
        PropertySchema::new(
            "character_sequences",
            &[Kind::List],
            "Sets of characters to take from.",
        )
        .nested(Nested::ListOfKeys(vec![
            PropertySchema::new("sequence", &[Kind::String], "The characters.")
                .required()
                .constraint(Constraint::Length {
                    min: Some(1),
                    max: None,
                }),
            min(),
        ])),
        PropertySchema::new(
            "salt",
            &[Kind::String],
            "Means nothing by itself; when it changes, a new string is made.",
        ),
    ];
    for property in &mut schema.properties {
        property.update = OnChange::Replace;
    }
    schema.attributes = vec![AttributeSchema::new("value", Kind::String, "The string.").secret()];
    schema.reference = Reference::Attribute("value".to_owned());
    schema.capabilities = no_outside();
    schema
}

/// One source of characters, and how many must come from it.
struct Source {
    characters: Vec<char>,
    min: usize,
}

struct Recipe {
    length: usize,
    sources: Vec<Source>,
}

impl Recipe {
    fn of(properties: &Values) -> Result<Self, Failure> {
        let length = number(properties, "length", 32.0)?;
        let length = as_integer(&json!(length)).and_then(|length| usize::try_from(length).ok());
        let length =
            length.ok_or_else(|| Failure::refused("property `length`: an integer expected"))?;
        let mut sources = sources(properties, "character_sequences", |entry| {
            text(entry, "sequence")
        })?;
        let class = |entry: &Values| {
            let class = given(entry, "class")
                .and_then(Value::as_str)
                .unwrap_or(DEFAULT_CLASS);
            class_characters(class)
                .ok_or_else(|| Failure::refused(format!("unknown character class `{class}`")))
        };
        sources.extend(self::sources(properties, "character_classes", class)?);
        if sources.is_empty() {
            let characters =
                class_characters(DEFAULT_CLASS).expect("the default class is one of the classes");
            sources.push(Source {
                characters: characters.chars().collect(),
                min: 0,
            });
        }
        let least: usize = sources.iter().map(|source| source.min).sum();
        if least > length {
            return Err(Failure::refused(format!(
                "`length` ({length}) cannot be smaller than the minimums of the character classes and sequences \
                 together ({least})"
            )));
        }
        Ok(Self { length, sources })
    }

    /// The minimums first, then the rest from a kind and a source chosen evenly, as Heat does; all shuffled.
    fn make(&self, rng: &mut impl CryptoRng) -> String {
        let mut made = Vec::with_capacity(self.length);
        for source in &self.sources {
            made.extend((0..source.min).map(|_| one_of(source, rng)));
        }
        while made.len() < self.length {
            // One draw over all sources is Heat's weighted draw of the kind followed by one within it.
            made.push(one_of(
                &self.sources[rng.random_range(0..self.sources.len())],
                rng,
            ));
        }
        made.shuffle(rng);
        made.into_iter().collect()
    }
}

fn one_of(source: &Source, rng: &mut impl CryptoRng) -> char {
    *source
        .characters
        .choose(rng)
        .expect("no source of characters is empty")
}

fn sources(
    properties: &Values,
    name: &str,
    characters: impl Fn(&Values) -> Result<String, Failure>,
) -> Result<Vec<Source>, Failure> {
    let wrong = || Failure::refused(format!("property `{name}`: a list of maps expected"));
    let Some(entries) = given(properties, name) else {
        return Ok(Vec::new());
    };
    let mut sources = Vec::new();
    for entry in entries.as_array().ok_or_else(wrong)? {
        let entry = entry.as_object().ok_or_else(wrong)?;
        let characters: Vec<char> = characters(entry)?.chars().collect();
        let min = given(entry, "min")
            .map_or(Some(1), as_integer)
            .and_then(|min| usize::try_from(min).ok());
        let (Some(min), false) = (min, characters.is_empty()) else {
            return Err(Failure::refused(format!(
                "property `{name}`: an empty sequence, or a `min` that is no count"
            )));
        };
        sources.push(Source { characters, min });
    }
    Ok(sources)
}

fn class_characters(class: &str) -> Option<String> {
    Some(match class {
        "lettersdigits" => format!("{LOWER}{UPPER}{DIGITS}"),
        "letters" => format!("{LOWER}{UPPER}"),
        "lowercase" => LOWER.to_owned(),
        "uppercase" => UPPER.to_owned(),
        "digits" => DIGITS.to_owned(),
        "hexdigits" => format!("{DIGITS}ABCDEF"),
        "octdigits" => "01234567".to_owned(),
        _ => return None,
    })
}

/// What is kept with the instance.
#[derive(Serialize, Deserialize)]
struct Kept {
    value: String,
    made_of: Recorded,
}

fn made(physical_id: String, kept: &Kept) -> Made {
    Made {
        physical_id,
        reference_id: Some(kept.value.clone()),
        attributes: single("value", kept.value.clone().into()),
        private: to_private(kept),
        ..Made::default()
    }
}

impl RandomStringProvider {
    fn changed(&self, was: &Recorded, properties: &Values) -> Vec<PropertyPath> {
        was.changed(&self.schemas[0], properties)
    }
}

#[async_trait]
impl Provider for RandomStringProvider {
    fn schemas(&self) -> &[TypeSchema] {
        &self.schemas
    }

    async fn validate(
        &self,
        _type_name: &str,
        properties: &Values,
        unknown: &[PropertyPath],
    ) -> Vec<Diagnostic> {
        let mut found = self.schemas[0].check(properties, unknown);
        if found.is_empty()
            && unknown.is_empty()
            && let Err(failure) = Recipe::of(properties)
        {
            found.push(Diagnostic {
                path: PropertyPath::property("length"),
                message: failure.message,
            });
        }
        found
    }

    async fn plan(&self, request: PlanRequest<'_>) -> Result<Plan, Failure> {
        let Some(prior) = request.prior else {
            return Ok(Plan::create());
        };
        let mut compared = Comparison::new(&request);
        if let Some(kept) = from_private::<Kept>(prior.private) {
            compared.recorded(&kept.made_of, &self.schemas[0], request.properties, |_| {
                OnChange::Replace
            });
        }
        let mut plan = compared.into_plan();
        if plan.action == PlannedAction::Nothing {
            plan.attributes = prior.attributes.cloned().unwrap_or_default();
        }
        Ok(plan)
    }

    async fn apply(
        &self,
        ctx: &CallContext,
        request: ApplyRequest<'_>,
    ) -> Result<Applied, Failure> {
        let (prior, properties) = match request {
            ApplyRequest::Delete { .. } => return Ok(Applied::Deleted),
            ApplyRequest::Create { properties, .. } => (None, properties),
            ApplyRequest::Update {
                prior, properties, ..
            } => (Some(prior), properties),
        };
        if let Some(kept) = prior.and_then(|prior| from_private::<Kept>(prior.private)) {
            let because = self.changed(&kept.made_of, properties);
            if !because.is_empty() {
                return Ok(Applied::NeedsReplace { because });
            }
            let physical_id = prior.and_then(|prior| prior.physical_id).map(str::to_owned);
            return Ok(Applied::Done(made(
                physical_id.unwrap_or_else(|| physical_name(ctx)),
                &kept,
            )));
        }
        let value = Recipe::of(properties)?.make(&mut rand::rng());
        let kept = Kept {
            value,
            made_of: Recorded::of(properties),
        };
        Ok(Applied::Done(made(physical_name(ctx), &kept)))
    }

    async fn read(
        &self,
        _ctx: &CallContext,
        request: ReadRequest<'_>,
    ) -> Result<Observed, Failure> {
        let value = from_private::<Kept>(request.prior.private).map(|kept| kept.value);
        Ok(as_reported(request, value))
    }

    async fn look_up(
        &self,
        _ctx: &CallContext,
        _request: LookUpRequest<'_>,
    ) -> Result<Option<String>, Failure> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(properties: Value) -> Result<String, String> {
        let recipe =
            Recipe::of(properties.as_object().unwrap()).map_err(|failure| failure.message)?;
        Ok(recipe.make(&mut rand::rng()))
    }

    #[test]
    fn it_has_the_length_and_the_minimums_that_were_asked_for() {
        let properties = json!({
            "length": 20,
            "character_classes": [{"class": "uppercase", "min": 3}, {"class": "digits", "min": 4}],
            "character_sequences": [{"sequence": "!?", "min": 5}],
        });
        for _ in 0..50 {
            let made = make(properties.clone()).unwrap();
            let count =
                |is: fn(char) -> bool| made.chars().filter(|character| is(*character)).count();
            assert_eq!(made.len(), 20);
            assert!(count(|c| c.is_ascii_uppercase()) >= 3, "{made}");
            assert!(count(|c| c.is_ascii_digit()) >= 4, "{made}");
            assert!(count(|c| "!?".contains(c)) >= 5, "{made}");
            assert_eq!(count(|c| c.is_ascii_lowercase()), 0, "{made}");
        }
    }

    #[test]
    fn without_classes_it_is_32_letters_and_digits_and_never_twice_the_same() {
        let (one, two) = (make(json!({})).unwrap(), make(json!({})).unwrap());
        assert_eq!(one.len(), 32);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(one, two);
    }

    #[test]
    fn minimums_beyond_the_length_are_refused() {
        let error = make(json!({"length": 4, "character_classes": [{"min": 5}]})).unwrap_err();
        assert!(error.contains("cannot be smaller"), "{error}");
    }
}
