//! [`FeatureDef`]: the plain data that `#[derive(Feature)]` emits, and how it becomes a
//! [`FeatureDefinition`].
//!
//! Everything here can be made in a constant and read in one: the checks of [`crate::check`] walk
//! over it at compile time. Nothing is versioned or hashed with SHA-256 here; that costs
//! milliseconds in a constant and nanoseconds at run time.

mod ptr;

pub use self::ptr::DefPtr;
use crate::key::{FeatureKey, FieldKey};
use crate::schema;
use crate::spec::{
    ColumnSpec, FeatureDefinition, FeatureDep, FeatureSpec, FieldDep, FieldDeps, FieldSpec,
    FieldsMapping, INITIAL_CODE_VERSION, Lineage, Origin,
};
use metaxy_sql::ColumnType;
use serde_json::{Map, Value};
use std::fmt;
use std::marker::PhantomData;

/// One derived feature.
#[derive(Debug)]
pub struct FeatureDef {
    /// The key, already checked.
    pub key: &'static str,
    /// [`hash`] of the key: walks in constants compare this first.
    pub key_hash: u64,
    /// The name of the struct.
    pub type_name: &'static str,
    /// The path of the module it is in.
    pub module: &'static str,
    /// The project that the struct names.
    pub project: Option<&'static str>,
    /// The package it is compiled in; the project if the struct names none.
    pub package: Option<&'static str>,
    /// The file it is in, as the compiler saw it.
    pub file: &'static str,
    /// The line it is on.
    pub line: u32,
    /// The doc comment of the struct.
    pub description: Option<&'static str>,
    /// What `metadata(..)` holds.
    pub metadata: &'static [(&'static str, MetadataDef)],
    /// The id columns, in the order of declaration.
    pub ids: &'static [ColumnDef],
    /// The other columns, in the order of declaration.
    pub columns: &'static [ColumnDef],
    /// The fields, in the order of declaration.
    pub fields: &'static [FieldDef],
    /// The upstreams, in the order of declaration.
    pub deps: &'static [DepDef],
    /// Whether the derive has reported errors: the checks are then silent about the rest.
    pub is_broken: bool,
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct ColumnDef {
    /// The name in the store.
    pub name: &'static str,
    /// The type of its values.
    pub ty: ColumnType,
    /// Whether it may hold NULL.
    pub nullable: bool,
    /// The doc comment of the member.
    pub description: Option<&'static str>,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub struct FieldDef {
    /// The key, already checked.
    pub key: &'static str,
    /// The code version, if the member names one.
    pub code_version: Option<&'static str>,
    /// What it is computed from.
    pub deps: FieldDepsDef,
    /// The first name of the field.
    pub renamed_from: Option<&'static str>,
}

/// What a field is computed from.
#[derive(Clone, Copy, Debug)]
pub enum FieldDepsDef {
    /// What the mapping of each upstream gives.
    Mapped,
    /// Every field of every upstream.
    All,
    /// Exactly these.
    Fields(&'static [FieldDepDef]),
}

/// One entry of `deps(..)` on a field.
#[derive(Clone, Copy, Debug)]
pub struct FieldDepDef {
    /// The upstream.
    pub feature: DefPtr,
    /// The key of its field; `None` is all of them.
    pub field: Option<&'static str>,
}

/// One upstream.
#[derive(Clone, Copy, Debug)]
pub struct DepDef {
    /// The upstream.
    pub feature: DefPtr,
    /// Whether a record exists without a row of it.
    pub optional: bool,
    /// Its columns that come along, by their names upstream; `None` is all of them.
    pub select: Option<&'static [&'static str]>,
    /// `(name upstream, name here)`.
    pub rename: &'static [(&'static str, &'static str)],
    /// Filters over its columns, by their names here.
    pub filters: &'static [&'static str],
    /// How its records relate to those of the feature.
    pub lineage: LineageDef,
    /// Which of its fields a field depends on when it names none.
    pub fields: MappingDef,
}

/// How records of an upstream relate to those of the feature.
#[derive(Clone, Copy, Debug)]
pub enum LineageDef {
    /// One to one.
    Identity,
    /// Many to one.
    Aggregation {
        /// The columns that name a group, by their names here; `None` is the ids of the feature.
        on: Option<&'static [&'static str]>,
    },
    /// One to many.
    Expansion {
        /// The columns that name the parent, by their names here.
        on: &'static [&'static str],
    },
}

