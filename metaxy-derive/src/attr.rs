//! `#[metaxy(..)]` -> typed options, each with the name that the user typed.
//!
//! Options are cut at commas first and parsed one by one, so that a mistake in one does not hide the
//! next. Whether options fit each other is not asked here (`validate`).

use crate::diag::{Errors, alternatives, instead};
use crate::symbol::*;
use proc_macro2::{Delimiter, Group, Ident, TokenStream, TokenTree};
use syn::ext::IdentExt as _;
use syn::parse::{ParseStream, Parser as _};
use syn::spanned::Spanned as _;
use syn::{Attribute, Lit, LitStr, Meta, Path};

/// An option that is there, and the word that named it.
#[derive(Clone, Debug)]
pub(crate) struct Opt<T> {
    pub(crate) name: Ident,
    pub(crate) value: T,
}

/// On a struct that derives `Feature`.
#[derive(Debug, Default)]
pub(crate) struct FeatureAttrs {
    pub(crate) key: Option<Opt<LitStr>>,
    pub(crate) deps: Option<Opt<Vec<Upstream>>>,
    pub(crate) project: Option<Opt<LitStr>>,
    pub(crate) metadata: Option<Opt<Vec<(String, Metadata)>>>,
    pub(crate) krate: Option<Opt<Path>>,
}

/// One entry of `deps(..)` on the struct.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) feature: Path,
    pub(crate) optional: Option<Opt<()>>,
    pub(crate) select: Option<Opt<Vec<Ident>>>,
    pub(crate) rename: Option<Opt<Vec<(Ident, LitStr)>>>,
    /// May be given more than once: all have to hold.
    pub(crate) filters: Vec<LitStr>,
    pub(crate) lineage: Option<Opt<Lineage>>,
    pub(crate) fields: Option<Opt<Mapping>>,
    pub(crate) exclude: Option<Opt<Vec<Ident>>>,
}

/// `lineage = ..`.
#[derive(Debug)]
pub(crate) enum Lineage {
    Identity,
    Aggregation { on: Option<Vec<Ident>> },
    Expansion { on: Vec<Ident> },
}

/// `fields = ..`.
#[derive(Debug)]
pub(crate) enum Mapping {
    ByName,
    BySuffix,
    All,
    None,
    /// Per field here, fields of the upstream.
    Specific(Vec<(Ident, Vec<Ident>)>),
}

/// A value within `metadata(..)`.
#[derive(Debug)]
pub(crate) enum Metadata {
    /// A literal, with its sign.
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Metadata>),
    Map(Vec<(String, Metadata)>),
}

/// On a member of a struct that derives `Feature`.
#[derive(Debug, Default)]
pub(crate) struct MemberAttrs {
    pub(crate) id: Option<Opt<()>>,
    pub(crate) field: Option<Opt<()>>,
    pub(crate) name: Option<Opt<LitStr>>,
    pub(crate) key: Option<Opt<LitStr>>,
    pub(crate) code_version: Option<Opt<LitStr>>,
    pub(crate) deps: Option<Opt<FieldDeps>>,
    pub(crate) renamed_from: Option<Opt<LitStr>>,
}

/// `deps(..)` on a field.
#[derive(Debug)]
pub(crate) enum FieldDeps {
    /// `deps(all)`.
    All,
    /// `deps(Video::audio, Crop)`: which of these end in a field is decided by the model.
    Paths(Vec<Path>),
}

/// On a struct that derives `Row`.
#[derive(Debug, Default)]
pub(crate) struct RowAttrs {
    pub(crate) krate: Option<Opt<Path>>,
}

/// On a type that derives `Column`.
#[derive(Debug, Default)]
pub(crate) struct ColumnAttrs {
    pub(crate) rename_all: Option<Opt<LitStr>>,
    pub(crate) krate: Option<Opt<Path>>,
}

/// On what has a name and nothing else: a member of a row, a variant.
#[derive(Debug, Default)]
pub(crate) struct NameAttrs {
    pub(crate) name: Option<Opt<LitStr>>,
}

