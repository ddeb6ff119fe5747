//! `cargo xtask test`: every test of the workspace, and one closing line.
//!
//! One cargo run, with all features but `bundled`. The compile-fail tests are in it: each makes cargo
//! check a small crate of its own, without any engine, in a folder inside the target folder. Servers
//! run beside it; while their programs are fetched, the tests are built.

use std::env;
use std::process::Command;
use std::thread;

use crate::engines::Engines;
use crate::setup;
use crate::sh::{self, Failure, Result};
use crate::summary::Summary;
use crate::workspace::{all_but_bundled, cargo};

/// How many tests run at once.
const THREADS: &str = "RUST_TEST_THREADS";

pub(crate) fn run() -> Result {
    setup::embedded()?;
    let mut build = everything()?;
    build.arg("--no-run");
    let (fetched, built) = thread::scope(|scope| {
        let fetching = scope.spawn(|| setup::servers().and_then(|()| setup::browser()));
        let built = sh::run(&mut build);
        (fetching.join().expect("setting up does not panic"), built)
    });
    built?;
    fetched?;
    let engines = Engines::start()?;

    let mut summary = Summary::new();
    let mut command = everything()?;
    command.envs(engines.variables());
    // An expected text that is missing or differs is a failure; only `bless` writes one.
    command.arg("--no-fail-fast").env("INSTA_UPDATE", "no").env_remove("TRYBUILD");
    if env::var_os(THREADS).is_none() {
        // Most of them wait for a server as long as they compute.
        let cores = thread::available_parallelism().map_or(1, usize::from);
        command.env(THREADS, (2 * cores).to_string());
    }
    let done = sh::run_seeing(&mut command, |line| summary.see(line));

    println!("\n{summary}");
    done?;
    if summary.is_empty() {
        return Err(Failure::new("no test was found"));
    }
    Ok(())
}

/// The test of the property tests.
pub(crate) fn rules() -> Result {
    setup::embedded()?;
    sh::run(&mut cargo(["test", "-p", "metaxy-tests", "--test", "property_rules"]))
}

/// The whole workspace, with every feature but `bundled`.
pub(crate) fn everything() -> Result<Command> {
    Ok(cargo(["test", "--workspace", "--features", &all_but_bundled()?]))
}
