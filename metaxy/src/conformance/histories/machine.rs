//! Runs a history on a store and on one in memory side by side, and compares them after every step.
//! Both are seen through the public interface alone.
//!
//! The laws at the end of DESIGN section 7 are held against a third account, [`Ghost`]: of every
//! record that is there, what it was really computed from, without any hash or version in between.
//! Where both stores should be wrong in the same way, this one tells ([`laws`]).

mod ghost;
mod laws;
mod others;

use self::ghost::{Computed, Expected, Ghost, Input, Inputs, NewFamily, NewGhost, Row, child_of};
use super::history::{Action, Call, History, Jobs, Samples as Sketch};
use super::program::{CHILD, CONTENT_FIELD, Edit, Program, is_number};
use super::rows::{
    self, ByField, Columns, DATA_VERSION_BY_FIELD, Ids, NewRow, PROVENANCE_BY_FIELD, Seen, Value,
};
use crate::arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use crate::arrow::compute::{filter_record_batch, take_record_batch};
use crate::conformance::Engine;
use crate::increment::{AnyFeature, Increment};
use crate::spec::FieldSpec;
use crate::store::Settings;
use crate::store::memory::{Memory, Rule};
use crate::{Counts, Error, FeatureKey, HashAlgorithm, Reason, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;

/// What went wrong, and how it came to that.
pub(crate) type Failure = String;

type Result<T, E = Failure> = std::result::Result<T, E>;

/// Like a new store would have it: short enough to read, long enough never to collide here.
const HASH_TRUNCATION_LENGTH: usize = 16;

/// Jobs that are done and not written yet.
struct Finished {
    program: usize,
    feature: FeatureKey,
    batches: Vec<RecordBatch>,
    /// Of an expansion: parents with the number of their children.
    seals: Vec<RecordBatch>,
    counts: Counts,
    account: Account,
}

/// What the third account is told of a write.
#[derive(Default)]
struct Account {
    rows: Vec<NewGhost>,
    /// Of an expansion.
    families: Vec<NewFamily>,
}

/// How much of an expansion is written before a worker dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crash {
    /// It does not die.
    Never,
    /// All children and no seal.
    BeforeSeals,
    /// Some children, and seals for all.
    BeforeChildren,
}

/// A store that is held to another one, and the programs that were ever run.
struct Machine {
    store: Store,
    /// In memory: the definition of correct.
    reference: Store,
    hash_algorithm: HashAlgorithm,
    /// None once it has given up: see there.
    ghost: Option<Ghost>,
    /// What the values of columns and the children are taken from where everything is computed from
    /// scratch: user code would give the same again.
    model: Option<Ghost>,
    /// Whether features are groups, children or optional, or filtered.
    has_lineages: bool,
    /// Stores in memory without one of the rules.
    mutants: Vec<(Rule, Store)>,
    /// The rules whose absence has shown.
    noticed: BTreeSet<Rule>,
    /// The last one is today's.
    programs: Vec<Arc<Program>>,
    taken: Option<Finished>,
    /// The features that the current step has written to or redefined: they and what is downstream of
    /// them are compared after it.
    touched: BTreeSet<FeatureKey>,
    /// Whether it has redefined them.
    has_edited: bool,
    /// The features of which the current step has done all jobs.
    done: BTreeSet<FeatureKey>,
    /// The features of which a job has ever failed.
    failed: BTreeSet<FeatureKey>,
    /// Becomes the value of the next row's own column.
    counter: i64,
    /// Whether everything has been brought up to date for the last time.
    has_converged: bool,
    trace: Vec<String>,
}

/// Runs a history to its end on stores in memory. Gives those of some rules whose absence would have
/// shown.
pub(super) async fn notice(history: &History, rules: &[Rule]) -> Result<BTreeSet<Rule>> {
    let program = Arc::new(Program::new(&history.features));
    Machine::in_memory(history.hash_algorithm, program, rules).run(history).await
}

/// Runs a history to its end on a new store of an engine, and then brings everything up to date.
pub(super) async fn hold(engine: &dyn Engine, history: &History) -> Result<()> {
    let program = Arc::new(Program::new(&history.features));
    let hash_algorithm = match history.hash_algorithm {
        algorithm if engine.hashes(algorithm) => algorithm,
        _ => HashAlgorithm::Md5,
    };
    let settings = Settings { hash_algorithm, hash_truncation_length: HASH_TRUNCATION_LENGTH };
    let store = engine.open(program.graph.clone(), settings).await.map_err(text)?;
    Machine::with(store, hash_algorithm, program, &[]).run(history).await.map(drop)
}

/// Runs a history where both stores are in memory, and perhaps without the same rule: only the laws can
/// fail.
pub(super) async fn hold_to_laws(history: &History, without: Option<Rule>) -> Result<()> {
    let program = Arc::new(Program::new(&history.features));
    let store = || {
        let memory = Memory::new(history.hash_algorithm, HASH_TRUNCATION_LENGTH);
        let memory = match without {
            Some(rule) => memory.without(rule),
            None => memory,
        };
        Store::with_backend(Arc::new(memory), program.graph.clone())
    };
    let mut machine = Machine::with(store(), history.hash_algorithm, Arc::clone(&program), &[]);
    machine.reference = store();
    machine.run(history).await.map(drop)
}

fn text(error: impl std::fmt::Display) -> Failure {
    error.to_string()
}

impl Machine {
    fn in_memory(algorithm: HashAlgorithm, program: Arc<Program>, rules: &[Rule]) -> Self {
        let memory = Arc::new(Memory::new(algorithm, HASH_TRUNCATION_LENGTH));
        let store = Store::with_backend(memory, program.graph.clone());
        Self::with(store, algorithm, program, rules)
    }

    fn with(store: Store, algorithm: HashAlgorithm, program: Arc<Program>, rules: &[Rule]) -> Self {
        let graph = || program.graph.clone();
        let memory = || Memory::new(algorithm, HASH_TRUNCATION_LENGTH);
        let mutant =
            |rule: &Rule| (*rule, Store::with_backend(Arc::new(memory().without(*rule)), graph()));
        Self {
            store,
            reference: Store::with_backend(Arc::new(memory()), graph()),
            hash_algorithm: algorithm,
            ghost: Some(Ghost::default()),
            model: None,
            has_lineages: false,
            mutants: rules.iter().map(mutant).collect(),
            noticed: BTreeSet::new(),
            trace: vec![format!("defined:{program:?}")],
            programs: vec![program],
            taken: None,
            touched: BTreeSet::new(),
            done: BTreeSet::new(),
            failed: BTreeSet::new(),
            counter: 0,
            has_converged: false,
            has_edited: false,
        }
    }

