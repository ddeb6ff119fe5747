//! Features and what a store holds -> relational plans.
//!
//! In: a feature in its graph, and the tables that are there. Out: plans of [`metaxy_sql`], which
//! know nothing of features. Not here: SQL, or a connection.

use crate::error::{Error, Result};
use crate::filter;
use crate::graph::ParentField;
use crate::key::FeatureKey;
use crate::spec::{ColumnSpec, FeatureDep, FeatureSpec, FieldSpec, Lineage};
use crate::store::backend::{
    Failed, FeatureContext, Layout, ReadOptions, ResolveOptions, WriteOptions,
};
use crate::store::filters::{self, Known};
use arrow::datatypes::DataType;
use indexmap::IndexMap;
use metaxy_sql::filter::Filter;
use metaxy_sql::plan::{
    Append, AppendFrom, ByField, Call, Expected, Failures, Field, FieldDefinition, Input, OrderBy,
    Part, Read, Records, Resolve, RootFields, Scope, Seal, Seals, Source, Stage, Stamp, Statistics,
    Target, Time, Tombstone, Unchanged,
};
use metaxy_sql::{ColumnType, Dialect, system};
use std::collections::HashMap;

/// The tables of a store that a plan needs to know, by name.
pub(crate) type Tables = HashMap<String, TableInfo>;

/// A column as it is.
#[derive(Clone, Debug)]
pub(crate) struct TableColumn {
    /// The engine's own name of its type.
    pub(crate) type_name: String,
    /// The type, if it is one that a column of ours can have.
    pub(crate) ty: Option<ColumnType>,
}

impl TableColumn {
    /// A column whose type a dialect knows by this name, or not.
    pub(crate) fn new(dialect: &dyn Dialect, type_name: String) -> Self {
        Self { ty: dialect.parse_type(&type_name), type_name }
    }
}

/// A table as it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct TableInfo {
    /// The columns, in order.
    pub(crate) columns: IndexMap<String, TableColumn>,
    /// The temporary table that is read in its place: its records are in another store.
    pub(crate) stand_in: Option<String>,
    /// What is likely of its rows.
    pub(crate) statistics: Statistics,
    /// Whether no other definition than today's is recorded of its feature.
    pub(crate) sole_definition: bool,
}

impl TableInfo {
    fn by_field(&self, column: &str) -> ByField {
        match self.columns.get(column).and_then(|column| struct_members(&column.type_name)) {
            Some(members) => ByField::Struct(members),
            None => ByField::Map,
        }
    }

    /// Refuses to write to a table that keeps versions as another program does.
    pub(crate) fn keeps_maps(&self, feature: &FeatureKey, table: &str) -> Result<()> {
        let names = [system::PROVENANCE_BY_FIELD, system::DATA_VERSION_BY_FIELD];
        if names.into_iter().all(|name| self.by_field(name) == ByField::Map) {
            return Ok(());
        }
        Err(Error::NotSupportedYet {
            feature: feature.clone(),
            what: format!(
                "writing to `{table}`, which keeps versions per field as a STRUCT; \
                 change `{}` and `{}` to MAP(VARCHAR, VARCHAR)",
                names[0], names[1],
            ),
        })
    }

    /// The columns that are the user's.
    fn own_columns(&self) -> impl Iterator<Item = &str> {
        self.columns.keys().map(String::as_str).filter(|name| !name.starts_with(system::PREFIX))
    }
}

/// The members of a type that is written `STRUCT(name type, ..)`.
fn struct_members(ty: &str) -> Option<Vec<String>> {
    let mut rest = ty.strip_prefix("STRUCT(")?.strip_suffix(')')?;
    let mut members = Vec::new();
    while !rest.is_empty() {
        let name = if let Some(quoted) = rest.strip_prefix('"') {
            let mut name = String::new();
            let mut chars = quoted.char_indices().peekable();
            loop {
                match chars.next()? {
                    (_, '"') if chars.peek().is_some_and(|(_, next)| *next == '"') => {
                        chars.next();
                        name.push('"');
                    }
                    (end, '"') => {
                        rest = &quoted[end + 1..];
                        break;
                    }
                    (_, other) => name.push(other),
                }
            }
            name
        } else {
            let end = rest.find(' ')?;
            let name = rest[..end].to_owned();
            rest = &rest[end..];
            name
        };
        members.push(name);
        rest = rest.find(", ").map_or("", |comma| &rest[comma + 2..]);
    }
    Some(members)
}

