//! House rules that no compiler checks, as tests over the files of the checkout.
//!
//! The words that are looked for are put together with `concat!`, so that this file obeys them too.

use std::fs;
use std::path::{Path, PathBuf};

/// Files that may say `unsafe`, each with the reason.
const UNSAFE: [(&str, &str); 3] = [
    (
        "metaxy/src/def/ptr.rs",
        "definitions point at each other; a constant looks through references",
    ),
    ("metaxy/src/store/duckdb/hash.rs", "the vectors of a scalar function are raw memory"),
    ("tests/servers/src/clickhouse.rs", "the engine is a library of C++"),
];

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 4] = ["target", "wip", ".git", ".tools"];

#[test]
fn rust_files_say_what_they_are() {
    check(&["rs"], |path, text| {
        // A compile-fail case says it with its name, and its expected text counts lines.
        let is_case = path.starts_with("tests/ui/") && path != "tests/ui/ui.rs";
        if is_case || text.starts_with("//!") {
            return Vec::new();
        }
        vec!["1: does not begin with `//!`".to_owned()]
    });
}

#[test]
fn nothing_is_unfinished_or_switched_off() {
    let words = [
        concat!("to", "do!("),
        concat!("un", "implemented!("),
        concat!("#[", "ignore"),
        concat!("FIX", "ME"),
        concat!("d", "bg!("),
    ];
    check(&["rs"], |_, text| lines_with(text, &words));
}

#[test]
fn unsafe_code_is_in_few_files() {
    let words =
        ["{", "fn", "impl", "extern", "trait"].map(|next| concat!("un", "safe ").to_owned() + next);
    let words = words.each_ref().map(String::as_str);
    check(&["rs"], |path, text| {
        if UNSAFE.iter().any(|(allowed, _)| *allowed == path) {
            return Vec::new();
        }
        lines_with(text, &words)
    });
}

#[test]
fn no_path_of_one_machine() {
    let words = ["home", "root", "Users"].map(|folder| format!("/{folder}/"));
    let words = words.each_ref().map(String::as_str);
    check(&["rs", "md", "toml", "json", "snap", "stderr", "txt", "sql", "slt"], |_, text| {
        lines_with(text, &words)
    });
}

#[test]
fn every_expected_text_has_its_case() {
    check(&["stderr"], |path, _| {
        if root().join(path).with_extension("rs").exists() {
            return Vec::new();
        }
        vec!["1: there is no `.rs` of this name".to_owned()]
    });
}

/// Runs one rule over the files with these extensions and fails with all that it found.
fn check(extensions: &[&str], rule: impl Fn(&str, &str) -> Vec<String>) {
    let root = root();
    let mut files = Vec::new();
    collect(&root, extensions, &mut files);
    let mut found = Vec::new();
    for file in files {
        let path = file.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        // Expected output may hold any bytes; rules are about text.
        let text = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        found.extend(rule(&path, &text).into_iter().map(|line| format!("{path}:{line}")));
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

fn collect(folder: &Path, extensions: &[&str], files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        if path.is_dir() {
            if !SKIPPED.iter().any(|skipped| name == *skipped) {
                collect(&path, extensions, files);
            }
        } else if path.extension().is_some_and(|have| extensions.iter().any(|want| have == *want)) {
            files.push(path);
        }
    }
}

/// The lines outside of comments that hold one of `words`, as `number: line`.
fn lines_with(text: &str, words: &[&str]) -> Vec<String> {
    let code = text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    code.filter(|(_, line)| words.iter().any(|word| line.contains(word)))
        .map(|(number, line)| format!("{}: {}", number + 1, line.trim()))
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
