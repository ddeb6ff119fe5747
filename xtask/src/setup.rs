//! `cargo xtask setup`: the engines, fetched once per machine and placed once per checkout.
//!
//! Postgres and Chromium are packages of the system. DuckDB and ClickHouse are libraries: one goes package -> cache
//! (outside the checkout, shared by all of them) -> `.tools`. Each step ends in one rename, so a run that
//! is cut off leaves nothing half done, and a run that finds everything in place changes nothing.

use std::env;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};
use test_servers::{CHROMIUM_MISSING, Engine, POSTGRES_MISSING, chromium, postgres_programs};

use crate::apt;
use crate::engines;
use crate::library::{Build, CLICKHOUSE, DUCKDB, Library};
use crate::npm;
use crate::sh::{self, Context, Failure, Result};
use crate::workspace;

pub(crate) fn run() -> Result {
    embedded()?;
    servers()?;
    browser()
}

/// The engine that is linked, without which nothing builds.
pub(crate) fn embedded() -> Result {
    provide(&DUCKDB)
}

/// The engines that tests start as servers, but for those that the user has running.
pub(crate) fn servers() -> Result {
    if !engines::is_set(Engine::ClickHouse) {
        provide(&CLICKHOUSE).map_err(|failure| {
            Failure::new(format!("{failure}; or set CLICKHOUSE_URL to a server of your own"))
        })?;
    }
    if !engines::is_set(Engine::Postgres) {
        postgres()?;
    }
    Ok(())
}

/// The browser that opens the page of a graph in tests.
pub(crate) fn browser() -> Result {
    if let Some(program) = chromium() {
        eprintln!("Chromium is `{}`", program.display());
        return Ok(());
    }
    if !apt::can_install() {
        return Err(Failure::new(CHROMIUM_MISSING));
    }
    apt::install(&["chromium"])?;
    chromium().map(drop).ok_or_else(|| Failure::new(CHROMIUM_MISSING))
}

/// Sees to it that Postgres' programs are there.
fn postgres() -> Result {
    if let Some(folder) = postgres_programs() {
        eprintln!("Postgres is in `{}`", folder.display());
        return Ok(());
    }
    if !apt::can_install() {
        return Err(Failure::new(POSTGRES_MISSING));
    }
    // Debian would start a server of its own, which nobody has asked for.
    let settings = Path::new("/etc/postgresql-common/createcluster.conf");
    if !settings.exists() {
        let folder = settings.parent().expect("a file has a folder");
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(settings, "create_main_cluster = false\n"))
            .context(|| format!("write `{}`", settings.display()))?;
    }
    apt::install(&["postgresql"])?;
    postgres_programs().map(drop).ok_or_else(|| Failure::new(POSTGRES_MISSING))
}

/// Sees to it that `library` is where the build looks for it.
fn provide(library: &Library) -> Result {
    let folder = workspace::root().join(".tools").join(library.folder);
    if let Some(own) = env::var_os(library.variable).map(PathBuf::from)
        && own != folder
    {
        eprintln!(
            "{}: {} points at `{}`, nothing to do",
            library.name,
            library.variable,
            own.display()
        );
        return Ok(());
    }

    let build = library.build()?;
    let stamp = Stamp {
        path: folder.join("VERSION"),
        text: format!("{}@{}\n", build.package, library.version),
    };
    let placed = folder.join(build.file);
    if stamp.is_set() && placed.exists() {
        eprintln!("{} {} is in place", library.name, library.version);
        return Ok(());
    }

    if !(build.sha256.is_some() && is_intact(&placed, build)?) {
        let cached = cached(library, build)?;
        place(&cached, &placed)?;
    }
    stamp.set()?;
    eprintln!("{} {} is in `{}`", library.name, library.version, folder.display());
    Ok(())
}

