//! `metaxy lock`: what other projects have pushed, as a file to build against.

use super::output::Answer;
use super::{Context, Failure, Output, context};
use crate::FeatureKey;
use crate::history::LockFile;
use crate::spec::FeatureDefinition;
use clap::Args;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Write a lock file: features of other projects as they were pushed last, with all that is upstream
///
/// A graph with a lock file knows these features without the program that declares them, and no version of
/// them changes before the file is written again.
#[derive(Debug, Args)]
pub(super) struct Lock {
    /// The features; by default those of the file, and those of other projects that today's are computed from
    features: Vec<String>,
    /// The file; by default that of the configuration, or `metaxy.lock`
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// This project, whose own features are left out
    #[arg(long)]
    pub(super) project: Option<String>,
    /// Write nothing; exit with 3 if the file is not as it would be written
    #[arg(long, conflicts_with = "dry_run")]
    check: bool,
    /// Say what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Lock {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let path = self.output.clone().unwrap_or_else(|| context.lock_path());
        let before = match path.exists() {
            true => context::read_lock(&path)?,
            false => LockFile::default(),
        };
        let (declared, of_file) = context.declared()?;
        let project = self.project.clone().or_else(|| context.loaded().config.project.clone());
        let project = project.or(of_file).or_else(|| only_project(&declared, &before));
        let keys = match self.features.is_empty() {
            false => {
                let keys = self.features.iter().map(FeatureKey::new);
                keys.collect::<Result<BTreeSet<_>, _>>().map_err(crate::Error::from)?
            }
            true => asked_before(&before).chain(used(&declared, project.as_ref())).collect(),
        };
        if keys.is_empty() {
            let why = match &project {
                _ if declared.is_empty() => {
                    "this program has none that could be computed from them"
                }
                Some(_) => "no feature of today's graph is computed from any",
                None => "nothing says which project this is, `--project ..`",
            };
            return Err(Failure::input(format!(
                "which features? Name some of other projects, `metaxy lock media/video`; {why}"
            )));
        }
        let mut lock = context.store_of_any_graph().await?.lock(keys);
        if let Some(project) = project {
            lock = lock.without_project(project);
        }
        let lock = lock.await?;
        let text = lock.to_string();
        let is_as_before = std::fs::read_to_string(&path).is_ok_and(|before| before == text);
        if !is_as_before && !self.check && !self.dry_run {
            std::fs::write(&path, &text).map_err(|error| {
                Failure::input(format!("cannot write `{}`: {error}", path.display()))
            })?;
        }
        let keys: BTreeSet<_> = lock.iter().chain(before.iter()).map(|(key, _)| key).collect();
        let version = |lock: &LockFile, key| lock.get(key).map(|of| of.version.clone());
        let all = keys.into_iter().map(|key| (key, version(&before, key), version(&lock, key)));
        let all: Vec<_> = all.collect();
        let json = all.iter().map(
            |(key, before, after)| json!({ "feature": key, "before": before, "after": after }),
        );
        let rows = all.iter().map(|(key, before, after)| {
            let change = match (before, after) {
                (None, _) => "new",
                (_, None) => "gone",
                (before, after) if before == after => "",
                _ => "changed",
            };
            let version = after.as_ref().or(before.as_ref()).cloned();
            vec![key.to_string(), version.unwrap_or_default(), change.to_owned()]
        });
        let file = context::shown(&path);
        let is_written = !is_as_before && !self.check && !self.dry_run;
        let what = match (is_as_before, is_written) {
            (true, _) => format!("{file} is up to date"),
            (_, true) => format!("wrote {file}"),
            _ => format!("{file} is not what it would be"),
        };
        let json = json!({
            "file": file,
            "written": is_written,
            "up_to_date": is_as_before || is_written,
            "features": json.collect::<Vec<_>>(),
        });
        let answer = Answer::new(json).table(["feature", "version", "change"], rows);
        out.answer(&answer.text(what))?;
        match self.check && !is_as_before {
            true => Err(Failure::Found(
                "the lock file is out of date; `metaxy lock` writes it".to_owned(),
            )),
            false => Ok(()),
        }
    }
}

/// What a lock file was made for: what is in it and upstream of nothing else in it.
fn asked_before(lock: &LockFile) -> impl Iterator<Item = FeatureKey> {
    let upstream: BTreeSet<&FeatureKey> = lock
        .iter()
        .flat_map(|(_, of)| of.definition.spec.deps.iter().map(|dep| &dep.feature))
        .collect();
    let asked = lock.iter().map(|(key, _)| key).filter(move |key| !upstream.contains(key));
    asked.cloned().collect::<Vec<_>>().into_iter()
}

/// What features of a project are computed from that belongs to others.
fn used<'a>(
    declared: &'a [FeatureDefinition],
    project: Option<&'a String>,
) -> impl Iterator<Item = FeatureKey> + 'a {
    let own = declared.iter().filter(move |definition| Some(&definition.project) == project);
    let keys: BTreeSet<&FeatureKey> = own.clone().map(|definition| &definition.spec.key).collect();
    let used = own.flat_map(|definition| definition.spec.deps.iter().map(|dep| &dep.feature));
    used.filter(move |key| !keys.contains(key)).cloned()
}

/// The project of what is declared, if it is one: what the file has only stands for another one's.
fn only_project(declared: &[FeatureDefinition], lock: &LockFile) -> Option<String> {
    let is_own = |of: &&FeatureDefinition| !of.is_external() && lock.get(&of.spec.key).is_none();
    let projects: BTreeSet<&String> =
        declared.iter().filter(is_own).map(|of| &of.project).collect();
    match projects.len() {
        1 => projects.first().map(|project| (*project).clone()),
        _ => None,
    }
}