/// Which upstream fields a field depends on when it names none.
#[derive(Clone, Copy, Debug)]
pub enum MappingDef {
    /// By name, or by suffix.
    Default {
        /// Whether `audio` matches `en/audio`.
        match_suffix: bool,
        /// Upstream fields that are never matched.
        exclude: &'static [&'static str],
    },
    /// What is listed per field.
    Specific(&'static [(&'static str, &'static [&'static str])]),
    /// All.
    All,
    /// None.
    None,
}

/// One value of `metadata(..)`.
#[derive(Clone, Copy, Debug)]
pub enum MetadataDef {
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(&'static str),
    /// `[a, b]`.
    List(&'static [MetadataDef]),
    /// `name(a = .., b = ..)`.
    Map(&'static [(&'static str, MetadataDef)]),
}

/// A field of the feature `F`: `Video::FIELDS.audio`.
pub struct FieldRef<F> {
    key: &'static str,
    feature: PhantomData<fn() -> F>,
}

impl<F> FieldRef<F> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(key: &'static str) -> Self {
        Self { key, feature: PhantomData }
    }

    /// The key of the field.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        self.key
    }
}

/// A column of the feature `F`: `Video::COLUMNS.path`.
pub struct ColumnRef<F> {
    name: &'static str,
    feature: PhantomData<fn() -> F>,
}

impl<F> ColumnRef<F> {
    #[doc(hidden)]
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name, feature: PhantomData }
    }

    /// The name of the column in the store.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

/// Derives would ask the same of `F`.
macro_rules! copy_and_show {
    ($ty:ident, $text:ident) => {
        impl<F> Clone for $ty<F> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<F> Copy for $ty<F> {}

        impl<F> fmt::Debug for $ty<F> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($ty), "(`{}`)"), self.$text)
            }
        }
    };
}

copy_and_show!(FieldRef, key);
copy_and_show!(ColumnRef, name);

/// FNV-1a with 64 bits: cheap in a constant.
#[must_use]
pub const fn hash(text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    hash
}

impl FeatureDef {
    /// What stands for a feature that the derive has reported errors in.
    #[must_use]
    pub const fn broken(type_name: &'static str) -> Self {
        Self {
            key: "broken",
            key_hash: 0,
            type_name,
            module: "",
            project: None,
            package: None,
            file: "",
            line: 0,
            description: None,
            metadata: &[],
            ids: &[],
            columns: &[],
            fields: &[],
            deps: &[],
            is_broken: true,
        }
    }

    /// The key.
    #[must_use]
    pub fn feature_key(&self) -> FeatureKey {
        FeatureKey::new(self.key).expect(CHECKED)
    }

    /// Where the type lives, `crate::module::Type`.
    #[must_use]
    pub fn type_path(&self) -> String {
        format!("{}::{}", self.module, self.type_name)
    }

    /// The project it belongs to.
    #[must_use]
    pub fn project(&self) -> &'static str {
        // Without cargo there is no package; the crate is then the best name there is.
        let crate_name = || self.module.split("::").next().unwrap_or(self.module);
        self.project.or(self.package).unwrap_or_else(crate_name)
    }

    /// What the rest of the library works with.
    #[must_use]
    pub fn to_definition(&self) -> FeatureDefinition {
        let columns = || self.ids.iter().chain(self.columns);
        FeatureDefinition {
            spec: FeatureSpec {
                key: self.feature_key(),
                id_columns: self.ids.iter().map(|id| id.name.to_owned()).collect(),
                deps: self.deps.iter().map(DepDef::spec).collect(),
                fields: self.fields.iter().map(FieldDef::spec).collect(),
                metadata: to_json_map(self.metadata),
                description: self.description.map(str::to_owned),
            },
            project: self.project().to_owned(),
            columns: Some(columns().map(ColumnDef::to_spec).collect()),
            schema: schema::of(self.type_name, self.description, columns().map(Into::into)),
            type_path: self.type_path(),
            origin: Origin::Source { file: self.file.to_owned(), line: self.line },
        }
    }
}

