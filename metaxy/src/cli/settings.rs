//! `metaxy config`: what the configuration and the environment say.

use super::output::Answer;
use super::{Context, Failure, Output};
use crate::store::without_secrets;
use clap::Args;
use serde_json::json;

/// Show the configuration, with passwords masked
#[derive(Debug, Args)]
pub(super) struct Settings {}

impl Settings {
    pub(super) fn run(&self, context: &Context, out: &mut Output) -> Result<(), Failure> {
        let loaded = context.loaded();
        let mut config = loaded.config.clone();
        for store in config.stores.values_mut() {
            store.url = without_secrets(&store.url);
        }
        let file = loaded.file.as_ref().map(|file| file.display().to_string());
        let rows = config.stores.iter().map(|(name, store)| {
            let is_default = config.store.as_ref() == Some(name);
            vec![
                format!("{name}{}", if is_default { " (default)" } else { "" }),
                store.url.clone(),
                store.fallback.join(", "),
                if store.create_tables { "yes" } else { "no" }.to_owned(),
            ]
        });
        let text = match &file {
            Some(file) => format!("from {file}"),
            None => "there is no metaxy.toml here or in a folder above".to_owned(),
        };
        let answer = Answer::new(json!({ "file": file, "config": config }))
            .text(text)
            .table(["store", "url", "fallback", "creates tables"], rows);
        out.answer(&answer)
    }
}
