//! `metaxy rebase`: records of former definitions get today's, without being computed again.

use super::output::Answer;
use super::{Context, Failure, Output, context};
use crate::increment::Reason;
use clap::Args;
use serde_json::json;

/// Give records of former definitions today's, where their output is the same
///
/// By itself it takes only records whose provenance is what it would be today. What is accepted beyond
/// that is accepted by somebody, for a reason, and both are kept.
#[derive(Debug, Args)]
pub(super) struct Rebase {
    /// The key of the feature
    feature: String,
    /// Take stale records as well, all of whose stale fields have reasons that are accepted: `code`,
    /// `added` or `upstream`; may be given several times
    #[arg(long, value_name = "REASON", value_parser = reason, requires = "by", requires = "because")]
    accept: Vec<Reason>,
    /// Only records whose stored row fulfils a condition
    #[arg(long, value_name = "CONDITION")]
    filter: Option<String>,
    /// Who accepts it
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Why the output would be the same
    #[arg(long, value_name = "TEXT")]
    because: Option<String>,
    /// Count only, and change nothing
    #[arg(long)]
    dry_run: bool,
}

fn reason(text: &str) -> Result<Reason, String> {
    let reason = Reason::parse(text).filter(|reason| *reason != Reason::Forced);
    reason.ok_or_else(|| "it is one of `code`, `added`, `upstream`".to_owned())
}

impl Rebase {
    pub(super) async fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let store = context.store().await?;
        let key = context::feature(store.graph(), &self.feature)?;
        let mut rebase = store.rebase_of(&key).dry_run(self.dry_run);
        for reason in &self.accept {
            rebase = rebase.accept(*reason);
        }
        if let Some(filter) = &self.filter {
            rebase = rebase.only(filter);
        }
        rebase = rebase.by(self.by.as_deref().unwrap_or_default());
        rebase = rebase.because(self.because.as_deref().unwrap_or_default());
        let bar = context.progress(None, format!("rebasing {key}"));
        let written = rebase.await;
        bar.finish_and_clear();
        let written = written?;
        let json = json!({
            "feature": key.as_str(),
            "rows": written.rows,
            "seals": written.seals,
            "dry_run": self.dry_run,
        });
        let would = if self.dry_run { "would be " } else { "" };
        let mut text = format!("{key}: {} {would}rebased", written.rows);
        if written.seals > 0 {
            text += &format!(", for {} parents", written.seals);
        }
        out.answer(&Answer::new(json).text(text))
    }
}