impl FeatureAttrs {
    pub(crate) fn parse(errors: &mut Errors, attrs: &[Attribute]) -> Self {
        let mut this = Self::default();
        for entry in entries_of(errors, attrs) {
            match entry.name().as_str() {
                KEY => set(errors, &mut this.key, entry, Entry::text),
                DEPS => set(errors, &mut this.deps, entry, upstreams),
                PROJECT => set(errors, &mut this.project, entry, Entry::text),
                METADATA => set(errors, &mut this.metadata, entry, metadata),
                CRATE => set(errors, &mut this.krate, entry, Entry::path),
                _ => entry.unknown(errors, FEATURE_OPTIONS),
            }
        }
        this
    }
}

impl MemberAttrs {
    pub(crate) fn parse(errors: &mut Errors, attrs: &[Attribute]) -> Self {
        let mut this = Self::default();
        for entry in entries_of(errors, attrs) {
            match entry.name().as_str() {
                ID => set(errors, &mut this.id, entry, Entry::flag),
                FIELD => set(errors, &mut this.field, entry, Entry::flag),
                NAME => set(errors, &mut this.name, entry, Entry::text),
                KEY => set(errors, &mut this.key, entry, Entry::text),
                CODE_VERSION => set(errors, &mut this.code_version, entry, Entry::text),
                DEPS => set(errors, &mut this.deps, entry, field_deps),
                RENAMED_FROM => set(errors, &mut this.renamed_from, entry, Entry::text),
                _ => entry.unknown(errors, MEMBER_OPTIONS),
            }
        }
        this
    }
}

impl RowAttrs {
    pub(crate) fn parse(errors: &mut Errors, attrs: &[Attribute]) -> Self {
        let mut this = Self::default();
        for entry in entries_of(errors, attrs) {
            match entry.name().as_str() {
                CRATE => set(errors, &mut this.krate, entry, Entry::path),
                _ => entry.unknown(errors, ROW_OPTIONS),
            }
        }
        this
    }
}

impl ColumnAttrs {
    pub(crate) fn parse(errors: &mut Errors, attrs: &[Attribute]) -> Self {
        let mut this = Self::default();
        for entry in entries_of(errors, attrs) {
            match entry.name().as_str() {
                RENAME_ALL => set(errors, &mut this.rename_all, entry, Entry::text),
                CRATE => set(errors, &mut this.krate, entry, Entry::path),
                _ => entry.unknown(errors, COLUMN_OPTIONS),
            }
        }
        this
    }
}

impl NameAttrs {
    pub(crate) fn parse(errors: &mut Errors, attrs: &[Attribute], options: &[&str]) -> Self {
        let mut this = Self::default();
        for entry in entries_of(errors, attrs) {
            match entry.name().as_str() {
                NAME => set(errors, &mut this.name, entry, Entry::text),
                _ => entry.unknown(errors, options),
            }
        }
        this
    }
}

/// The doc comment: its lines, without the space that follows `///`.
pub(crate) fn description(attrs: &[Attribute]) -> Option<String> {
    let mut lines = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident("doc")) {
        // `#[doc(hidden)]` and `#[doc = include_str!(..)]` are no text that a macro could read.
        if let Meta::NameValue(meta) = &attr.meta
            && let syn::Expr::Lit(syn::ExprLit { lit: Lit::Str(text), .. }) = &meta.value
        {
            let text = text.value();
            lines
                .extend(text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).to_owned()));
            if text.is_empty() {
                lines.push(String::new());
            }
        }
    }
    let text = lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n");
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// One option, not yet looked at: `name`, `name = ..` or `name(..)`.
struct Entry {
    name: Ident,
    value: Value,
}

enum Value {
    Absent,
    Equals(TokenStream),
    List(Group),
}

