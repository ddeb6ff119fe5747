//! The binary, run as a user runs it.

use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Output};
use tempfile::NamedTempFile;

/// Runs `metaxy` with `FILE` replaced by a file with this content.
fn metaxy(arguments: &[&str], file: &str) -> Output {
    let mut spec = NamedTempFile::new().expect("a temporary file");
    spec.write_all(file.as_bytes()).expect("room for a spec file");
    let path = spec.path().to_str().expect("a path in UTF-8");
    let arguments = arguments.iter().map(|argument| match *argument {
        "FILE" => path,
        argument => argument,
    });
    let mut output =
        Command::new(env!("CARGO_BIN_EXE_metaxy")).args(arguments).output().expect("the binary");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    output.stderr = stderr.replace(path, "FILE").into();
    output
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

const VIDEO_AND_CROP: &str = r#"{"project": "golden", "features": [
    {"key": "media/crop", "id_columns": ["id"], "deps": ["media/video"],
     "fields": ["audio", {"key": "faces", "code_version": "3"}]},
    {"key": ["media", "video"], "id_columns": ["id"], "fields": ["audio", "frames"]}
]}"#;

#[test]
fn versions_as_json() {
    let arguments =
        ["versions", "--spec", "FILE", "--format", "json", "--hash-truncation-length", "8"];
    let output = metaxy(&arguments, VIDEO_AND_CROP);
    assert_eq!(stderr(&output), "");
    assert!(output.status.success());
    let mut json: Value = serde_json::from_str(stdout(&output)).expect("JSON");
    // What depends on the schema is in the golden test; here there is none.
    for feature in ["media/crop", "media/video"] {
        let version = json["features"][feature].as_object_mut().expect("a feature");
        assert_eq!(version.remove("definition_version").expect("a version").to_string().len(), 10);
    }
    assert_eq!(json["project_version"].as_str().map(str::len), Some(8));
    json["project_version"] = Value::Null;
    assert_eq!(
        json,
        json!({
            "project": "golden",
            "project_version": null,
            "features": {
                "media/video": {
                    "feature_version": "fb3c2831",
                    "feature_code_version": "860ca345",
                    "feature_spec_version": "d1625aac",
                    "field_versions": {"audio": "46ac598e", "frames": "96665143"},
                },
                "media/crop": {
                    "feature_version": "daa69af8",
                    "feature_code_version": "c98d6ab8",
                    "feature_spec_version": "c9cfeef0",
                    "field_versions": {"audio": "b76c42e3", "faces": "b8faed29"},
                },
            },
        })
    );
}

#[test]
fn versions_as_table() {
    let output = metaxy(&["versions", "--spec", "FILE"], VIDEO_AND_CROP);
    assert_eq!((stderr(&output), output.status.code()), ("", Some(0)));
    let table = stdout(&output);
    let audio = table.lines().find(|line| line.contains("media/video")).expect("a line");
    // 16 characters by default.
    assert!(audio.contains(" 46ac598ef380"), "{table}");
    assert!(
        table.lines().last().is_some_and(|line| line.starts_with("project golden: ")),
        "{table}"
    );
}

/// A schema beside the spec gives Python's definition and project versions.
#[test]
fn versions_with_schemas() {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/src/conformance/golden/python-0.1.11.json");
    let golden: Value =
        serde_json::from_str(&std::fs::read_to_string(golden).expect("the golden file"))
            .expect("JSON");
    let entries = golden["graph"].as_array().expect("graphs");
    assert!(entries.len() >= 14);
    for entry in entries {
        let expected = entry["expected"].as_object().expect("features");
        let features: Vec<Value> = expected
            .values()
            .map(|feature| {
                let spec: Value =
                    serde_json::from_str(feature["spec_json"].as_str().expect("a text"))
                        .expect("JSON");
                json!({"spec": spec, "feature_schema": feature["feature_schema_json"]})
            })
            .collect();
        let file = json!({"project": "golden", "features": features}).to_string();
        let length = entry["hash_truncation_length"].to_string();
        let arguments =
            ["versions", "--spec", "FILE", "--format", "json", "--hash-truncation-length", &length];
        let output = metaxy(&arguments, &file);
        let json: Value = serde_json::from_str(stdout(&output)).expect("JSON");
        assert_eq!(
            json["project_version"], entry["project_versions"]["golden"],
            "{}",
            entry["name"]
        );
        for (key, feature) in expected {
            let actual = &json["features"][key];
            for (member, golden) in [
                ("feature_version", "feature_version"),
                ("feature_code_version", "feature_code_version"),
                ("feature_spec_version", "feature_spec_version_of_definition"),
                ("definition_version", "feature_definition_version"),
                ("field_versions", "field_versions"),
            ] {
                assert_eq!(actual[member], feature[golden], "{}: {member} of {key}", entry["name"]);
            }
        }
    }
}

