//! The prebuilt libraries: which package carries each, for which platform, and what it must hash to.
//!
//! A new engine is a new row here; fetching and placing are the same for all.

use std::env::consts::{ARCH, OS};

use crate::sh::{Failure, Result};

/// An engine that comes as a shared library inside a package of the npm registry.
pub(crate) struct Library {
    /// What people call it.
    pub(crate) name: &'static str,
    /// Its folder inside `.tools`, where `.cargo/config.toml` and build scripts look.
    pub(crate) folder: &'static str,
    /// The variable with which a user points at a library of their own.
    pub(crate) variable: &'static str,
    /// The exact version of the package.
    pub(crate) version: &'static str,
    /// The platforms that have a package.
    pub(crate) builds: &'static [Build],
}

/// A library for one platform.
pub(crate) struct Build {
    os: &'static str,
    arch: &'static str,
    /// The package that carries it.
    pub(crate) package: &'static str,
    /// The library inside the package.
    pub(crate) file: &'static str,
    /// SHA-256 of that file. Where none is pinned, npm's own check of the package has to do.
    pub(crate) sha256: Option<&'static str>,
}

/// DuckDB, in the version that the crate `duckdb` has its bindings from.
pub(crate) const DUCKDB: Library = Library {
    name: "DuckDB",
    folder: "duckdb",
    variable: "DUCKDB_LIB_DIR",
    version: "1.5.6-r.1",
    builds: &[
        Build {
            os: "linux",
            arch: "x86_64",
            package: "@duckdb/node-bindings-linux-x64",
            file: "libduckdb.so",
            sha256: Some("3f4962cdd266eab2b479a5b5a4a6d063d279b2954ae814ed00385d553b747633"),
        },
        Build {
            os: "linux",
            arch: "aarch64",
            package: "@duckdb/node-bindings-linux-arm64",
            file: "libduckdb.so",
            sha256: None,
        },
        Build {
            os: "macos",
            arch: "x86_64",
            package: "@duckdb/node-bindings-darwin-x64",
            file: "libduckdb.dylib",
            sha256: None,
        },
        Build {
            os: "macos",
            arch: "aarch64",
            package: "@duckdb/node-bindings-darwin-arm64",
            file: "libduckdb.dylib",
            sha256: None,
        },
    ],
};

/// ClickHouse, the engine of its server as a library, which `tests/servers` runs.
pub(crate) const CLICKHOUSE: Library = Library {
    name: "ClickHouse",
    folder: "clickhouse",
    variable: "CLICKHOUSE_LIB_DIR",
    version: "26.7.3-stable.1",
    builds: &[Build {
        os: "linux",
        arch: "x86_64",
        package: "@chdb/lib-linux-x64-gnu",
        file: "libchdb.so",
        sha256: Some("36ad4e999882821ef13cf2d0f52c93f48e6ee1b4498b35a201c23ce4b8d15bf5"),
    }],
};

impl Library {
    /// The build for the machine that this runs on.
    pub(crate) fn build(&self) -> Result<&Build> {
        self.builds.iter().find(|build| build.os == OS && build.arch == ARCH).ok_or_else(|| {
            Failure::new(format!(
                "there is no prebuilt {} for {OS} on {ARCH}: point {} at the folder of a library of \
                 version {}",
                self.name,
                self.variable,
                self.version.split('-').next().unwrap_or(self.version),
            ))
        })
    }
}

#[cfg(test)]
impl Build {
    pub(crate) fn for_test(sha256: Option<&'static str>) -> Build {
        Build { os: OS, arch: ARCH, package: "@test/library", file: "library", sha256 }
    }
}
