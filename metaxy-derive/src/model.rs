//! `DeriveInput` -> models: what the user declared, without any syntax left to look at.
//!
//! Identifiers lose their `r#` here and only here; what is a name in the store is text from now on.
//! A model is complete even if errors were found, so that `validate` can find more.

use crate::attr::{
    self, ColumnAttrs, FeatureAttrs, FieldDeps, MemberAttrs, Metadata, NameAttrs, Opt, RowAttrs,
    Upstream,
};
use crate::diag::{Errors, instead};
use crate::span;
use crate::symbol::{ROW_MEMBER_OPTIONS, VARIANT_OPTIONS};
use proc_macro2::{Ident, Span};
use syn::ext::IdentExt as _;
use syn::{Data, DeriveInput, Fields, Generics, LitStr, Path, Type};

/// A struct that derives `Feature`.
#[derive(Debug)]
pub(crate) struct FeatureModel {
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) krate: Path,
    pub(crate) key: LitStr,
    pub(crate) project: Option<LitStr>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Vec<(String, Metadata)>,
    pub(crate) upstreams: Vec<Upstream>,
    pub(crate) members: Vec<Member>,
    /// Whether every option of every member could be read; if not, `field` may be among the others.
    pub(crate) has_all_roles: bool,
}

/// A member of it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) ty: Type,
    pub(crate) description: Option<String>,
    pub(crate) role: Role,
}

/// What a member is.
#[derive(Debug)]
pub(crate) enum Role {
    /// An id column of this name.
    Id(LitStr),
    /// Another column of this name.
    Column(LitStr),
    /// A field.
    Field(FieldModel),
}

/// A field.
#[derive(Debug)]
pub(crate) struct FieldModel {
    pub(crate) key: LitStr,
    pub(crate) code_version: Option<LitStr>,
    pub(crate) deps: FieldDepsModel,
    pub(crate) renamed_from: Option<LitStr>,
}

/// What a field is computed from.
#[derive(Debug)]
pub(crate) enum FieldDepsModel {
    Mapped,
    All(Span),
    Fields(Vec<FieldDep>),
}

/// `Video::audio`, or `Video` for all its fields.
#[derive(Debug)]
pub(crate) struct FieldDep {
    pub(crate) feature: Path,
    pub(crate) field: Option<Ident>,
}

/// A struct that derives `Row`.
#[derive(Debug)]
pub(crate) struct RowModel {
    pub(crate) ident: Ident,
    pub(crate) name: String,
    pub(crate) krate: Path,
    pub(crate) members: Vec<Member>,
}

/// A type that derives `Column`.
#[derive(Debug)]
pub(crate) struct ColumnModel {
    pub(crate) ident: Ident,
    pub(crate) krate: Path,
    pub(crate) shape: ColumnShape,
}

/// What such a type is.
#[derive(Debug)]
pub(crate) enum ColumnShape {
    /// A struct around one value; `None` is `.0`.
    Newtype { member: Option<Ident>, ty: Box<Type> },
    /// An enum without data: each variant and its text.
    Enum(Vec<(Ident, LitStr)>),
}

impl FeatureModel {
    pub(crate) fn from_input(errors: &mut Errors, input: &DeriveInput) -> Option<Self> {
        let name = input.ident.unraw().to_string();
        let n_errors = errors.len();
        let attrs = FeatureAttrs::parse(errors, &input.attrs);
        // An option that could not be read may have been the key: that is one mistake, not two.
        if attrs.key.is_none() && errors.len() == n_errors {
            let message = format!("`{name}` has no key; add `#[metaxy(key = \"..\")]`");
            errors.at(input.ident.span(), message);
        }
        let missing = || LitStr::new("missing", input.ident.span());
        not_generic(errors, &name, "feature", &input.generics);
        let upstreams = attrs.deps.map(|deps| deps.value).unwrap_or_default();
        let members = named_members(errors, input, "feature")?;
        let n_errors = errors.len();
        let members: Vec<_> =
            members.iter().map(|member| Member::of_feature(errors, member, &upstreams)).collect();
        let has_all_roles = errors.len() == n_errors;
        Some(Self {
            ident: input.ident.clone(),
            name,
            krate: crate_path(attrs.krate),
            key: attrs.key.map_or_else(missing, |key| key.value),
            project: attrs.project.map(|project| project.value),
            description: attr::description(&input.attrs),
            metadata: attrs.metadata.map(|metadata| metadata.value).unwrap_or_default(),
            upstreams,
            members,
            has_all_roles,
        })
    }

    /// The id columns: the member and its name in the store.
    pub(crate) fn ids(&self) -> impl Iterator<Item = (&Member, &LitStr)> {
        self.members.iter().filter_map(|member| match &member.role {
            Role::Id(name) => Some((member, name)),
            Role::Column(_) | Role::Field(_) => None,
        })
    }

