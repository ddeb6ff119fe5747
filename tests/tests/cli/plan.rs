//! What is to be done and why: `plan` over the whole graph, `explain` for one feature or one record.

use crate::life::{scenes, video, with};
use crate::place::Place;
use serde_json::{Value, json};

/// Three videos, of two of which all is computed; of those, the pictures of one are others by now.
fn place() -> Place {
    let place = Place::duckdb();
    place.lines("videos.jsonl", &[video("a", 10.0, "f1"), video("b", 20.0, "f1")]);
    place.run("sync demo/video videos.jsonl").ok();
    compute(&place, "demo/crop", |row| vec![with(row, &json!({ "num_faces": 1 }))]);
    compute(&place, "demo/scene", scenes);
    compute(&place, "demo/summary", |row| vec![with(row, &json!({ "text": "two scenes" }))]);
    place.lines("again.jsonl", &[video("a", 10.0, "f2"), video("c", 30.0, "f1")]);
    place.run("sync demo/video again.jsonl --partial").ok();
    place
}

fn compute(place: &Place, feature: &str, compute: impl Fn(&Value) -> Vec<Value>) {
    place.run(&format!("resolve {feature} --to-compute -o work.jsonl")).ok();
    let rows: Vec<Value> = place.read("work.jsonl").iter().flat_map(compute).collect();
    place.lines("done.jsonl", &rows);
    place.run(&format!("write {feature} done.jsonl")).ok();
}

#[test]
fn plans_in_three_forms() {
    let place = place();
    for format in ["table", "json", "markdown"] {
        let plan = place.run(&format!("plan --format {format}")).ok();
        insta::assert_snapshot!(format!("plan_{format}"), plan);
        let what_if = format!("plan --what-if demo/crop.face=2 --format {format}");
        insta::assert_snapshot!(format!("what_if_{format}"), place.run(&what_if).ok());
    }
    // Nothing was changed by asking.
    assert_eq!(place.run("plan demo/crop --format json").json()["to_compute"], 2);
    assert_eq!(
        place.run("plan demo/crop --what-if demo/crop.face=2 -f json").json()["to_compute"],
        3
    );
}

#[test]
fn limits_have_their_own_exit_code() {
    let place = place();
    let code = |arguments: &str| place.run(arguments).code;
    assert_eq!(code("plan demo/crop --max-records 2 --max-cost 5"), Some(0));
    assert_eq!(code("plan demo/crop --max-records 1"), Some(4));
    assert_eq!(code("plan demo/crop --max-cost 4.9"), Some(4));
    let ran = place.run("plan demo/crop --max-records 1");
    assert_eq!(ran.stderr, "error: 2 records are to be computed, and at most 1 are allowed\n");
    // The plan is there, whatever it costs.
    assert!(ran.stdout.contains("2 records to compute, cost 5"), "{}", ran.stdout);
    let ran = place.run("plan --max-cost 100");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("what a record of `demo/scene`, `demo/summary` costs"), "{ran:?}");
    assert_eq!(code("plan demo/crop --check"), Some(3));
    compute(&place, "demo/crop", |row| vec![with(row, &json!({ "num_faces": 1 }))]);
    assert_eq!(code("plan demo/crop --check"), Some(0));
}

/// What has no price costs the seconds that it took.
#[test]
fn durations_are_prices() {
    let place = place();
    place.run("resolve demo/scene --to-compute -o work.jsonl").ok();
    let rows: Vec<Value> = place.read("work.jsonl").iter().flat_map(scenes).collect();
    place.lines("done.jsonl", &rows);
    place.run("write demo/scene done.jsonl --took 2.5").ok();
    let again = [video("a", 10.0, "f3"), video("d", 30.0, "f1"), video("e", 30.0, "f1")];
    place.lines("again.jsonl", &again);
    place.run("sync demo/video again.jsonl --partial").ok();
    let plan = place.run("plan demo/scene --format json").json();
    let scene = &plan["features"][0];
    // Two parents took 2.5 seconds, and there are three.
    assert_eq!(
        [&scene["cost_per_record"], &scene["cost"], &scene["cost_is_measured"]],
        [&json!(1.25), &json!(3.75), &json!(true)]
    );
    let table = place.run("plan demo/scene").ok();
    assert!(table.contains("3.75 s (measured)"), "{table}");
    assert_eq!(place.run("plan demo/scene --max-cost 3").code, Some(4));
    let refused = place.run("write demo/scene done.jsonl --took soon").refused();
    assert!(refused.contains("expected a number of seconds"), "{refused}");
}

#[test]
fn mistakes_in_a_what_if() {
    let place = place();
    insta::assert_snapshot!(
        "what_if_no_version",
        place.run("plan --what-if demo/crop.face").refused()
    );
    insta::assert_snapshot!(
        "what_if_no_field",
        place.run("plan --what-if demo/crop.fase=2").refused()
    );
    insta::assert_snapshot!(
        "explain_no_record",
        place.run("explain demo/crop --id video_id=z").refused()
    );
    insta::assert_snapshot!(
        "explain_no_column",
        place.run("explain demo/crop --id vidoe_id=a").refused()
    );
}

#[test]
fn a_record_and_all_that_belongs_to_it() {
    let place = place();
    for format in ["table", "json", "markdown"] {
        let causes = place.run(&format!("explain demo/crop --format {format}")).ok();
        insta::assert_snapshot!(format!("explain_{format}"), causes);
        let record =
            place.run(&format!("explain demo/crop --id video_id=a --format {format}")).ok();
        insta::assert_snapshot!(format!("explain_record_{format}"), record);
    }
    let video = place.run("explain demo/video --id video_id=a --format json").json();
    let downstream = video["downstream"].as_array().expect("features");
    let keys: Vec<&Value> = downstream.iter().map(|related| &related["feature"]).collect();
    assert_eq!(keys, ["demo/crop", "demo/scene", "demo/summary"]);
    assert_eq!(video["timeline"].as_array().map(Vec::len), Some(2));
}