/// A resolve, and what its answer's columns mean.
pub(crate) struct ResolvePlan {
    pub(crate) plan: Resolve,
    /// The columns that come along, in order, by their names in the feature. Where the upstream has no
    /// table the statement gives NULL of no type; then this is the type that it would have.
    pub(crate) brought: Vec<(String, Option<DataType>)>,
    /// The upstreams, in order.
    pub(crate) inputs: Vec<FeatureKey>,
    /// The types that ids and columns that come along have by their declaration, by their names here.
    pub(crate) declared: HashMap<String, ColumnType>,
}

/// The types of the columns of a feature, as far as they are declared.
pub(crate) fn declared_types(feature: &FeatureContext) -> HashMap<String, ColumnType> {
    let columns = feature.definition().columns.iter().flatten();
    columns.map(|column| (column.name.clone(), column.ty)).collect()
}

/// The parents of a field as one text: a JSON list of labels, sorted.
pub(crate) fn parents_text(parents: &[ParentField]) -> String {
    let labels: Vec<String> = parents.iter().map(ParentField::label).collect();
    serde_json::to_string(&labels).expect("a list of texts is JSON")
}

/// Makes plans for one feature.
pub(crate) struct Planner<'a> {
    pub(crate) feature: &'a FeatureContext,
    pub(crate) tables: &'a Tables,
}

