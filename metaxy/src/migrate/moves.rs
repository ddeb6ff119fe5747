//! Steps that move rows, in pure SQL: a rebase, and what carries records over to other names of
//! fields or another way to hash.
//!
//! Rows are only appended: the records that are meant, under today's definition, by the statements of
//! [`Store::rebase`](crate::Store::rebase). What undoes that removes the rows with the number of the
//! write, and what was there before is the latest again.
//!
//! A record is *carried* if it is unchanged for what the store was: under the old names or the old
//! hash. Then it would be unchanged had it been computed under the new ones, and is given the
//! provenance that it would have. All such records are found before the first is carried. A record that
//! is stale or blocked is left as it is, and is computed again in its turn.

use super::schema::{FeatureSchema, Schema, refuse_if_any};
use super::steps::{Difference, Down, Step, no_graph};
use crate::error::Result;
use crate::graph::FeatureGraph;
use crate::increment::Reason;
use crate::key::{FeatureKey, FieldKey};
use crate::store::backend::{FeatureContext, RebaseOptions, ResolveOptions, WriteOptions};
use crate::store::hashing::write_token;
use crate::store::sql::plan::{Planner, Tables};
use crate::store::sql::rebase::{Find, REBASED, Stored, Which, copies, find};
use crate::store::sql::settings::stamp;
use crate::store::sql::tables::today;
use crate::store::sql::temporary::INCREMENT;
use metaxy_sql::ast::{Query, Statement};
use metaxy_sql::plan::{Expected, Records, Restated, Time, Unchanged};
use metaxy_sql::{Ident, lower, system};
use std::collections::BTreeMap;

/// Who has noted the rebases of migrations.
const BY: &str = "metaxy migrate";

/// Adds what moves rows between tables that are as `schema` says; a feature whose records could be
/// rebased, and are not, keeps the version there that they have.
pub(super) fn add(difference: &mut Difference<'_>, schema: &mut Schema) -> Result<()> {
    let graph = schema.graph.as_ref().ok_or_else(no_graph)?;
    let has_other_hash = difference.old.settings != schema.settings
        && difference.old.tables.contains_key(system::SETTINGS);
    let (tables, external) = (schema.tables(), BTreeMap::new());
    let (steps, notes, refused) = (Vec::new(), Vec::new(), Vec::new());
    let mut moves = Moves { graph, tables, difference, external, steps, notes, refused };
    let mut carried = Vec::new();
    if has_other_hash || !moves.difference.options.renamed.is_empty() {
        carried = moves.carried(has_other_hash);
        moves.carry(&carried, has_other_hash)?;
    }
    let postponed = moves.rebases(&carried)?;
    let Moves { steps, mut notes, refused, external, .. } = moves;
    refuse_if_any(refused)?;
    notes.extend(external.into_iter().map(|(key, project)| {
        let table = key.table_name();
        format!(
            "it reads the table `{table}` of `{key}` of the project `{project}`, which has to be in this \
             database"
        )
    }));
    difference.steps.extend(steps);
    difference.notes.extend(notes);
    for (key, version) in postponed {
        if let Some(feature) = schema.features.get_mut(key.as_str()) {
            feature.version = version;
        }
    }
    Ok(())
}

struct Moves<'a, 'd> {
    graph: &'a FeatureGraph,
    tables: Tables,
    difference: &'a Difference<'d>,
    /// The features of other projects whose tables are read, each with its project.
    external: BTreeMap<FeatureKey, String>,
    steps: Vec<Step>,
    notes: Vec<String>,
    refused: Vec<String>,
}

impl Moves<'_, '_> {
    /// Whether a feature is one of ours, whose table was there before the migration.
    fn was_there(&self, key: &FeatureKey) -> bool {
        let Difference { old, new, .. } = self.difference;
        old.tables.contains_key(&key.table_name()) && new.features.contains_key(key.as_str())
    }

    fn context(&self, key: &FeatureKey) -> Result<FeatureContext> {
        FeatureContext::new(self.graph, key, self.difference.new.settings.hash())
    }

    /// The reason that is noted, by which the note is found again.
    fn reason(&self) -> String {
        let options = self.difference.options;
        match &options.because {
            Some(because) => format!("migration {}: {because}", options.id()),
            None => format!("migration {}", options.id()),
        }
    }

    /// Whether it can be found which records of a feature are unchanged: of every feature of another
    /// project that it is computed from the columns are known. It is kept whose tables that reads.
    fn can_look_up(&mut self, feature: &FeatureContext) -> Result<bool> {
        let new = self.difference.new;
        let mut is_known = true;
        for dep in &feature.definition().spec.deps {
            if let Some(external) = new.external_feature(dep.feature.as_str())
                && external.columns.is_none()
            {
                is_known = false;
                self.refused.push(format!(
                    "what is unchanged of `{}` is told by the table of `{}` of the project `{}`, the types \
                     of whose columns are not known; make the migration with a program that declares both",
                    feature.key(),
                    dep.feature,
                    external.project
                ));
            }
        }
        if !is_known {
            return Ok(false);
        }
        let planner = Planner { feature, tables: &self.tables };
        let resolve = planner.resolve(&ResolveOptions::default())?;
        let Expected::Inputs(inputs) = resolve.plan.expected else { return Ok(true) };
        let read = inputs.into_iter().flat_map(|input| {
            let sources = input.sources.into_iter().filter_map(|source| source.records);
            input.records.into_iter().chain(sources)
        });
        for records in read {
            if let Some(external) = new.external_feature(&records.key) {
                self.external.insert(external.spec.key.clone(), external.project.clone());
            }
        }
        Ok(true)
    }

