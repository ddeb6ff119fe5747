//! `metaxy migrate`: files of SQL that bring the tables of a store from one graph to the next.

use super::compile::{algorithm, engine};
use super::context::shown;
use super::explain::time;
use super::output::{Answer, Format};
use super::versions::length;
use super::{Context, Failure, Output};
use crate::HashAlgorithm;
use crate::error::Error;
use crate::migrate::{Applied, Danger, Engine, Layout, MigrationError, Migrations, Options, State};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Make, look through and apply migrations: SQL that brings the tables of a store to today's graph
///
/// They are for stores that do not make their own tables. A folder has those of one database.
#[derive(Debug, Args)]
pub(super) struct Migrate {
    /// The folder with the migrations; by default that of the store in the configuration, or `migrations`
    #[arg(long, global = true, value_name = "FOLDER")]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Generate(Generate),
    Check(Check),
    Lint(Lint),
    Apply(Apply),
    Revert(Revert),
    Status(Status),
    Adopt(Adopt),
}

impl Migrate {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let folder = match &self.dir {
            Some(folder) => folder.clone(),
            None => context.migrations()?,
        };
        match &self.action {
            Action::Generate(action) => action.run(&folder, context, out),
            Action::Check(action) => action.run(&folder, context, out),
            Action::Lint(action) => action.run(&folder, out),
            Action::Apply(action) => action.run(&folder, context, out).await,
            Action::Revert(action) => action.run(&folder, context, out).await,
            Action::Status(action) => action.run(&folder, context, out).await,
            Action::Adopt(action) => action.run(&folder, context, out).await,
        }
    }
}

/// The migrations of a folder that has some.
fn open(folder: &Path) -> Result<Migrations, Failure> {
    if Migrations::are_in(folder) {
        return Ok(Migrations::open(folder)?);
    }
    Err(Failure::input(format!(
        "`{}` has no migrations; `metaxy migrate generate <name>` makes the first, `metaxy migrate adopt` \
         begins with the tables that a store has",
        shown(folder)
    )))
}

/// Adds lines to an answer, if there are some.
fn lines(answer: Answer, lines: impl IntoIterator<Item = String>) -> Answer {
    let lines: Vec<String> = lines.into_iter().collect();
    if lines.is_empty() { answer } else { answer.text(lines.join("\n")) }
}

/// Write the migration that is missing for today's graph; needs no store
#[derive(Debug, Args)]
struct Generate {
    /// What it is called: lower-case letters, digits and `_`
    name: String,
    /// The database, for the first migration; by default that of the store
    #[arg(long, value_parser = engine())]
    engine: Option<Engine>,
    /// How files are called, for the first migration [default: plain]
    #[arg(long, value_parser = layout())]
    layout: Option<Layout>,
    /// Why it is made; the files say it
    #[arg(long, value_name = "REASON")]
    because: Option<String>,
    /// Remove tables and columns that the graph does not have any more, with all that is in them
    #[arg(long)]
    drops: bool,
    /// Give today's definition to records that it does not change
    #[arg(long)]
    rebase: bool,
    /// Move what a field has under a name of before to that of today
    #[arg(long, value_name = "FEATURE.BEFORE=TODAY", value_parser = renamed)]
    renamed: Vec<(String, String, String)>,
    /// How the store hashes from then on
    #[arg(long, value_name = "NAME", value_parser = algorithm)]
    hash_algorithm: Option<HashAlgorithm>,
    /// How many characters of every hash the store keeps from then on
    #[arg(long, value_name = "N", value_parser = length)]
    hash_truncation_length: Option<usize>,
    /// Print the SQL, and write nothing
    #[arg(long)]
    dry_run: bool,
}

fn layout() -> impl TypedValueParser<Value = Layout> {
    PossibleValuesParser::new(Layout::ALL.map(Layout::id)).try_map(|name| name.parse::<Layout>())
}

fn renamed(text: &str) -> Result<(String, String, String), String> {
    let parts = text.split_once('=').and_then(|(before, today)| {
        let (feature, before) = before.rsplit_once('.')?;
        Some((feature.to_owned(), before.to_owned(), today.to_owned()))
    });
    let parts = parts.filter(|(feature, before, today)| {
        [feature, before, today].into_iter().all(|part| !part.is_empty())
    });
    parts.ok_or_else(|| "expected `FEATURE.BEFORE=TODAY`, as in `demo/crop.face=mask`".to_owned())
}