impl Planner<'_> {
    /// The names of all tables that plans of a feature look at.
    pub(crate) fn table_names(feature: &FeatureContext) -> Vec<String> {
        let graph = feature.graph();
        let mut keys = vec![feature.key()];
        for upstream in graph.upstreams(feature.key()) {
            keys.push(&upstream.spec.key);
            keys.extend(graph.upstreams(&upstream.spec.key).iter().map(|d| &d.spec.key));
        }
        let has_seals = |key: &FeatureKey| feature.of(key).is_ok_and(|of| of.is_expansion());
        let mut names: Vec<String> = keys.iter().map(|key| key.table_name()).collect();
        names.extend(
            keys.into_iter()
                .filter(|key| has_seals(key))
                .map(|key| system::seals(&key.table_name())),
        );
        names.extend([system::DEFINITIONS, system::FAILURES, system::REMOVED].map(str::to_owned));
        names.sort();
        names.dedup();
        names
    }

    fn spec(&self) -> &FeatureSpec {
        &self.feature.definition().spec
    }

    fn spec_of(&self, key: &FeatureKey) -> Result<&FeatureSpec> {
        Ok(&self.feature.graph().expect(key)?.spec)
    }

    /// What is read for a table: the table, or what stands in for it; nothing if there is none.
    fn relation(&self, table: &str) -> Option<String> {
        let info = self.tables.get(table)?;
        Some(info.stand_in.clone().unwrap_or_else(|| table.to_owned()))
    }

    fn definitions(&self) -> Option<String> {
        self.relation(system::DEFINITIONS)
    }

    /// The table of a feature, if it is there.
    pub(crate) fn records(&self, key: &FeatureKey) -> Result<Option<Records>> {
        self.records_with(key, [])
    }

    /// The table of a feature, if it is there; it needs some columns besides the usual ones.
    fn records_with<'c>(
        &'c self,
        key: &FeatureKey,
        columns: impl IntoIterator<Item = &'c String>,
    ) -> Result<Option<Records>> {
        let Some(table) = self.tables.get(&key.table_name()) else { return Ok(None) };
        let spec = self.spec_of(key)?;
        let ours = [
            system::PROVENANCE_BY_FIELD,
            system::DATA_VERSION_BY_FIELD,
            system::FEATURE_VERSION,
            system::UPDATED_AT,
            system::DELETED_AT,
        ];
        let needed = spec.id_columns.iter().chain(columns).cloned();
        let mut missing: Vec<String> = needed.chain(ours.map(str::to_owned)).collect();
        missing.retain(|column| !table.columns.contains_key(column));
        if !missing.is_empty() {
            return Err(Error::TableLacksColumns {
                feature: key.clone(),
                table: key.table_name(),
                columns: missing,
            });
        }
        Ok(Some(Records {
            table: table.stand_in.clone().unwrap_or_else(|| key.table_name()),
            key: key.to_string(),
            ids: spec.id_columns.clone(),
            version: self.feature.of(key)?.versions().feature_version.clone(),
            provenance: table.by_field(system::PROVENANCE_BY_FIELD),
            data_version: table.by_field(system::DATA_VERSION_BY_FIELD),
            has_token: table.columns.contains_key(system::WRITE_TOKEN),
            statistics: table.statistics,
            sole_definition: table.sole_definition,
            seals: self.seals(key, table)?,
        }))
    }

    /// For an expansion, what says which of its records exist.
    fn seals(&self, key: &FeatureKey, table: &TableInfo) -> Result<Option<Seals>> {
        let feature = self.feature.of(key)?;
        if !feature.is_expansion() {
            return Ok(None);
        }
        let seals = system::seals(&key.table_name());
        Ok(Some(Seals {
            table: self.relation(&seals),
            parents: feature.parent_ids(),
            has_try: table.columns.contains_key(system::TRY),
        }))
    }

    /// The table of this feature.
    pub(crate) fn own_records(&self) -> Result<Records> {
        let key = self.feature.key();
        self.records(key)?
            .ok_or_else(|| Error::NoTable { feature: key.clone(), table: key.table_name() })
    }

    fn field_definition(&self, key: &FeatureKey, field: &FieldSpec) -> FieldDefinition {
        FieldDefinition {
            name: field.wire_key().struct_key(),
            code_version: field.code_version.clone(),
            parents: parents_text(self.feature.graph().parents(key, &field.key)),
        }
    }

    /// What today's definition says of every field of the feature.
    pub(crate) fn field_definitions(&self) -> Vec<FieldDefinition> {
        let key = self.feature.key();
        self.spec().fields.iter().map(|field| self.field_definition(key, field)).collect()
    }

    /// The fields of `upstream` that the fields of `feature` are computed from.
    fn reads(&self, feature: &FeatureKey, upstream: &FeatureKey) -> Result<Vec<FieldDefinition>> {
        let graph = self.feature.graph();
        let fields = &self.spec_of(feature)?.fields;
        let parents = || fields.iter().flat_map(|field| graph.parents(feature, &field.key));
        let upstream_spec = self.spec_of(upstream)?;
        Ok(upstream_spec
            .fields
            .iter()
            .filter(|field| {
                parents().any(|parent| parent.feature == *upstream && parent.field == field.key)
            })
            .map(|field| self.field_definition(upstream, field))
            .collect())
    }

    /// The columns of an upstream that it is joined on, by their names there, each with the place of
    /// the id here that it equals: of a parent's ids, if the feature expands one.
    fn joined_on(&self, dep: &FeatureDep) -> Result<Vec<(String, usize)>> {
        let upstream = self.spec_of(&dep.feature)?;
        self.feature.check_parent(dep)?;
        let ids = self.feature.record_ids();
        let not_built =
            |what: String| Error::NotSupportedYet { feature: self.feature.key().clone(), what };
        let here: Vec<&str> = match &dep.lineage {
            Lineage::Aggregation { on: Some(on) } => on.iter().map(String::as_str).collect(),
            Lineage::Aggregation { on: None } => {
                self.spec().id_columns.iter().map(String::as_str).collect()
            }
            Lineage::Identity | Lineage::Expansion { .. } => {
                upstream.id_columns.iter().map(|id| dep.renamed(id)).collect()
            }
        };
        here.into_iter()
            .map(|here| {
                let place = ids.iter().position(|id| id == here);
                let place = place.ok_or_else(|| {
                    not_built(format!(
                        "`{}` is joined on `{here}`, which is no id here",
                        dep.feature
                    ))
                })?;
                Ok((dep.original(here).to_owned(), place))
            })
            .collect()
    }

    /// What the records of an upstream are computed from, if that can be told from the ids of a
    /// record alone: where everything is plain.
    fn sources(&self, dep: &FeatureDep) -> Result<Vec<Source>> {
        let upstream = self.feature.of(&dep.feature)?;
        let spec = &upstream.definition().spec;
        if matches!(dep.lineage, Lineage::Aggregation { .. }) || upstream.is_expansion() {
            return Ok(Vec::new());
        }
        let mut sources = Vec::new();
        for source in &spec.deps {
            let is_plain = source.lineage == Lineage::Identity
                && !source.optional
                && source.filters.iter().flatten().next().is_none()
                && !self.feature.of(&source.feature)?.is_expansion();
            if !is_plain {
                return Ok(Vec::new());
            }
            let ids = self.spec_of(&source.feature)?.id_columns.iter();
            let place = |id: &String| {
                spec.id_columns
                    .iter()
                    .position(|own| own == source.renamed(id))
                    .ok_or_else(|| Error::internal(format!("`{}` has no id for `{id}`", spec.key)))
            };
            sources.push(Source {
                records: self.records(&source.feature)?,
                ids: ids.map(place).collect::<Result<_>>()?,
                reads: self.reads(&spec.key, &source.feature)?,
            });
        }
        Ok(sources)
    }

    /// Filters over an upstream, by the names that its columns have there, as one.
    fn there(dep: &FeatureDep, filters: Vec<Filter>) -> Option<Filter> {
        Filter::all(filters).map(|filter| filter::upstream(dep, &filter))
    }

    /// The columns of an upstream that come along, as `(name there, name here)`.
    ///
    /// Of a group, only those that are selected do, each as a list over the members.
    fn brought(&self, dep: &FeatureDep) -> Result<Vec<(String, String)>> {
        let definition = self.feature.graph().expect(&dep.feature)?;
        let table = self.tables.get(&dep.feature.table_name());
        let joined: Vec<String> =
            self.joined_on(dep)?.into_iter().map(|(there, _)| there).collect();
        let is_grouped = matches!(dep.lineage, Lineage::Aggregation { .. });
        let columns: Vec<(String, String)> = match (&dep.select, &definition.columns) {
            (Some(selected), _) => {
                selected.iter().map(|here| (dep.original(here).to_owned(), here.clone())).collect()
            }
            (None, _) if is_grouped => Vec::new(),
            (None, Some(columns)) => columns
                .iter()
                .map(|column| (column.name.clone(), dep.renamed(&column.name).to_owned()))
                .collect(),
            (None, None) => table
                .into_iter()
                .flat_map(TableInfo::own_columns)
                .map(|name| (name.to_owned(), dep.renamed(name).to_owned()))
                .collect(),
        };
        let columns: Vec<_> =
            columns.into_iter().filter(|(there, _)| !joined.contains(there)).collect();
        if is_grouped {
            self.check_lists(dep, &columns)?;
        }
        if let Some(table) = table {
            let missing: Vec<String> = columns
                .iter()
                .filter(|(there, _)| !table.columns.contains_key(there))
                .map(|(there, _)| there.clone())
                .collect();
            if !missing.is_empty() {
                return Err(Error::TableLacksColumns {
                    feature: dep.feature.clone(),
                    table: dep.feature.table_name(),
                    columns: missing,
                });
            }
        }
        Ok(columns)
    }

    /// The type of a column that comes along, if its upstream has no table; NULL if nobody knows it.
    fn type_without_table(&self, dep: &FeatureDep, there: &str) -> Result<Option<DataType>> {
        if self.tables.contains_key(&dep.feature.table_name()) {
            return Ok(None);
        }
        let types = self.columns_of(&dep.feature)?;
        let ty = types.iter().find(|column| column.name == there).and_then(|column| column.ty);
        let ty = match (ty, &dep.lineage) {
            (Some(ColumnType::Scalar(item)), Lineage::Aggregation { .. }) => {
                Some(ColumnType::List(item))
            }
            (ty, _) => ty,
        };
        Ok(Some(ty.map_or(DataType::Null, ColumnType::to_arrow)))
    }

    /// Refuses lists of what is itself a list or a map.
    fn check_lists(&self, dep: &FeatureDep, columns: &[(String, String)]) -> Result<()> {
        let types = self.columns_of(&dep.feature)?;
        for (there, _) in columns {
            let ty = types.iter().find(|column| column.name == *there).and_then(|column| column.ty);
            if ty.is_some_and(|ty| !matches!(ty, ColumnType::Scalar(_))) {
                return Err(Error::no_list(self.feature.key(), &dep.feature, there));
            }
        }
        Ok(())
    }

    /// The resolve of a feature with upstreams.
    pub(crate) fn resolve(&self, options: &ResolveOptions) -> Result<ResolvePlan> {
        let key = self.feature.key();
        let spec = self.spec();
        let ids = self.feature.record_ids();
        let mut call = filters::of_call(self.feature, options, self)?;
        let mut inputs = Vec::new();
        let mut brought: Vec<(String, Option<DataType>)> = Vec::new();
        let mut places = HashMap::new();
        let mut declared = declared_types(self.feature);
        declared.retain(|name, _| ids.contains(name));
        for (i, dep) in spec.deps.iter().enumerate() {
            let columns = self.brought(dep)?;
            let is_grouped = matches!(dep.lineage, Lineage::Aggregation { .. });
            let there = &self.feature.graph().expect(&dep.feature)?.columns;
            for column in there.iter().flatten() {
                let here = columns.iter().find(|(there, _)| *there == column.name);
                let ty = match column.ty {
                    ColumnType::Scalar(item) if is_grouped => ColumnType::List(item),
                    ty => ty,
                };
                declared.extend(here.map(|(_, here)| (here.clone(), ty)));
            }
            for (n, (there, here)) in columns.iter().enumerate() {
                if brought.iter().any(|(name, _)| name == here) || spec.id_columns.contains(here) {
                    return Err(Error::ColumnTwice { feature: key.clone(), column: here.clone() });
                }
                brought.push((here.clone(), self.type_without_table(dep, there)?));
                // Lists are in no order that all engines share.
                if !matches!(dep.lineage, Lineage::Aggregation { .. }) {
                    places.insert(here.clone(), OrderBy::Brought(i, n));
                }
            }
            let on = self.joined_on(dep)?;
            let declared = filters::over_upstream(dep, dep.filters.iter().flatten(), self)?;
            inputs.push(Input {
                records: self.records_with(&dep.feature, on.iter().map(|(column, _)| column))?,
                key: dep.feature.to_string(),
                on,
                grouped: matches!(dep.lineage, Lineage::Aggregation { .. }),
                optional: dep.optional,
                filter: Self::there(dep, declared),
                asked: Self::there(dep, std::mem::take(&mut call.upstreams[i])),
                reads: self.reads(key, &dep.feature)?,
                columns: columns.into_iter().map(|(there, _)| there).collect(),
                sources: self.sources(dep)?,
            });
        }
        let plan = Resolve {
            target: Target { records: self.records(key)?, ids, fields: self.fields() },
            expected: Expected::Inputs(inputs),
            definitions: self.definitions(),
            hash: self.feature.hash(),
            rows: options.rows,
            texts: true,
            removed: self.system_table(system::REMOVED),
            call: self.call(options, call, &places)?,
            since: None,
            waiting: false,
        };
        let inputs = spec.deps.iter().map(|dep| dep.feature.clone()).collect();
        Ok(ResolvePlan { plan, brought, inputs, declared })
    }

    /// The fields, and what each is computed from.
    fn fields(&self) -> Vec<Field> {
        let (graph, key, spec) = (self.feature.graph(), self.feature.key(), self.spec());
        let field = |field: &FieldSpec| {
            let parts = graph.parents(key, &field.key).iter().map(|parent| Part {
                label: parent.label(),
                input: spec
                    .deps
                    .iter()
                    .position(|dep| dep.feature == parent.feature)
                    .expect("a parent belongs to an upstream"),
                field: parent.wire_field.struct_key(),
            });
            Field {
                definition: self.field_definition(key, field),
                label: field.wire_key().to_string(),
                parts: parts.collect(),
            }
        };
        spec.fields.iter().map(field).collect()
    }

    /// What a call asks for beyond everything.
    fn call(
        &self,
        options: &ResolveOptions,
        filters: filters::Call,
        brought: &HashMap<String, OrderBy>,
    ) -> Result<Call> {
        let key = self.feature.key();
        let ids = self.feature.record_ids();
        let order_by = options.order_by.iter().map(|(column, descending)| {
            let id = ids.iter().position(|id| id == column).map(OrderBy::Id);
            let class = || (column == crate::increment::STATUS).then_some(OrderBy::Class);
            let by = id.or_else(|| brought.get(column).copied()).or_else(class);
            let by = by.ok_or_else(|| Error::NoColumn {
                feature: key.clone(),
                column: column.clone(),
                found: ids.iter().chain(brought.keys()).cloned().collect(),
            })?;
            Ok((by, *descending))
        });
        let failures = match options.failed {
            Failed::Include => None,
            Failed::LeaveOut => Some(None),
            Failed::Retry { attempts, before } => Some(Some((attempts, before))),
        };
        let failures = failures.zip(self.system_table(system::FAILURES));
        Ok(Call {
            selects: options.selects(),
            target: Filter::all(filters.target),
            stale_if: filters.stale_if,
            skip_comparison: options.skip_comparison,
            shard: options.shard,
            order_by: order_by.collect::<Result<_>>()?,
            limit: options.limit,
            failures: failures.map(|(retry, table)| Failures {
                table,
                key: key.to_string(),
                retry,
            }),
            unchanged: Unchanged::None,
        })
    }

    fn system_table(&self, table: &str) -> Option<String> {
        self.tables.contains_key(table).then(|| table.to_owned())
    }

    /// The resolve of a root against staged samples.
    pub(crate) fn resolve_samples(&self, stage: &str, complete: bool) -> Result<Resolve> {
        let key = self.feature.key();
        let fields = self
            .spec()
            .fields
            .iter()
            .map(|field| Field {
                definition: self.field_definition(key, field),
                label: field.wire_key().to_string(),
                parts: Vec::new(),
            })
            .collect();
        Ok(Resolve {
            target: Target {
                records: self.records(key)?,
                ids: self.spec().id_columns.clone(),
                fields,
            },
            expected: Expected::Samples { stage: stage.to_owned(), complete },
            definitions: self.definitions(),
            hash: self.feature.hash(),
            rows: true,
            texts: true,
            removed: None,
            call: Call::default(),
            since: None,
            waiting: false,
        })
    }

    /// Rows of the feature.
    pub(crate) fn read(&self, options: &ReadOptions) -> Result<Read> {
        let records = self.own_records()?;
        let table = &self.tables[&records.table];
        let declared = self.feature.definition().columns.as_ref();
        let own: Vec<String> = match declared {
            Some(columns) => columns.iter().map(|column| column.name.clone()).collect(),
            None => table.own_columns().map(str::to_owned).collect(),
        };
        let missing: Vec<String> =
            own.iter().filter(|c| !table.columns.contains_key(*c)).cloned().collect();
        if !missing.is_empty() {
            return Err(Error::TableLacksColumns {
                feature: self.feature.key().clone(),
                table: records.table,
                columns: missing,
            });
        }
        // The try comes along, so that a child that is amended stays in it.
        let tries = records.seals.as_ref().map(|_| &system::TRY);
        let ours = system::COLUMNS.iter().chain(tries);
        let ours = ours.filter(|c| table.columns.contains_key(**c));
        let columns = own.into_iter().chain(ours.map(|c| (*c).to_owned())).collect();
        Ok(Read {
            records,
            columns,
            scope: Scope {
                history: options.history,
                other_versions: options.other_versions,
                tombstones: options.tombstones,
                as_of: options.as_of,
            },
            filter: Filter::all(filters::over_rows(self.feature, &options.filters, self)?),
            definitions: self.definitions(),
            fields: self.field_definitions(),
        })
    }

    /// What every row of a write carries.
    pub(crate) fn stamp(&self, time: Time, token: i64, options: &WriteOptions) -> Stamp {
        Stamp {
            version: self.feature.versions().feature_version.clone(),
            project_version: self.feature.project_version().to_owned(),
            time,
            materialization_id: options.materialization_id.clone(),
            token,
        }
    }

    /// Refuses to write to tables that keep versions in another form than ours.
    pub(crate) fn check_maps(&self, records: &Records) -> Result<()> {
        self.tables[&records.table].keeps_maps(self.feature.key(), &records.table)
    }

    /// Staged rows to append.
    pub(crate) fn append(&self, layout: &Layout, from: AppendFrom, stamp: Stamp) -> Result<Append> {
        let records = self.own_records()?;
        self.check_maps(&records)?;
        Ok(Append {
            records,
            columns: layout.columns.iter().map(|column| column.name.clone()).collect(),
            fields: layout.fields.clone(),
            root: self.feature.is_root().then(|| RootFields {
                fields: self.field_definitions(),
                definitions: self.definitions(),
            }),
            from,
            stamp,
            hash: self.feature.hash(),
        })
    }

    /// The tables that a write of this feature appends to.
    pub(crate) fn appended_to(&self) -> Result<Vec<String>> {
        let records = self.own_records()?;
        let seals = records.seals.and_then(|seals| seals.table);
        Ok([records.table].into_iter().chain(seals).collect())
    }

    /// Staged seals to append; nothing for records that are nobody's children.
    pub(crate) fn seal(&self, layout: &Layout, stage: &str, stamp: Stamp) -> Result<Option<Seal>> {
        let table = self.own_records()?.seals.and_then(|seals| seals.table);
        let (Some(table), Some(parents)) = (table, &layout.parents) else { return Ok(None) };
        Ok(Some(Seal {
            table,
            ids: parents.iter().map(|place| layout.ids[*place].name.clone()).collect(),
            fields: layout.fields.clone(),
            stage: stage.to_owned(),
            stamp,
            hash: self.feature.hash(),
        }))
    }

    /// Records to mark as deleted: the ids are in a table of the connection.
    pub(crate) fn tombstone(
        &self,
        ids: &str,
        orphans: Option<Vec<i8>>,
        stamp: Stamp,
    ) -> Result<Tombstone> {
        let records = self.own_records()?;
        let columns = self.tables[&records.table].columns.keys().cloned().collect();
        Ok(Tombstone {
            records,
            columns,
            ids: ids.to_owned(),
            orphans,
            time: stamp.time,
            materialization_id: stamp.materialization_id,
            token: stamp.token,
        })
    }
}

