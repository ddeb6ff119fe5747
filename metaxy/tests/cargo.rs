//! `cargo metaxy`, in workspaces of its own: their programs say what they were called with.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A program that says its arguments and ends with 7.
const PROGRAM: &str = r#"fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    println!("{}: {}", env!("CARGO_PKG_NAME"), arguments.join(" "));
    if cfg!(feature = "extra") { println!("with extra"); }
    std::process::ExitCode::from(7)
}"#;

fn package(folder: &Path, name: &str, bin: &str, metadata: &str) {
    fs::create_dir_all(folder.join(name).join("src/bin")).expect("a folder");
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [features]\nextra = []\n{metadata}\n"
    );
    fs::write(folder.join(name).join("Cargo.toml"), manifest).expect("a manifest");
    fs::write(folder.join(name).join(format!("src/bin/{bin}.rs")), PROGRAM).expect("a program");
}

fn workspace(members: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let manifest = format!("[workspace]\nresolver = \"3\"\nmembers = {members:?}\n");
    fs::write(folder.path().join("Cargo.toml"), manifest).expect("a manifest");
    folder
}

/// What `cargo metaxy` is called with comes after its name.
fn cargo_metaxy(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cargo-metaxy"))
        .arg("metaxy")
        .args(arguments)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .output()
        .expect("the binary")
}

fn texts(output: &Output) -> (&str, &str, Option<i32>) {
    let text = |bytes| std::str::from_utf8(bytes).expect("UTF-8");
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

#[test]
fn the_program_that_the_manifest_names() {
    let place = workspace(&["pipeline", "other"]);
    let metadata = "[package.metadata.metaxy]\nbin = \"features\"\nfeatures = [\"extra\"]";
    package(place.path(), "pipeline", "features", metadata);
    package(place.path(), "other", "other", "");
    let output = cargo_metaxy(place.path(), &["status", "--check", "-s", "metaxy"]);
    let expected = "pipeline: status --check -s metaxy\nwith extra\n";
    assert_eq!(texts(&output), (expected, "", Some(7)));
}

#[test]
fn the_only_program_of_the_name() {
    let place = workspace(&["pipeline"]);
    package(place.path(), "pipeline", "metaxy", "");
    let output = cargo_metaxy(place.path(), &["list"]);
    assert_eq!(texts(&output), ("pipeline: list\n", "", Some(7)));
}

#[test]
fn of_several_the_one_that_one_is_in() {
    let place = workspace(&["a", "b"]);
    package(place.path(), "a", "metaxy", "");
    package(place.path(), "b", "metaxy", "");
    let (output, in_b) = (
        cargo_metaxy(place.path(), &["list"]),
        cargo_metaxy(&place.path().join("b/src"), &["list"]),
    );
    let (stdout, stderr, code) = texts(&output);
    assert_eq!((stdout, code), ("", Some(2)));
    assert!(stderr.contains("several programs: `metaxy` of `a`, `metaxy` of `b`"), "{stderr}");
    assert_eq!(texts(&in_b).0, "b: list\n");
}

#[test]
fn what_to_write_into_the_manifest() {
    let place = workspace(&["a"]);
    package(place.path(), "a", "main", "");
    let output = cargo_metaxy(place.path(), &["list"]);
    let (stdout, stderr, code) = texts(&output);
    assert_eq!((stdout, code), ("", Some(2)));
    assert!(stderr.starts_with("error: this workspace has no program to run; "), "{stderr}");
    assert!(stderr.contains("[package.metadata.metaxy]\n    bin = "), "{stderr}");

    package(place.path(), "a", "main", "[package.metadata.metaxy]\nbin = \"mian\"");
    let output = cargo_metaxy(place.path(), &["list"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(texts(&output).1.contains("no program `mian`, the nearest is `main`"), "{output:?}");

    package(place.path(), "a", "main", "[package.metadata.metaxy]\nprogram = \"main\"");
    let output = cargo_metaxy(place.path(), &["list"]);
    assert!(texts(&output).1.contains("unknown field `program`"), "{output:?}");
}

#[test]
fn outside_of_a_workspace() {
    let place = tempfile::tempdir().expect("a folder");
    let output = cargo_metaxy(place.path(), &["list"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        texts(&output).1.starts_with("error: cargo cannot read this workspace: "),
        "{output:?}"
    );
}