    async fn run(mut self, history: &History) -> Result<BTreeSet<Rule>> {
        self.has_lineages = history.has_lineages;
        match self.history(history).await {
            Ok(()) => Ok(self.noticed),
            Err(failure) => {
                let story = self.trace.join("\n");
                let today = self.programs.last();
                Err(format!("{failure}\n\nwhat happened:\n{story}\ntoday:{today:?}\n"))
            }
        }
    }

    async fn history(&mut self, history: &History) -> Result<()> {
        if let Some(first) = &history.first {
            let program = Arc::clone(&self.programs[0]);
            for (i, root) in program.keys().iter().enumerate().filter(|(_, k)| program.is_root(k)) {
                // No two roots have the same records.
                let mut first = first.clone();
                let n = i % first.len();
                first.rotate_left(n);
                let samples = self.samples(0, root, &first);
                self.sync(0, root, samples, true, true).await?;
            }
            self.work_through(0).await?;
            self.check(0).await?;
        }
        for step in &history.steps {
            let today = self.programs.len() - 1;
            let by = step.by.map_or(today, |by| usize::from(by) % self.programs.len());
            self.touched.clear();
            self.has_edited = false;
            self.done.clear();
            self.understand(by);
            self.step(by, &step.action).await?;
            self.understand(self.programs.len() - 1);
            self.check(by).await?;
            self.done.clear();
            if by != self.programs.len() - 1 {
                self.check(self.programs.len() - 1).await?;
            }
        }
        self.converge().await
    }

    fn note(&mut self, by: usize, what: impl std::fmt::Display) {
        let who =
            if by + 1 == self.programs.len() { String::new() } else { format!("program {by}: ") };
        self.trace.push(format!("- {who}{what}"));
    }

    fn next(&mut self) -> Value {
        self.counter += 1;
        // Where groups and filters go by it, two rows have the same, one after the other.
        Value::Int(if self.has_lineages { self.counter / 2 % 4 } else { self.counter })
    }

    /// What user code finds for a row.
    fn value(&mut self, by: usize, feature: &FeatureKey, ids: &Ids) -> Value {
        let model = self.model.as_ref().map(|model| model.live(&self.programs[by], feature));
        match model {
            // Where it is not there, the comparison will tell.
            Some(rows) => rows.get(ids).map_or(Value::Int(0), |row| row.own.clone()),
            None => self.next(),
        }
    }

    /// The third account gives up if it does not know what a program sees.
    fn understand(&mut self, by: usize) {
        if self.ghost.as_ref().is_some_and(|ghost| !ghost.understands(&self.programs[by])) {
            self.give_up("a feature with rows has become an expansion, or is none any more");
        }
    }

    fn give_up(&mut self, why: &str) {
        if self.ghost.take().is_some() {
            self.trace.push(format!("    from here on no laws: {why}"));
        }
    }

    /// Does the same to the store in memory and to those without a rule, whose answers may differ, and
    /// who may even fail.
    async fn tell<T: PartialEq>(
        &mut self,
        by: usize,
        change: impl AsyncFn(Store) -> Result<T>,
    ) -> Result<T> {
        let graph = &self.programs[by].graph;
        let answer = change(self.reference.with_graph(graph.clone())).await?;
        for (rule, mutant) in &self.mutants {
            let theirs = change(mutant.with_graph(graph.clone())).await;
            if theirs.ok().as_ref() != Some(&answer) {
                self.noticed.insert(*rule);
            }
        }
        Ok(answer)
    }

    /// The ids of the records that a feature has.
    async fn records(&self, by: usize, feature: &FeatureKey) -> Result<Vec<Ids>> {
        if let Some(ghost) = &self.ghost {
            return Ok(ghost.known(feature));
        }
        let store = self.reference.with_graph(self.programs[by].graph.clone());
        let batches =
            match store.read_of(feature).other_versions(true).tombstones(true).batches().await {
                Ok(batches) => rows::all(batches).await?,
                Err(Error::NoTable { .. }) => Vec::new(),
                Err(error) => return Err(text(error)),
            };
        Ok(rows::read(&batches, &self.programs[by].spec(feature).id_columns)?.into_keys().collect())
    }