    /// What gives unchanged records today's definition, for each feature that has another one, but for
    /// those that are carried over, which have today's. Gives those that could be rebased and are not, with
    /// the version that their records have.
    fn rebases(&mut self, carried: &[FeatureKey]) -> Result<Vec<(FeatureKey, String)>> {
        let mut postponed = Vec::new();
        let graph = self.graph;
        for definition in graph.iter() {
            let key = &definition.spec.key;
            let (old, new) = (&self.difference.old.features, &self.difference.new.features);
            let (Some(before), Some(feature)) = (old.get(key.as_str()), new.get(key.as_str()))
            else {
                continue;
            };
            if before.version == feature.version
                || definition.spec.deps.is_empty()
                || !self.was_there(key)
                || carried.contains(key)
                || !are_fields_alike(before, feature)
            {
                continue;
            }
            if !self.difference.options.rebase {
                self.notes.push(format!(
                    "`{key}` has another version, and its records keep the old one; a rebase, if asked for, \
                     gives today's to those that are unchanged"
                ));
                postponed.push((key.clone(), before.version.clone()));
                continue;
            }
            let context = self.context(key)?;
            if !self.can_look_up(&context)? {
                continue;
            }
            let planner = Planner { feature: &context, tables: &self.tables };
            let records = planner.own_records()?;
            let mut step = Step {
                summary: format!(
                    "gives records of `{key}` today's definition if their provenance is what it would be today"
                ),
                features: vec![key.to_string()],
                up: Vec::new(),
                down: Down::Statements(Vec::new()),
            };
            let which = Which { unchanged: Unchanged::Older, among: None };
            let find = find(&planner, &records, &RebaseOptions::default(), which)?;
            keep_increment(&mut step.up, &find)?;
            keep(&mut step.up, REBASED, find.rebased)?;
            let stored = Stored { names: context.field_names(), follows: false };
            self.append(&mut step, &planner, records, stored)?;
            forget(&mut step.up, [INCREMENT, REBASED])?;
            self.steps.push(step);
        }
        Ok(postponed)
    }

    /// Appends the records that are found, notes it, and says how it is undone.
    fn append(
        &self,
        step: &mut Step,
        planner: &Planner<'_>,
        records: Records,
        stored: Stored,
    ) -> Result<()> {
        let key = planner.feature.key();
        let seals = records.seals.as_ref().and_then(|seals| seals.table.clone());
        let tables: Vec<String> = [records.table.clone()].into_iter().chain(seals).collect();
        let token = write_token(&format!("{} {key}", self.reason()), 0);
        let stamp = planner.stamp(Time::After(tables.clone()), token, &WriteOptions::default());
        let with_key = |row: Vec<String>| [key.to_string()].into_iter().chain(row).collect();
        let definitions: Vec<_> = today(planner.feature).into_iter().map(with_key).collect();
        let copies = copies(planner, records, stored, &stamp)?;
        step.up.push(lower::record_definitions(key.as_str(), &definitions));
        step.up.push(copies.rows);
        step.up.extend(copies.seals);
        let (reason, texts) = (self.reason(), ["[]", BY]);
        let note = [texts[0], texts[1], reason.as_str()];
        step.up.push(lower::note_rebase_of(key.as_str(), &stamp, &tables, note));
        if let Down::Statements(down) = &mut step.down {
            // What was carried last is taken back first.
            let mut back = tables.iter().map(|table| lower::take_back(table, token));
            let mut undo = back.by_ref().collect::<Result<Vec<_>, _>>()?;
            undo.push(lower::take_back_note(key.as_str(), &stamp.version, &reason));
            down.splice(0..0, undo);
        }
        Ok(())
    }

    /// The graph with the names that fields had.
    fn graph_before(&self) -> Result<FeatureGraph> {
        let mut definitions: Vec<_> = self.graph.iter().cloned().collect();
        for (feature, before, today) in &self.difference.options.renamed {
            let (before, today) = (FieldKey::new(before)?, FieldKey::new(today)?);
            let fields = definitions.iter_mut().filter(|d| d.spec.key.as_str() == feature);
            for field in fields.flat_map(|d| &mut d.spec.fields).filter(|f| f.key == today) {
                field.renamed_from = Some(before.clone());
            }
        }
        Ok(FeatureGraph::build(definitions)?)
    }

