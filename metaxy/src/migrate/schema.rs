//! [`Schema`]: all tables that a store with a graph has, and what of the definitions migrations go by.
//!
//! The tables are read off the very statements that make them for a store that may
//! (`store/sql/tables.rs`): the two cannot differ. A schema is kept as JSON beside the migrations, so
//! that the next one is made without a database.

use super::MigrationError;
use crate::error::{Error, Result};
use crate::graph::{FeatureGraph, ParentField};
use crate::key::FeatureKey;
use crate::spec::FeatureDefinition;
use crate::store::Settings;
use crate::store::backend::FeatureContext;
use crate::store::open::check_length;
use crate::store::sql::check_column;
use crate::store::sql::plan::{TableColumn, TableInfo, Tables};
use crate::store::sql::tables::FeatureTables;
use crate::store::stage;
use metaxy_sql::ast::{ColumnDecl, SqlType, Statement};
use metaxy_sql::functions::Function;
use metaxy_sql::{
    ColumnType, Dialect, HashAlgorithm, Ident, ScalarType, dialect, lower, print, system,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// A database that migrations are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// DuckDB.
    DuckDb,
    /// Postgres.
    Postgres,
    /// ClickHouse.
    ClickHouse,
}

/// Tables of a cluster are not migrated.
static CLICKHOUSE: dialect::ClickHouse = dialect::ClickHouse::ON_ONE_MACHINE;

impl Engine {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DuckDb, Self::Postgres, Self::ClickHouse];

    /// Its name, as [`FromStr`] reads it.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::DuckDb => "duckdb",
            Self::Postgres => "postgres",
            Self::ClickHouse => "clickhouse",
        }
    }

    /// How it writes SQL.
    #[must_use]
    pub fn dialect(self) -> &'static dyn Dialect {
        match self {
            Self::DuckDb => &dialect::DuckDb,
            Self::Postgres => &dialect::Postgres,
            Self::ClickHouse => &CLICKHOUSE,
        }
    }

    /// How a store in it hashes that is not told otherwise.
    #[must_use]
    pub fn default_settings(self) -> Settings {
        let hash_algorithm = self.dialect().default_algorithm();
        let hash_truncation_length = crate::version::DEFAULT_HASH_TRUNCATION_LENGTH;
        Settings { hash_algorithm, hash_truncation_length }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.dialect().name())
    }
}

impl FromStr for Engine {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let named = Self::ALL.into_iter().find(|engine| engine.id() == name);
        named.ok_or_else(|| MigrationError::UnknownEngine { name: name.to_owned() }.into())
    }
}

/// All tables that a store with a graph has, and what of the definitions migrations go by.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schema {
    /// The database.
    pub(super) engine: Engine,
    /// How the store hashes.
    #[serde(with = "settings")]
    pub(super) settings: Settings,
    /// By key.
    pub(super) features: BTreeMap<String, FeatureSchema>,
    /// By name.
    pub(super) tables: BTreeMap<String, TableSchema>,
    /// Those of features of other projects, as far as their columns are known: statements read them, and
    /// nothing here makes, changes or removes them.
    #[serde(skip)]
    pub(super) external: BTreeMap<String, TableSchema>,
    /// The graph, if this is the schema of one.
    #[serde(skip)]
    pub(super) graph: Option<FeatureGraph>,
}

/// What of a definition migrations go by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeatureSchema {
    pub(super) version: String,
    pub(super) id_columns: Vec<String>,
    /// By their names of today.
    pub(super) fields: BTreeMap<String, FieldSchema>,
}

