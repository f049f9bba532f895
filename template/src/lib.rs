//! HOT text, parameters and environments in; a graph of resource definitions out; and later, the value of a
//! definition, given the attributes that it refers to.
//!
//! Pure: no files, network, clock, threads, chance or logging, and no order that depends on hashing. The same input gives
//! the same bytes. All problems are told at once, each with its place.
//!
//! | step | what happens |
//! |---|---|
//! | [`files_used`] | which files the texts include, so that the caller can fetch them |
//! | [`compile`](fn@compile) | a whole template: every resource's [`Definition`] and [`Fragment`] |
//! | [`compile_patch`] | a patch document against a stored stack, at the cost of what it touches |
//! | [`evaluate`](fn@evaluate) | a definition's properties, when what it refers to is known |
//! | [`evaluate_partial`] | the same for a preview, saying what is unknown |
//! | [`render_template`] | the stored template as one YAML text |

mod body;
mod compile;
mod condition;
mod constraint;
mod definition;
mod environment;
mod evaluate;
mod files;
mod fit;
mod fold;
mod function;
mod graph;
mod head;
mod limits;
mod literal;
mod locate;
mod lookup;
mod meta;
mod order;
mod output;
mod parameter;
mod patch;
mod place;
mod problem;
mod render;
mod resource;
mod scalar;
mod schema;
mod stack_view;
mod tree;
mod value;

pub use compile::{Input, SourceText, compile};
pub use definition::{
    Compiled, CompiledOutput, CompiledResource, Definition, DeletionPolicy, DriftPolicy,
    FileContent, Files, Fragment, Head, Meta, ParameterValue, ParameterValues, Placement,
    Reference, ReplacementPolicy,
};
pub use evaluate::{
    EvaluateError, Evaluated, EvaluatedOutput, Known, Lookup, PartlyEvaluated, evaluate,
    evaluate_output, evaluate_partial,
};
pub use files::{FileReference, files_used};
pub use fit::fit_evaluated;
pub use graph::Needs;
pub use limits::Limits;
pub use locate::{Places, Step};
pub use patch::{CompiledPatch, PatchInput, compile_patch};
pub use problem::{Position, Problem, Problems, Severity};
pub use render::{RenderError, hide_defaults, render_template};
pub use schema::{
    AttributeSchema, Catalog, Constraint, Kind, MapCatalog, Nested, PropertySchema, TypeSchema,
};
pub use stack_view::StackView;
