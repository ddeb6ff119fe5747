//! [`Config`]: what `metaxy.toml` and the environment say.
//!
//! ```toml
//! store = "dev"              # the store of commands that name none
//! spec = "features.json"     # where features come from that are not linked into the program
//! lock = "metaxy.lock"       # features of other projects that these are computed from
//!
//! [stores.dev]
//! url = "duckdb:meta.duckdb"
//! fallback = ["prod"]        # read, and never written, for features that have no table here
//! create_tables = true
//! hash_algorithm = "md5"     # as the store in Postgres: stores that are read together hash alike
//!
//! [stores.prod]
//! url = "postgres://metaxy:${PGPASSWORD}@db.example/metaxy"
//! schema = "features"
//! migrations = "migrations"
//! hash_truncation_length = 16
//! ```
//!
//! The file is the one that `--config` or `METAXY_CONFIG` names, or the first `metaxy.toml` here or in a
//! folder above. Variables win over it: `METAXY_STORE`, `METAXY_STORES__DEV__URL`. `${NAME}` in a text
//! is replaced by a variable, `${NAME:-text}` has a default, and a variable that is not set is an error;
//! `$$` is a dollar sign. Paths are relative to the file.

use super::Failure;
use crate::store::OpenStore;
use crate::{Compat, HashAlgorithm, Store};
use figment::Figment;
use figment::providers::{Env, Format as _, Toml};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The name of the file.
pub(super) const FILE: &str = "metaxy.toml";

/// What the configuration says.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Config {
    /// The store of commands that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) store: Option<String>,
    /// The project that commands are about, where a store has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) project: Option<String>,
    /// The spec file whose features are used, if none are linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) spec: Option<PathBuf>,
    /// The lock file with features of other projects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lock: Option<PathBuf>,
    /// The stores by name.
    #[serde(default)]
    pub(super) stores: BTreeMap<String, StoreConfig>,
}

/// What the configuration says about a store.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreConfig {
    /// Its address.
    pub(super) url: String,
    /// The names of stores that are read for features that have no table in this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) fallback: Vec<String>,
    /// Whether tables that are missing are made when they are needed.
    #[serde(default)]
    pub(super) create_tables: bool,
    /// Whether nothing may be written.
    #[serde(default)]
    pub(super) read_only: bool,
    /// `xxhash64`, `xxhash32`, `xxh3_64`, `md5` or `sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hash_algorithm: Option<String>,
    /// How many characters of every hash are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hash_truncation_length: Option<usize>,
    /// `python`: the settings of the Python implementation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) compat: Option<String>,
    /// The folder with the migrations of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) migrations: Option<PathBuf>,
    /// In Postgres, the schema of the tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) schema: Option<String>,
}

/// A configuration, and where it is from.
#[derive(Clone, Debug, Default)]
pub(super) struct Loaded {
    /// The file, if there is one.
    pub(super) file: Option<PathBuf>,
    /// What it says.
    pub(super) config: Config,
}

impl Loaded {
    /// Reads the configuration of a file, or of the nearest one.
    pub(super) fn read(named: Option<&Path>) -> Result<Self, Failure> {
        let file = match named {
            Some(file) => {
                // figment takes a file that is not there for an empty one.
                std::fs::metadata(file).map_err(|error| {
                    Failure::input(format!("cannot read `{}`: {error}", file.display()))
                })?;
                Some(file.to_owned())
            }
            None => nearest(),
        };
        let mut figment = Figment::new();
        if let Some(file) = &file {
            figment = figment.merge(Toml::file_exact(file));
        }
        let is_ours = |key: &figment::value::UncasedStr| {
            let key = key.as_str().to_ascii_lowercase();
            key.starts_with("stores__") || ["store", "project", "spec", "lock"].contains(&&*key)
        };
        let variables = Env::prefixed("METAXY_").filter(is_ours).split("__");
        let mut config: Config = figment.merge(variables).extract().map_err(|errors| {
            Failure::Input(errors.into_iter().map(|error| mistake(&error)).collect())
        })?;
        config.expand()?;
        Ok(Self { file, config })
    }

    /// A path of the configuration, from where its file is.
    pub(super) fn path(&self, path: &Path) -> PathBuf {
        match self.file.as_deref().and_then(Path::parent) {
            Some(folder) => folder.join(path),
            None => path.to_owned(),
        }
    }