    /// The other columns.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&Member, &LitStr)> {
        self.members.iter().filter_map(|member| match &member.role {
            Role::Column(name) => Some((member, name)),
            Role::Id(_) | Role::Field(_) => None,
        })
    }

    /// The fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&Member, &FieldModel)> {
        self.members.iter().filter_map(|member| match &member.role {
            Role::Field(field) => Some((member, field)),
            Role::Id(_) | Role::Column(_) => None,
        })
    }

    /// The name in the store of the id that is this member.
    pub(crate) fn id_named(&self, member: &Ident) -> Option<&LitStr> {
        self.ids().find(|(id, _)| *member.unraw().to_string() == *id.name).map(|(_, name)| name)
    }

    /// The key of the field that is this member.
    pub(crate) fn field_named(&self, member: &Ident) -> Option<&LitStr> {
        let mut fields = self.fields();
        fields.find(|(field, _)| *member.unraw().to_string() == *field.name).map(|(_, f)| &f.key)
    }
}

impl Member {
    fn of_feature(errors: &mut Errors, member: &syn::Field, upstreams: &[Upstream]) -> Self {
        let (ident, name) = names_of(member);
        let attrs = MemberAttrs::parse(errors, &member.attrs);
        let own_name = LitStr::new(&name, ident.span());
        let belongs = |errors: &mut Errors, option: Option<&Ident>, to: &str, instead: &str| {
            if let Some(option) = option {
                errors.at(option.span(), format!("`{option}` belongs to {to}; {instead}"));
            }
        };
        let role = if attrs.field.is_some() {
            belongs(
                errors,
                attrs.id.as_ref().map(|o| &o.name),
                "a column",
                "a member is either an id or a field",
            );
            belongs(
                errors,
                attrs.name.as_ref().map(|o| &o.name),
                "a column",
                "a field has a `key`",
            );
            Role::Field(FieldModel {
                key: attrs.key.map_or(own_name, |key| key.value),
                code_version: attrs.code_version.map(|version| version.value),
                deps: match attrs.deps {
                    None => FieldDepsModel::Mapped,
                    Some(Opt { name, value: FieldDeps::All }) => FieldDepsModel::All(name.span()),
                    Some(Opt { value: FieldDeps::Paths(paths), .. }) => FieldDepsModel::Fields(
                        paths
                            .into_iter()
                            .filter_map(|path| FieldDep::of_path(errors, path, upstreams))
                            .collect(),
                    ),
                },
                renamed_from: attrs.renamed_from.map(|from| from.value),
            })
        } else {
            let fix = "add `field`, or leave it out";
            belongs(
                errors,
                attrs.key.as_ref().map(|o| &o.name),
                "a field",
                "a column has a `name`",
            );
            belongs(errors, attrs.code_version.as_ref().map(|o| &o.name), "a field", fix);
            belongs(errors, attrs.deps.as_ref().map(|o| &o.name), "a field", fix);
            belongs(errors, attrs.renamed_from.as_ref().map(|o| &o.name), "a field", fix);
            let column = attrs.name.map_or(own_name, |name| name.value);
            if attrs.id.is_some() { Role::Id(column) } else { Role::Column(column) }
        };
        Self {
            ident,
            name,
            ty: member.ty.clone(),
            description: attr::description(&member.attrs),
            role,
        }
    }

    fn of_row(errors: &mut Errors, member: &syn::Field) -> Self {
        let (ident, name) = names_of(member);
        let attrs = NameAttrs::parse(errors, &member.attrs, ROW_MEMBER_OPTIONS);
        let column = attrs.name.map_or_else(|| LitStr::new(&name, ident.span()), |name| name.value);
        let role = Role::Column(column);
        Self {
            ident,
            name,
            ty: member.ty.clone(),
            description: attr::description(&member.attrs),
            role,
        }
    }
}

impl FieldDep {
    /// Whether a path ends in a feature or in one of its fields: a macro sees no types, so first
    /// what is listed as an upstream decides, then the case of the last segment.
    fn of_path(errors: &mut Errors, path: Path, upstreams: &[Upstream]) -> Option<Self> {
        let is_listed = |path: &Path| upstreams.iter().any(|upstream| upstream.feature == *path);
        if is_listed(&path) {
            return Some(Self { feature: path, field: None });
        }
        let last = span::last(&path).clone();
        let mut feature = path.clone();
        feature.segments.pop();
        // What is left ends in `::`.
        feature.segments.pop_punct();
        let is_type_name = last.unraw().to_string().starts_with(char::is_uppercase);
        if !feature.segments.is_empty() && (is_listed(&feature) || !is_type_name) {
            return Some(Self { feature, field: Some(last) });
        }
        if is_type_name {
            return Some(Self { feature: path, field: None });
        }
        errors.under(path, format!("expected `Feature::{last}`, the field of an upstream"));
        None
    }
}

impl RowModel {
    pub(crate) fn from_input(errors: &mut Errors, input: &DeriveInput) -> Option<Self> {
        let attrs = RowAttrs::parse(errors, &input.attrs);
        let name = input.ident.unraw().to_string();
        not_generic(errors, &name, "row", &input.generics);
        let members = named_members(errors, input, "row")?;
        let members = members.iter().map(|member| Member::of_row(errors, member)).collect();
        Some(Self { ident: input.ident.clone(), name, krate: crate_path(attrs.krate), members })
    }
}

