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

use super::schema::{FeatureSchema, Schema};
use super::steps::{Difference, Down, Step, no_graph};
use crate::error::Result;
use crate::graph::FeatureGraph;
use crate::increment::Reason;
use crate::key::{FeatureKey, FieldKey};
use crate::store::backend::{FeatureContext, RebaseOptions, WriteOptions};
use crate::store::hashing::write_token;
use crate::store::sql::plan::{Planner, Tables};
use crate::store::sql::rebase::{Find, REBASED, Stored, Which, copies, find};
use crate::store::sql::settings::stamp;
use crate::store::sql::tables::today;
use crate::store::sql::temporary::INCREMENT;
use metaxy_sql::ast::{Query, Statement};
use metaxy_sql::plan::{Records, Restated, Time, Unchanged};
use metaxy_sql::{Ident, lower, system};

/// Who has noted the rebases of migrations.
const BY: &str = "metaxy migrate";

/// Adds what moves rows between tables that are as `schema` says.
pub(super) fn add(difference: &mut Difference<'_>, schema: &Schema) -> Result<()> {
    let graph = schema.graph.as_ref().ok_or_else(no_graph)?;
    let moves = Moves { graph, tables: schema.tables(), difference };
    let has_other_hash = moves.difference.old.settings != schema.settings
        && moves.difference.old.tables.contains_key(system::SETTINGS);
    if has_other_hash || !moves.difference.options.renamed.is_empty() {
        let step = moves.carry(has_other_hash)?;
        difference.steps.push(step);
        if has_other_hash {
            difference.notes.push(
                "records that are stale or blocked keep versions of the old hash, and are stale until \
                 they are computed again; failures that were noted do not count any more"
                    .to_owned(),
            );
        }
        return Ok(());
    }
    let (steps, notes) = moves.rebases()?;
    difference.steps.extend(steps);
    difference.notes.extend(notes);
    Ok(())
}

struct Moves<'a, 'd> {
    graph: &'a FeatureGraph,
    tables: Tables,
    difference: &'a Difference<'d>,
}

impl Moves<'_, '_> {
    /// Whether the table of a feature was there before the migration.
    fn was_there(&self, key: &FeatureKey) -> bool {
        self.difference.old.tables.contains_key(&key.table_name())
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

    /// What gives unchanged records today's definition, for each feature that has another one.
    fn rebases(&self) -> Result<(Vec<Step>, Vec<String>)> {
        let (mut steps, mut notes) = (Vec::new(), Vec::new());
        for definition in self.graph.iter() {
            let key = &definition.spec.key;
            let (old, new) = (&self.difference.old.features, &self.difference.new.features);
            let (Some(before), Some(feature)) = (old.get(key.as_str()), new.get(key.as_str()))
            else {
                continue;
            };
            if before.version == feature.version
                || definition.spec.deps.is_empty()
                || !self.was_there(key)
                || !are_fields_alike(before, feature)
            {
                continue;
            }
            if !self.difference.options.rebase {
                notes.push(format!(
                    "`{key}` has another version, and its records keep the old one; a rebase, if asked for, \
                     gives today's to those that are unchanged"
                ));
                continue;
            }
            let context = self.context(key)?;
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
            steps.push(step);
        }
        Ok((steps, notes))
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

    fn carry(&self, has_other_hash: bool) -> Result<Step> {
        let (old, new) = (self.difference.old.settings, self.difference.new.settings);
        let before = self.graph_before()?;
        let features = self.carried(has_other_hash);
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
            if was.is_root() {
                continue;
            }
            let planner = Planner { feature: &was, tables: &self.tables };
            let which = Which { unchanged: Unchanged::All, among: None };
            let find = find(&planner, &planner.own_records()?, &RebaseOptions::default(), which)?;
            keep_increment(&mut step.up, &find)?;
            keep(&mut step.up, &unchanged(n), find.rebased)?;
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
        }
        Ok(step)
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