#[test]
fn all_mistakes_of_a_file() {
    let file = r#"{"project": "p", "features": [
        {"key": "a", "id_columns": "id", "fields": [{"key": "x", "code_version": 3}]},
        {"key": "Bad", "id_columns": ["id"]},
        {"key": "c", "id_columns": ["id"], "deps": ["d"], "feilds": ["x"]},
        {"key": "d", "id_columns": ["id"], "deps": ["c"]},
        {"key": "e", "id_columns": ["id"], "fields": ["x", "x"]}
    ]}"#;
    let output = metaxy(&["versions", "--spec", "FILE"], file);
    assert_eq!((stdout(&output), output.status.code()), ("", Some(2)));
    assert_eq!(
        stderr(&output),
        "error: FILE: feature `a` (features[0]), `id_columns`: expected a list of column names, found `\"id\"`; write `[\"id\"]`\n\
         error: FILE: feature `a` (features[0]), field `x`, `fields[0].code_version`: expected a text, found `3`; put it in quotes: `\"3\"`\n\
         error: FILE: features[1], `key`: `Bad` is not a key: only lower-case ASCII letters, digits, `_`, `-` and `/` are allowed\n\
         error: FILE: feature `c` (features[2]): unknown member `feilds`, the nearest is `fields`; expected one of `key`, `id_columns`, `deps`, `fields`, `metadata`, `description`\n\
         error: FILE: features depend on each other in a cycle: `c` (spec file, features[2]) -> `d` (spec file, features[3]) -> `c`\n\
         error: FILE: `e` (spec file, features[4]) has several fields `x`; give each its own name\n"
    );
}

#[test]
fn mistakes_of_the_graph() {
    let file = r#"{"project": "p", "features": [
        {"key": "a", "id_columns": ["id"], "deps": ["b"]},
        {"key": "c", "id_columns": ["id"], "deps": ["a", "x"]}
    ]}"#;
    let output = metaxy(&["versions", "--spec", "FILE"], file);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "error: FILE: `a` (spec file, features[0]) depends on `b`, which is not in the graph\n\
         error: FILE: `c` (spec file, features[1]) depends on `x`, which is not in the graph\n"
    );
}

#[test]
fn input_that_cannot_be_used() {
    for (file, message) in [
        ("{", "FILE: not valid JSON: EOF while parsing"),
        ("[]", "FILE: expected an object with `features`, found `[]`"),
        ("{}", "FILE: `project` is missing; name the project, `\"project\": \"example\"`"),
        (r#"{"project": "p q", "features": []}"#, "FILE: `project`: `p q` is not a project: only"),
        (
            r#"{"project": "p", "features": [{"key": "a", "id_columns": ["id"], "metadata": {"n": 123456789012345678901}}]}"#,
            "FILE: the integer `123456789012345678901` does not fit into 64 bits",
        ),
    ] {
        let output = metaxy(&["versions", "--spec", "FILE"], file);
        assert_eq!((stdout(&output), output.status.code()), ("", Some(2)));
        assert!(stderr(&output).starts_with(&format!("error: {message}")), "{}", stderr(&output));
    }
}

#[test]
fn arguments() {
    let output = metaxy(&["versions", "--spec", "FILE", "--hash-truncation-length", "7"], "{}");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("at least 8 characters"), "{}", stderr(&output));
    let output = metaxy(&["versions", "--spec", "/nowhere/specs.json"], "");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).starts_with("error: cannot read `/nowhere/specs.json`: "));
    assert_eq!(metaxy(&["versions"], "").status.code(), Some(2));
    assert_eq!(metaxy(&[], "").status.code(), Some(2));
    assert_eq!(metaxy(&["--help"], "").status.code(), Some(0));
    assert!(stdout(&metaxy(&["--version"], "")).starts_with("metaxy 0."));
}

#[test]
fn an_empty_project() {
    let arguments = ["versions", "--spec", "FILE", "--format", "json"];
    let output = metaxy(&arguments, r#"{"project": "p", "features": []}"#);
    let json: Value = serde_json::from_str(stdout(&output)).expect("JSON");
    assert_eq!(json, json!({"project": "p", "project_version": "empty", "features": {}}));
}

/// What a spec file declares, others take from the store or from a lock file.
#[cfg(feature = "duckdb")]
#[test]
fn features_out_of_a_spec_file_a_store_and_a_lock_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |arguments: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_metaxy"))
            .args(arguments.split(' '))
            .args(["--store", "duckdb:meta.duckdb"])
            .current_dir(folder.path())
            .output()
            .expect("the binary");
        assert_eq!(output.status.code(), Some(0), "{arguments}: {}", stderr(&output));
        stdout(&output).to_owned()
    };
    let versions = |source: &str| {
        let json: Value =
            serde_json::from_str(&run(&format!("versions --format json {source}"))).expect("JSON");
        json["features"].clone()
    };
    std::fs::write(folder.path().join("features.json"), VIDEO_AND_CROP).expect("a file");
    run("push --spec features.json --create-tables");
    let declared = versions("--spec features.json");
    assert_eq!(declared.as_object().map(serde_json::Map::len), Some(2));
    assert_eq!(versions("--recorded"), declared);
    run("lock media/crop --project other --output locked.lock");
    assert_eq!(versions("--lock locked.lock"), declared);
    assert_eq!(run("diff latest locked.lock"), "no difference\n");
}