impl Entry {
    fn parse(tokens: TokenStream) -> syn::Result<Self> {
        let span = tokens.span();
        let mut tokens = tokens.into_iter();
        let name = match tokens.next() {
            Some(TokenTree::Ident(name)) => name,
            Some(other) => {
                return Err(syn::Error::new(other.span(), "expected the name of an option"));
            }
            None => return Err(syn::Error::new(span, "expected the name of an option")),
        };
        let value = match tokens.next() {
            None => Value::Absent,
            Some(TokenTree::Punct(punct)) if punct.as_char() == '=' => {
                return Ok(Self { name, value: Value::Equals(tokens.collect()) });
            }
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => {
                Value::List(group)
            }
            Some(other) => {
                let message = format!("expected `,`, `=` or `(` after `{name}`");
                return Err(syn::Error::new(other.span(), message));
            }
        };
        match tokens.next() {
            None => Ok(Self { name, value }),
            Some(other) => {
                Err(syn::Error::new(other.span(), format!("expected `,` after `{name}(..)`")))
            }
        }
    }

    /// The name without `r#`.
    fn name(&self) -> String {
        self.name.unraw().to_string()
    }

    fn unknown(self, errors: &mut Errors, known: &[&str]) {
        let name = self.name();
        errors.at(self.name.span(), format!("unknown option `{name}`, {}", instead(&name, known)));
    }

    fn wrong<T>(&self, errors: &mut Errors, form: &str) -> Option<T> {
        let message = format!("expected `{form}`");
        match &self.value {
            Value::Equals(tokens) if !tokens.is_empty() => errors.under(tokens, message),
            Value::List(group) => errors.at(group.span(), message),
            Value::Equals(_) | Value::Absent => errors.at(self.name.span(), message),
        }
        None
    }

    fn flag(&self, errors: &mut Errors) -> Option<()> {
        match self.value {
            Value::Absent => Some(()),
            _ => self.wrong(errors, &self.name()),
        }
    }

    fn text(&self, errors: &mut Errors) -> Option<LitStr> {
        let form = match &self.value {
            Value::Equals(tokens) => match syn::parse2::<Lit>(tokens.clone()) {
                Ok(Lit::Str(text)) => return Some(text),
                // Most likely a code version: show it as it has to be.
                Ok(Lit::Int(number)) => format!("{} = \"{number}\"", self.name()),
                _ => format!("{} = \"..\"", self.name()),
            },
            _ => format!("{} = \"..\"", self.name()),
        };
        self.wrong(errors, &form)
    }

    fn path(&self, errors: &mut Errors) -> Option<Path> {
        if let Value::Equals(tokens) = &self.value
            && let Ok(path) = Path::parse_mod_style.parse2(tokens.clone())
        {
            return Some(path);
        }
        self.wrong(errors, &format!("{} = path::to::metaxy", self.name()))
    }

    /// What is between the parentheses, cut at commas; an empty list is a mistake.
    fn list(&self, errors: &mut Errors, form: &str) -> Option<Vec<TokenStream>> {
        match &self.value {
            Value::List(group) if !group.stream().is_empty() => Some(pieces(group.stream())),
            _ => self.wrong(errors, form),
        }
    }

    /// Names between parentheses, none of them twice.
    fn names(&self, errors: &mut Errors) -> Option<Vec<Ident>> {
        let mut names: Vec<Ident> = Vec::new();
        for piece in self.list(errors, &format!("{}(a, b)", self.name()))? {
            let Some(name) = errors.ok(one_name(&piece)) else { continue };
            match names.iter().any(|known| known.unraw() == name.unraw()) {
                true => twice(errors, &name),
                false => names.push(name),
            }
        }
        Some(names)
    }
}

fn one_name(tokens: &TokenStream) -> syn::Result<Ident> {
    Ident::parse_any
        .parse2(tokens.clone())
        .map_err(|_| syn::Error::new_spanned(tokens, "expected the name of a member of the struct"))
}

fn twice(errors: &mut Errors, name: &Ident) {
    errors.at(name.span(), format!("`{}` is given twice", name.unraw()));
}

