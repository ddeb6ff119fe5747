//! [`Migration`]: the difference between two schemas, as steps that each say what they do, do it, and
//! undo it.

use super::moves;
use super::schema::{ColumnSchema, Engine, FeatureSchema, Schema, TableSchema, refuse_if_any};
use crate::error::{Error, Result};
use crate::graph::FeatureGraph;
use crate::key::FeatureKey;
use crate::spec::FeatureDep;
use crate::store::sql::settings::stamp;
use crate::store::sql::tables::added;
use metaxy_sql::ast::Statement;
use metaxy_sql::{Dialect, Ident, lower, system};
use std::collections::BTreeMap;

/// What a migration is called, and what it may do beyond what is needed.
#[derive(Clone, Debug, Default)]
#[must_use = "options are given to `Migration::between`"]
pub struct Options {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) drops: bool,
    pub(super) rebase: bool,
    pub(super) because: Option<String>,
    /// Feature, name before, name today.
    pub(super) renamed: Vec<(String, String, String)>,
}

impl Options {
    /// A migration with this name: lower-case letters, digits and `_`.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Whether tables and columns are removed that the graph does not have any more, with all that is
    /// in them.
    pub fn drops(mut self, drops: bool) -> Self {
        self.drops = drops;
        self
    }

    /// Whether records are given today's definition whose provenance it does not change
    /// ([`Store::rebase`](crate::Store::rebase)). Nothing here needs that; the Python implementation
    /// does.
    pub fn rebase(mut self, rebase: bool) -> Self {
        self.rebase = rebase;
        self
    }

    /// Why the migration is made: the files say it.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.because = Some(reason.into());
        self
    }

    /// A field that had another name before, and has no `renamed_from`: what was computed under the
    /// old name is moved to the new one, so that nothing is computed again.
    ///
    /// With `renamed_from` nothing has to move, and the features that the Python implementation reads
    /// are the only ones that cannot have it.
    pub fn renamed(
        mut self,
        feature: impl Into<String>,
        before: impl Into<String>,
        today: impl Into<String>,
    ) -> Self {
        self.renamed.push((feature.into(), before.into(), today.into()));
        self
    }

    /// What the migration is called in notes.
    pub(super) fn id(&self) -> String {
        match self.version.as_str() {
            "" => self.name.clone(),
            version => format!("{version}_{}", self.name),
        }
    }
}

/// One thing that a migration does.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it does, and to which feature.
    pub summary: String,
    /// The features that it is about.
    pub features: Vec<String>,
    pub(super) up: Vec<Statement>,
    pub(super) down: Down,
}

/// What undoes a step.
#[derive(Clone, Debug)]
pub(super) enum Down {
    /// These statements.
    Statements(Vec<Statement>),
    /// Nothing can, for this reason.
    Irreversible(String),
}

/// The way back to a column that holds less: a change that fails where a value does not fit, if the engine looks.
fn narrower(dialect: &dyn Dialect, change: Statement, what: &str) -> Down {
    match dialect.checks_narrowing() {
        true => Down::Statements(vec![change]),
        false => Down::Irreversible(format!("{what} would become another value")),
    }
}

/// A way from one schema to another.
#[derive(Clone, Debug)]
pub struct Migration {
    pub(super) engine: Engine,
    pub(super) options: Options,
    pub(super) steps: Vec<Step>,
    pub(super) notes: Vec<String>,
    pub(super) schema: Schema,
    changes_schema: bool,
}

impl Migration {
    /// The steps from the schema that the last migration has left to that of today's graph.
    ///
    /// # Errors
    /// All changes that no migration can do, with what can be done instead.
    pub fn between(old: &Schema, new: &Schema, options: &Options) -> Result<Self> {
        let mut difference =
            Difference { old, new, options, steps: Vec::new(), notes: Vec::new(), refused: vec![] };
        let mut schema = new.clone();
        difference.check();
        difference.tables(&mut schema)?;
        difference.settings(&schema)?;
        difference.fields();
        refuse_if_any(std::mem::take(&mut difference.refused))?;
        moves::add(&mut difference, &mut schema)?;
        // What is lost is lost last.
        difference.drops(&mut schema)?;
        let Difference { steps, notes, .. } = difference;
        let changes_schema = old.features != schema.features || old.tables != schema.tables;
        let options = options.clone();
        Ok(Self { engine: new.engine, options, steps, notes, schema, changes_schema })
    }

