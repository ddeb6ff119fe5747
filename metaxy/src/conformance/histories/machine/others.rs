//! What happens to a store besides the daily round: calls with options, failures, rows of other
//! programs, vacuums. Here stores are compared; what they have written is told to the third account.

use super::{Crash, Machine, Result, fields, same, text, with_columns};
use crate::arrow::array::{
    ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt32Array,
};
use crate::arrow::compute::{filter_record_batch, take_record_batch};
use crate::conformance::histories::history::{Call, Jobs, Samples as Sketch};
use crate::conformance::histories::program::{CHILD, Edit, Program};
use crate::conformance::histories::rows::{self, ByField, Ids, PROVENANCE_BY_FIELD, Seen, Value};
use crate::increment::AnyFeature;
use crate::store::backend::{Backend, Export, FeatureContext};
use crate::store::memory::Memory;
use crate::store::{Failed, Update};
use crate::{Counts, FeatureKey, Store};
use futures::StreamExt;
use metaxy_sql::plan::Hash;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a call gives: the counts, the records, and the order of those to compute if one was asked
/// for; or what is wrong with the call.
type Answer = Result<(Counts, BTreeMap<Ids, Seen>, Option<Vec<Ids>>)>;

/// A resolve with the options of a sketch.
fn update(
    program: &Program,
    store: &Store,
    feature: &FeatureKey,
    call: &Call,
) -> Update<AnyFeature> {
    let mut update = store.update_of(feature).skip_comparison(call.skip_comparison);
    if let Some((upstream, condition)) = program.upstream_condition(feature, call.on_upstream) {
        update = update.filter(&upstream, condition);
    }
    if let Some(condition) = program.common_condition(feature).filter(|_| call.on_all) {
        update = update.global_filter(condition);
    }
    if let Some(condition) = program.stored_condition(feature, call.on_stored) {
        update = update.target_filter(condition);
    }
    if let Some(condition) = program.stored_condition(feature, call.stale_if) {
        update = update.stale_if(condition);
    }
    if let Some((index, count)) = call.shard {
        update = update.shard(index, count);
    }
    if let Some((column, is_descending)) = call.order_by {
        let column = program.order_column(feature, column);
        update = match is_descending {
            true => update.order_by_desc(column),
            false => update.order_by(column),
        };
    }
    if let Some(limit) = call.limit {
        update = update.limit(limit);
    }
    update.failed(match call.failed {
        0 => Failed::Include,
        1 => Failed::LeaveOut,
        // The stores have not failed at the same times: any time will do.
        n => Failed::Retry { attempts: u64::from(n), before: i64::MAX },
    })
}

/// What a store answers.
async fn answer(program: &Program, store: &Store, feature: &FeatureKey, call: &Call) -> Answer {
    let increment = update(program, store, feature, call).await.map_err(text)?;
    let counts = increment.counts();
    let batches = rows::all(increment.batches()).await?;
    let names = program.record_names(feature);
    let seen = rows::seen(&batches, &names)?;
    let mut order = Vec::new();
    for batch in &batches {
        let ids = (0..batch.num_rows()).map(|row| rows::ids(batch, &names, row));
        order.extend(ids.filter(|ids| matches!(&*seen[ids].status, "new" | "stale")));
    }
    Ok((counts, seen, call.order_by.map(|_| order)))
}

impl Machine {
    /// The answers of a call are those of memory; those to compute are perhaps written.
    pub(super) async fn call(
        &mut self,
        by: usize,
        feature: &FeatureKey,
        call: &Call,
        writes: bool,
    ) -> Result<()> {
        if self.programs[by].is_root(feature) {
            return Ok(());
        }
        self.note(by, format_args!("call {feature} with {call:?}, write: {writes}"));
        let is_answered = self.same_call(by, feature, call).await?;
        if writes && is_answered {
            let program = Arc::clone(&self.programs[by]);
            let store = self.store.with_graph(program.graph.clone());
            let increment = update(&program, &store, feature, call).await.map_err(text)?;
            let jobs = &Jobs::All;
            let finished =
                self.compute_from(by, feature, increment, jobs, false, Crash::Never).await?;
            self.finish(finished).await?;
        }
        self.same_failures(by, feature).await
    }