    async fn step(&mut self, by: usize, action: &Action) -> Result<()> {
        match action {
            Action::Sync { root, samples, are_complete, deletes, overrides } => {
                let root = self.programs[by].key(*root);
                if !self.programs[by].is_root(&root) {
                    return self.work(by, &root, &Jobs::All, false).await.map(drop);
                }
                let mut samples = self.samples(by, &root, samples);
                if *overrides {
                    self.override_some(by, &root, &mut samples);
                }
                self.sync(by, &root, samples, *are_complete, *deletes).await
            }
            Action::Put { root, samples, overrides } => {
                let root = self.programs[by].key(*root);
                if !self.programs[by].is_root(&root) {
                    return self.work(by, &root, &Jobs::All, *overrides).await.map(drop);
                }
                let samples = self.samples(by, &root, samples);
                self.put(by, &root, samples, *overrides).await
            }
            Action::Work { feature, jobs, overrides } => {
                let feature = self.programs[by].key(*feature);
                self.work(by, &feature, jobs, *overrides).await.map(drop)
            }
            Action::Take { feature, jobs } => {
                let feature = self.programs[by].key(*feature);
                if !self.programs[by].is_root(&feature) {
                    self.note(by, format_args!("resolve {feature} and compute for long"));
                    let taken = self.compute(by, &feature, jobs, false).await?;
                    self.taken = Some(taken);
                }
                Ok(())
            }
            Action::Finish => match self.taken.take() {
                Some(finished) => self.finish(finished).await,
                None => Ok(()),
            },
            Action::Delete { feature, records } => {
                let feature = self.programs[by].key(*feature);
                let ids = some(self.records(by, &feature).await?, *records);
                self.delete(by, &feature, ids).await
            }
            Action::Remove { feature, records, cascade } => {
                let feature = self.programs[by].key(*feature);
                let ids = some(self.records(by, &feature).await?, *records);
                self.remove(by, &feature, ids, *cascade).await
            }
            Action::Undelete { feature, records } => {
                let feature = self.programs[by].key(*feature);
                let ids = some(self.records(by, &feature).await?, *records);
                self.undelete(by, &feature, ids).await
            }
            Action::Rebase { feature, accepts_code } => {
                let feature = self.programs[by].key(*feature);
                self.rebase(by, &feature, *accepts_code).await
            }
            Action::Crash { expansion, jobs, seals } => {
                let crash = if *seals { Crash::BeforeChildren } else { Crash::BeforeSeals };
                self.crash(by, *expansion, jobs, crash).await
            }
            Action::Release { feature, field, version, jobs } => {
                let (feature, field, version) = (*feature, *field, *version);
                self.release(&Edit::CodeVersion { feature, field, version }, feature, jobs).await
            }
            Action::DeleteOrphans { feature, and_missing } => {
                let feature = self.programs[by].key(*feature);
                self.delete_orphans(by, &feature, *and_missing).await
            }
            Action::Edit(edit) => {
                self.edit(edit);
                Ok(())
            }
            Action::Revert { program } => {
                let program = usize::from(*program) % self.programs.len();
                self.note(self.programs.len() - 1, format_args!("back to program {program}"));
                self.redefine(Arc::clone(&self.programs[program]));
                Ok(())
            }
            Action::WorkThrough => self.work_through(by).await,
            Action::Call { feature, call, writes } => {
                let feature = self.programs[by].key(*feature);
                self.call(by, &feature, call, *writes).await
            }
            Action::Fail { feature, jobs } => {
                let feature = self.programs[by].key(*feature);
                self.fail(by, &feature, jobs).await
            }
            Action::Foreign { feature, jobs, samples } => {
                let feature = self.programs[by].key(*feature);
                self.foreign(by, &feature, jobs, samples).await
            }
            Action::Vacuum { feature, keep } => {
                let feature = self.programs[by].key(*feature);
                self.vacuum(by, &feature, *keep).await
            }
        }
    }

    /// Changes today's program, unless the change means nothing there.
    fn edit(&mut self, edit: &Edit) -> bool {
        let edited = self.programs.last().and_then(|program| program.edited(edit));
        let Some(program) = edited else { return false };
        self.note(self.programs.len() - 1, format_args!("{edit:?}{program:?}"));
        self.redefine(Arc::new(program));
        true
    }

    /// Another program is today's from now on.
    fn redefine(&mut self, program: Arc<Program>) {
        let before = self.programs.last().expect("a first program");
        let differs =
            |key: &FeatureKey| before.graph.get(key).map(|d| &d.spec) != Some(program.spec(key));
        self.touched.extend(program.keys().into_iter().filter(differs));
        self.has_edited = true;
        self.programs.push(program);
    }

    // ---- Roots ----------------------------------------------------------------------------------

    /// The rows that a sketch means for a root.
    fn samples(&mut self, by: usize, root: &FeatureKey, sketch: &Sketch) -> Vec<NewRow> {
        let program = Arc::clone(&self.programs[by]);
        let mut all: Vec<Ids> = vec![Ids::new()];
        for id in &program.spec(root).id_columns {
            let values: Vec<Value> = if is_number(id) {
                (1..=3).map(Value::Int).collect()
            } else {
                // NUL-free, but otherwise a text that quoting has to survive.
                ["p", "q|'\"é"].map(|text| Value::Text(text.to_owned())).into()
            };
            all = all
                .iter()
                .flat_map(|ids| values.iter().map(|v| [&ids[..], std::slice::from_ref(v)].concat()))
                .collect();
        }
        let fields = fields(&program, root);
        let rows = all.into_iter().zip(sketch).filter_map(|(ids, sample)| {
            let (even, odd) = (*sample)?;
            let versions = fields.iter().enumerate().map(|(i, (name, _))| {
                (name.clone(), format!("v{}", if i % 2 == 0 { even } else { odd }))
            });
            let provenance = versions.collect();
            let columns = Columns::from([(self.own_column(by, root), self.value(by, root, &ids))]);
            Some(NewRow { ids, columns, provenance, data_version: ByField::new() })
        });
        rows.collect::<Vec<_>>()
    }

    fn own_column(&self, by: usize, feature: &FeatureKey) -> String {
        let columns = self.programs[by].columns(feature);
        columns.last().expect("every feature has a column of its own").name.clone()
    }

    /// The ids and the own column of rows.
    fn id_and_own_columns(
        &self,
        by: usize,
        feature: &FeatureKey,
        rows: &[NewRow],
    ) -> Vec<(String, ArrayRef)> {
        let spec = self.programs[by].spec(feature);
        let ids = spec.id_columns.iter().enumerate();
        let mut columns: Vec<_> = ids
            .map(|(i, name)| (name.clone(), rows::array(rows.iter().map(|row| &row.ids[i]))))
            .collect();
        let own = self.own_column(by, feature);
        let values = rows::array(rows.iter().map(|row| &row.columns[&own]));
        columns.push((own, values));
        columns
    }

    /// Gives data versions to every other row.
    fn override_some(&mut self, by: usize, root: &FeatureKey, rows: &mut [NewRow]) {
        let names = field_names(&self.programs[by], root);
        for (i, row) in rows.iter_mut().enumerate().filter(|(i, _)| i % 2 == 0) {
            row.data_version.insert(names[0].clone(), format!("given {}", i % 3));
        }
    }