    /// The features whose records are carried over, in topological order.
    fn carried(&self, has_other_hash: bool) -> Vec<FeatureKey> {
        let is_renamed = |key: &FeatureKey| {
            self.difference.options.renamed.iter().any(|(feature, ..)| feature == key.as_str())
        };
        let is_carried = |key: &FeatureKey| {
            let upstreams = self.graph.all_upstreams(key);
            let is_root = upstreams.is_empty();
            is_renamed(key)
                || upstreams.iter().any(|up| is_renamed(&up.spec.key))
                // What callers have said of a root is no hash of the store.
                || (has_other_hash && !is_root)
        };
        self.graph.keys().filter(|key| self.was_there(key) && is_carried(key)).cloned().collect()
    }

    fn carry(&mut self, features: &[FeatureKey], has_other_hash: bool) -> Result<()> {
        let (old, new) = (self.difference.old.settings, self.difference.new.settings);
        let before = self.graph_before()?;
        let mut what = Vec::new();
        if has_other_hash {
            what.push(format!(
                "the hash {} of {} characters in place of {} of {}",
                new.hash_algorithm,
                new.hash_truncation_length,
                old.hash_algorithm,
                old.hash_truncation_length
            ));
        }
        for (feature, before, today) in &self.difference.options.renamed {
            what.push(format!("the name `{today}` of the field `{before}` of `{feature}`"));
        }
        let mut step = Step {
            summary: format!("carries records over to {}", what.join(" and ")),
            features: features.iter().map(ToString::to_string).collect(),
            up: Vec::new(),
            down: Down::Statements(Vec::new()),
        };
        let unchanged = |n: usize| format!("@unchanged {n}");
        for (n, key) in features.iter().enumerate() {
            let was = FeatureContext::new(&before, key, old.hash())?;
            if was.is_root() || !self.can_look_up(&was)? {
                continue;
            }
            let planner = Planner { feature: &was, tables: &self.tables };
            let which = Which { unchanged: Unchanged::All, among: None };
            let find = find(&planner, &planner.own_records()?, &RebaseOptions::default(), which)?;
            keep_increment(&mut step.up, &find)?;
            keep(&mut step.up, &unchanged(n), find.rebased)?;
        }
        if !self.refused.is_empty() {
            return Ok(());
        }
        for (n, key) in features.iter().enumerate() {
            let names = FeatureContext::new(&before, key, old.hash())?.field_names();
            let context = self.context(key)?;
            let planner = Planner { feature: &context, tables: &self.tables };
            let records = planner.own_records()?;
            let found = if context.is_root() {
                let hash = context.hash();
                lower::restated(&Restated { records: records.clone(), stored: names.clone(), hash })
            } else {
                let which = Which { unchanged: Unchanged::All, among: Some(unchanged(n)) };
                let accept = vec![Reason::Code, Reason::Added, Reason::Upstream, Reason::Forced];
                let options = RebaseOptions { accept, ..RebaseOptions::default() };
                let find = find(&planner, &records, &options, which)?;
                keep_increment(&mut step.up, &find)?;
                find.rebased
            };
            keep(&mut step.up, REBASED, found)?;
            // A root's data version is the caller's, whatever it is equal to.
            let stored = Stored { names, follows: !context.is_root() };
            self.append(&mut step, &planner, records, stored)?;
        }
        forget(&mut step.up, [INCREMENT, REBASED])?;
        for n in 0..features.len() {
            forget(&mut step.up, [unchanged(n).as_str()])?;
        }
        if has_other_hash {
            step.up.extend(lower::restamp_settings(&stamp(new)));
            if let Down::Statements(down) = &mut step.down {
                down.extend(lower::restamp_settings(&stamp(old)));
            }
            self.notes.push(
                "records that are stale or blocked keep versions of the old hash, and are stale until \
                 they are computed again; failures that were noted do not count any more"
                    .to_owned(),
            );
        }
        self.steps.push(step);
        Ok(())
    }
}

/// Whether every field has what it had, so that a record can be unchanged.
fn are_fields_alike(before: &FeatureSchema, today: &FeatureSchema) -> bool {
    today.fields.values().all(|field| {
        before.fields.values().any(|was| {
            was.first_name == field.first_name
                && was.code_version == field.code_version
                && was.parents == field.parents
        })
    })
}

/// Keeps the increment that a rebase chooses from.
fn keep_increment(up: &mut Vec<Statement>, find: &Find) -> Result<()> {
    let increment = lower::resolve(&find.increment);
    let increment = increment
        .ok_or_else(|| crate::Error::internal("a feature with upstreams can be resolved"))?;
    keep(up, INCREMENT, increment)
}

/// Keeps the rows of a query in a temporary table, made anew.
fn keep(up: &mut Vec<Statement>, table: &str, query: Query) -> Result<()> {
    forget(up, [table])?;
    up.push(Statement::CreateTemporaryAs { table: Ident::new(table)?, query });
    Ok(())
}

/// Removes temporary tables.
fn forget<'a>(up: &mut Vec<Statement>, tables: impl IntoIterator<Item = &'a str>) -> Result<()> {
    for table in tables {
        up.push(Statement::DropTemporary { table: Ident::new(table)? });
    }
    Ok(())
}
