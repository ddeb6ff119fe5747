//! `cargo xtask check`: the form of the code, over all feature sets.
//!
//! Every step runs even if an earlier one failed, so that one run shows everything. Clippy and
//! rustdoc only check, so the steps share what they compile of other people's crates wherever the
//! features agree.

use crate::setup;
use crate::sh::{self, Failure, Result};
use crate::workspace::{all_but_bundled, cargo};

/// The members that can be built without an engine.
const WITHOUT_ENGINE: [&str; 10] = [
    "--package",
    "metaxy",
    "--package",
    "metaxy-derive",
    "--package",
    "metaxy-sql",
    "--package",
    "metaxy-tests",
    "--package",
    "metaxy-ui-tests",
];

pub(crate) fn run() -> Result {
    // The build scripts ask for the library even when nothing is linked.
    setup::embedded()?;
    let most = all_but_bundled()?;

    let deny = ["--", "--deny", "warnings"];
    let clippy = ["clippy", "--all-targets"];
    let mut all = cargo(clippy);
    all.args(["--workspace", "--features", &most]).args(deny);
    let mut default = cargo(clippy);
    default.arg("--workspace").args(deny);
    let mut none = cargo(clippy);
    none.args(WITHOUT_ENGINE).arg("--no-default-features").args(deny);
    let mut doc = cargo(["doc", "--workspace", "--no-deps", "--features", &most]);
    doc.env("RUSTDOCFLAGS", "--deny warnings");

    let steps = [cargo(["fmt", "--all", "--check"]), all, doc, default, none];
    let n_steps = steps.len();
    let failures: Vec<String> = steps
        .into_iter()
        .filter_map(|mut step| sh::run(&mut step).err())
        .map(|failure| failure.to_string())
        .collect();
    if failures.is_empty() {
        println!("\n{n_steps} checks passed");
        Ok(())
    } else {
        Err(Failure::new(failures.join("\nerror: ")))
    }
}