    /// The answers of a call are those of memory. Tells whether it is answered, or refused.
    pub(super) async fn same_call(
        &mut self,
        by: usize,
        feature: &FeatureKey,
        call: &Call,
    ) -> Result<bool> {
        let program = Arc::clone(&self.programs[by]);
        let ask = async |store: Store| -> Result<(Answer, Result<Counts>)> {
            let counts = update(&program, &store, feature, call).counts().await.map_err(text);
            Ok((answer(&program, &store, feature, call).await, counts))
        };
        let (found, counts) = ask(self.store.with_graph(program.graph.clone())).await?;
        let (expected, expected_counts) = self.tell(by, ask).await?;
        if let (Ok((_, found, _)), Ok((_, expected, _))) = (&found, &expected)
            && let Some(difference) = rows::difference(found, expected)
        {
            return Err(format!("the answer to a call of {feature} differs\n{difference}"));
        }
        same(&format!("a call of {feature}"), &found, &expected)?;
        same(&format!("counts of a call of {feature} alone"), &counts, &expected_counts)?;
        Ok(found.is_ok())
    }

    /// A worker that computes an expansion anew dies.
    pub(super) async fn crash(
        &mut self,
        by: usize,
        expansion: u8,
        jobs: &Jobs,
        crash: Crash,
    ) -> Result<()> {
        let program = Arc::clone(&self.programs[by]);
        let Some(feature) = program.expansion(expansion) else { return Ok(()) };
        self.note(by, format_args!("work on {feature} and die: {crash:?}"));
        let store = self.store.with_graph(program.graph.clone());
        let anew = store.update_of(&feature).skip_comparison(true).await.map_err(text)?;
        let finished = self.compute_from(by, &feature, anew, jobs, false, crash).await?;
        self.finish(finished).await
    }

    /// A developer changes a feature, and only some of its records are computed again.
    pub(super) async fn release(&mut self, edit: &Edit, feature: u8, jobs: &Jobs) -> Result<()> {
        if !self.edit(edit) {
            return Ok(());
        }
        let today = self.programs.len() - 1;
        let feature = self.programs[today].key(feature);
        if !self.programs[today].is_root(&feature) {
            return self.work(today, &feature, jobs, false).await.map(drop);
        }
        let samples = self.samples_again(today, &feature).await?.into_iter().enumerate();
        let samples = samples.filter(|(i, _)| jobs.includes(*i)).map(|(_, row)| row).collect();
        self.sync(today, &feature, samples, false, false).await
    }

    /// Some of the jobs that there are where all is computed anew, in one batch, if there are any.
    async fn jobs(
        &self,
        by: usize,
        feature: &FeatureKey,
        jobs: &Jobs,
    ) -> Result<Option<RecordBatch>> {
        let store = self.store.with_graph(self.programs[by].graph.clone());
        let anew = store.update_of(feature).skip_comparison(true).await.map_err(text)?;
        let batches = rows::all(anew.to_compute()).await?;
        let Some(first) = batches.first() else { return Ok(None) };
        let all = arrow::compute::concat_batches(&first.schema(), &batches);
        let all = all.map_err(text)?;
        let is_meant: Vec<bool> = (0..all.num_rows()).map(|job| jobs.includes(job)).collect();
        let meant = filter_record_batch(&all, &BooleanArray::from(is_meant)).map_err(text)?;
        Ok((meant.num_rows() > 0).then_some(meant))
    }

    /// Some jobs fail.
    pub(super) async fn fail(
        &mut self,
        by: usize,
        feature: &FeatureKey,
        jobs: &Jobs,
    ) -> Result<()> {
        if self.programs[by].is_root(feature) {
            return Ok(());
        }
        let Some(meant) = self.jobs(by, feature, jobs).await? else { return Ok(()) };
        self.note(by, format_args!("fail {} jobs of {feature}: {jobs:?}", meant.num_rows()));
        let fail = async |store: Store| -> Result<Vec<String>> {
            let mut writer = store.batch_writer(feature);
            writer.fail(&meant, &["it broke"]).map_err(text)?;
            Ok(writer.commit().await.map_err(text)?.failed)
        };
        let found = fail(self.store.with_graph(self.programs[by].graph.clone())).await?;
        let expected = self.tell(by, fail).await?;
        self.failed.insert(feature.clone());
        same("failures that are reported", &found, &expected)?;
        self.same_failures(by, feature).await
    }

