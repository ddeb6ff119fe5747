//! Migrations: from a graph to files, to tables, and back.

use crate::life::video;
use crate::place::Place;
use serde_json::json;

/// A folder whose store makes no tables of its own.
fn place() -> Place {
    let place = Place::duckdb();
    place.configure("store = \"dev\"\n[stores.dev]\nurl = \"duckdb:meta.duckdb\"\n");
    place
}

#[test]
fn from_a_graph_to_a_store_and_back() {
    for format in ["table", "json", "markdown"] {
        let place = place();
        let mut text = String::new();
        for command in [
            "migrate check",
            "migrate generate first --because 'the first features'",
            "migrate generate again",
            "migrate check",
            "migrate lint --check",
            "migrate apply --dry-run",
            "migrate apply",
            "migrate apply",
            "migrate status --check",
            "migrate revert --dry-run",
            "migrate revert",
            "migrate status --check",
        ] {
            let ran = place.run(&format!("{command} --format {format}"));
            text += &format!("$ metaxy {command}\n{}{}", ran.stdout, ran.stderr);
            if ran.code != Some(0) {
                text += &format!("[exit code {}]\n", ran.code.expect("a code"));
            }
            text += "\n";
        }
        insta::assert_snapshot!(format!("migrate_{format}"), text);
    }
}

#[test]
fn a_store_works_after_a_migration() {
    let place = place();
    place.lines("videos.jsonl", &[video("a", 10.0, "f1")]);
    assert_ne!(place.run("sync demo/video videos.jsonl").code, Some(0));
    place.run("migrate generate first").ok();
    place.run("migrate apply").ok();
    place.run("sync demo/video videos.jsonl").ok();
    assert_eq!(place.run("resolve demo/crop --format json").json()["counts"]["new"], 1);
}

/// The feature that others of the demo are computed from, as a program declares it that has no other one.
fn push_video(place: &Place, code_version: &str) {
    let text = json!({ "type": "string" });
    let features = json!({ "project": "demo", "features": [{
        "spec": { "key": "demo/video", "id_columns": ["video_id"], "fields": [
            { "key": "audio", "code_version": code_version },
            { "key": "frames", "code_version": "1" },
        ] },
        "feature_schema": { "properties": {
            "video_id": text,
            "path": { "anyOf": [text, { "type": "null" }] },
            "duration": { "type": "number", "format": "double" },
        } },
    }] });
    place.write("video.json", &features.to_string());
    place.run("push --spec video.json --create-tables --store duckdb:other.duckdb").ok();
}

/// Features come and go. The smaller graph is what another program has pushed elsewhere.
#[test]
fn changes_after_the_first() {
    let place = place();
    push_video(&place, "1");
    let video = "--recorded --store duckdb:other.duckdb";
    place.run(&format!("migrate generate first --layout sqlx {video}")).ok();
    place.run(&format!("migrate check {video}")).ok();
    let missing = place.run("migrate check");
    assert_eq!(missing.code, Some(3), "{missing:?}");
    insta::assert_snapshot!("migrate_missing", missing.stdout + &missing.stderr);
    let dry = place.run("migrate generate all --dry-run").ok();
    assert!(dry.contains("CREATE TABLE \"demo__crop\""), "{dry}");
    assert_eq!(place.run("migrate check").code, Some(3), "nothing was written");
    place.run("migrate generate all").ok();
    place.run("migrate check").ok();

    let gone = place.run(&format!("migrate generate gone {video}")).ok();
    assert!(gone.contains("nothing to do in a database"), "{gone}");
    assert!(gone.contains("it is removed when drops are asked for"), "{gone}");
    let gone = place.run(&format!("migrate generate gone --drops {video}")).ok();
    assert!(gone.contains("wrote"), "{gone}");
    let lint = place.run("migrate lint --only destroys --check");
    assert_eq!(lint.code, Some(3), "{lint:?}");
    insta::assert_snapshot!("migrate_lint", {
        let versions = |word: &str| word.len() == 14 && word.bytes().all(|b| b.is_ascii_digit());
        let words = lint.stdout.split_inclusive(' ').map(|word| match versions(word.trim()) {
            true => "VERSION ",
            false => word,
        });
        words.collect::<String>() + &lint.stderr
    });
    place.run("migrate lint --since 99999999999999 --check").ok();
    place.run("migrate apply").ok();
    assert_eq!(
        place.run("migrate status --format json").json()["migrations"][2]["state"],
        "applied"
    );
    let back = place.run("migrate revert --steps 3");
    assert_eq!(back.code, Some(1), "what was dropped does not come back: {back:?}");
}

/// What needs no SQL is written down as well.
#[test]
fn a_schema_follows_what_needs_no_sql() {
    let place = place();
    let video = "--recorded --store duckdb:other.duckdb";
    push_video(&place, "1");
    place.run(&format!("migrate generate first {video}")).ok();
    push_video(&place, "2");
    let sha = format!("migrate generate sha --hash-algorithm sha256 {video}");
    assert!(place.run(&sha).refused().contains("make one for the features first"));
    let mut text = String::new();
    for command in
        ["migrate generate code --dry-run", "migrate generate code", "migrate generate code"]
    {
        text += &format!("$ metaxy {command}\n{}", place.run(&format!("{command} {video}")).ok());
    }
    insta::assert_snapshot!("migrate_schema", text);
    place.run(&format!("migrate check {video}")).ok();
    place.run(&sha).ok();
}

