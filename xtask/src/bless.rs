//! `cargo xtask bless`: today's output becomes the expected one.
//!
//! Compile-fail texts and snapshots are rewritten in place; reading the difference before it is
//! committed is the test.

use std::process::Command;

use crate::engines::Engines;
use crate::setup;
use crate::sh::{self, Result};
use crate::test::everything;
use crate::workspace::root;

pub(crate) fn run() -> Result {
    setup::run()?;
    let engines = Engines::start()?;
    // Without the second variable, a test stops at the first snapshot that it rewrote.
    let accept = [("INSTA_UPDATE", "always"), ("INSTA_FORCE_PASS", "1"), ("TRYBUILD", "overwrite")];
    sh::run(everything()?.envs(engines.variables()).envs(accept))?;
    sh::run(Command::new("git").args(["status", "--short"]).current_dir(root()))
}