    /// The failures that are kept are those of memory, but for their times.
    async fn same_failures(&self, by: usize, feature: &FeatureKey) -> Result<()> {
        let failures = async |store: &Store| -> Result<Vec<_>> {
            let store = store.with_graph(self.programs[by].graph.clone());
            let failures = store.failures_of(feature).await.map_err(text)?;
            let mut failures: Vec<_> =
                failures.into_iter().map(|f| (f.ids, f.provenance, f.error)).collect();
            failures.sort();
            Ok(failures)
        };
        let (found, expected) = (failures(&self.store).await?, failures(&self.reference).await?);
        same(&format!("failures of {feature}"), &found, &expected)
    }

    /// Superseded rows go, and nothing else is seen of it: the check after the step compares what
    /// there is with memory, and here it is compared with what was.
    pub(super) async fn vacuum(
        &mut self,
        by: usize,
        feature: &FeatureKey,
        keep: u64,
    ) -> Result<()> {
        self.note(by, format_args!("vacuum {feature}, keep {keep}"));
        let vacuum = async |store: Store| -> Result<[u64; 2]> {
            let vacuum = store.vacuum_of(feature).keep(keep);
            let dry = vacuum.clone().dry_run(true).await.map_err(text)?.rows_removed;
            Ok([dry, vacuum.await.map_err(text)?.rows_removed])
        };
        let program = Arc::clone(&self.programs[by]);
        let store = self.store.with_graph(program.graph.clone());
        let mut seen = vec![feature.clone()];
        // What a group gave before may have been known by a superseded row alone.
        if !program.is_grouped(feature) {
            let downstream = program.graph.all_downstreams(feature);
            seen.extend(downstream.iter().map(|definition| definition.spec.key.clone()));
        }
        let mut before = Vec::new();
        for key in &seen {
            before.push(self.seen_of(&store, by, key).await?);
        }
        let found = vacuum(store.clone()).await?;
        let expected = self.tell(by, vacuum).await?;
        self.touched.insert(feature.clone());
        same("rows a vacuum removes, first of a dry run", &found, &expected)?;
        for (key, before) in seen.iter().zip(before) {
            let after = self.seen_of(&store, by, key).await?;
            same(&format!("what is seen of {key} after a vacuum of {feature}"), &after, &before)?;
        }
        Ok(())
    }

    /// What is read and resolved of a feature.
    async fn seen_of(
        &self,
        store: &Store,
        by: usize,
        feature: &FeatureKey,
    ) -> Result<(BTreeMap<Ids, rows::Read>, Option<(Counts, BTreeMap<Ids, Seen>)>)> {
        let read = self.read(store, by, feature).await?;
        if self.programs[by].is_root(feature) {
            return Ok((read, None));
        }
        Ok((read, Some(self.increment(store, by, feature).await?)))
    }

