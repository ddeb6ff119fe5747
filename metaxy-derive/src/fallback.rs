//! What a broken item still gets, next to its errors: an impl that is good enough for others.
//!
//! One mistake is then one error. In particular every member of a broken feature is both a field and
//! a column, so that `Video::audio` and `select(path)` elsewhere still resolve.

use crate::attr::{ColumnAttrs, FeatureAttrs, RowAttrs};
use crate::diag::Errors;
use crate::expand::{block, handle_types};
use crate::span;
use proc_macro2::{Ident, TokenStream};
use quote::quote_spanned;
use syn::ext::IdentExt as _;
use syn::{Data, DeriveInput, Path};

/// The stub of a feature.
pub(crate) fn feature(input: &DeriveInput) -> TokenStream {
    let krate = quietly(|errors| FeatureAttrs::parse(errors, &input.attrs).krate);
    let row = row_impl(&input.ident);
    let ident = &input.ident;
    let name = ident.unraw().to_string();
    let (fields, columns) = handle_types(ident, &name);
    let members: Vec<_> = match &input.data {
        Data::Struct(data) => data.fields.iter().filter_map(|m| m.ident.as_ref()).collect(),
        Data::Enum(_) | Data::Union(_) => Vec::new(),
    };
    let span = span::at(ident.span());
    stub(input, krate, || {
        quote_spanned! {span=>
            pub struct #fields { #(pub #members: __p::FieldRef<#ident>,)* }
            pub struct #columns { #(pub #members: __p::ColumnRef<#ident>,)* }

            static __DEF: __p::FeatureDef = __p::FeatureDef::broken(#name);

            #row

            #[automatically_derived]
            impl __p::Feature for #ident {
                type Fields = #fields;
                type Columns = #columns;

                const FIELDS: #fields = #fields { #(#members: __p::FieldRef::new("broken"),)* };
                const COLUMNS: #columns = #columns { #(#members: __p::ColumnRef::new("broken"),)* };
                const DEF: __p::DefPtr = __p::DefPtr::new(&__DEF);

                fn encode(_: &[Self]) -> __p::Vec<__p::ArrayRef> {
                    __p::broken()
                }

                fn data_versions(&self) -> __p::Vec<&__p::DataVersion> {
                    __p::broken()
                }

                fn ids(&self) -> __p::Vec<__p::IdValue> {
                    __p::broken()
                }
            }
        }
    })
}

/// The stub of a row.
pub(crate) fn row(input: &DeriveInput) -> TokenStream {
    let krate = quietly(|errors| RowAttrs::parse(errors, &input.attrs).krate);
    stub(input, krate, || row_impl(&input.ident))
}

/// The stub of a column type: good for every use of it.
pub(crate) fn column(input: &DeriveInput) -> TokenStream {
    let krate = quietly(|errors| ColumnAttrs::parse(errors, &input.attrs).krate);
    let ident = &input.ident;
    let span = span::at(ident.span());
    stub(input, krate, || {
        quote_spanned! {span=>
            #[automatically_derived]
            impl __p::Column for #ident {
                const TYPE: __p::ColumnType = __p::TEXT;

                fn encode(
                    _: &mut dyn __p::Iterator<Item = __p::Option<&Self>>,
                ) -> __p::ArrayRef {
                    __p::broken()
                }

                fn decode(
                    _: &dyn __p::Array,
                ) -> __p::Result<__p::Vec<__p::Option<Self>>, __p::DecodeError> {
                    __p::broken()
                }
            }

            #[automatically_derived]
            impl __p::IdColumn for #ident {
                fn to_id(&self) -> __p::IdValue {
                    __p::broken()
                }
            }

            #[automatically_derived]
            impl __p::ListItem for #ident {}
        }
    })
}

fn row_impl(ident: &Ident) -> TokenStream {
    let span = span::at(ident.span());
    quote_spanned! {span=>
        #[automatically_derived]
        impl __p::Row for #ident {
            fn decode(_: &__p::RecordBatch) -> __p::Result<__p::Vec<Self>, __p::RowError> {
                __p::broken()
            }

            fn columns() -> __p::Vec<__p::ColumnSpec> {
                __p::broken()
            }
        }
    }
}

/// Nothing for a generic item: whoever names it without arguments has an error of its own.
fn stub(
    input: &DeriveInput,
    krate: Option<Path>,
    content: impl FnOnce() -> TokenStream,
) -> TokenStream {
    if !input.generics.params.is_empty() {
        return TokenStream::new();
    }
    let krate = krate.unwrap_or_else(|| syn::parse_quote!(::metaxy));
    block(&krate, &content())
}

/// The `crate` option; what else is wrong has been reported.
fn quietly(parse: impl FnOnce(&mut Errors) -> Option<crate::attr::Opt<Path>>) -> Option<Path> {
    let mut errors = Errors::new();
    let krate = parse(&mut errors);
    errors.finish();
    krate.map(|krate| krate.value)
}