    /// Rows of a root as a batch, with a column per field or with maps.
    fn root_batch(&self, by: usize, root: &FeatureKey, rows: &[NewRow]) -> RecordBatch {
        let mut columns = self.id_and_own_columns(by, root, rows);
        let overrides = rows.iter().any(|row| !row.data_version.is_empty());
        if overrides {
            let maps = rows::map_array(rows.iter().map(|row| &row.data_version));
            columns.push((DATA_VERSION_BY_FIELD.to_owned(), maps));
        }
        if overrides || rows.len().is_multiple_of(2) {
            let maps = rows::map_array(rows.iter().map(|row| &row.provenance));
            columns.push((PROVENANCE_BY_FIELD.to_owned(), maps));
        } else {
            for (field, _) in fields(&self.programs[by], root) {
                let texts: Vec<_> =
                    rows.iter().map(|row| Value::Text(row.provenance[&field].clone())).collect();
                columns.push((field, rows::array(texts.iter())));
            }
        }
        rows::batch(columns)
    }

    /// What a row of a root is made of.
    fn root_ghost(&self, by: usize, root: &FeatureKey, row: &NewRow) -> NewGhost {
        let inputs = fields(&self.programs[by], root).into_iter().map(|(name, field)| {
            let values = vec![Input::One(row.provenance[&name].clone())];
            let code_version = field.code_version.clone();
            (name, Inputs { code_version, parents: Vec::new(), values })
        });
        NewGhost {
            ids: row.ids.clone(),
            own: row.columns[&self.own_column(by, root)].clone(),
            computed: Computed { inputs: inputs.collect(), swayed: BTreeSet::new() },
            provenance: row.provenance.clone(),
            given: row.data_version.clone(),
            overridden: row.data_version.keys().cloned().collect(),
        }
    }

    async fn sync(
        &mut self,
        by: usize,
        root: &FeatureKey,
        samples: Vec<NewRow>,
        are_complete: bool,
        deletes: bool,
    ) -> Result<()> {
        let shown = samples.iter().map(|row| (&row.ids, &row.provenance, &row.data_version));
        let shown: Vec<_> = shown.collect();
        let kind = if are_complete { "complete" } else { "partial" };
        self.note(by, format_args!("sync {root} with {kind} samples {shown:?}, deletes {deletes}"));

        let batches = match &samples[..] {
            [] => Vec::new(),
            rows => vec![self.root_batch(by, root, rows)],
        };
        let sync = async |store: Store| -> Result<_> {
            let sync = || {
                let sync = store.sync_of(root, batches.clone());
                sync.partial(!are_complete).delete_orphans(deletes)
            };
            let dry = sync().dry_run(true).await.map_err(text)?;
            let report = sync().await.map_err(text)?;
            let all = [dry, report];
            Ok(all.map(|report| (report.counts, report.written.rows, report.written.deleted)))
        };
        let found = sync(self.store.with_graph(self.programs[by].graph.clone())).await?;
        let expected = self.tell(by, sync).await?;
        self.touched.insert(root.clone());
        same("counts of a sync and rows written, first of a dry run", &found, &expected)?;

        let new: Vec<_> = samples.iter().map(|row| self.root_ghost(by, root, row)).collect();
        let Some(ghost) = &mut self.ghost else { return Ok(()) };
        if are_complete && deletes {
            ghost.retain(root, |ids| new.iter().any(|row| row.ids == *ids));
        }
        let live = ghost.live(&self.programs[by], root);
        let is_new = |new: &NewGhost| {
            let is_same = |before: &Row| {
                let stored = &before.computed.inputs;
                let inputs = &new.computed.inputs;
                inputs.iter().all(|(field, inputs)| stored.get(field) == Some(inputs))
                    && new.given.iter().all(|(f, v)| before.data_version.get(f) == Some(v))
            };
            !live.get(&new.ids).is_some_and(|before| is_same(before))
        };
        let written = new.into_iter().filter(is_new).collect();
        ghost.write(&self.programs[by], root, written);
        Ok(())
    }

    async fn put(
        &mut self,
        by: usize,
        root: &FeatureKey,
        mut rows: Vec<NewRow>,
        overrides: bool,
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        if overrides {
            self.override_some(by, root, &mut rows);
        }
        self.note(by, format_args!("put {rows:?} into {root}"));
        let batch = self.root_batch(by, root, &rows);
        let rows = rows.iter().map(|row| self.root_ghost(by, root, row)).collect();
        let account = Account { rows, families: Vec::new() };
        let (program, feature, batches) = (by, root.clone(), vec![batch]);
        let (seals, counts) = (Vec::new(), Counts::default());
        self.finish(Finished { program, feature, batches, seals, counts, account }).await
    }

    // ---- Features with upstreams ----------------------------------------------------------------

    async fn work(
        &mut self,
        by: usize,
        feature: &FeatureKey,
        jobs: &Jobs,
        overrides: bool,
    ) -> Result<Counts> {
        if self.programs[by].is_root(feature) {
            return Ok(Counts::default());
        }
        let extent = match jobs {
            Jobs::All => "all".to_owned(),
            Jobs::Some(bits) => format!("some ({bits:08b})"),
        };
        let how = if overrides { " and override versions" } else { "" };
        self.note(by, format_args!("work on {extent} of {feature}{how}"));
        let finished = self.compute(by, feature, jobs, overrides).await?;
        let counts = finished.counts;
        self.finish(finished).await?;
        if matches!(jobs, Jobs::All) {
            self.done.insert(feature.clone());
        }
        Ok(counts)
    }

    /// Resolves, and does some of the jobs.
    async fn compute(
        &mut self,
        by: usize,
        feature: &FeatureKey,
        jobs: &Jobs,
        overrides: bool,
    ) -> Result<Finished> {
        let store = self.store.with_graph(self.programs[by].graph.clone());
        let increment = store.resolve_update_of(feature).await.map_err(text)?;
        self.compute_from(by, feature, increment, jobs, overrides, Crash::Never).await
    }

