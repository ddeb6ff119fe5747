//! Where Postgres' programs are, and a cluster of one's own: made, started and stopped with them.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What to say where they are missing.
pub const MISSING: &str = "Postgres' `initdb` and `pg_ctl` are missing: `apt-get install postgresql` on \
                           Debian and Ubuntu, `brew install postgresql` on macOS; or set DATABASE_URL \
                           to the address of a server of your own";

/// The folder with `initdb` and `pg_ctl`: the latest of Debian's, one of `PATH`, or the one that
/// `pg_config` names.
#[must_use]
pub fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut debian: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            Some((path.file_name()?.to_str()?.parse().ok()?, path.join("bin")))
        })
        .collect();
    debian.sort();
    let debian = debian.into_iter().rev().map(|(_, folder)| folder);
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::split_paths(&path).collect::<Vec<_>>();
    let config = Command::new("pg_config").arg("--bindir").stderr(Stdio::null()).output().ok();
    let config = config.and_then(|output| String::from_utf8(output.stdout).ok());
    let config = config.map(|folder| PathBuf::from(folder.trim_end()));
    debian.chain(path).chain(config).find(|folder| {
        ["initdb", "pg_ctl"]
            .iter()
            .all(|name| folder.join(name).with_extension(env::consts::EXE_EXTENSION).is_file())
    })
}

/// Whether root runs this.
#[must_use]
pub fn is_root() -> bool {
    // The standard library has no `geteuid`, and one question is not worth a dependency.
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