impl Known for Planner<'_> {
    fn has_table(&self, key: &FeatureKey) -> bool {
        self.tables.contains_key(&key.table_name())
    }

    fn columns_of(&self, key: &FeatureKey) -> Result<Vec<filter::Column>> {
        let definition = self.feature.graph().expect(key)?;
        if let Some(columns) = &definition.columns {
            let column = |c: &ColumnSpec| filter::Column { name: c.name.clone(), ty: Some(c.ty) };
            return Ok(columns.iter().map(column).collect());
        }
        let Some(table) = self.tables.get(&key.table_name()) else {
            let id = |id: &String| filter::Column { name: id.clone(), ty: None };
            return Ok(definition.spec.id_columns.iter().map(id).collect());
        };
        let column = |(name, column): (&String, &TableColumn)| filter::Column {
            name: name.clone(),
            ty: column.ty,
        };
        let own = table.columns.iter().filter(|(name, _)| !name.starts_with(system::PREFIX));
        Ok(own.map(column).collect())
    }
}

/// The staged table of a write.
pub(crate) fn stage(table: &str, layout: &Layout) -> Stage {
    Stage {
        table: table.to_owned(),
        ids: layout.ids.iter().map(|column| column.ty).collect(),
        columns: layout.columns.iter().map(|column| column.ty).collect(),
        n_fields: layout.fields.len(),
        tries: layout.parents.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::struct_members;

    #[test]
    fn members_of_a_struct() {
        let members = |ty| struct_members(ty).map(|m| m.join(";"));
        assert_eq!(members("STRUCT(x VARCHAR, y VARCHAR)").as_deref(), Some("x;y"));
        assert_eq!(
            members("STRUCT(\"a b\" VARCHAR, \"q\"\"\" VARCHAR)").as_deref(),
            Some("a b;q\"")
        );
        assert_eq!(members("MAP(VARCHAR, VARCHAR)"), None);
    }
}