    /// Does some of the jobs of an increment.
    async fn compute_from(
        &mut self,
        by: usize,
        feature: &FeatureKey,
        increment: Increment<AnyFeature>,
        jobs: &Jobs,
        overrides: bool,
        crash: Crash,
    ) -> Result<Finished> {
        let program = Arc::clone(&self.programs[by]);
        let id_names = &program.record_names(feature);
        let is_expansion = program.is_expansion(feature);
        let mut seals = Vec::new();
        let counts = increment.counts();
        let own = self.own_column(by, feature);
        let (mut batches, mut account) = (Vec::new(), Account::default());
        let expected = self.ghost.as_ref().map(|ghost| ghost.expected(&program, feature));
        let mut n_jobs = 0;
        for batch in rows::all(increment.to_compute()).await? {
            let is_done: Vec<bool> =
                (0..batch.num_rows()).map(|i| jobs.includes(n_jobs + i)).collect();
            n_jobs += batch.num_rows();
            let batch = filter_record_batch(&batch, &BooleanArray::from(is_done)).map_err(text)?;
            if is_expansion {
                let expected = expected.as_ref();
                let (children, sealed, families) =
                    self.children(by, feature, &batch, expected, crash)?;
                batches.extend(children);
                seals.extend(sealed);
                account.families.extend(families);
                continue;
            }
            let mut done: Vec<NewRow> = Vec::new();
            for i in 0..batch.num_rows() {
                let ids = rows::ids(&batch, id_names, i);
                let provenance = rows::by_field(&batch, PROVENANCE_BY_FIELD, i).unwrap_or_default();
                // What the increment says may be given back as it is, or left to the store.
                let mut data_version = match self.counter % 3 {
                    0 => ByField::new(),
                    _ => rows::by_field(&batch, DATA_VERSION_BY_FIELD, i).unwrap_or_default(),
                };
                if let Some(version) = provenance.get(CONTENT_FIELD) {
                    data_version.insert(CONTENT_FIELD.to_owned(), content_version(version));
                }
                let mut overridden = BTreeSet::new();
                if overrides {
                    for (_, field) in
                        provenance.keys().enumerate().filter(|(k, _)| (i + k) % 2 == 0)
                    {
                        data_version.insert(field.clone(), format!("given {}", i % 3));
                        overridden.insert(field.clone());
                    }
                }
                let value = self.value(by, feature, &ids);
                if let Some(expected) = &expected {
                    account.rows.push(NewGhost {
                        ids: ids.clone(),
                        own: value.clone(),
                        computed: self.made_of(feature, expected, &ids, &provenance)?,
                        provenance: provenance.clone(),
                        given: data_version.clone(),
                        overridden,
                    });
                }
                let columns = Columns::from([(own.clone(), value)]);
                done.push(NewRow { ids, columns, provenance, data_version });
            }
            // What came along is not the feature's; all else is given back as it is.
            let is_ours =
                |name: &str| id_names.iter().any(|id| id == name) || name.starts_with("metaxy_");
            let batch = with_columns(&batch, is_ours, []);
            let values = rows::array(done.iter().map(|row| &row.columns[&own]));
            let mut added = vec![(own.clone(), values)];
            if done.iter().any(|row| !row.data_version.is_empty()) {
                let versions = rows::map_array(done.iter().map(|row| &row.data_version));
                added.push((DATA_VERSION_BY_FIELD.to_owned(), versions));
            }
            batches.push(with_columns(&batch, |name| name != DATA_VERSION_BY_FIELD, added));
        }
        Ok(Finished { program: by, feature: feature.clone(), batches, seals, counts, account })
    }

    /// The children of parents, as many as their provenance says, and the seals of these.
    fn children(
        &mut self,
        by: usize,
        feature: &FeatureKey,
        parents: &RecordBatch,
        expected: Option<&BTreeMap<Ids, Expected>>,
        crash: Crash,
    ) -> Result<(Vec<RecordBatch>, Vec<RecordBatch>, Vec<NewFamily>)> {
        let program = Arc::clone(&self.programs[by]);
        let (mut places, mut names, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        let (mut values, mut families) = (Vec::new(), Vec::new());
        let parent_names = program.record_names(feature);
        for row in 0..parents.num_rows() {
            let parent = rows::ids(parents, &parent_names, row);
            let provenance = rows::by_field(parents, PROVENANCE_BY_FIELD, row).unwrap_or_default();
            let given = rows::by_field(parents, DATA_VERSION_BY_FIELD, row).unwrap_or_default();
            let n = provenance.values().flat_map(|v| v.bytes()).map(i64::from).sum::<i64>() % 4;
            let mut all: Vec<Value> = (1..=n).map(Value::Int).collect();
            if let Some(model) = &self.model {
                all = model.children(&program, feature, &parent).into_iter().cloned().collect();
            }
            numbers.push(Value::Int(all.len() as i64));
            let n = if crash == Crash::BeforeChildren { all.len() / 2 } else { all.len() };
            let mut children = Vec::new();
            for child in &all[..n] {
                places.push(u32::try_from(row).map_err(text)?);
                names.push(child.clone());
                let ids = child_of(&program, feature, &parent, child);
                values.push(self.value(by, feature, &ids));
                children.push((ids, values[values.len() - 1].clone()));
            }
            let Some(expected) = expected else { continue };
            let computed = self.made_of(feature, expected, &parent, &provenance)?;
            let children = children.into_iter().map(|(ids, own)| NewGhost {
                ids,
                own,
                computed: computed.clone(),
                provenance: provenance.clone(),
                given: given.clone(),
                overridden: BTreeSet::new(),
            });
            let children = children.collect();
            let is_complete = n == all.len();
            families.push(NewFamily { parent, computed: computed.clone(), children, is_complete });
        }
        let own = self.own_column(by, feature);
        let is_ours =
            |name: &str| parent_names.iter().any(|id| id == name) || name.starts_with("metaxy_");
        let children = take_record_batch(parents, &UInt32Array::from(places)).map_err(text)?;
        let added =
            [(CHILD.to_owned(), rows::array(names.iter())), (own, rows::array(values.iter()))];
        let children = vec![with_columns(&children, is_ours, added)];
        if crash == Crash::BeforeSeals {
            return Ok((children, Vec::new(), Vec::new()));
        }
        let added = [("metaxy_children".to_owned(), rows::array(numbers.iter()))];
        Ok((children, vec![with_columns(parents, is_ours, added)], families))
    }

    /// Writes what was computed.
    async fn finish(&mut self, finished: Finished) -> Result<()> {
        let Finished { program, feature, batches, seals, account, .. } = finished;
        let n_rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let graph = self.programs[program].graph.clone();
        let shown = if account.families.is_empty() {
            account.rows.iter().map(|row| &row.ids).collect::<Vec<_>>()
        } else {
            let children = account.families.iter().flat_map(|family| &family.children);
            children.map(|child| &child.ids).collect()
        };
        self.trace.push(format!("    {feature} is written: {shown:?}"));
        let write = async |store: Store| -> Result<u64> {
            let mut writer = store.batch_writer(&feature);
            for batch in &batches {
                writer.push(batch).await.map_err(text)?;
            }
            for seals in &seals {
                writer.seal(seals).await.map_err(text)?;
            }
            Ok(writer.commit().await.map_err(text)?.rows)
        };
        let written = write(self.store.with_graph(graph)).await?;
        let expected = self.tell(program, write).await?;
        same("rows written", &written, &expected)?;
        same("rows written", &written, &(n_rows as u64))?;
        self.touched.insert(feature.clone());
        if let Some(ghost) = &mut self.ghost {
            let program = &self.programs[program];
            if n_rows > 0 || !seals.is_empty() {
                ghost.touch(program, &feature);
            }
            ghost.write(program, &feature, account.rows);
            ghost.write_families(program, &feature, account.families);
        }
        Ok(())
    }

    async fn delete(&mut self, by: usize, feature: &FeatureKey, ids: Vec<Ids>) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.note(by, format_args!("delete {ids:?} of {feature}"));
        let graph = self.programs[by].graph.clone();
        let names = self.programs[by].spec(feature).id_columns.iter().enumerate();
        let columns = names
            .map(|(i, name)| (name.clone(), rows::array(ids.iter().map(|ids| &ids[i]))))
            .collect();
        let batch = rows::batch(columns);
        let delete = async |store: Store| -> Result<u64> {
            let report = store.delete_of(feature, std::slice::from_ref(&batch)).await;
            Ok(report.map_err(text)?.records())
        };
        let n_deleted = delete(self.store.with_graph(graph)).await?;
        let expected = self.tell(by, delete).await?;
        self.touched.insert(feature.clone());
        same("records deleted", &n_deleted, &expected)?;
        if let Some(ghost) = &mut self.ghost {
            ghost.delete(&self.programs[by], feature, &ids);
        }
        Ok(())
    }

