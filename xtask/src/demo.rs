//! `cargo xtask demo`: the example pipeline on a scratch copy of a folder, edit by edit.

use crate::setup;
use crate::sh::{self, Result};
use crate::workspace::cargo;

pub(crate) fn run(args: &[String]) -> Result {
    setup::embedded()?;
    let mut command = cargo(["run", "--package", "metaxy-examples", "--example", "demo"]);
    // A path among the arguments is relative to where the user stands.
    command.current_dir(".");
    if !args.is_empty() {
        command.arg("--").args(args);
    }
    sh::run(&mut command)
}