/// Stores an option, once.
fn set<T>(
    errors: &mut Errors,
    slot: &mut Option<Opt<T>>,
    entry: Entry,
    parse: impl FnOnce(&Entry, &mut Errors) -> Option<T>,
) {
    let value = parse(&entry, errors);
    if slot.is_some() {
        twice(errors, &entry.name);
    } else if let Some(value) = value {
        *slot = Some(Opt { name: entry.name, value });
    }
}

/// The options of every `#[metaxy(..)]`.
fn entries_of(errors: &mut Errors, attrs: &[Attribute]) -> Vec<Entry> {
    let mut found = Vec::new();
    for attr in attrs.iter().filter(|attr| attr.path().is_ident(METAXY)) {
        match &attr.meta {
            Meta::List(list) if matches!(list.delimiter, syn::MacroDelimiter::Paren(_)) => {
                found.extend(entries(errors, list.tokens.clone()));
            }
            meta => errors.under(meta, "expected `#[metaxy(..)]`"),
        }
    }
    found
}

fn entries(errors: &mut Errors, tokens: TokenStream) -> Vec<Entry> {
    pieces(tokens).into_iter().filter_map(|piece| errors.ok(Entry::parse(piece))).collect()
}

/// Cuts at the commas that are in no parentheses; a trailing one is nothing.
fn pieces(tokens: TokenStream) -> Vec<TokenStream> {
    let mut pieces = vec![TokenStream::new()];
    for token in tokens {
        match token {
            // Kept as an empty piece with a place if there is nothing in front of it.
            TokenTree::Punct(punct) if punct.as_char() == ',' => pieces.push(TokenStream::new()),
            other => pieces.last_mut().expect("there is always one").extend([other]),
        }
    }
    pieces.pop_if(|last| last.is_empty());
    pieces
}

/// `deps(Video, Crop(select(path)))` on the struct.
fn upstreams(entry: &Entry, errors: &mut Errors) -> Option<Vec<Upstream>> {
    let pieces = entry.list(errors, "deps(Feature, ..)")?;
    Some(pieces.into_iter().filter_map(|piece| upstream(errors, &piece)).collect())
}

fn upstream(errors: &mut Errors, tokens: &TokenStream) -> Option<Upstream> {
    let parse = |input: ParseStream<'_>| {
        let feature = Path::parse_mod_style(input)?;
        let options: Option<TokenTree> = input.parse()?;
        match options {
            None => Ok((feature, None)),
            Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Parenthesis => {
                Ok((feature, Some(group)))
            }
            Some(other) => Err(syn::Error::new(
                other.span(),
                format!("expected `,` or `(` after `{}`", crate::span::last(&feature)),
            )),
        }
    };
    let what = "expected a feature, as in `deps(Video, Crop(optional))`";
    let (feature, options) = match parse.parse2(transparent(tokens.clone())) {
        Ok(parsed) => parsed,
        Err(error) if tokens.is_empty() => {
            errors.at(error.span(), what);
            return None;
        }
        Err(error) => {
            errors.at(error.span(), format!("{error}; {what}"));
            return None;
        }
    };
    let mut this = Upstream {
        feature,
        optional: None,
        select: None,
        rename: None,
        filters: Vec::new(),
        lineage: None,
        fields: None,
        exclude: None,
    };
    let options = options.map(|group| entries(errors, group.stream())).unwrap_or_default();
    for entry in options {
        match entry.name().as_str() {
            OPTIONAL => set(errors, &mut this.optional, entry, Entry::flag),
            SELECT => set(errors, &mut this.select, entry, Entry::names),
            RENAME => set(errors, &mut this.rename, entry, renames),
            FILTER => this.filters.extend(entry.text(errors)),
            LINEAGE => set(errors, &mut this.lineage, entry, lineage),
            FIELDS => set(errors, &mut this.fields, entry, mapping),
            EXCLUDE => set(errors, &mut this.exclude, entry, Entry::names),
            _ => entry.unknown(errors, UPSTREAM_OPTIONS),
        }
    }
    Some(this)
}