    /// Another program, of which nothing is recorded, has written rows: with provenances of its own,
    /// without data versions, and without tries of children. They come from a third store.
    pub(super) async fn foreign(
        &mut self,
        by: usize,
        feature: &FeatureKey,
        jobs: &Jobs,
        samples: &Sketch,
    ) -> Result<()> {
        let program = Arc::clone(&self.programs[by]);
        let Some(ids) = self.foreign_ids(by, feature, jobs, samples).await? else { return Ok(()) };
        let n = ids.num_rows();
        self.note(by, format_args!("another program writes {n} rows of {feature}"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
        let now = i64::try_from(now).map_err(text)?;
        let names = fields(&program, feature);
        let provenance = |row: usize| -> ByField {
            let theirs = format!("theirs {}", row % 2);
            names.iter().map(|(name, _)| (name.clone(), theirs.clone())).collect()
        };
        let provenances: Vec<ByField> = (0..n).map(provenance).collect();
        let texts = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; n])) };
        let time = || -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from(vec![now; n]).with_timezone("UTC"))
        };
        let values: Vec<Value> = (0..n).map(|_| self.next()).collect();
        let added = [
            (self.own_column(by, feature), rows::array(values.iter())),
            (PROVENANCE_BY_FIELD.to_owned(), rows::map_array(provenances.iter())),
            ("metaxy_provenance".to_owned(), texts("theirs")),
            ("metaxy_feature_version".to_owned(), texts("their version")),
            ("metaxy_project_version".to_owned(), texts("their project")),
            ("metaxy_created_at".to_owned(), time()),
            ("metaxy_updated_at".to_owned(), time()),
            ("metaxy_write_token".to_owned(), Arc::new(Int64Array::from(vec![1; n])) as ArrayRef),
        ];
        let names = &program.spec(feature).id_columns;
        let batch = with_columns(&ids, |name| names.iter().any(|id| id == name), added);

        let settings = self.store.settings();
        let theirs = Memory::new(settings.hash_algorithm, settings.hash_truncation_length);
        let hash = Hash {
            algorithm: settings.hash_algorithm,
            length: u32::try_from(settings.hash_truncation_length).map_err(text)?,
        };
        let context = FeatureContext::new(&program.graph, feature, hash).map_err(text)?;
        let export = Export {
            definitions: Vec::new(),
            rows: futures::stream::iter([Ok(batch)]).boxed(),
            seals: futures::stream::empty().boxed(),
        };
        theirs.import(context, export).await.map_err(text)?;
        let theirs = Store::with_backend(Arc::new(theirs), program.graph.clone());
        let copy = async |store: Store| -> Result<[u64; 2]> {
            let mut rows = [0; 2];
            // What is there already is not copied again.
            for copied in &mut rows {
                let report = theirs.copy_to(&store).features([feature.clone()]).await;
                *copied = report.map_err(text)?.iter().map(|line| line.rows).sum();
            }
            Ok(rows)
        };
        let found = copy(self.store.with_graph(program.graph.clone())).await?;
        let expected = self.tell(by, copy).await?;
        self.touched.insert(feature.clone());
        same("rows copied, and copied again", &found, &expected)?;
        same("rows copied, and copied again", &found, &[n as u64, 0])?;
        if let Some(ghost) = &mut self.ghost {
            let names = &program.spec(feature).id_columns;
            for (row, (value, provenance)) in values.into_iter().zip(&provenances).enumerate() {
                let ids = rows::ids(&ids, names, row);
                ghost.write_foreign(&program, feature, ids, value, provenance);
            }
        }
        Ok(())
    }

    /// The ids of rows that another program would write.
    async fn foreign_ids(
        &mut self,
        by: usize,
        feature: &FeatureKey,
        jobs: &Jobs,
        samples: &Sketch,
    ) -> Result<Option<RecordBatch>> {
        if self.programs[by].is_root(feature) {
            let ids: Vec<Ids> =
                self.samples(by, feature, samples).into_iter().map(|row| row.ids).collect();
            return Ok((!ids.is_empty()).then(|| self.id_batch(by, feature, &ids)));
        }
        let Some(records) = self.jobs(by, feature, jobs).await? else { return Ok(None) };
        if !self.programs[by].is_expansion(feature) {
            return Ok(Some(records));
        }
        // Two children each.
        let n = u32::try_from(records.num_rows()).map_err(text)?;
        let places: UInt32Array = (0..n).flat_map(|place| [place, place]).collect();
        let children = take_record_batch(&records, &places).map_err(text)?;
        let names: Vec<Value> =
            (0..children.num_rows()).map(|n| Value::Int(i64::from(n % 2 == 1))).collect();
        let added = [(CHILD.to_owned(), rows::array(names.iter()))];
        Ok(Some(with_columns(&children, |name| name != CHILD, added)))
    }
}