impl ColumnDef {
    /// What the rest of the library works with.
    #[must_use]
    pub fn to_spec(&self) -> ColumnSpec {
        ColumnSpec { name: self.name.to_owned(), ty: self.ty, nullable: self.nullable }
    }
}

impl FieldDef {
    /// The key in the by-field maps: made from the first name of the field.
    #[must_use]
    pub fn struct_key(&self) -> String {
        field_key(self.renamed_from.unwrap_or(self.key)).struct_key()
    }

    fn spec(&self) -> FieldSpec {
        FieldSpec {
            key: field_key(self.key),
            code_version: self.code_version.unwrap_or(INITIAL_CODE_VERSION).to_owned(),
            deps: match self.deps {
                FieldDepsDef::Mapped => FieldDeps::Mapped,
                FieldDepsDef::All => FieldDeps::All,
                FieldDepsDef::Fields(deps) => FieldDeps::Fields(by_feature(deps)),
            },
            renamed_from: self.renamed_from.map(field_key),
        }
    }
}

/// One entry per upstream, in the order in which they are first named.
fn by_feature(deps: &[FieldDepDef]) -> Vec<FieldDep> {
    let mut specs: Vec<FieldDep> = Vec::new();
    for dep in deps {
        let feature = dep.feature.get().feature_key();
        let known = specs.iter().position(|spec| spec.feature == feature);
        let spec = match known {
            Some(i) => &mut specs[i],
            None => specs.push_mut(FieldDep { feature, fields: Some(Vec::new()) }),
        };
        match dep.field {
            // All of them, whatever else is listed.
            None => spec.fields = None,
            Some(field) => spec.fields.iter_mut().for_each(|fields| fields.push(field_key(field))),
        }
    }
    specs
}

impl DepDef {
    /// The name that a column of the upstream has here.
    #[must_use]
    pub fn renamed(&self, column: &'static str) -> &'static str {
        self.rename.iter().find(|(from, _)| *from == column).map_or(column, |(_, to)| to)
    }

    fn spec(&self) -> FeatureDep {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let rename = self.rename.iter().map(|&(from, to)| (from.to_owned(), to.to_owned()));
        FeatureDep {
            feature: self.feature.get().feature_key(),
            select: self
                .select
                .map(|columns| columns.iter().map(|c| self.renamed(c).to_owned()).collect()),
            rename: (!self.rename.is_empty()).then(|| rename.collect()),
            fields_mapping: self.fields.to_spec(),
            filters: (!self.filters.is_empty()).then(|| owned(self.filters)),
            lineage: match self.lineage {
                LineageDef::Identity => Lineage::Identity,
                LineageDef::Aggregation { on } => Lineage::Aggregation { on: on.map(owned) },
                LineageDef::Expansion { on } => {
                    Lineage::Expansion { on: owned(on), id_generation_pattern: None }
                }
            },
            optional: self.optional,
        }
    }
}

impl MappingDef {
    fn to_spec(self) -> FieldsMapping {
        let keys = |keys: &[&str]| keys.iter().map(|&key| field_key(key)).collect::<Vec<_>>();
        match self {
            Self::Default { match_suffix, exclude } => {
                FieldsMapping::Default { match_suffix, exclude: keys(exclude) }
            }
            Self::Specific(mapping) => FieldsMapping::Specific(
                mapping
                    .iter()
                    .map(|&(field, upstream)| (field_key(field), keys(upstream)))
                    .collect(),
            ),
            Self::All => FieldsMapping::All,
            Self::None => FieldsMapping::None,
        }
    }
}

impl MetadataDef {
    fn to_json(self) -> Value {
        match self {
            Self::Bool(value) => value.into(),
            Self::Int(value) => value.into(),
            Self::Float(value) => value.into(),
            Self::Text(value) => value.into(),
            Self::List(values) => values.iter().map(|value| value.to_json()).collect(),
            Self::Map(entries) => to_json_map(entries).into(),
        }
    }
}

fn to_json_map(entries: &[(&str, MetadataDef)]) -> Map<String, Value> {
    entries.iter().map(|&(name, value)| (name.to_owned(), value.to_json())).collect()
}

fn field_key(text: &str) -> FieldKey {
    FieldKey::new(text).expect(CHECKED)
}

const CHECKED: &str = "`check::keys` looks at every key at compile time";