/// The library in the cache; fetched if it is not there, or not what was pinned.
fn cached(library: &Library, build: &Build) -> Result<PathBuf> {
    let cache = cache()?;
    let folder =
        cache.join(format!("{}-{}", build.package.replace(['@', '/'], "_"), library.version));
    let path = folder.join(build.file);
    if path.exists() && is_intact(&path, build)? {
        return Ok(path);
    }

    fs::create_dir_all(&folder).context(|| format!("create `{}`", folder.display()))?;
    // In the cache and not in the system's folder for temporary files: a rename stays on one disk.
    let scratch = tempfile::tempdir_in(&cache)
        .context(|| format!("create a folder in `{}`", cache.display()))?;
    let archive = npm::pack(build.package, library.version, scratch.path())?;
    sh::run(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(scratch.path()))?;
    let unpacked = scratch.path().join("package").join(build.file);
    if !is_intact(&unpacked, build)? {
        return Err(Failure::new(format!(
            "`{}` of {}@{} is not the file that is pinned in `xtask/src/library.rs`",
            build.file, build.package, library.version
        )));
    }
    fs::rename(&unpacked, &path).context(|| format!("write `{}`", path.display()))?;
    Ok(path)
}

/// `$XDG_CACHE_HOME/metaxy-dev`, or the same under `~/.cache`.
fn cache() -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let base = base.ok_or_else(|| Failure::new("neither XDG_CACHE_HOME nor HOME is set"))?;
    Ok(base.join("metaxy-dev"))
}

/// Whether the file is there and hashes to what is pinned.
fn is_intact(path: &Path, build: &Build) -> Result<bool> {
    let hash = || -> io::Result<String> {
        let mut file = BufReader::with_capacity(1 << 20, File::open(path)?);
        let mut hasher = Sha256::new();
        loop {
            let bytes = file.fill_buf()?;
            if bytes.is_empty() {
                return Ok(hex::encode(hasher.finalize()));
            }
            hasher.update(bytes);
            let n_read = bytes.len();
            file.consume(n_read);
        }
    };
    match hash() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        hash => {
            let hash = hash.context(|| format!("read `{}`", path.display()))?;
            Ok(build.sha256.is_none_or(|pinned| hash == pinned))
        }
    }
}

/// Puts `from` at `to` under its final name only when it is whole.
fn place(from: &Path, to: &Path) -> Result {
    let folder = to.parent().expect("a placed file has a folder");
    let doing = || format!("place `{}` in `{}`", from.display(), folder.display());
    fs::create_dir_all(folder).context(doing)?;
    let scratch = tempfile::tempdir_in(folder).context(doing)?;
    let whole = scratch.path().join("library");
    // A second name costs nothing where cache and checkout share a disk.
    fs::hard_link(from, &whole).or_else(|_| fs::copy(from, &whole).map(drop)).context(doing)?;
    fs::rename(&whole, to).context(doing)
}

/// The file that says what was placed, so that a new version is noticed without hashing.
struct Stamp {
    path: PathBuf,
    text: String,
}

impl Stamp {
    fn is_set(&self) -> bool {
        fs::read_to_string(&self.path).is_ok_and(|text| text == self.text)
    }

    fn set(&self) -> Result {
        fs::write(&self.path, &self.text).context(|| format!("write `{}`", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_intact(text: &str, sha256: Option<&'static str>, expected: bool) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("library");
        fs::write(&path, text).unwrap();
        let build = Build::for_test(sha256);
        assert_eq!(is_intact(&path, &build).unwrap(), expected);
    }

    #[test]
    fn a_file_is_held_against_its_pinned_hash() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        check_intact("abc", Some(abc), true);
        check_intact("abd", Some(abc), false);
        check_intact("abd", None, true);
    }

    #[test]
    fn a_missing_file_is_not_intact() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_intact(&folder.path().join("none"), &Build::for_test(None)).unwrap());
    }

    #[test]
    fn placing_replaces_what_was_there_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("tools").join("to"));
        for text in ["one", "two"] {
            fs::remove_file(&from).ok();
            fs::write(&from, text).unwrap();
            place(&from, &to).unwrap();
            assert_eq!(fs::read_to_string(&to).unwrap(), text);
        }
        assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 1);
    }
}