impl Generate {
    fn run(&self, folder: &Path, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let graph = context.graph()?;
        let mut migrations = match Migrations::are_in(folder) {
            true => self.go_on(Migrations::open(folder)?)?,
            false => self.begin(folder, context)?,
        };
        let mut options = Options::new(&self.name).drops(self.drops).rebase(self.rebase);
        if let Some(reason) = &self.because {
            options = options.because(reason);
        }
        for (feature, before, today) in &self.renamed {
            options = options.renamed(feature, before, today);
        }
        let mut settings = migrations.settings();
        settings.hash_algorithm = self.hash_algorithm.unwrap_or(settings.hash_algorithm);
        settings.hash_truncation_length =
            self.hash_truncation_length.unwrap_or(settings.hash_truncation_length);
        let migration = migrations.next_settings(&graph, settings, options)?;
        let written = match self.dry_run {
            true => Vec::new(),
            false => migrations.write(&migration)?,
        };
        let written: Vec<String> = written.iter().map(|path| shown(path)).collect();
        let up = migration.up()?;
        if self.dry_run && !migration.is_empty() && out.format() == Format::Table {
            return Ok(write!(out.data(), "{up}")?);
        }
        let steps: Vec<_> = migration.steps().iter().map(|step| &step.summary).collect();
        let mut answer = Answer::new(json!({
            "engine": migrations.engine().id(),
            "steps": steps,
            "notes": migration.notes(),
            "irreversible": migration.irreversible(),
            "files": written,
            "sql": if migration.is_empty() { "" } else { &up },
        }));
        if migration.is_empty() {
            answer = answer.text(match migration.changes_schema() {
                true => {
                    "nothing to do in a database: the migrations make all tables of these features, whose \
                     definitions are others than before"
                }
                false => "nothing to do: the migrations make all tables of these features",
            });
        }
        let for_all = steps.iter().map(|step| format!("- {step}"));
        let notes = migration.notes().iter().map(|note| format!("- note: {note}"));
        let irreversible = migration.irreversible();
        let irreversible =
            irreversible.map(|reason| format!("- note: it cannot be undone: {reason}"));
        answer = lines(answer, for_all.chain(notes).chain(irreversible));
        if self.dry_run && !migration.is_empty() {
            answer = answer.text(format!("```sql\n{up}```"));
        }
        out.answer(&lines(answer, written.iter().map(|path| format!("wrote {path}"))))
    }

    /// A folder that has none, for the database that is named, or that of the store.
    fn begin(&self, folder: &Path, context: &Context) -> Result<Migrations, Failure> {
        let (of_store, requested) = context.engine_to_migrate()?;
        let engine = self.engine.or(of_store).ok_or_else(|| {
            Failure::input("for which database? Name it with `--engine`, or a store with `--store`")
        })?;
        let settings = requested.or_default(engine.default_settings().hash_algorithm);
        let layout = self.layout.unwrap_or(Layout::Plain);
        Ok(Migrations::new(folder, engine, layout, settings))
    }

    /// A folder that has some, which say what these are.
    fn go_on(&self, migrations: Migrations) -> Result<Migrations, Failure> {
        let (engine, layout) = (migrations.engine(), migrations.layout());
        if self.engine.is_some_and(|asked| asked != engine) {
            return Err(Failure::input(format!(
                "the migrations in this folder are for {engine}; name another one with `--dir`"
            )));
        }
        if self.layout.is_some_and(|asked| asked != layout) {
            return Err(Failure::input(format!(
                "the migrations in this folder have the layout `{layout}`; name another one with `--dir`"
            )));
        }
        Ok(migrations)
    }
}

/// Say whether the migrations make the tables of today's graph; exit with 3 if one is missing
#[derive(Debug, Args)]
struct Check {}