impl ColumnModel {
    pub(crate) fn from_input(errors: &mut Errors, input: &DeriveInput) -> Option<Self> {
        let attrs = ColumnAttrs::parse(errors, &input.attrs);
        let name = input.ident.unraw().to_string();
        not_generic(errors, &name, "column type", &input.generics);
        let shape = match &input.data {
            Data::Struct(data) => {
                if let Some(option) = &attrs.rename_all {
                    errors.at(option.name.span(), "`rename_all` belongs to an enum");
                }
                let mut members = data.fields.iter();
                match (members.next(), members.next()) {
                    (Some(member), None) => {
                        // Reported as unknown: nothing can be said of the only member.
                        NameAttrs::parse(errors, &member.attrs, &[]);
                        ColumnShape::Newtype {
                            member: member.ident.clone(),
                            ty: Box::new(member.ty.clone()),
                        }
                    }
                    _ => {
                        let message = format!(
                            "`{name}` is no column type; expected a struct with one member, as in `struct {name}(String);`"
                        );
                        errors.at(input.ident.span(), message);
                        return None;
                    }
                }
            }
            Data::Enum(data) => {
                let case = attrs.rename_all.and_then(|case| Case::parse(errors, &case.value));
                let variants = data.variants.iter().map(|variant| {
                    let attrs = NameAttrs::parse(errors, &variant.attrs, VARIANT_OPTIONS);
                    if !matches!(variant.fields, Fields::Unit) {
                        let message = "a variant with data cannot be stored in a column; variants are stored as text";
                        errors.under(&variant.fields, message);
                    }
                    let own = variant.ident.unraw().to_string();
                    let own = case.map_or_else(|| own.clone(), |case| case.apply(&own));
                    let own = || LitStr::new(&own, variant.ident.span());
                    (variant.ident.clone(), attrs.name.map_or_else(own, |name| name.value))
                });
                ColumnShape::Enum(variants.collect())
            }
            Data::Union(_) => {
                errors.at(input.ident.span(), "a union cannot be stored in a column");
                return None;
            }
        };
        Some(Self { ident: input.ident.clone(), krate: crate_path(attrs.krate), shape })
    }
}

/// `rename_all = ".."`.
#[derive(Clone, Copy, Debug)]
enum Case {
    Lower,
    Upper,
    Snake,
    Kebab,
    ScreamingSnake,
}

impl Case {
    const ALL: [(&'static str, Self); 5] = [
        ("lowercase", Self::Lower),
        ("UPPERCASE", Self::Upper),
        ("snake_case", Self::Snake),
        ("kebab-case", Self::Kebab),
        ("SCREAMING_SNAKE_CASE", Self::ScreamingSnake),
    ];

    fn parse(errors: &mut Errors, text: &LitStr) -> Option<Self> {
        let value = text.value();
        let found = Self::ALL.iter().find(|(name, _)| *name == value);
        if found.is_none() {
            let names = Self::ALL.map(|(name, _)| name);
            errors.at(text.span(), format!("unknown case `{value}`, {}", instead(&value, &names)));
        }
        found.map(|&(_, case)| case)
    }

    /// From the case of variants.
    fn apply(self, variant: &str) -> String {
        let mut words = String::new();
        for (i, letter) in variant.char_indices() {
            if i > 0 && letter.is_uppercase() {
                words.push('_');
            }
            words.push(letter);
        }
        match self {
            Self::Lower => variant.to_lowercase(),
            Self::Upper => variant.to_uppercase(),
            Self::Snake => words.to_lowercase(),
            Self::Kebab => words.to_lowercase().replace('_', "-"),
            Self::ScreamingSnake => words.to_uppercase(),
        }
    }
}

fn names_of(member: &syn::Field) -> (Ident, String) {
    let ident = member.ident.clone().expect("only named members get here");
    let name = ident.unraw().to_string();
    (ident, name)
}

/// The runtime, unless `crate = path` says where else it is.
fn crate_path(krate: Option<Opt<Path>>) -> Path {
    krate.map_or_else(|| syn::parse_quote!(::metaxy), |krate| krate.value)
}

fn not_generic(errors: &mut Errors, name: &str, what: &str, generics: &Generics) {
    if !generics.params.is_empty() {
        let message = format!(
            "`{name}` has generic parameters; a {what} is one concrete type, since it stands for one set of columns"
        );
        errors.under(&generics.params, message);
    } else if let Some(clause) = &generics.where_clause {
        errors.under(clause, format!("a {what} has no `where` clause"));
    }
}

/// The members of a struct with named members.
fn named_members<'a>(
    errors: &mut Errors,
    input: &'a DeriveInput,
    what: &str,
) -> Option<Vec<&'a syn::Field>> {
    let found = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(members) => return Some(members.named.iter().collect()),
            Fields::Unnamed(_) => "a tuple struct",
            Fields::Unit => "a struct without members",
        },
        Data::Enum(_) => "an enum",
        Data::Union(_) => "a union",
    };
    let message = format!("a {what} is a struct with named members, not {found}");
    errors.at(input.ident.span(), message);
    None
}
