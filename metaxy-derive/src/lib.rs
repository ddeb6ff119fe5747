//! The derive macros of Metaxy. Use them through the `metaxy` crate, which re-exports them next to
//! the traits of the same names.

mod attr;
mod diag;
mod expand;
mod fallback;
mod model;
mod span;
mod symbol;
mod validate;

#[cfg(test)]
mod tests;

use crate::diag::Errors;
use proc_macro2::TokenStream;
use quote::quote;
use std::env;
use std::io::Write as _;
use std::process::{Command, Stdio};
use syn::{DeriveInput, parse_macro_input};

/// Makes a struct a feature: one value is one record.
///
/// ```text
/// use metaxy::prelude::*;
///
/// /// Raw videos, as ingested.
/// #[derive(Feature)]
/// #[metaxy(key = "example/video")]
/// pub struct Video {
///     #[metaxy(id)]
///     pub video_id: String,
///     pub path: String,
///     #[metaxy(field, code_version = "1")]
///     pub audio: DataVersion,
///     #[metaxy(field, code_version = "1")]
///     pub frames: DataVersion,
/// }
///
/// #[derive(Feature)]
/// #[metaxy(key = "example/faces", deps(Video(select(path))))]
/// pub struct Faces {
///     #[metaxy(id)]
///     pub video_id: String,
///     #[metaxy(field, code_version = "1", deps(Video::frames))]
///     pub faces: DataVersion,
///     pub num_faces: u32,
/// }
/// ```
///
/// Every mistake is a compile error under the token that it is about. What needs several features
/// (ids that have to fit, cycles, one key twice) is found by the compiler too, as far as the
/// features are upstream of each other; `FeatureGraph::linked()` looks at the whole program.
///
/// # The struct
///
/// Named members, no generic parameters. The doc comment is the description of the feature.
///
/// | option | meaning |
/// |---|---|
/// | `key = "a/b"` | The name of the feature in every store. Required. Parts joined by `/`, of lower-case letters, digits, `_` and `-`. |
/// | `deps(Video, Crop(..))` | The features it is computed from, each with the options below. None makes a root. |
/// | `project = ".."` | The project it belongs to; the name of the package if absent. |
/// | `metadata(owner = "x", cost = 1.5, tags = ["a"], team(name = "y"))` | Anything to keep with the definition; no version of a record depends on it. |
/// | `crate = path` | Where the runtime is, if not at `::metaxy`. |
///
/// # An upstream
///
/// Columns and fields of the upstream are named by its members.
///
/// | option | meaning |
/// |---|---|
/// | `optional` | A record exists without a row of this upstream; its columns are NULL then. If all upstreams are optional, a row of any of them gives a record. |
/// | `select(path)` | Only these of its columns come along; ids always do. Named as upstream, whatever `rename` makes of them. |
/// | `rename(path = "source")` | The column `path` is called `source` here. |
/// | `filter = "duration > 3"` | Only rows for which this holds, in the names of here and the language of `metaxy::filter`. May be repeated: all have to hold. |
/// | `lineage = identity` | One record here for each record there; the default. Every id of the upstream is then an id here. |
/// | `lineage = aggregation(on(video_id))` | One record here for each group of records there. The columns are ids here, and any columns there; `aggregation` alone groups by all ids. Of the members only columns in `select` come along, each as a list in the order of their ids. |
/// | `lineage = expansion(on(video_id))` | Any number of records here for each record there, which these ids name: all ids that it has. The feature has at least one id more. |
/// | `fields = by_name` | A field without `deps` depends on the upstream's field of the same key, or on all if there is none; the default. |
/// | `fields = by_suffix` | The same, and `audio` matches `en/audio`. |
/// | `fields = all`, `fields = none` | It depends on all of the upstream's fields, or on none. |
/// | `fields = specific(faces(frames))` | What is listed per field of this struct; the others depend on none. |
/// | `exclude(audio)` | Fields of the upstream that `by_name` and `by_suffix` leave out. |
///
/// # A member
///
/// A member without options is a column: a value that is kept with the record. Its type implements
/// `Column`.
///
/// | option | meaning |
/// |---|---|
/// | `id` | The column is one of those that identify a record. Its type implements `IdColumn`: an integer, `String`, a UUID, a date, or a newtype of one of these. |
/// | `name = ".."` | The name of the column in the store, if not that of the member. |
/// | `field` | The member is a field: a part of the payload that is versioned. Its type is `DataVersion`. |
///
/// And of a field:
///
/// | option | meaning |
/// |---|---|
/// | `code_version = "2"` | Changes when the code that computes the field does. |
/// | `deps(Video::audio, Crop)` | What it is computed from: fields, or features with all their fields. Takes precedence over `fields = ..`. |
/// | `deps(all)` | Every field of every upstream. |
/// | `key = "audio/english"` | The key of the field, if not the name of the member. |
/// | `renamed_from = "sound"` | The first key that the field ever had: its versions stay those. |
///
/// # What it gives
///
/// `Feature` and `Row`, and with them `Video::FIELDS.audio`, `Video::COLUMNS.path`, `Video::key()`
/// and `Video::definition()`. The feature is also registered for `FeatureGraph::linked()`.
///
/// `METAXY_DEBUG_MACRO=Video cargo check` prints the expansion of `Video`; so it does for the other
/// derives.
#[proc_macro_derive(Feature, attributes(metaxy))]
pub fn derive_feature(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    debug(&input, feature(&input)).into()
}