/// A field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FieldSchema {
    /// Its first name, which by-field maps and hashes have.
    pub(super) first_name: String,
    pub(super) code_version: String,
    pub(super) parents: Vec<String>,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableSchema {
    /// The feature whose records, or seals, it holds; nothing for a table of the store.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) feature: Option<String>,
    /// The columns that its rows are looked up by.
    pub(super) key: Vec<String>,
    pub(super) columns: Vec<ColumnSchema>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ColumnSchema {
    pub(super) name: String,
    #[serde(rename = "type", serialize_with = "as_text", deserialize_with = "of_text")]
    pub(super) ty: ColumnType,
    /// Whether its times have no time zone, as those have that the Python implementation pushes.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub(super) local: bool,
    pub(super) nullable: bool,
}

fn as_text<S: Serializer>(ty: &ColumnType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(ty)
}

fn of_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ColumnType, D::Error> {
    let text = String::deserialize(deserializer)?;
    ColumnType::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is no type")))
}

/// The settings of a store as JSON.
mod settings {
    use super::{
        Deserialize, Deserializer, HashAlgorithm, Serialize, Serializer, Settings, check_length,
    };
    use serde::de::Error;

    #[derive(Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Json {
        hash_algorithm: String,
        hash_truncation_length: usize,
    }

    pub(super) fn serialize<S: Serializer>(
        settings: &Settings,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let hash_algorithm = settings.hash_algorithm.to_string();
        let hash_truncation_length = settings.hash_truncation_length;
        Json { hash_algorithm, hash_truncation_length }.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Settings, D::Error> {
        let Json { hash_algorithm: name, hash_truncation_length } =
            Json::deserialize(deserializer)?;
        let known = HashAlgorithm::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        let hash_algorithm =
            known.ok_or_else(|| D::Error::custom(format!("`{name}` is no hash algorithm")))?;
        check_length(hash_truncation_length).map_err(D::Error::custom)?;
        Ok(Settings { hash_algorithm, hash_truncation_length })
    }
}

impl Schema {
    /// The names of the tables.
    pub fn table_names(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    /// The schema of a database without any table of a store.
    #[must_use]
    pub fn empty(engine: Engine, settings: Settings) -> Self {
        let (features, tables) = (BTreeMap::new(), BTreeMap::new());
        Self { engine, settings, features, tables, external: BTreeMap::new(), graph: None }
    }

    /// The schema of a store with a graph: the tables of the store, and those of all features but the
    /// [external](FeatureDefinition::is_external) ones, whose projects make them.
    ///
    /// # Errors
    /// When the columns of a feature are not known, or something has a name that the engine cannot
    /// keep, or it has no such hash, or too few characters of one are kept.
    pub fn of(graph: &FeatureGraph, engine: Engine, settings: Settings) -> Result<Self> {
        let dialect = engine.dialect();
        let algorithm = settings.hash_algorithm;
        if dialect.function(Function::Hash(algorithm)).is_empty() {
            return Err(Error::Setting {
                setting: "hash_algorithm",
                value: algorithm.to_string(),
                problem: "the engine cannot compute it; take `md5` or `sha256`",
            });
        }
        check_length(settings.hash_truncation_length)?;
        let mut schema = Self { graph: Some(graph.clone()), ..Self::empty(engine, settings) };
        for statement in lower::system_tables() {
            schema.add(None, statement)?;
        }
        let own = || graph.iter().filter(|definition| !definition.is_external());
        let unknown = own().filter(|definition| definition.columns.is_none()).map(|definition| {
            format!(
                "the types of the columns of `{}` are not known, as in every spec file; make \
                 migrations with the program that declares it",
                definition.spec.key
            )
        });
        refuse_if_any(unknown.collect())?;
        for definition in own() {
            schema.add_feature(graph, definition)?;
        }
        let is_known = |d: &&FeatureDefinition| d.is_external() && d.columns.is_some();
        for definition in graph.iter().filter(is_known) {
            let key = &definition.spec.key;
            let feature = FeatureContext::new(graph, key, settings.hash())?;
            for statement in statements(&feature)? {
                let (name, table) = TableSchema::of(Some(key.to_string()), statement)?;
                schema.external.insert(name, table);
            }
        }
        Ok(schema)
    }

    fn add_feature(&mut self, graph: &FeatureGraph, definition: &FeatureDefinition) -> Result<()> {
        let spec = &definition.spec;
        let feature = FeatureContext::new(graph, &spec.key, self.settings.hash())?;
        let table = spec.key.table_name();
        for column in definition.columns.iter().flatten() {
            check_column(self.engine.dialect(), &table, &column.name)?;
        }
        for statement in statements(&feature)? {
            self.add(Some(spec.key.to_string()), statement)?;
        }
        let field = |field: &crate::spec::FieldSpec| {
            let parents = graph.parents(&spec.key, &field.key).iter().map(ParentField::label);
            let schema = FieldSchema {
                first_name: field.wire_key().struct_key(),
                code_version: field.code_version.clone(),
                parents: parents.collect(),
            };
            (field.key.to_string(), schema)
        };
        let schema = FeatureSchema {
            version: feature.versions().feature_version.clone(),
            id_columns: spec.id_columns.clone(),
            fields: spec.fields.iter().map(field).collect(),
        };
        self.features.insert(spec.key.to_string(), schema);
        Ok(())
    }

    /// Adds the table that a statement makes.
    fn add(&mut self, feature: Option<String>, statement: Statement) -> Result<()> {
        // Names that the engine would cut are seen here.
        print(&statement, self.engine.dialect())?;
        let (name, table) = TableSchema::of(feature, statement)?;
        self.tables.insert(name, table);
        Ok(())
    }

    /// The same graph over the tables that a database has: what is there is as it is, and nothing else
    /// is. Nobody asks which columns may be NULL, so that a change of that is made once too often.
    pub(super) fn found(mut self, tables: &Tables) -> Result<Self> {
        let dialect = self.engine.dialect();
        self.tables.retain(|name, _| tables.contains_key(name));
        let mut unknown = Vec::new();
        // What both implementations push to is as the wire format has it, and never changed.
        for (name, table) in self.tables.iter_mut().filter(|(name, _)| *name != system::PUSHES) {
            let today = std::mem::take(&mut table.columns);
            for (column, found) in &tables[name].columns {
                let declared = today.iter().find(|today| today.name == *column);
                let is_as_declared =
                    |today: &&ColumnSchema| dialect.column_type(today.ty) == found.type_name;
                let ty = declared.filter(is_as_declared).map(|today| today.ty).or(found.ty);
                match ty {
                    Some(ty) => table.columns.push(ColumnSchema {
                        name: column.clone(),
                        ty,
                        local: false,
                        nullable: declared.is_some_and(|today| today.nullable),
                    }),
                    None => unknown.push(format!(
                        "the column `{column}` of `{name}` is {}, which no column of a store is; give it \
                         another type first",
                        found.type_name
                    )),
                }
            }
        }
        refuse_if_any(unknown)?;
        Ok(self)
    }

    /// What a store whose tables these are finds in its database.
    pub(super) fn tables(&self) -> Tables {
        let dialect = self.engine.dialect();
        let column = |column: &ColumnSchema| {
            (column.name.clone(), TableColumn::new(dialect, dialect.column_type(column.ty)))
        };
        let table = |(name, table): (&String, &TableSchema)| {
            let columns = table.columns.iter().map(column).collect();
            (name.clone(), TableInfo { columns, ..TableInfo::default() })
        };
        self.tables.iter().chain(&self.external).map(table).collect()
    }

    /// The definition of a feature of the graph that is another project's.
    pub(super) fn external_feature(&self, key: &str) -> Option<&FeatureDefinition> {
        let definition = self.graph.as_ref()?.get(&FeatureKey::new(key).ok()?)?;
        definition.is_external().then_some(definition)
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// How the store hashes.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.settings
    }
}

impl TableSchema {
    /// The table that a statement makes, and its name.
    fn of(feature: Option<String>, statement: Statement) -> Result<(String, Self)> {
        let Statement::CreateTable { table, columns, key, .. } = statement else {
            return Err(Error::internal("a table is made by another statement"));
        };
        let columns = columns.into_iter().map(|decl| {
            let (ty, local) = match decl.ty {
                SqlType::Column(ty) => (ty, false),
                SqlType::LocalTimestamp => (ColumnType::Scalar(ScalarType::Timestamp), true),
                _ => return Err(Error::internal("a table of a store has a column of a plan")),
            };
            let name = decl.name.as_str().to_owned();
            Ok(ColumnSchema { name, ty, local, nullable: decl.nullable })
        });
        let columns = columns.collect::<Result<_>>()?;
        let key = key.iter().map(|column| column.as_str().to_owned()).collect();
        Ok((table.as_str().to_owned(), Self { feature, key, columns }))
    }

    /// The statement that makes the table.
    pub(super) fn create(&self, name: &str) -> Result<Statement> {
        let key = self.key.iter().map(|column| Ok(Ident::new(column)?));
        let key: Vec<Ident> = key.collect::<Result<_>>()?;
        Ok(Statement::CreateTable {
            table: Ident::new(name)?,
            columns: self.columns.iter().map(ColumnSchema::decl).collect::<Result<_>>()?,
            together: key.clone(),
            key,
            temporary: false,
        })
    }

    pub(super) fn column(&self, name: &str) -> Option<&ColumnSchema> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl ColumnSchema {
    pub(super) fn decl(&self) -> Result<ColumnDecl> {
        let name = Ident::new(&self.name)?;
        let ty = if self.local { SqlType::LocalTimestamp } else { self.ty.into() };
        Ok(ColumnDecl { name, ty, nullable: self.nullable })
    }
}

/// What makes the tables of a feature.
fn statements(feature: &FeatureContext) -> Result<impl Iterator<Item = Statement>> {
    let layout = stage::layout(feature, &arrow::datatypes::Schema::empty())?;
    let tables = FeatureTables::of(feature.key(), &layout)?;
    Ok([tables.records].into_iter().chain(tables.seals))
}

/// An error with all reasons, if there are any.
pub(super) fn refuse_if_any(reasons: Vec<String>) -> Result<()> {
    if reasons.is_empty() { Ok(()) } else { Err(MigrationError::Refused { reasons }.into()) }
}
