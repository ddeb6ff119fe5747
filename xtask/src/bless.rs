//! `cargo xtask bless`: today's output becomes the expected one.
//!
//! Compile-fail texts and snapshots are rewritten in place; reading the difference before it is
//! committed is the test.

use std::process::Command;

use crate::setup;
use crate::sh::{self, Result};
use crate::test::{everything, without_features};
use crate::workspace::root;

pub(crate) fn run() -> Result {
    setup::run()?;
    for mut command in [everything()?, without_features()] {
        // Without the second variable, a test stops at the first snapshot that it rewrote.
        command
            .env("INSTA_UPDATE", "always")
            .env("INSTA_FORCE_PASS", "1")
            .env("TRYBUILD", "overwrite");
        sh::run(&mut command)?;
    }
    sh::run(Command::new("git").args(["status", "--short"]).current_dir(root()))
}
