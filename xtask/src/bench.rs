//! `cargo xtask bench`: how long resolving takes, on DuckDB or, with servers of its own, on all engines.

use crate::engines::Engines;
use crate::setup;
use crate::sh::{self, Result};
use crate::workspace::cargo;

pub(crate) fn run(args: &[String]) -> Result {
    let mut command = cargo(["run", "--release", "--package", "metaxy-bench", "--"]);
    // A path among the arguments is relative to where the user stands.
    command.args(args).current_dir(".");
    // Kept until the end: it ends the servers.
    let mut engines = None;
    if args.iter().any(|arg| arg.contains("postgres") || arg.contains("clickhouse")) {
        setup::run()?;
        let engines = engines.insert(Engines::start()?);
        command.envs(engines.variables());
    } else {
        setup::embedded()?;
    }
    sh::run(&mut command)
}
