//! The npm client, which brings the packages that carry prebuilt libraries.
//!
//! Packages are only downloaded and unpacked: nothing of them is installed and no script of theirs runs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::apt;
use crate::sh::{self, Context, Failure, Result};

/// npm's program; on Windows it is a script.
const NPM: &str = if cfg!(windows) { "npm.cmd" } else { "npm" };

/// Downloads the archive of a package into `folder`; npm checks it against the registry's digest.
pub(crate) fn pack(package: &str, version: &str, folder: &Path) -> Result<PathBuf> {
    require()?;
    sh::run(
        Command::new(NPM)
            .args([
                "pack",
                "--loglevel=error",
                &format!("{package}@{version}"),
                "--pack-destination",
            ])
            .arg(folder)
            // Away from the checkout, whose settings for npm, if any, are not ours.
            .current_dir(folder)
            // The name of the archive is data of ours, not of the user.
            .stdout(Stdio::null()),
    )?;
    let entries = fs::read_dir(folder).context(|| format!("read `{}`", folder.display()))?;
    let archive = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "tgz"));
    archive.ok_or_else(|| Failure::new(format!("`npm pack {package}@{version}` left no archive")))
}

/// Sees to it that npm is there; installs it where that needs no decision of the user.
fn require() -> Result {
    if sh::is_there(NPM) {
        return Ok(());
    }
    if !apt::can_install() {
        return Err(Failure::new(
            "npm is missing, which fetches the prebuilt engines: `apt-get install npm` on Debian and \
             Ubuntu, `brew install node` on macOS, or https://nodejs.org",
        ));
    }
    apt::install(&["ca-certificates", "npm"])
}
