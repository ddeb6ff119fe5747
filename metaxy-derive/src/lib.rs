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

/// Makes a struct a feature.
#[proc_macro_derive(Feature, attributes(metaxy))]
pub fn derive_feature(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    debug(&input, feature(&input)).into()
}

/// Makes a struct a row.
#[proc_macro_derive(Row, attributes(metaxy))]
pub fn derive_row(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    debug(&input, row(&input)).into()
}

/// Makes a newtype or an enum without data a column type.
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