/// Makes a struct readable from the rows of a record batch, each member from the column of its name.
///
/// ```text
/// #[derive(Row)]
/// struct Input {
///     video_id: String,
///     #[metaxy(name = "path")]
///     source: Option<String>,
/// }
/// ```
///
/// | option | meaning |
/// |---|---|
/// | `name = ".."`, on a member | The name of the column, if not that of the member. |
/// | `crate = path`, on the struct | Where the runtime is, if not at `::metaxy`. |
#[proc_macro_derive(Row, attributes(metaxy))]
pub fn derive_row(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    debug(&input, row(&input)).into()
}

/// Makes a newtype, or an enum without data, a type that a column can hold.
///
/// ```text
/// /// Stored as the text inside, and as good an id as that.
/// #[derive(Column)]
/// struct VideoId(String);
///
/// /// Stored as `very-good` and `bad`.
/// #[derive(Column)]
/// #[metaxy(rename_all = "kebab-case")]
/// enum Quality {
///     VeryGood,
///     #[metaxy(name = "bad")]
///     NotSoGood,
/// }
/// ```
///
/// | option | meaning |
/// |---|---|
/// | `name = ".."`, on a variant | The text it is stored as, if not its name. |
/// | `rename_all = ".."`, on an enum | `lowercase`, `UPPERCASE`, `snake_case`, `kebab-case` or `SCREAMING_SNAKE_CASE`; `name` wins. |
/// | `crate = path`, on the type | Where the runtime is, if not at `::metaxy`. |
#[proc_macro_derive(Column, attributes(metaxy))]
pub fn derive_column(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    debug(&input, column(&input)).into()
}

fn feature(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::new();
    let model = model::FeatureModel::from_input(&mut errors, input);
    if let Some(model) = &model {
        validate::feature(&mut errors, model);
    }
    output(errors, model, expand::feature, || fallback::feature(input))
}

fn row(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::new();
    let model = model::RowModel::from_input(&mut errors, input);
    if let Some(model) = &model {
        validate::row(&mut errors, model);
    }
    output(errors, model, expand::row, || fallback::row(input))
}

fn column(input: &DeriveInput) -> TokenStream {
    let mut errors = Errors::new();
    let model = model::ColumnModel::from_input(&mut errors, input);
    if let Some(model) = &model {
        validate::column(&mut errors, model);
    }
    output(errors, model, expand::column, || fallback::column(input))
}

fn output<M>(
    errors: Errors,
    model: Option<M>,
    expand: impl FnOnce(&M) -> TokenStream,
    fallback: impl FnOnce() -> TokenStream,
) -> TokenStream {
    match model.filter(|_| errors.is_empty()) {
        Some(model) => {
            errors.finish();
            expand(&model)
        }
        None => {
            let (errors, fallback) = (errors.finish(), fallback());
            quote!(#errors #fallback)
        }
    }
}

/// Prints the expansion of the type that `METAXY_DEBUG_MACRO` names, formatted if `rustfmt` is
/// there.
fn debug(input: &DeriveInput, output: TokenStream) -> TokenStream {
    if env::var("METAXY_DEBUG_MACRO").is_ok_and(|name| input.ident == name) {
        let text = output.to_string();
        eprintln!("{}", formatted(&text).unwrap_or(text));
    }
    output
}

fn formatted(text: &str) -> Option<String> {
    let mut rustfmt = Command::new("rustfmt");
    rustfmt.args(["--edition", "2024", "--emit", "stdout"]);
    rustfmt.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = rustfmt.spawn().ok()?;
    // Dropped at the end of the statement: `rustfmt` reads to the end of its input.
    child.stdin.take()?.write_all(text.as_bytes()).ok()?;
    let output = child.wait_with_output().ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}