    /// What is said about a store: one that is named here, or the address itself.
    pub(super) fn store(&self, name: &str) -> Result<Cow<'_, StoreConfig>, Failure> {
        if let Some(config) = self.config.stores.get(name) {
            return Ok(Cow::Borrowed(config));
        }
        if name.contains(':') {
            let config = StoreConfig { url: name.to_owned(), ..StoreConfig::default() };
            return Ok(Cow::Owned(config));
        }
        let names: Vec<&str> = self.config.stores.keys().map(String::as_str).collect();
        let hint = crate::nearest::hint(crate::nearest::nearest(name, names.iter().copied()));
        Err(Failure::input(match names.is_empty() {
            true => format!(
                "there is no store `{name}`: no store is configured; name one by its address, \
                 `--store duckdb:meta.duckdb`, or in a section `[stores.{name}]` of {FILE}"
            ),
            false => format!(
                "there is no store `{name}` in the configuration{hint}; it has `{}`",
                names.join("`, `")
            ),
        }))
    }
}

impl Config {
    /// Replaces variables in all texts that may have some.
    fn expand(&mut self) -> Result<(), Failure> {
        let mut unset = Vec::new();
        for (name, store) in &mut self.stores {
            let texts = [Some(&mut store.url), store.schema.as_mut()];
            for (member, text) in ["url", "schema"].into_iter().zip(texts) {
                let Some(text) = text else { continue };
                match shellexpand::env(text) {
                    Ok(expanded) => *text = expanded.into_owned(),
                    Err(error) => unset.push(format!(
                        "`stores.{name}.{member}` needs the variable `{}`, which is not set; set it, or \
                         give it a default, `${{{}:-..}}`",
                        error.var_name, error.var_name
                    )),
                }
            }
        }
        if unset.is_empty() { Ok(()) } else { Err(Failure::Input(unset)) }
    }
}

impl StoreConfig {
    /// Begins to open the store, at an address of [`Loaded::url`].
    pub(super) fn open(&self, url: &str) -> Result<OpenStore, Failure> {
        let mut store = Store::open(url);
        store = store.create_tables(self.create_tables).read_only(self.read_only);
        match self.compat.as_deref() {
            None => {}
            Some("python") => store = store.compat(Compat::Python),
            Some(other) => {
                return Err(Failure::input(format!(
                    "`compat` cannot be `{other}`: the only value is `python`"
                )));
            }
        }
        if let Some(name) = &self.hash_algorithm {
            let algorithm = HashAlgorithm::ALL.into_iter().find(|one| one.to_string() == *name);
            store = store.hash_algorithm(algorithm.ok_or_else(|| {
                let names = HashAlgorithm::ALL.map(|one| format!("`{one}`")).join(", ");
                Failure::input(format!("`hash_algorithm` cannot be `{name}`: it is one of {names}"))
            })?);
        }
        if let Some(length) = self.hash_truncation_length {
            store = store.hash_truncation_length(length);
        }
        match &self.schema {
            #[cfg(feature = "postgres")]
            Some(schema) => store = store.schema(schema),
            #[cfg(not(feature = "postgres"))]
            Some(_) => {
                return Err(Failure::input(
                    "`schema` is for stores in Postgres, for which this program was not built",
                ));
            }
            None => {}
        }
        Ok(store)
    }
}

/// What is wrong, where, and with which key.
fn mistake(error: &figment::Error) -> String {
    let metadata = error.metadata.as_ref();
    let place = metadata.map(|metadata| match &metadata.source {
        Some(source) => source.to_string(),
        None => metadata.name.to_string(),
    });
    let place = place.unwrap_or_else(|| "the configuration".to_owned());
    let key = error.path.join(".");
    // A name within a list of names has quotes of its own.
    let what = error.kind.to_string().replace("`one of `", "one of `").replace("``", "`");
    match key.is_empty() {
        true => format!("{place}: {what}"),
        false => format!("{place}: `{key}`: {what}"),
    }
}

/// The nearest file, here or in a folder above.
fn nearest() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().map(|folder| folder.join(FILE)).find(|file| file.is_file())
}