/// `rename(a = "b")`.
fn renames(entry: &Entry, errors: &mut Errors) -> Option<Vec<(Ident, LitStr)>> {
    let mut renames: Vec<(Ident, LitStr)> = Vec::new();
    for piece in entry.list(errors, "rename(upstream_column = \"name_here\")")? {
        let Some(rename) = errors.ok(Entry::parse(piece)) else { continue };
        let Some(to) = rename.text(errors) else { continue };
        match renames.iter().any(|(from, _)| from.unraw() == rename.name.unraw()) {
            true => twice(errors, &rename.name),
            false => renames.push((rename.name, to)),
        }
    }
    Some(renames)
}

/// `lineage = aggregation(on(a, b))`.
fn lineage(entry: &Entry, errors: &mut Errors) -> Option<Lineage> {
    let form = "lineage = aggregation(on(..))";
    let Value::Equals(tokens) = &entry.value else { return entry.wrong(errors, form) };
    let Ok(kind) = Entry::parse(tokens.clone()) else { return entry.wrong(errors, form) };
    match kind.name().as_str() {
        IDENTITY => kind.flag(errors).map(|()| Lineage::Identity),
        AGGREGATION => match kind.value {
            // Grouped by the ids of the feature.
            Value::Absent => Some(Lineage::Aggregation { on: None }),
            _ => on(&kind, errors).map(|on| Lineage::Aggregation { on: Some(on) }),
        },
        EXPANSION => on(&kind, errors).map(|on| Lineage::Expansion { on }),
        name => {
            let message = format!("unknown lineage `{name}`, {}", instead(name, LINEAGES));
            errors.at(kind.name.span(), message);
            None
        }
    }
}

/// `aggregation(on(a, b))`.
fn on(kind: &Entry, errors: &mut Errors) -> Option<Vec<Ident>> {
    let form = format!("{}(on(id, ..))", kind.name());
    let pieces = kind.list(errors, &form)?;
    match pieces.into_iter().map(Entry::parse).collect::<syn::Result<Vec<_>>>().as_deref() {
        Ok([on]) if on.name == ON => on.names(errors),
        _ => kind.wrong(errors, &form),
    }
}

/// `fields = by_name`, `fields = specific(faces(frames))`.
fn mapping(entry: &Entry, errors: &mut Errors) -> Option<Mapping> {
    let form = format!("fields = {}", alternatives(MAPPINGS).replace('`', ""));
    let Value::Equals(tokens) = &entry.value else { return entry.wrong(errors, &form) };
    let Ok(kind) = Entry::parse(tokens.clone()) else { return entry.wrong(errors, &form) };
    match kind.name().as_str() {
        BY_NAME => kind.flag(errors).map(|()| Mapping::ByName),
        BY_SUFFIX => kind.flag(errors).map(|()| Mapping::BySuffix),
        ALL => kind.flag(errors).map(|()| Mapping::All),
        NONE => kind.flag(errors).map(|()| Mapping::None),
        SPECIFIC => {
            let mut fields: Vec<(Ident, Vec<Ident>)> = Vec::new();
            for piece in kind.list(errors, "specific(field_here(field_there, ..), ..)")? {
                let Some(field) = errors.ok(Entry::parse(piece)) else { continue };
                let Some(upstream) = field.names(errors) else { continue };
                match fields.iter().any(|(known, _)| known.unraw() == field.name.unraw()) {
                    true => twice(errors, &field.name),
                    false => fields.push((field.name, upstream)),
                }
            }
            Some(Mapping::Specific(fields))
        }
        name => {
            let message = format!("unknown mapping `{name}`, {}", instead(name, MAPPINGS));
            errors.at(kind.name.span(), message);
            None
        }
    }
}