/// Another project's features, out of a lock file, have tables of that project's making.
#[test]
fn locked_features_get_no_table() {
    let place = place();
    place.run("push --create-tables --store duckdb:other.duckdb").ok();
    place.run("lock demo/video --project mine --store duckdb:other.duckdb").ok();
    place.configure(
        "store = \"dev\"\nlock = \"metaxy.lock\"\n[stores.dev]\nurl = \"duckdb:meta.duckdb\"\n",
    );
    place.run("migrate generate first").ok();
    let up = std::fs::read_to_string(place.path("migrations/0001_first.sql")).expect("a file");
    assert!(up.contains("demo__crop") && !up.contains("demo__video"), "{up}");
    place.run("migrate apply").ok();
    place.run("migrate check").ok();
}

#[test]
fn another_hash() {
    let place = place();
    place.run("migrate generate first").ok();
    let sql = place.run("migrate generate hash --hash-algorithm sha256 --dry-run").ok();
    assert!(sql.contains("sha256"), "{sql}");
    place.run("migrate generate hash --hash-algorithm sha256 --hash-truncation-length 32").ok();
    place.run("migrate apply").ok();
    place.lines("videos.jsonl", &[video("a", 10.0, "f1")]);
    place.run("sync demo/video videos.jsonl").ok();
    place.run("resolve demo/crop --to-compute -o work.jsonl").ok();
    let work = place.read("work.jsonl");
    let provenance = work[0]["metaxy_provenance"].as_str().expect("a text");
    assert_eq!(provenance.len(), 32, "{provenance}");
}

#[test]
fn migrations_for_servers_need_none() {
    let place = Place::new("memory:");
    for engine in ["postgres", "clickhouse"] {
        let files = format!("--dir {engine}");
        place
            .run(&format!("migrate generate first {files} --engine {engine} --layout refinery"))
            .ok();
        place.run(&format!("migrate check {files}")).ok();
        let up = std::fs::read_to_string(place.path(&format!("{engine}/V1__first.sql")));
        assert!(up.expect("a file").contains("CREATE TABLE"));
    }
    // An address says which database it is, however it is reached.
    for (address, engine) in [
        ("clickhouse://127.0.0.1:1/none", "clickhouse"),
        ("clickhouse+https://127.0.0.1:1/none", "clickhouse"),
        ("postgresql://127.0.0.1:1/none", "postgres"),
    ] {
        let sql = |of: &str| place.run(&format!("migrate generate first --dry-run {of}")).ok();
        assert_eq!(sql(&format!("--store {address}")), sql(&format!("--engine {engine}")));
    }
    let other = place.run("migrate generate next --dir postgres --engine duckdb").refused();
    assert!(other.contains("are for Postgres"), "{other}");
    let other = place.run("migrate generate next --dir postgres --layout plain").refused();
    assert!(other.contains("have the layout `refinery`"), "{other}");
}

#[test]
fn a_store_that_made_its_own_tables_goes_over() {
    let place = Place::duckdb();
    place.lines("videos.jsonl", &[video("a", 10.0, "f1")]);
    place.run("sync demo/video videos.jsonl").ok();
    let would = place.run("migrate adopt --dry-run").ok();
    assert!(would.contains("would begin with"), "{would}");
    assert_eq!(place.run("migrate check").code, Some(2), "nothing was written");
    insta::assert_snapshot!("migrate_adopt", place.run("migrate adopt").ok());
    place.run("migrate generate rest").ok();
    place.run("migrate apply").ok();
    place.run("migrate status --check").ok();
    place.run("read demo/video -o read.jsonl").ok();
    assert_eq!(place.read("read.jsonl").len(), 1);
}

#[test]
fn mistakes_about_migrations() {
    let place = place();
    insta::assert_snapshot!("migrate_none", place.run("migrate apply").refused());
    insta::assert_snapshot!("migrate_name", place.run("migrate generate Add-Faces").refused());
    insta::assert_snapshot!(
        "migrate_layout",
        place.run("migrate generate a --layout flyway").refused()
    );
    insta::assert_snapshot!(
        "migrate_length",
        place.run("migrate generate a --hash-truncation-length 4").refused()
    );
    insta::assert_snapshot!(
        "migrate_renamed",
        place.run("migrate generate a --renamed face").refused()
    );
    let place = Place::new("memory:");
    insta::assert_snapshot!("migrate_memory", place.run("migrate generate first").refused());
    place.run("migrate generate first --engine duckdb").ok();
    let file = "migrations/0001_first.sql";
    let store = "--store duckdb:meta.duckdb";
    place.run(&format!("migrate apply {store}")).ok();
    let text = std::fs::read_to_string(place.path(file)).expect("a file");
    place.write(file, &format!("{text}-- more\n"));
    let edited = place.run(&format!("migrate apply {store}")).refused();
    insta::assert_snapshot!("migrate_edited", edited);

    let schema = place.path("migrations/metaxy.schema.json");
    std::fs::write(&schema, "{").expect("a file");
    for command in
        ["migrate generate next --engine duckdb", "migrate adopt --store duckdb:meta.duckdb"]
    {
        assert!(place.run(command).refused().contains("metaxy.schema.json"), "{command}");
    }
    std::fs::remove_file(&schema).expect("a file");
    for command in ["migrate generate first --engine duckdb", "migrate check"] {
        insta::allow_duplicates! {
            insta::assert_snapshot!("migrate_no_schema", place.run(command).refused());
        }
    }
}
