//! `cargo xtask test`: every test of the workspace, and one closing line.
//!
//! Two cargo runs. The first builds everything once, with all features but `bundled`. The second
//! has no features: the compile-fail tests live there, because each of them makes cargo check a
//! small crate, which is quick only as long as no engine hangs on it.

use std::process::Command;

use crate::setup;
use crate::sh::{self, Failure, Result};
use crate::summary::Summary;
use crate::workspace::{all_but_bundled, cargo};

pub(crate) fn run() -> Result {
    setup::run()?;
    let mut summary = Summary::new();
    let mut failures = Vec::new();
    for mut command in [everything()?, without_features()] {
        // An expected text that is missing or differs is a failure; only `bless` writes one.
        command.arg("--no-fail-fast").env("INSTA_UPDATE", "no").env_remove("TRYBUILD");
        if let Err(failure) = sh::run_seeing(&mut command, |line| summary.see(line)) {
            failures.push(failure.to_string());
        }
    }

    println!("\n{summary}");
    if !failures.is_empty() {
        return Err(Failure::new(failures.join("\nerror: ")));
    }
    if summary.is_empty() {
        return Err(Failure::new("no test was found"));
    }
    Ok(())
}

/// The whole workspace, with every feature but `bundled`.
pub(crate) fn everything() -> Result<Command> {
    Ok(cargo(["test", "--workspace", "--features", &all_but_bundled()?]))
}

/// The tests from the outside that need no store.
pub(crate) fn without_features() -> Command {
    cargo(["test", "--package", "metaxy-tests", "--no-default-features"])
}
