//! What the checkout says about itself: its root, cargo, and the feature sets that are built.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::sh::{Context, Result};

/// The root of the checkout.
pub(crate) fn root() -> PathBuf {
    // What this was built in may be gone: checkouts share a folder of build results. Cargo tells where it runs.
    let built_in = || PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let member = env::var_os("CARGO_MANIFEST_DIR").map_or_else(built_in, PathBuf::from);
    member.parent().expect("xtask is a folder of the workspace").to_owned()
}

/// A cargo command that runs in the root of the checkout.
pub(crate) fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(root());
    command
}

/// The feature that compiles DuckDB itself: far too slow for a run of all tests.
const LEFT_OUT: &str = "bundled";

/// Every feature of the package `metaxy` but `bundled`, in the form that `--features` takes.
pub(crate) fn all_but_bundled() -> Result<String> {
    let path = root().join("metaxy").join("Cargo.toml");
    let manifest = fs::read_to_string(&path).context(|| format!("read `{}`", path.display()))?;
    let features = features(&manifest).into_iter().filter(|name| *name != LEFT_OUT);
    Ok(features.map(|name| format!("metaxy/{name}")).collect::<Vec<_>>().join(","))
}

/// The names in the `[features]` table of a manifest.
fn features(manifest: &str) -> Vec<&str> {
    let table = manifest.lines().skip_while(|line| line.trim() != "[features]").skip(1);
    // A list may go over several lines; only the first one of an entry starts at the margin.
    table
        .take_while(|line| !line.starts_with('['))
        .filter(|line| line.starts_with(|c: char| c.is_ascii_alphanumeric()))
        .filter_map(|line| Some(line.split_once('=')?.0.trim()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_read_from_the_manifest() {
        let manifest = "[package]\nname = \"x\"\n\n[features]\ndefault = [\"a\"]\n## A comment.\na = []\n\
                        long = [\n  \"dep:b\",\n]\n\n[dependencies]\nserde = \"1\"\n";
        assert_eq!(features(manifest), ["default", "a", "long"]);
    }

    #[test]
    fn the_slow_feature_is_left_out() {
        let all = all_but_bundled().unwrap();
        assert!(all.contains("metaxy/duckdb"), "{all}");
        assert!(!all.contains("bundled"), "{all}");
    }
}