    /// Ids of records as a batch.
    fn id_batch(&self, by: usize, feature: &FeatureKey, ids: &[Ids]) -> RecordBatch {
        let names = self.programs[by].spec(feature).id_columns.iter().enumerate();
        let column = |i: usize| rows::array(ids.iter().map(|ids| &ids[i]));
        rows::batch(names.map(|(i, name)| (name.clone(), column(i))).collect())
    }

    async fn remove(
        &mut self,
        by: usize,
        feature: &FeatureKey,
        ids: Vec<Ids>,
        cascade: bool,
    ) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.note(by, format_args!("remove {ids:?} of {feature}, cascade {cascade}"));
        let batch = self.id_batch(by, feature, &ids);
        let orphans = self.orphans_downstream(by, feature);
        let remove = async |store: Store| -> Result<_> {
            let deletion = store.delete_of(feature, std::slice::from_ref(&batch)).hard(true);
            let report = deletion.cascade(cascade).await.map_err(text)?;
            let lines =
                report.features.into_iter().map(|l| (l.feature, (l.records, l.rows_removed)));
            Ok(lines.collect::<BTreeMap<_, _>>())
        };
        let removed = remove(self.store.with_graph(self.programs[by].graph.clone())).await?;
        let expected = self.tell(by, remove).await?;
        self.touched.extend(removed.keys().cloned());
        self.touched.insert(feature.clone());
        same("records removed", &removed, &expected)?;
        let program = Arc::clone(&self.programs[by]);
        if self.ghost.as_mut().is_some_and(|ghost| !ghost.remove(&program, feature, &ids)) {
            self.give_up("single children of another program were removed");
        }
        for (downstream, before) in orphans.into_iter().filter(|_| cascade) {
            self.take_orphans(by, &downstream, &before, true).await?;
        }
        Ok(())
    }

    /// The orphans of all features that are computed from one, upstream first.
    fn orphans_downstream(
        &self,
        by: usize,
        feature: &FeatureKey,
    ) -> Vec<(FeatureKey, BTreeSet<Ids>)> {
        let Some(ghost) = &self.ghost else { return Vec::new() };
        let program = &self.programs[by];
        let downstream = program.graph.all_downstreams(feature);
        let mut keys = program.keys();
        keys.retain(|key| downstream.iter().any(|definition| definition.spec.key == *key));
        let orphans = |key: FeatureKey| (key.clone(), ghost.orphans(program, &key));
        keys.into_iter().map(orphans).collect()
    }

    /// Tells the third account which orphans are not there any more, but for those that a deletion may
    /// not take. Gives the others.
    async fn take_orphans(
        &mut self,
        by: usize,
        feature: &FeatureKey,
        but: &BTreeSet<Ids>,
        hard: bool,
    ) -> Result<BTreeSet<Ids>> {
        let program = Arc::clone(&self.programs[by]);
        let store = self.store.with_graph(program.graph.clone());
        let (_, seen) = self.increment(&store, by, feature).await?;
        let Some(ghost) = &mut self.ghost else { return Ok(BTreeSet::new()) };
        let orphans = ghost.orphans(&program, feature);
        let is_left = |ids: &Ids| seen.get(ids).is_some_and(|seen| seen.status == "orphaned");
        let (left, taken): (BTreeSet<_>, BTreeSet<_>) =
            orphans.into_iter().partition(|ids| but.contains(ids) || is_left(ids));
        ghost.delete_records(&program, feature, &taken, hard);
        Ok(left)
    }

    async fn undelete(&mut self, by: usize, feature: &FeatureKey, ids: Vec<Ids>) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        self.note(by, format_args!("undelete {ids:?} of {feature}"));
        let batch = self.id_batch(by, feature, &ids);
        let undelete = async |store: Store| -> Result<(u64, u64)> {
            let written = store.undelete_of(feature, std::slice::from_ref(&batch)).await;
            let written = written.map_err(text)?;
            Ok((written.rows, written.seals))
        };
        let rows = undelete(self.store.with_graph(self.programs[by].graph.clone())).await?;
        let expected = self.tell(by, undelete).await?;
        self.touched.insert(feature.clone());
        same("rows that came back", &rows, &expected)?;
        let program = &self.programs[by];
        if self.ghost.as_mut().is_some_and(|ghost| !ghost.undelete(program, feature, &ids)) {
            self.give_up("a child came back that has another definition than its parent");
        }
        Ok(())
    }

    async fn rebase(&mut self, by: usize, feature: &FeatureKey, accepts_code: bool) -> Result<()> {
        if self.programs[by].is_root(feature) {
            return Ok(());
        }
        self.note(by, format_args!("rebase {feature}, accept code: {accepts_code}"));
        let store = self.store.with_graph(self.programs[by].graph.clone());
        let (_, seen) = self.increment(&store, by, feature).await?;
        let rebase = async |store: Store| -> Result<(u64, u64)> {
            let mut rebase = store.rebase_of(feature).by("me").because("it is the same");
            if accepts_code {
                rebase = rebase.accept(Reason::Code);
            }
            let written = rebase.await.map_err(text)?;
            Ok((written.rows, written.seals))
        };
        let rows = rebase(self.store.with_graph(self.programs[by].graph.clone())).await?;
        let expected = self.tell(by, rebase).await?;
        self.touched.insert(feature.clone());
        same("rows rebased", &rows, &expected)?;
        let program = &self.programs[by];
        let provenance = |ids: &Ids| seen.get(ids).map(|seen| seen.provenance.clone());
        let is_known = self
            .ghost
            .as_mut()
            .is_none_or(|ghost| ghost.rebase(program, feature, accepts_code, provenance));
        if !is_known {
            self.give_up("children of another program may have been accepted");
        }
        Ok(())
    }

    async fn delete_orphans(
        &mut self,
        by: usize,
        feature: &FeatureKey,
        and_missing: bool,
    ) -> Result<()> {
        if self.programs[by].is_root(feature) {
            return Ok(());
        }
        let missing = if and_missing { " and what is missing" } else { "" };
        self.note(by, format_args!("delete orphans{missing} of {feature}"));
        let store = self.store.with_graph(self.programs[by].graph.clone());
        let delete = async |store: Store| -> Result<u64> {
            let report = store.delete_orphans_of(feature).missing(and_missing).await;
            Ok(report.map_err(text)?.records())
        };
        let n_deleted = delete(store).await?;
        let expected = self.tell(by, delete).await?;
        self.touched.insert(feature.clone());
        same("orphans deleted", &n_deleted, &expected)?;
        let left = self.take_orphans(by, feature, &BTreeSet::new(), false).await?;
        if and_missing {
            same("orphans that are left", &left, &BTreeSet::new())?;
        }
        Ok(())
    }

    /// Does everything there is to do, upstream first.
    async fn work_through(&mut self, by: usize) -> Result<()> {
        self.note(by, "work on everything, upstream first");
        for feature in self.programs[by].keys() {
            if self.programs[by].is_root(&feature) {
                let samples = self.samples_again(by, &feature).await?;
                self.sync(by, &feature, samples, false, false).await?;
            } else {
                self.work(by, &feature, &Jobs::All, false).await?;
            }
        }
        Ok(())
    }

    /// What is in a root, as samples: the caller has no others.
    async fn samples_again(&mut self, by: usize, root: &FeatureKey) -> Result<Vec<NewRow>> {
        let Some(ghost) = &self.ghost else { return self.samples_from_store(by, root).await };
        let own = self.own_column(by, root);
        let names = field_names(&self.programs[by], root);
        let mut rows = Vec::new();
        for (ids, row) in ghost.live(&self.programs[by], root) {
            let versions = names.iter().map(|name| {
                let value =
                    match row.computed.inputs.get(name).map(|i| (&i.parents[..], &i.values[..])) {
                        Some(([], [Input::One(value)])) => value.clone(),
                        _ => "v0".to_owned(),
                    };
                (name.clone(), value)
            });
            let (provenance, data_version) = (versions.collect(), ByField::new());
            rows.push(NewRow {
                ids: ids.clone(),
                columns: Columns::new(),
                provenance,
                data_version,
            });
        }
        for row in &mut rows {
            row.columns.insert(own.clone(), self.value(by, root, &row.ids));
        }
        Ok(rows)
    }

    /// The same without a third account: as the store has it.
    async fn samples_from_store(&mut self, by: usize, root: &FeatureKey) -> Result<Vec<NewRow>> {
        let own = self.own_column(by, root);
        let names = field_names(&self.programs[by], root);
        let store = self.reference.with_graph(self.programs[by].graph.clone());
        let batches = match store.read_of(root).other_versions(true).batches().await {
            Ok(batches) => rows::all(batches).await?,
            Err(Error::NoTable { .. }) => Vec::new(),
            Err(error) => return Err(text(error)),
        };
        let read = rows::read(&batches, &self.programs[by].spec(root).id_columns)?;
        let row = |(ids, read): (Ids, rows::Read)| {
            let value = |name: &String| {
                let value = read.provenance.get(name).cloned();
                (name.clone(), value.unwrap_or_else(|| "v0".to_owned()))
            };
            let provenance = names.iter().map(value).collect();
            let columns = Columns::from([(own.clone(), self.next())]);
            NewRow { ids, columns, provenance, data_version: ByField::new() }
        };
        Ok(read.into_iter().map(row).collect())
    }

    // ---- Comparing ------------------------------------------------------------------------------

    /// The increment of a feature, as a store gives it.
    async fn increment(
        &self,
        store: &Store,
        by: usize,
        feature: &FeatureKey,
    ) -> Result<(Counts, BTreeMap<Ids, Seen>)> {
        let increment = store.resolve_update_of(feature).await.map_err(text)?;
        let counts = increment.counts();
        let batches = rows::all(increment.batches()).await?;
        Ok((counts, rows::seen(&batches, &self.programs[by].record_names(feature))?))
    }

    /// The rows that a program reads of a feature in a store.
    async fn read(
        &self,
        store: &Store,
        by: usize,
        feature: &FeatureKey,
    ) -> Result<BTreeMap<Ids, rows::Read>> {
        let batches = match store.read_of(feature).batches().await {
            Ok(batches) => rows::all(batches).await?,
            // Nothing was ever written.
            Err(Error::NoTable { .. }) => Vec::new(),
            Err(error) => return Err(text(error)),
        };
        rows::read(&batches, &self.programs[by].spec(feature).id_columns)
    }

    /// What the store in memory reads and resolves of a feature. Those without a rule are asked the
    /// same.
    async fn expected(
        &mut self,
        by: usize,
        feature: &FeatureKey,
    ) -> Result<(BTreeMap<Ids, rows::Read>, Option<(Counts, BTreeMap<Ids, Seen>)>)> {
        let graph = self.programs[by].graph.clone();
        let is_root = self.programs[by].is_root(feature);
        let all = [&self.reference].into_iter().chain(self.mutants.iter().map(|(_, store)| store));
        let mut answers = Vec::new();
        for store in all {
            let store = store.with_graph(graph.clone());
            let read = self.read(&store, by, feature).await;
            let increment = match is_root {
                true => Ok(None),
                false => self.increment(&store, by, feature).await.map(Some),
            };
            answers.push(read.and_then(|read| Ok((read, increment?))));
        }
        let expected = answers.remove(0)?;
        for ((rule, _), answer) in self.mutants.iter().zip(answers) {
            if answer.ok().as_ref() != Some(&expected) {
                self.noticed.insert(*rule);
            }
        }
        Ok(expected)
    }

    /// What a program sees of the features that a step has touched, and of what is downstream of them,
    /// is what the reference says; and the laws hold.
    ///
    /// A definition has its say far downstream. Rows have theirs in what is computed from them, and in
    /// what a record waits for that is computed from that; all else is compared at the end.
    async fn check(&mut self, by: usize) -> Result<()> {
        let program = Arc::clone(&self.programs[by]);
        let graph = &program.graph;
        for feature in program.keys() {
            let mut seen: BTreeSet<&FeatureKey> = BTreeSet::from([&feature]);
            if self.has_edited || self.has_converged {
                seen.extend(graph.all_upstreams(&feature).iter().map(|d| &d.spec.key));
            } else {
                for _ in 0..2 {
                    let near = seen.iter().flat_map(|key| graph.upstreams(key));
                    let near: Vec<&FeatureKey> = near.map(|d| &d.spec.key).collect();
                    seen.extend(near);
                }
            }
            if seen.into_iter().any(|key| self.touched.contains(key)) {
                let result = self.check_feature(by, &feature).await;
                result.map_err(|failure| format!("{feature}, by program {by}: {failure}"))?;
            }
        }
        Ok(())
    }

    async fn check_feature(&mut self, by: usize, feature: &FeatureKey) -> Result<()> {
        let program = Arc::clone(&self.programs[by]);
        let store = self.store.with_graph(program.graph.clone());
        let (expected, increment) = self.expected(by, feature).await?;
        // What is read depends on the rows of the feature alone, and on definitions.
        if self.has_edited || self.has_converged || self.touched.contains(feature) {
            let read = self.read(&store, by, feature).await?;
            if let Some(difference) = rows::difference(&read, &expected) {
                return Err(format!("`read` differs\n{difference}"));
            }
            self.check_laws_of_read(&program, feature, &read)?;
        }
        let Some((expected_counts, expected)) = increment else { return Ok(()) };

        let (counts, seen) = self.increment(&store, by, feature).await?;
        if let Some(difference) = rows::difference(&seen, &expected) {
            return Err(format!("the increment differs\n{difference}"));
        }
        same("counts of the increment", &counts, &expected_counts)?;
        if self.failed.contains(feature) {
            // Whether they count depends on the inputs of today.
            let without = Call { failed: 1, ..Call::default() };
            self.same_call(by, feature, &without).await?;
        }
        if self.has_converged && !counts.is_up_to_date() {
            return Err(format!("not up to date after everything was done: {counts}"));
        }
        if self.done.contains(feature) {
            // The law: writing a whole increment and resolving again gives nothing.
            same("new and stale after all was written", &counts.to_compute(), &0)?;
        }
        self.check_laws(&program, feature, &counts, &seen)
    }

    /// Counts alone are those of the increment.
    async fn check_counts(&self, by: usize) -> Result<()> {
        let program = &self.programs[by];
        let store = self.store.with_graph(program.graph.clone());
        for feature in program.keys().iter().filter(|feature| !program.is_root(feature)) {
            let counts = store.count_update_of(feature).await.map_err(text)?;
            let expected = self.reference.with_graph(program.graph.clone());
            let expected = expected.count_update_of(feature).await.map_err(text)?;
            same(&format!("counts of {feature} alone"), &counts, &expected)?;
        }
        Ok(())
    }
}

