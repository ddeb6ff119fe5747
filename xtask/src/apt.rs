//! Debian's packages: installed where that needs no decision of the user, which is as root.

use std::process::Command;
use std::sync::OnceLock;

use test_servers::is_root;

use crate::sh::{self, Result};

/// Whether packages can be installed without asking anybody.
pub(crate) fn can_install() -> bool {
    is_root() && sh::is_there("apt-get")
}

/// Installs packages, and nothing that they only recommend.
pub(crate) fn install(packages: &[&str]) -> Result {
    // Lists that were fetched a minute ago are good enough for a second package.
    static UPDATED: OnceLock<()> = OnceLock::new();
    if UPDATED.get().is_none() {
        sh::run(apt_get().arg("update"))?;
        UPDATED.get_or_init(|| ());
    }
    // A file of settings that is there already is the one that is meant; nobody is asked.
    let quiet = ["install", "--yes", "--no-install-recommends"];
    sh::run(apt_get().args(quiet).args(["-o", "Dpkg::Options::=--force-confold"]).args(packages))
}

fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
