//! Lock files: what one project has pushed, another one builds against.

use crate::place::Place;

/// A project whose only feature is computed from one of the demo.
const FACES: &str = r#"{"project": "faces", "features": [{
    "key": "faces/mask", "id_columns": ["video_id"], "deps": [{"feature": "demo/crop"}],
    "fields": ["mask"]
}]}"#;

#[test]
fn another_projects_features_are_locked_and_used() {
    for format in ["table", "json", "markdown"] {
        let place = Place::duckdb();
        place.run("push").ok();
        let mut text = String::new();
        for command in [
            "lock demo/crop --project faces --dry-run",
            "lock demo/crop --project faces",
            "lock --project faces --check",
            "lock --project faces",
        ] {
            let ran = place.run(&format!("{command} --format {format}")).ok();
            text += &format!("$ metaxy {command}\n{ran}\n");
        }
        insta::assert_snapshot!(format!("lock_{format}"), text);
    }
}

#[test]
fn a_configured_lock_file_is_part_of_the_graph() {
    let place = Place::duckdb();
    place.run("push").ok();
    place.write("faces.json", FACES);
    assert!(place.run("list --spec faces.json").refused().contains("demo/crop"));
    place.run("lock demo/crop --project faces").ok();
    place.configure(
        "store = \"dev\"\nlock = \"metaxy.lock\"\n[stores.dev]\nurl = \"duckdb:meta.duckdb\"\n",
    );
    let list = place.run("list --spec faces.json").ok();
    assert!(list.contains("faces/mask") && list.contains("demo/video"), "{list}");
    let alone = place.run("list --lock metaxy.lock").ok();
    assert!(alone.contains("demo/video") && !alone.contains("faces/mask"), "{alone}");

    // A push of another version is seen, and taken over by the next lock.
    place.run("lock --spec faces.json --check").ok();
    place.write(
        "demo.json",
        r#"{"project": "demo", "features": [
            {"key": "demo/video", "id_columns": ["video_id"], "fields": ["audio", "frames"]},
            {"key": "demo/crop", "id_columns": ["video_id"], "deps": [{"feature": "demo/video"}],
             "fields": [{"key": "face", "code_version": "7"}]}
        ]}"#,
    );
    place.configure("store = \"dev\"\n[stores.dev]\nurl = \"duckdb:meta.duckdb\"\n");
    place.run("push --spec demo.json").ok();
    let before = std::fs::read_to_string(place.path("metaxy.lock")).expect("a file");
    let check = place.run("lock --project faces --check");
    assert_eq!(check.code, Some(3), "{check:?}");
    assert_eq!(std::fs::read_to_string(place.path("metaxy.lock")).expect("a file"), before);
    place.run("lock --project faces").ok();
    place.run("lock --project faces --check").ok();
}

#[test]
fn mistakes_about_locks() {
    let place = Place::duckdb();
    place.run("push").ok();
    insta::assert_snapshot!("lock_unknown", place.run("lock demo/corp").refused());
    insta::assert_snapshot!("lock_nothing", place.run("lock").refused());
    place.write("metaxy.lock", "no lock file");
    insta::assert_snapshot!("lock_no_file", place.run("lock demo/crop").refused());
}

/// A file that nobody could read does not take the place of a good one.
#[test]
fn a_project_that_no_file_can_say() {
    let place = Place::duckdb();
    place.run("push").ok();
    place.run("lock demo/crop --project faces").ok();
    let file = || std::fs::read_to_string(place.path("metaxy.lock")).expect("a file");
    let before = file();
    let database = duckdb::Connection::open(place.path("meta.duckdb")).expect("a database");
    let update = "UPDATE metaxy_system__feature_versions SET project = 'my__pkg'";
    database.execute_batch(update).expect("an update");
    drop(database);
    let refused = place.run("lock demo/crop --project faces").refused();
    assert!(refused.contains("`my__pkg` is not a project: `__` is reserved"), "{refused}");
    assert_eq!(file(), before);
}

/// The configuration names a file that is not there yet: every other command says what writes it.
#[test]
fn a_lock_file_that_is_configured_before_it_is_there() {
    let place = Place::duckdb();
    place.run("push").ok();
    place.write("faces.json", FACES);
    place.configure(
        "store = \"dev\"\nlock = \"metaxy.lock\"\n[stores.dev]\nurl = \"duckdb:meta.duckdb\"\n",
    );
    let refused = place.run("list --spec faces.json").refused();
    insta::assert_snapshot!("lock_not_there", refused);
    assert_eq!(place.run("list").refused(), refused);
    let wrote = place.run("lock --spec faces.json").ok();
    assert!(wrote.contains("demo/crop") && wrote.contains("wrote metaxy.lock"), "{wrote}");
    assert!(place.run("list --spec faces.json").ok().contains("demo/video"));
}

/// What is wrong with the features is said, and not that there are none.
#[test]
fn a_lock_file_of_features_with_a_mistake() {
    let place = Place::duckdb();
    place.run("push").ok();
    place.write("faces.json", &FACES.replace("id_columns", "id_colums"));
    let refused = place.run("lock --spec faces.json").refused();
    assert!(refused.contains("unknown member `id_colums`"), "{refused}");
    place.write("two.json", &FACES.replace("\"faces\"", "\"demo\""));
    let refused = place.run("lock --project other --spec two.json").refused();
    assert!(refused.contains("no feature of today's graph is computed from any"), "{refused}");
}