impl Check {
    fn run(&self, folder: &Path, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let migrations = open(folder)?;
        let n = migrations.iter().len();
        match migrations.check(&context.graph()?) {
            Ok(()) => {
                let answer = Answer::new(json!({ "migrations": n, "differences": [] }));
                out.answer(&answer.text("the migrations make all tables of these features"))
            }
            Err(Error::Migration(error)) => {
                if let MigrationError::Differs { features, differences, .. } = &*error {
                    let json = json!({
                        "migrations": n, "features": features, "differences": differences,
                    });
                    let differences = differences.iter().map(|one| format!("- {one}"));
                    out.answer(&lines(Answer::new(json), differences))?;
                    return Err(Failure::Found(
                        "a migration is missing; `metaxy migrate generate <name>` writes it"
                            .to_owned(),
                    ));
                }
                Err(Error::Migration(error).into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Name what the migrations destroy, lock or rewrite
#[derive(Debug, Args)]
struct Lint {
    /// Only what does this
    #[arg(long, value_parser = danger(), value_name = "KIND")]
    only: Vec<Danger>,
    /// Only migrations from this version on
    #[arg(long, value_name = "VERSION")]
    since: Option<u64>,
    /// Exit with 3 if anything is found
    #[arg(long)]
    check: bool,
}

fn danger() -> impl TypedValueParser<Value = Danger> {
    PossibleValuesParser::new(Danger::ALL.map(Danger::id)).try_map(|name| {
        let named = Danger::ALL.into_iter().find(|danger| danger.id() == name);
        named.ok_or("it is no kind of danger")
    })
}

impl Lint {
    fn run(&self, folder: &Path, out: &mut Output) -> Result<(), Failure> {
        let mut findings = open(folder)?.lint()?;
        findings.retain(|finding| {
            (self.only.is_empty() || self.only.contains(&finding.danger))
                && self.since.is_none_or(|since| finding.version >= since)
        });
        let json = findings.iter().map(|finding| {
            json!({
                "version": finding.version,
                "name": finding.name,
                "danger": finding.danger.to_string(),
                "table": finding.table,
                "what": finding.what,
            })
        });
        let rows = findings.iter().map(|finding| {
            vec![
                format!("{} {}", finding.version, finding.name),
                finding.danger.to_string(),
                finding.table.clone(),
                finding.what.clone(),
            ]
        });
        let answer = Answer::new(json!({ "findings": json.collect::<Vec<_>>() }));
        let answer = match findings.is_empty() {
            true => answer.text("nothing destroys, locks or rewrites anything"),
            false => answer.table(["migration", "danger", "table", "what"], rows),
        };
        out.answer(&answer)?;
        match self.check && !findings.is_empty() {
            true => Err(Failure::Found(format!("found: {}", findings.len()))),
            false => Ok(()),
        }
    }
}

/// Apply the migrations that the store does not have yet
#[derive(Debug, Args)]
struct Apply {
    /// Say which would be applied; what they do is taken back, where the database can
    #[arg(long)]
    dry_run: bool,
}

impl Apply {
    async fn run(&self, folder: &Path, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let migrations = open(folder)?;
        let bar = context.progress(None, "applying migrations");
        let applied = migrations.apply(context.opening()?, self.dry_run).await;
        bar.finish_and_clear();
        report(&applied?, self.dry_run, ["applied", "to apply", "nothing to apply"], out)
    }
}

/// Undo the last migrations of the store, the latest first
#[derive(Debug, Args)]
struct Revert {
    /// So many
    #[arg(long, value_name = "N", default_value_t = 1)]
    steps: usize,
    /// Say which would be undone, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Revert {
    async fn run(&self, folder: &Path, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let migrations = open(folder)?;
        let bar = context.progress(None, "undoing migrations");
        let undone = migrations.revert(context.opening()?, self.steps, self.dry_run).await;
        bar.finish_and_clear();
        report(&undone?, self.dry_run, ["undone", "to undo", "nothing to undo"], out)
    }
}

/// Says which migrations were applied or undone: what was done, what would be, and that nothing is.
fn report(
    migrations: &[Applied],
    dry_run: bool,
    [done, to_do, nothing]: [&str; 3],
    out: &mut Output,
) -> Result<(), Failure> {
    let json = migrations
        .iter()
        .map(|migration| json!({ "version": migration.version, "name": migration.name }));
    let json = json!({ "dry_run": dry_run, "migrations": json.collect::<Vec<_>>() });
    let what = if dry_run { to_do } else { done };
    let mut answer = Answer::new(json);
    if migrations.is_empty() {
        answer = answer.text(nothing);
    }
    let each =
        migrations.iter().map(|Applied { version, name }| format!("{what}: {version} {name}"));
    out.answer(&lines(answer, each))
}

/// List the migrations of the folder and of the store
#[derive(Debug, Args)]
struct Status {
    /// Exit with 3 if the store does not have all of them, as they are in the folder
    #[arg(long)]
    check: bool,
}

impl Status {
    async fn run(&self, folder: &Path, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let all = open(folder)?.status(context.opening()?).await?;
        let json = all.iter().map(|status| {
            json!({
                "version": status.version,
                "name": status.name,
                "state": status.state.to_string(),
                "applied_at": status.applied_at.map(time),
            })
        });
        let rows = all.iter().map(|status| {
            vec![
                status.version.to_string(),
                status.name.clone(),
                status.state.to_string(),
                status.applied_at.map(time).unwrap_or_default(),
            ]
        });
        let answer = Answer::new(json!({ "migrations": json.collect::<Vec<_>>() }));
        out.answer(&answer.table(["version", "name", "state", "applied at"], rows))?;
        let open = all.iter().filter(|status| status.state != State::Applied).count();
        match self.check && open > 0 {
            true => Err(Failure::Found(format!(
                "not applied as they are here: {open} of {} migrations",
                all.len()
            ))),
            false => Ok(()),
        }
    }
}

/// Begin migrations for a store that has made its own tables so far
#[derive(Debug, Args)]
struct Adopt {
    /// How files are called
    #[arg(long, value_parser = layout(), default_value = "plain")]
    layout: Layout,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Adopt {
    async fn run(&self, folder: &Path, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let graph = context.graph()?;
        let store = context.opening()?;
        let migrations = match self.dry_run {
            true => Migrations::found_in(folder, store, &graph, self.layout).await?,
            false => Migrations::adopt(folder, store, &graph, self.layout).await?,
        };
        let tables: Vec<&str> = migrations.schema().table_names().collect();
        let (folder, engine) = (shown(folder), migrations.engine());
        let answer = Answer::new(json!({
            "dry_run": self.dry_run,
            "folder": folder,
            "engine": engine.id(),
            "tables": tables,
        }));
        let would = if self.dry_run { "would begin" } else { "begins" };
        let n = tables.len();
        out.answer(&answer.text(format!("{folder} {would} with {n} tables in {engine}")))
    }
}
