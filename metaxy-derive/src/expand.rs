//! Models -> tokens.
//!
//! Everything sits in a `const _: () = { .. };`, so that no name leaks and lints are allowed once.
//! The output names nothing but the user's own types and `metaxy::__private`, and has no generic
//! item: only what is not generic is evaluated by `cargo check`.
//!
//! Even local names begin with `__`: a pattern would otherwise be a user's constant of that name.
//!
//! One fact has one place. The bound on a member's type is named once, by the constructor of its
//! codec; the bound on an upstream once, by its `DefPtr`; each check is a `const _` of its own, at
//! the token that it is about. A mistake is then one error, under that token.

use crate::attr::{Lineage, Mapping, Metadata, Upstream};
use crate::model::{
    ColumnModel, ColumnShape, FeatureModel, FieldDepsModel, FieldModel, Member, Role, RowModel,
};
use crate::span::{self, mixed};
use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::{ToTokens, format_ident, quote_spanned};
use syn::Path;
use syn::spanned::Spanned as _;

/// `#[derive(Feature)]`; the parts are shown at the functions that make them.
pub(crate) fn feature(model: &FeatureModel) -> TokenStream {
    let span = span::at(model.ident.span());
    let codecs = model.members.iter().enumerate().map(|(i, member)| codec(i, member));
    let upstreams = model.upstreams.iter().enumerate().map(|(i, upstream)| {
        let (name, feature) = (upstream_const(i), &upstream.feature);
        let span = span::at(span::last(feature).span());
        quote_spanned!(span=> const #name: __p::DefPtr = <#feature as __p::Feature>::DEF;)
    });
    let def = def(model);
    let row = row_impl(&model.ident, &model.name, &model.members, RowColumns::OfFeature);
    let feature = feature_impl(model);
    let checks = checks(model);
    block(
        &model.krate,
        &quote_spanned! {span=>
            #(#codecs)*
            #(#upstreams)*
            #def
            #row
            #feature
            #checks
            __p::inventory::submit! { __p::Registration(&__DEF) }
        },
    )
}

/// `#[derive(Row)]`.
pub(crate) fn row(model: &RowModel) -> TokenStream {
    let codecs = model.members.iter().enumerate().map(|(i, member)| codec(i, member));
    let row = row_impl(&model.ident, &model.name, &model.members, RowColumns::Declared);
    block(&model.krate, &mixed!(#(#codecs)* #row))
}

/// `#[derive(Column)]`.
///
/// ```text
/// const __INNER: InnerCodec<String> = InnerCodec::<String>::new();
/// impl Column for VideoId {
///     const TYPE: ColumnType = __INNER.ty();
///     const NULLABLE: bool = __INNER.is_nullable();
///     fn encode(values: &mut dyn Iterator<Item = Option<&Self>>) -> ArrayRef {
///         __INNER.encode(values, |value| &value.0)
///     }
///     fn decode(array: &dyn Array) -> Result<Vec<Option<Self>>, DecodeError> {
///         __INNER.decode(array, |inner| Self { 0: inner })
///     }
/// }
/// // A bound that depends on a lifetime may be false; then there is no impl, and no error either.
/// impl IdColumn for VideoId where for<'a> &'a String: InnerId { .. }
/// impl ListItem for VideoId where for<'a> &'a String: InnerItem {}
/// ```
pub(crate) fn column(model: &ColumnModel) -> TokenStream {
    let ident = &model.ident;
    let span = span::at(ident.span());
    let output = match &model.shape {
        ColumnShape::Newtype { member, ty } => {
            let member = member.as_ref().map_or_else(
                || Literal::usize_unsuffixed(0).into_token_stream(),
                ToTokens::to_token_stream,
            );
            let ty_span = span::at(ty.span());
            let inner = quote_spanned! {ty_span=>
                const __INNER: __p::InnerCodec<#ty> = __p::InnerCodec::<#ty>::new();
            };
            quote_spanned! {span=>
                #inner

                #[automatically_derived]
                impl __p::Column for #ident {
                    const TYPE: __p::ColumnType = __INNER.ty();
                    const NULLABLE: __p::bool = __INNER.is_nullable();

                    fn encode(
                        __values: &mut dyn __p::Iterator<Item = __p::Option<&Self>>,
                    ) -> __p::ArrayRef {
                        __INNER.encode(__values, |__value| &__value.#member)
                    }

                    fn decode(
                        __array: &dyn __p::Array,
                    ) -> __p::Result<__p::Vec<__p::Option<Self>>, __p::DecodeError> {
                        __INNER.decode(__array, |__inner| Self { #member: __inner })
                    }
                }

                #[automatically_derived]
                impl __p::IdColumn for #ident
                where
                    for<'a> &'a #ty: __p::InnerId,
                {
                    fn to_id(&self) -> __p::IdValue {
                        __p::InnerId::inner_id(&self.#member)
                    }
                }

                #[automatically_derived]
                impl __p::ListItem for #ident where for<'a> &'a #ty: __p::InnerItem {}
            }
        }
        ColumnShape::Enum(variants) => {
            let idents = || variants.iter().map(|(ident, _)| ident);
            let texts: Vec<_> = variants.iter().map(|(_, text)| text).collect();
            let to_text = idents().zip(&texts).map(|(ident, text)| mixed!(Self::#ident => #text));
            let from_text =
                idents().zip(&texts).map(|(ident, text)| mixed!(#text => __p::Some(Self::#ident)));
            quote_spanned! {span=>
                #[automatically_derived]
                impl __p::Column for #ident {
                    const TYPE: __p::ColumnType = __p::TEXT;

                    fn encode(
                        __values: &mut dyn __p::Iterator<Item = __p::Option<&Self>>,
                    ) -> __p::ArrayRef {
                        __p::encode_text(__values, |__value| match __value { #(#to_text,)* })
                    }

                    fn decode(
                        __array: &dyn __p::Array,
                    ) -> __p::Result<__p::Vec<__p::Option<Self>>, __p::DecodeError> {
                        __p::decode_text(__array, &[#(#texts),*], |__text| match __text {
                            #(#from_text,)*
                            _ => __p::None,
                        })
                    }
                }

                #[automatically_derived]
                impl __p::ListItem for #ident {}
            }
        }
    };
    block(&model.krate, &output)
}

/// The block around an expansion; also of what `fallback` emits.
///
/// `deprecated` is allowed because a member may be; `dead_code` because handles need not be used;
/// `unused_qualifications` because a path in an attribute is repeated here; and the evaluation of the
/// checks grows with the graph and has a bound of its own.
pub(crate) fn block(krate: &Path, content: &TokenStream) -> TokenStream {
    mixed! {
        #[doc(hidden)]
        #[allow(
            dead_code,
            deprecated,
            long_running_const_eval,
            non_upper_case_globals,
            unused_qualifications
        )]
        const _: () = {
            use #krate::__private as __p;
            #content
        };
    }
}

/// How a member is stored, with the only mention of the bound on its type:
/// `const __MEMBER_0: IdCodec<String> = IdCodec::<String>::new("video_id", None);`.
fn codec(i: usize, member: &Member) -> TokenStream {
    let (name, ty) = (member_const(i), &member.ty);
    let span = span::at(ty.span());
    let description = option(member.description.as_ref());
    match &member.role {
        Role::Id(column) => quote_spanned! {span=>
            const #name: __p::IdCodec<#ty> = __p::IdCodec::<#ty>::new(#column, #description);
        },
        Role::Column(column) => quote_spanned! {span=>
            const #name: __p::ColumnCodec<#ty> =
                __p::ColumnCodec::<#ty>::new(#column, #description);
        },
        Role::Field(field) => {
            let def = field_def(field);
            quote_spanned! {span=>
                const #name: __p::FieldCodec<#ty> = __p::FieldCodec::<#ty>::new(#def);
            }
        }
    }
}

/// `FieldDef { key: "audio", code_version: Some("1"), deps: FieldDepsDef::Mapped, .. }`.
///
/// A field of an upstream is read from its handles, with the user's own token: if there is no such
/// field, the compiler says so and knows a similar name.
fn field_def(field: &FieldModel) -> TokenStream {
    let key = &field.key;
    let code_version = option(field.code_version.as_ref());
    let renamed_from = option(field.renamed_from.as_ref());
    let deps = match &field.deps {
        FieldDepsModel::Mapped => mixed!(__p::FieldDepsDef::Mapped),
        FieldDepsModel::All(_) => mixed!(__p::FieldDepsDef::All),
        FieldDepsModel::Fields(deps) => {
            let deps = deps.iter().map(|dep| {
                let feature = &dep.feature;
                let span = span::at(span::last(feature).span());
                let field = match &dep.field {
                    None => mixed!(__p::None),
                    Some(field) => {
                        let key = field_key(feature, field);
                        mixed!(__p::Some(#key))
                    }
                };
                quote_spanned! {span=>
                    __p::FieldDepDef { feature: <#feature as __p::Feature>::DEF, field: #field }
                }
            });
            mixed!(__p::FieldDepsDef::Fields(&[#(#deps),*]))
        }
    };
    mixed! {
        __p::FieldDef {
            key: #key,
            code_version: #code_version,
            deps: #deps,
            renamed_from: #renamed_from,
        }
    }
}

/// The key of an upstream's field: `<Video as Feature>::FIELDS.audio.key()`.
fn field_key(feature: &Path, field: &Ident) -> TokenStream {
    let span = span::at(span::last(feature).span());
    quote_spanned!(span=> <#feature as __p::Feature>::FIELDS.#field.key())
}

/// The name of an upstream's column: `<Video as Feature>::COLUMNS.path.name()`.
fn column_name(feature: &Path, column: &Ident) -> TokenStream {
    let span = span::at(span::last(feature).span());
    quote_spanned!(span=> <#feature as __p::Feature>::COLUMNS.#column.name())
}

/// The types of `Video::FIELDS` and `Video::COLUMNS`:
/// `pub struct VideoFields { pub audio: FieldRef<Video> }`.
fn handles(model: &FeatureModel) -> TokenStream {
    let ident = &model.ident;
    let (fields_type, columns_type) = handle_types(ident, &model.name);
    let fields = model.fields().map(|(member, _)| &member.ident);
    let columns = model.ids().chain(model.columns()).map(|(member, _)| &member.ident);
    mixed! {
        pub struct #fields_type { #(pub #fields: __p::FieldRef<#ident>,)* }
        pub struct #columns_type { #(pub #columns: __p::ColumnRef<#ident>,)* }
    }
}

/// What an error about an unknown field or column calls the feature: `VideoFields`.
pub(crate) fn handle_types(ident: &Ident, name: &str) -> (Ident, Ident) {
    let span = span::at(ident.span());
    (Ident::new(&format!("{name}Fields"), span), Ident::new(&format!("{name}Columns"), span))
}

/// `static __DEF: FeatureDef = FeatureDef { key: "example/video", .. };`.
fn def(model: &FeatureModel) -> TokenStream {
    let FeatureModel { name, key, .. } = model;
    let project = option(model.project.as_ref());
    let description = option(model.description.as_ref());
    let metadata = metadata(&model.metadata);
    let mut ids = Vec::new();
    let mut columns = Vec::new();
    let mut fields = Vec::new();
    for (i, member) in model.members.iter().enumerate() {
        let codec = member_const(i);
        match &member.role {
            Role::Id(_) => ids.push(mixed!(#codec.column.def())),
            Role::Column(_) => columns.push(mixed!(#codec.def())),
            Role::Field(_) => fields.push(mixed!(#codec.def())),
        }
    }
    let deps = model.upstreams.iter().enumerate().map(|(i, upstream)| dep_def(model, i, upstream));
    mixed! {
        static __DEF: __p::FeatureDef = __p::FeatureDef {
            key: #key,
            key_hash: __p::hash(#key),
            type_name: #name,
            module: __p::module_path!(),
            project: #project,
            package: __p::option_env!("CARGO_PKG_NAME"),
            file: __p::file!(),
            line: __p::line!(),
            description: #description,
            metadata: #metadata,
            ids: &[#(#ids),*],
            columns: &[#(#columns),*],
            fields: &[#(#fields),*],
            deps: &[#(#deps),*],
            is_broken: false,
        };
    }
}

/// `DepDef { feature: __UPSTREAM_0, optional: false, .. }`.
fn dep_def(model: &FeatureModel, i: usize, upstream: &Upstream) -> TokenStream {
    let feature = &upstream.feature;
    let def = upstream_const(i);
    let optional = upstream.optional.is_some();
    let select = option(upstream.select.as_ref().map(|select| {
        let columns = select.value.iter().map(|column| column_name(feature, column));
        mixed!(&[#(#columns),*])
    }));
    let rename = upstream.rename.iter().flat_map(|rename| &rename.value).map(|(from, to)| {
        let from = column_name(feature, from);
        mixed!((#from, #to))
    });
    let filters = &upstream.filters;
    let on = |on: &[Ident]| {
        let names = on.iter().filter_map(|id| model.id_named(id));
        mixed!(&[#(#names),*])
    };
    let lineage = match upstream.lineage.as_ref().map(|lineage| &lineage.value) {
        None | Some(Lineage::Identity) => mixed!(__p::LineageDef::Identity),
        Some(Lineage::Aggregation { on: columns }) => {
            let columns = option(columns.as_deref().map(on));
            mixed!(__p::LineageDef::Aggregation { on: #columns })
        }
        Some(Lineage::Expansion { on: columns }) => {
            let columns = on(columns);
            mixed!(__p::LineageDef::Expansion { on: #columns })
        }
    };
    let keys = |fields: &[Ident]| {
        let keys = fields.iter().map(|field| field_key(feature, field));
        mixed!(&[#(#keys),*])
    };
    let by_name = |match_suffix: bool| {
        let exclude = keys(upstream.exclude.as_ref().map_or(&[], |exclude| &*exclude.value));
        mixed!(__p::MappingDef::Default { match_suffix: #match_suffix, exclude: #exclude })
    };
    let fields = match upstream.fields.as_ref().map(|fields| &fields.value) {
        None | Some(Mapping::ByName) => by_name(false),
        Some(Mapping::BySuffix) => by_name(true),
        Some(Mapping::All) => mixed!(__p::MappingDef::All),
        Some(Mapping::None) => mixed!(__p::MappingDef::None),
        Some(Mapping::Specific(mapping)) => {
            let mapping = mapping.iter().map(|(field, upstream)| {
                let (field, upstream) = (model.field_named(field), keys(upstream));
                mixed!((#field, #upstream))
            });
            mixed!(__p::MappingDef::Specific(&[#(#mapping),*]))
        }
    };
    mixed! {
        __p::DepDef {
            feature: #def,
            optional: #optional,
            select: #select,
            rename: &[#(#rename),*],
            filters: &[#(#filters),*],
            lineage: #lineage,
            fields: #fields,
        }
    }
}

/// `&[("owner", MetadataDef::Text("x"))]`.
fn metadata(entries: &[(String, Metadata)]) -> TokenStream {
    fn value(metadata: &Metadata) -> TokenStream {
        match metadata {
            Metadata::Bool(value) => mixed!(__p::MetadataDef::Bool(#value)),
            Metadata::Int(value) => {
                let value = Literal::i64_unsuffixed(*value);
                mixed!(__p::MetadataDef::Int(#value))
            }
            Metadata::Float(value) => {
                let value = Literal::f64_unsuffixed(*value);
                mixed!(__p::MetadataDef::Float(#value))
            }
            Metadata::Text(value) => mixed!(__p::MetadataDef::Text(#value)),
            Metadata::List(values) => {
                let values = values.iter().map(value);
                mixed!(__p::MetadataDef::List(&[#(#values),*]))
            }
            Metadata::Map(entries) => {
                let entries = self::metadata(entries);
                mixed!(__p::MetadataDef::Map(#entries))
            }
        }
    }
    let entries = entries.iter().map(|(name, metadata)| {
        let value = value(metadata);
        mixed!((#name, #value))
    });
    mixed!(&[#(#entries),*])
}

/// What `Row::columns` lists.
#[derive(Clone, Copy, Debug)]
enum RowColumns {
    /// The members, in the order of declaration.
    Declared,
    /// Ids first.
    OfFeature,
}

/// How rows are read: every column is decoded whole, then each row takes one cell of each.
///
/// ```text
/// impl Row for Video {
///     fn decode(batch: &RecordBatch) -> Result<Vec<Self>, RowError> {
///         let rows = Rows::new("Video", batch);
///         let mut cells_0 = __MEMBER_0.column.decode(rows)?;
///         let mut cells_1 = __MEMBER_1.decode(rows)?;
///         rows.collect(|| Self { video_id: cells_0.take(), audio: cells_1.take() })
///     }
///     fn columns() -> Vec<ColumnSpec> { column_specs(&[__MEMBER_0.column.def()]) }
/// }
/// ```
fn row_impl(ident: &Ident, name: &str, members: &[Member], columns: RowColumns) -> TokenStream {
    let span = span::at(ident.span());
    let cells: Vec<_> =
        (0..members.len()).map(|i| format_ident!("__cells_{i}", span = span)).collect();
    let codecs: Vec<_> = (0..members.len()).zip(members).map(column_codec).collect();
    let idents = members.iter().map(|member| &member.ident);
    let columns = match columns {
        RowColumns::Declared => mixed!(__p::column_specs(&[#(#codecs.def()),*])),
        RowColumns::OfFeature => mixed!(__p::feature_columns(&__DEF)),
    };
    quote_spanned! {span=>
        #[automatically_derived]
        impl __p::Row for #ident {
            fn decode(
                __batch: &__p::RecordBatch,
            ) -> __p::Result<__p::Vec<Self>, __p::RowError> {
                let __rows = __p::Rows::new(#name, __batch);
                #(let mut #cells = #codecs.decode(__rows)?;)*
                __rows.collect(|| Self { #(#idents: #cells.take(),)* })
            }

            fn columns() -> __p::Vec<__p::ColumnSpec> {
                #columns
            }
        }
    }
}

/// The handles have names that may also be those of a user's types. They are in a block of their own, in
/// which no type of a user is named but the feature.
///
/// ```text
/// pub struct VideoFields { pub audio: FieldRef<Video> }
/// pub struct VideoColumns { pub video_id: ColumnRef<Video> }
/// impl Feature for Video {
///     type Fields = VideoFields;
///     type Columns = VideoColumns;
///     const FIELDS: VideoFields = VideoFields { audio: FieldRef::new("audio") };
///     const COLUMNS: VideoColumns = VideoColumns { video_id: ColumnRef::new("video_id") };
///     const DEF: DefPtr = DefPtr::new(&__DEF);
///     fn encode(rows: &[Self]) -> Vec<ArrayRef> {
///         vec([__MEMBER_0.column.encode(rows, |row| &row.video_id)])
///     }
///     fn data_versions(&self) -> Vec<&DataVersion> {
///         vec([__MEMBER_1.version(&self.audio)])
///     }
///     fn ids(&self) -> Vec<IdValue> { vec([__MEMBER_0.to_id(&self.video_id)]) }
/// }
/// ```
fn feature_impl(model: &FeatureModel) -> TokenStream {
    let ident = &model.ident;
    let span = span::at(ident.span());
    let (fields_type, columns_type) = handle_types(ident, &model.name);
    let fields = model.fields().map(|(Member { ident, .. }, field)| {
        let key = &field.key;
        mixed!(#ident: __p::FieldRef::new(#key))
    });
    let columns = model
        .ids()
        .chain(model.columns())
        .map(|(Member { ident, .. }, name)| mixed!(#ident: __p::ColumnRef::new(#name)));
    let mut encode_ids = Vec::new();
    let mut encode_columns = Vec::new();
    let mut versions = Vec::new();
    let mut ids = Vec::new();
    for (i, member) in model.members.iter().enumerate() {
        let (codec, ident) = (column_codec((i, member)), &member.ident);
        let encode = mixed!(#codec.encode(__rows, |__row| &__row.#ident));
        match &member.role {
            Role::Id(_) => {
                let codec = member_const(i);
                encode_ids.push(encode);
                ids.push(mixed!(#codec.to_id(&self.#ident)));
            }
            Role::Column(_) => encode_columns.push(encode),
            Role::Field(_) => versions.push(mixed!(#codec.version(&self.#ident))),
        }
    }
    let handles = handles(model);
    quote_spanned! {span=>
        const _: () = {
            #handles

            #[automatically_derived]
            impl __p::Feature for #ident {
                type Fields = #fields_type;
                type Columns = #columns_type;

                const FIELDS: #fields_type = #fields_type { #(#fields,)* };
                const COLUMNS: #columns_type = #columns_type { #(#columns,)* };
                const DEF: __p::DefPtr = __p::DefPtr::new(&__DEF);

                fn encode(__rows: &[Self]) -> __p::Vec<__p::ArrayRef> {
                    __p::vec([#(#encode_ids,)* #(#encode_columns,)*])
                }

                fn data_versions(&self) -> __p::Vec<&__p::DataVersion> {
                    __p::vec([#(#versions),*])
                }

                fn ids(&self) -> __p::Vec<__p::IdValue> {
                    __p::vec([#(#ids),*])
                }
            }
        };
    }
}

/// One constant per fact, spanned on the token that it is about:
/// `const _: () = check::ids(&__DEF, 0usize);`.
fn checks(model: &FeatureModel) -> TokenStream {
    let mut checks = vec![call(model.key.span(), "keys", &mixed!(&__DEF))];
    if !model.upstreams.is_empty() {
        let span = span::at(model.key.span());
        checks.push(
            quote_spanned!(span=> const __WALK: __p::check::Walk = __p::check::walk(&__DEF);),
        );
        checks.push(call(model.key.span(), "keys_upstream", &mixed!(&__DEF, &__WALK)));
    }
    for (i, upstream) in model.upstreams.iter().enumerate() {
        let span = span::last(&upstream.feature).span();
        checks.push(call(span, "once", &mixed!(&__DEF, #i)));
        checks.push(call(span, "acyclic", &mixed!(&__DEF, #i, &__WALK)));
        checks.push(call(span, "ids", &mixed!(&__DEF, #i)));
        if let Some(rename) = &upstream.rename {
            for (j, (_, to)) in rename.value.iter().enumerate() {
                checks.push(call(to.span(), "renamed", &mixed!(&__DEF, #i, #j)));
            }
        }
        let on = match upstream.lineage.as_ref().map(|lineage| &lineage.value) {
            Some(Lineage::Aggregation { on: Some(on) } | Lineage::Expansion { on }) => &**on,
            Some(Lineage::Aggregation { on: None } | Lineage::Identity) | None => &[],
        };
        for id in on {
            let name = model.id_named(id);
            checks.push(call(id.span(), "on", &mixed!(&__DEF, #i, #name)));
        }
    }
    for (_, field) in model.fields() {
        let FieldDepsModel::Fields(deps) = &field.deps else { continue };
        for dep in deps {
            let feature = &dep.feature;
            let span = span::last(feature).span();
            let def = quote_spanned!(span::at(span)=> <#feature as __p::Feature>::DEF);
            checks.push(call(span, "listed", &mixed!(&__DEF, #def)));
        }
    }
    checks.into_iter().collect()
}

/// `const _: () = check::name(arguments);`, all of it at one place.
fn call(span: Span, name: &str, arguments: &TokenStream) -> TokenStream {
    let span = span::at(span);
    let name = Ident::new(name, span);
    quote_spanned!(span=> const _: () = __p::check::#name(#arguments);)
}

/// The codec of a member as that of a column or a field.
fn column_codec((i, member): (usize, &Member)) -> TokenStream {
    let codec = member_const(i);
    match member.role {
        Role::Id(_) => mixed!(#codec.column),
        Role::Column(_) | Role::Field(_) => mixed!(#codec),
    }
}

fn member_const(i: usize) -> Ident {
    Ident::new(&format!("__MEMBER_{i}"), Span::mixed_site())
}

fn upstream_const(i: usize) -> Ident {
    Ident::new(&format!("__UPSTREAM_{i}"), Span::mixed_site())
}

/// `Some(value)` or `None`, whatever those names mean to the user.
fn option(value: Option<impl ToTokens>) -> TokenStream {
    match value {
        Some(value) => mixed!(__p::Some(#value)),
        None => mixed!(__p::None),
    }
}