    /// What it does.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What is worth knowing about it: what does not have to be done, and what is not.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether there is nothing to do in a database.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Whether the schema that it leaves is another one, which is written down even if there is nothing to
    /// do in a database: the next migration begins with it.
    #[must_use]
    pub fn changes_schema(&self) -> bool {
        self.changes_schema
    }

    /// The schema that it leaves.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }
}

/// The difference while it is being looked at.
pub(super) struct Difference<'a> {
    pub(super) old: &'a Schema,
    pub(super) new: &'a Schema,
    pub(super) options: &'a Options,
    pub(super) steps: Vec<Step>,
    pub(super) notes: Vec<String>,
    refused: Vec<String>,
}

impl Difference<'_> {
    fn step(&mut self, of: Option<&String>, summary: String, up: Vec<Statement>, down: Down) {
        let features = of.into_iter().cloned().collect();
        self.steps.push(Step { summary, features, up, down });
    }

    /// Refuses what is no change of tables.
    fn check(&mut self) {
        let (old, new) = (self.old, self.new);
        if old.engine != new.engine {
            self.refused.push(format!(
                "the migrations before are for {}; those for {} belong in a folder of their own",
                old.engine, new.engine
            ));
        }
        for (key, feature) in &new.features {
            if let Some(before) = old.features.get(key)
                && before.id_columns != feature.id_columns
            {
                self.refused.push(format!(
                    "`{key}` had the id columns {:?} and has {:?}: its records are others, which \
                     cannot be told from the old ones; give the new feature a key of its own",
                    before.id_columns, feature.id_columns
                ));
            }
        }
        if old.settings != new.settings && old.tables.contains_key(system::SETTINGS) {
            let is_other = |(key, feature): (&String, &FeatureSchema)| {
                old.features.get(key).is_some_and(|before| before.fields != feature.fields)
            };
            if new.features.iter().any(is_other) || !self.options.renamed.is_empty() {
                self.refused.push(
                    "records are carried over to another hash by a migration that does nothing else: make \
                     one for the features first, under the old settings"
                        .to_owned(),
                );
            }
            self.refused.extend(self.not_carried());
        }
        for (feature, before, today) in &self.options.renamed {
            let field = new.features.get(feature).and_then(|feature| feature.fields.get(today));
            let was = old.features.get(feature).and_then(|feature| feature.fields.get(before));
            let problem = match (new.external_feature(feature), was, field) {
                (Some(external), ..) => format!(
                    "`{feature}` is a feature of the project `{}`, whose own migrations rename its fields",
                    external.project
                ),
                (_, None, _) => format!("there was no field `{before}` in `{feature}`"),
                (_, _, None) => format!("there is no field `{today}` in `{feature}`"),
                (_, Some(was), Some(field)) if was.first_name == field.first_name => format!(
                    "the field `{today}` of `{feature}` has `renamed_from`, so that nothing has to \
                     move: leave the renaming out"
                ),
                _ => continue,
            };
            self.refused.push(problem);
        }
    }

    /// Features of other projects whose records would keep the old hash, so that what is computed from them
    /// here would be stale.
    fn not_carried(&self) -> Vec<String> {
        let own = self.new.graph.iter().flat_map(FeatureGraph::iter).filter(|d| !d.is_external());
        let inputs = own.flat_map(|d| d.spec.deps.iter().map(move |dep| (&d.spec.key, dep)));
        let reason = |(key, dep): (&FeatureKey, &FeatureDep)| {
            let external = self.new.external_feature(dep.feature.as_str())?;
            // What callers have said of a root is no hash of the store.
            let is_computed = !external.spec.deps.is_empty();
            is_computed.then(|| {
                format!(
                    "the records of `{}` of the project `{}` would keep the old hash, and those of `{key}`, \
                     which are computed from them, would be stale; make the migration with a program that \
                     declares the features of both projects",
                    dep.feature, external.project
                )
            })
        };
        inputs.filter_map(reason).collect()
    }

    /// Tables that are missing, and columns that are missing or other ones.
    fn tables(&mut self, schema: &mut Schema) -> Result<()> {
        // Those of the store first.
        let mut tables: Vec<_> = self.new.tables.iter().collect();
        tables.sort_by_key(|(name, table)| (&table.feature, *name));
        for (name, table) in tables {
            match self.old.tables.get(name) {
                None => self.create(name, table)?,
                Some(before) if before.key != table.key => self.refused.push(format!(
                    "the rows of `{name}` were told apart by {:?} and would be by {:?}; remove the table \
                     with a migration that drops it, or give the feature another key",
                    before.key, table.key
                )),
                Some(before) => {
                    let columns = self.columns(name, before, table)?;
                    if let Some(table) = schema.tables.get_mut(name) {
                        table.columns = columns;
                    }
                }
            }
        }
        Ok(())
    }

    fn create(&mut self, name: &str, table: &TableSchema) -> Result<()> {
        let what = match &table.feature {
            None => "for the store itself".to_owned(),
            Some(feature) if name == system::seals(&table_of(feature)) => {
                format!("for the seals of the feature `{feature}`")
            }
            Some(feature) => format!("for the feature `{feature}`"),
        };
        let down = vec![Statement::DropTable { table: Ident::new(name)? }];
        self.step(
            table.feature.as_ref(),
            format!("makes the table `{name}` {what}"),
            vec![table.create(name)?],
            Down::Statements(down),
        );
        Ok(())
    }

    /// The columns of a table that is there, as they are afterwards: in their order, with those that
    /// nothing has any more.
    fn columns(
        &mut self,
        name: &str,
        before: &TableSchema,
        table: &TableSchema,
    ) -> Result<Vec<ColumnSchema>> {
        let mut columns = before.columns.clone();
        for column in &mut columns {
            if let Some(today) = table.column(&column.name) {
                self.change(name, before, column, today)?;
            }
        }
        for column in &table.columns {
            if before.column(&column.name).is_some() {
                continue;
            }
            let decl = added(&column.name, column.ty)?;
            let (to, dropped) = (Ident::new(name)?, decl.name.clone());
            columns.push(ColumnSchema { nullable: true, ..column.clone() });
            self.step(
                table.feature.as_ref(),
                format!(
                    "adds the column `{}` to `{name}`; older rows have NULL there",
                    column.name
                ),
                vec![Statement::AddColumn { table: to.clone(), column: decl }],
                Down::Statements(vec![Statement::DropColumn { table: to, column: dropped }]),
            );
        }
        Ok(columns)
    }

    /// A column that is another one today.
    fn change(
        &mut self,
        name: &str,
        before: &TableSchema,
        column: &mut ColumnSchema,
        today: &ColumnSchema,
    ) -> Result<()> {
        let dialect = self.new.engine.dialect();
        let of = before.feature.as_ref();
        let table = || Ident::new(name);
        if column.ty != today.ty {
            let (from, to) = (column.ty, today.ty);
            let what = format!("`{}` of `{name}` is {from} and would be {to}", column.name);
            let is_same = dialect.column_type(from) == dialect.column_type(to);
            if !from.widens_to(to) {
                self.refused.push(format!(
                    "{what}: that is no widening, and rows may hold what it cannot; add another column, \
                     or give the feature another key"
                ));
            } else if before.key.contains(&column.name) && !dialect.changes_types_of_keys() {
                self.refused.push(format!(
                    "{what}: {} keeps rows in the order of their ids and changes no types of them; give \
                     the feature another key",
                    dialect.name()
                ));
            } else if is_same {
                self.notes.push(format!("{what}, which {} keeps alike", dialect.name()));
            } else {
                let old = column.decl()?;
                column.ty = to;
                let up = Statement::ChangeType { table: table()?, column: column.decl()? };
                let down = Statement::ChangeType { table: table()?, column: old };
                let what = format!("what is too large for {from} in `{}`", column.name);
                let down = narrower(dialect, down, &what);
                let summary =
                    format!("widens the column `{}` of `{name}` from {from} to {to}", column.name);
                self.step(of, summary, vec![up], down);
            }
            column.ty = to;
        }
        if today.nullable && !column.nullable {
            self.let_null(name, of, column, "may be NULL from now on")?;
        }
        Ok(())
    }

    fn let_null(
        &mut self,
        name: &str,
        of: Option<&String>,
        column: &mut ColumnSchema,
        why: &str,
    ) -> Result<()> {
        let table = Ident::new(name)?;
        let old = column.decl()?;
        column.nullable = true;
        let dialect = self.new.engine.dialect();
        if dialect.declared_type(column.ty, true) == dialect.declared_type(column.ty, false) {
            return Ok(());
        }
        let up = Statement::ChangeNull { table: table.clone(), column: column.decl()? };
        let down = Statement::ChangeNull { table, column: old };
        let down = narrower(dialect, down, &format!("what is NULL in `{}`", column.name));
        let summary = format!("the column `{}` of `{name}` {why}", column.name);
        self.step(of, summary, vec![up], down);
        Ok(())
    }

    /// The settings that a new store is stamped with.
    fn settings(&mut self, schema: &Schema) -> Result<()> {
        if self.old.tables.contains_key(system::SETTINGS) {
            return Ok(());
        }
        let settings = schema.settings;
        let dialect = self.new.engine.dialect();
        if dialect.keeps_functions() && !dialect.has_algorithm(settings.hash_algorithm) {
            self.notes.push(format!(
                "{} has no {}: a store that is opened with `.install_xxhash(true)` makes it, once",
                dialect.name(),
                settings.hash_algorithm
            ));
        }
        let summary = format!(
            "stamps the store with its settings, unless it has some: {} of {} characters",
            settings.hash_algorithm, settings.hash_truncation_length
        );
        let up = vec![lower::stamp_settings(&stamp(settings))];
        // They go with their table.
        self.step(None, summary, up, Down::Statements(Vec::new()));
        Ok(())
    }

    /// What is to say of fields.
    fn fields(&mut self) {
        for (key, feature) in &self.new.features {
            let Some(before) = self.old.features.get(key) else { continue };
            for (name, field) in &feature.fields {
                if before.fields.contains_key(name) {
                    continue;
                }
                let was = before.fields.iter().find(|(_, was)| was.first_name == field.first_name);
                match was {
                    Some((was, _)) => self.notes.push(format!(
                        "the field `{name}` of `{key}` was called `{was}`: by-field maps and hashes keep \
                         its first name `{}`, so that nothing has to move",
                        field.first_name
                    )),
                    None if !self.is_renamed(key, name) => {
                        let gone = gone(before, feature);
                        self.notes.push(match gone.is_empty() {
                            true => format!(
                                "the field `{name}` of `{key}` is new: all records are stale in it"
                            ),
                            false => format!(
                                "the field `{name}` of `{key}` is new: all records are stale in it; if it \
                                 is another name for {}, say `renamed_from`",
                                gone.join(" or ")
                            ),
                        });
                    }
                    None => {}
                }
            }
        }
    }

    fn is_renamed(&self, key: &str, today: &str) -> bool {
        self.options.renamed.iter().any(|(feature, _, name)| feature == key && name == today)
    }

    /// Tables and columns that nothing has any more: removed if that is asked for, and kept in the
    /// schema if not.
    fn drops(&mut self, schema: &mut Schema) -> Result<()> {
        let mut gone = Vec::new();
        for (name, before) in &self.old.tables {
            let Some(today) = self.new.tables.get(name) else {
                if self.drop_table(name, before, schema)? {
                    gone.extend(before.feature.as_deref().filter(|key| table_of(key) == *name));
                }
                continue;
            };
            let Some(mut table) = schema.tables.get(name).cloned() else { continue };
            for column in before.columns.iter().filter(|c| today.column(&c.name).is_none()) {
                self.drop_column(name, column, &mut table)?;
            }
            schema.tables.insert(name.clone(), table);
        }
        if !gone.is_empty() {
            // A feature of that key, should there be one again, has nothing to do with it.
            let features: Vec<String> = gone.iter().map(|key| format!("`{key}`")).collect();
            let features = features.join(", ");
            self.steps.push(Step {
                summary: format!(
                    "forgets definitions, failures, removals and durations of {features}"
                ),
                features: gone.iter().map(|key| (*key).to_owned()).collect(),
                up: lower::forget_features(&gone).into(),
                down: Down::Irreversible(format!("what was kept of {features} is gone")),
            });
        }
        Ok(())
    }

    /// Whether the table is removed.
    fn drop_table(
        &mut self,
        name: &str,
        before: &TableSchema,
        schema: &mut Schema,
    ) -> Result<bool> {
        let feature = before.feature.as_deref();
        if let Some(external) = feature.and_then(|feature| self.new.external_feature(feature)) {
            self.notes.push(format!(
                "the table `{name}` of `{}` belongs to the project `{}` now: it stays as it is, and \
                 migrations of this project do not change it any more",
                external.spec.key, external.project
            ));
            return Ok(false);
        }
        let what = match &before.feature {
            Some(feature) => {
                format!("the table `{name}` of `{feature}`, which is no feature any more")
            }
            None => format!("the table `{name}`, which nothing needs any more"),
        };
        if !self.options.drops {
            self.notes.push(format!(
                "{what}, stays with its rows; it is removed when drops are asked for"
            ));
            schema.tables.insert(name.to_owned(), before.clone());
            return Ok(false);
        }
        let up = vec![Statement::DropTable { table: Ident::new(name)? }];
        let down = Down::Irreversible(format!("the rows of `{name}` are gone"));
        self.step(before.feature.as_ref(), format!("removes {what}"), up, down);
        Ok(true)
    }

    fn drop_column(
        &mut self,
        name: &str,
        column: &ColumnSchema,
        table: &mut TableSchema,
    ) -> Result<()> {
        let of = table.feature.clone();
        let what = format!("the column `{}` of `{name}`", column.name);
        if self.options.drops {
            table.columns.retain(|kept| kept.name != column.name);
            let (table, dropped) = (Ident::new(name)?, Ident::new(&column.name)?);
            let up = vec![Statement::DropColumn { table, column: dropped }];
            let down = Down::Irreversible(format!("the values of {what} are gone"));
            self.step(
                of.as_ref(),
                format!("removes {what}, which nothing declares any more"),
                up,
                down,
            );
            return Ok(());
        }
        self.notes.push(format!(
            "{what}, which nothing declares any more, stays; it is removed when drops are asked for"
        ));
        if let Some(kept) = table.columns.iter_mut().find(|kept| kept.name == column.name)
            && !kept.nullable
        {
            let why = "may be NULL from now on, since nothing writes it any more";
            self.let_null(name, of.as_ref(), kept, why)?;
        }
        Ok(())
    }
}

/// The name of the table of a feature.
pub(super) fn table_of(feature: &str) -> String {
    FeatureKey::new(feature).map_or_else(|_| feature.to_owned(), |key| key.table_name())
}

/// The fields that a feature does not have any more.
fn gone(before: &FeatureSchema, today: &FeatureSchema) -> Vec<String> {
    let names: BTreeMap<&str, ()> =
        today.fields.values().map(|field| (field.first_name.as_str(), ())).collect();
    let gone = before.fields.iter().filter(|(_, was)| !names.contains_key(was.first_name.as_str()));
    gone.map(|(name, _)| format!("`{name}`")).collect()
}

/// An error that is none of the user's.
pub(super) fn no_graph() -> Error {
    Error::internal("a schema of today is one of a graph")
}