/// Some of these ids: one of eight bits for each, in turn.
fn some(ids: Vec<Ids>, bits: u8) -> Vec<Ids> {
    let is_meant = |(i, _): &(usize, Ids)| bits >> (i % 8) & 1 == 1;
    ids.into_iter().enumerate().filter(is_meant).map(|(_, ids)| ids).collect()
}

/// What user code finds in the output of a computation, so that different inputs can give the same.
fn content_version(provenance: &str) -> String {
    format!("content {}", provenance.bytes().map(u32::from).sum::<u32>() % 3)
}

/// The fields of a feature by their keys in the by-field columns.
fn fields<'a>(program: &'a Program, feature: &FeatureKey) -> Vec<(String, &'a FieldSpec)> {
    let fields = program.spec(feature).fields.iter();
    fields.map(|field| (field.wire_key().struct_key(), field)).collect()
}

fn field_names(program: &Program, feature: &FeatureKey) -> Vec<String> {
    fields(program, feature).into_iter().map(|(name, _)| name).collect()
}

/// Some columns of a batch, and others.
fn with_columns(
    batch: &RecordBatch,
    is_wanted: impl Fn(&str) -> bool,
    added: impl IntoIterator<Item = (String, ArrayRef)>,
) -> RecordBatch {
    let schema = batch.schema();
    let columns = schema.fields().iter().map(|field| field.name().clone());
    let columns = columns.zip(batch.columns().iter().cloned());
    rows::batch(columns.filter(|(name, _)| is_wanted(name)).chain(added).collect())
}

fn same<T: Debug + PartialEq>(what: &str, store: &T, expected: &T) -> Result<()> {
    if store == expected {
        return Ok(());
    }
    Err(format!("{what}: the store says {store:?}, expected {expected:?}"))
}