/// `deps(Video::audio, Crop)` or `deps(all)` on a field.
fn field_deps(entry: &Entry, errors: &mut Errors) -> Option<FieldDeps> {
    let pieces = entry.list(errors, "deps(Feature::field, ..)")?;
    let mut paths = Vec::new();
    let mut all = None;
    for piece in &pieces {
        match Path::parse_mod_style.parse2(transparent(piece.clone())) {
            Ok(path) if path.is_ident(ALL) => all = Some(path),
            Ok(path) => paths.push(path),
            Err(_) => errors.under(piece, "expected `Feature::field`, `Feature` or `all`"),
        }
    }
    match all {
        None => Some(FieldDeps::Paths(paths)),
        Some(_) if pieces.len() == 1 => Some(FieldDeps::All),
        Some(all) => {
            errors.under(all, "`all` is every field of every upstream; leave out the others");
            None
        }
    }
}

/// `metadata(owner = "x", cost = 1.5, tags = ["a", "b"], team(name = "y"))`.
fn metadata(entry: &Entry, errors: &mut Errors) -> Option<Vec<(String, Metadata)>> {
    let form = format!("{}(name = value, ..)", entry.name());
    let mut found: Vec<(String, Metadata)> = Vec::new();
    for piece in entry.list(errors, &form)? {
        let Some(entry) = errors.ok(Entry::parse(piece)) else { continue };
        let value = match &entry.value {
            Value::Equals(tokens) => errors.ok(metadata_value(&entry.name, tokens)),
            Value::List(_) => metadata(&entry, errors).map(Metadata::Map),
            Value::Absent => entry.wrong(errors, &format!("{} = value", entry.name())),
        };
        let Some(value) = value else { continue };
        match found.iter().any(|(name, _)| *name == entry.name()) {
            true => twice(errors, &entry.name),
            false => found.push((entry.name(), value)),
        }
    }
    Some(found)
}

fn metadata_value(name: &Ident, tokens: &TokenStream) -> syn::Result<Metadata> {
    let what = "expected a string, a number, `true`, `false` or `[..]`";
    if tokens.is_empty() {
        return Err(syn::Error::new(name.span(), what));
    }
    let mut trees = tokens.clone().into_iter();
    if let (Some(TokenTree::Group(group)), None) = (trees.next(), trees.next())
        && group.delimiter() == Delimiter::Bracket
    {
        let values = pieces(group.stream()).into_iter().map(|piece| metadata_value(name, &piece));
        return values.collect::<syn::Result<_>>().map(Metadata::List);
    }
    let wrong = |what: &str| syn::Error::new_spanned(tokens, what);
    let number = |input: ParseStream<'_>| {
        let minus: Option<syn::Token![-]> = input.parse()?;
        Ok((minus.is_some(), input.parse::<Lit>()?))
    };
    match number.parse2(tokens.clone()).map_err(|_| wrong(what))? {
        (false, Lit::Str(text)) => Ok(Metadata::Text(text.value())),
        (false, Lit::Bool(value)) => Ok(Metadata::Bool(value.value)),
        (is_negative, Lit::Int(int)) => {
            let sign = if is_negative { "-" } else { "" };
            let value = format!("{sign}{}", int.base10_digits()).parse();
            value.map(Metadata::Int).map_err(|_| wrong("the number does not fit 64 bits"))
        }
        (is_negative, Lit::Float(float)) => match float.base10_parse::<f64>()? {
            value if value.is_finite() => {
                Ok(Metadata::Float(if is_negative { -value } else { value }))
            }
            _ => Err(wrong("the number is too large")),
        },
        _ => Err(wrong(what)),
    }
}

/// Without the invisible group that a `macro_rules` fragment such as `$feature:path` comes in.
fn transparent(tokens: TokenStream) -> TokenStream {
    let open = |token| match token {
        TokenTree::Group(group) if group.delimiter() == Delimiter::None => group.stream(),
        other => other.into(),
    };
    tokens.into_iter().map(open).collect()
}
