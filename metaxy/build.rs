//! Makes a prebuilt `libduckdb` findable for the linker, and for the loader of everything that cargo starts.
//!
//! In: `DUCKDB_LIB_DIR` (this checkout's `.cargo/config.toml` sets it; a value of the user's own
//! wins). Out: a link to the library inside `$OUT_DIR`. Cargo puts the search paths of build scripts
//! on the loader's path for `run`, `test` and doc tests, but only those inside the target folder,
//! so the library needs an entry there. Nothing is fetched here: `cargo xtask setup` does that.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=DUCKDB_LIB_DIR");
    println!("cargo::rerun-if-env-changed=DUCKDB_STATIC");

    let has = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    if !has("DUCKDB") || has("BUNDLED") {
        return;
    }
    // A static library has nothing to load at run time, and documentation links nothing.
    if env::var("DUCKDB_STATIC").is_ok_and(|value| value != "0") || env::var_os("DOCS_RS").is_some()
    {
        return;
    }
    // Without either, `libduckdb-sys` looks at the system's own library, or downloads one.
    let Some(folder) = env::var_os("DUCKDB_LIB_DIR").map(PathBuf::from).or_else(of_checkout) else {
        return;
    };

    let library = folder.join(library_name());
    println!("cargo::rerun-if-changed={}", library.display());
    if !library.exists() {
        println!(
            "cargo::error=no DuckDB library at `{}`: `cargo xtask setup` fetches it inside a checkout \
             of Metaxy; elsewhere point DUCKDB_LIB_DIR at the folder of a libduckdb, or enable the \
             feature `bundled`",
            library.display()
        );
        return;
    }

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR")).join("lib");
    if let Err(error) = place(&library, &out) {
        println!(
            "cargo::error=cannot link `{}` into `{}`: {error}",
            library.display(),
            out.display()
        );
        return;
    }
    println!("cargo::rustc-link-search=native={}", out.display());

    // The command line is also started without cargo, and then has only its own rpath.
    if has("CLI") && env::var("CARGO_CFG_TARGET_FAMILY").is_ok_and(|family| family == "unix") {
        println!("cargo::rustc-link-arg-bins=-Wl,-rpath,{}", folder.display());
    }
}

/// The folder that `cargo xtask setup` fills, for a cargo that was started outside the checkout and
/// so has not read its configuration.
fn of_checkout() -> Option<PathBuf> {
    let member = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    Some(member.parent()?.join(".tools").join("duckdb")).filter(|folder| folder.is_dir())
}

/// The library's file name on the platform that is built for.
fn library_name() -> &'static str {
    match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("windows") => "duckdb.dll",
        Ok("macos" | "ios") => "libduckdb.dylib",
        _ => "libduckdb.so",
    }
}

/// Puts `library` into the folder `out`; an entry that already stands there is replaced.
fn place(library: &Path, out: &Path) -> io::Result<()> {
    fs::create_dir_all(out)?;
    let library = fs::canonicalize(library)?;
    let entry = out.join(library_name());
    match fs::remove_file(&entry) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    link(&library, &entry)
}

#[cfg(unix)]
fn link(library: &Path, entry: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(library, entry)
}

/// Symbolic links need a privilege on Windows, so the library is copied.
#[cfg(not(unix))]
fn link(library: &Path, entry: &Path) -> io::Result<()> {
    fs::copy(library, entry).map(drop)
}
