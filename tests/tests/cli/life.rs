//! A project from its first records on, as a transcript: each command, what it answers, how it ends.

use crate::place::Place;
use serde_json::{Value, json};

/// A video with these versions of sound and pictures.
pub(crate) fn video(id: &str, duration: f64, frames: &str) -> Value {
    json!({
        "video_id": id, "path": format!("/{id}.mp4"), "duration": duration,
        "audio": "a1", "frames": frames,
    })
}

struct Transcript {
    place: Place,
    format: &'static str,
    text: String,
}

impl Transcript {
    fn run(&mut self, arguments: &str) -> String {
        let ran = self.place.run(&format!("{arguments} --format {}", self.format));
        self.text += &format!("$ metaxy {arguments}\n{}{}", ran.stdout, ran.stderr);
        if ran.code != Some(0) {
            self.text += &format!("[exit code {}]\n", ran.code.expect("a code"));
        }
        self.text += "\n";
        ran.stdout
    }

    /// Adds what was computed to the rows of a file.
    fn compute(&self, from: &str, to: &str, compute: impl Fn(&Value) -> Vec<Value>) {
        let rows: Vec<Value> = self.place.read(from).iter().flat_map(compute).collect();
        self.place.lines(to, &rows);
    }
}

/// A row with these columns as well.
pub(crate) fn with(row: &Value, columns: &Value) -> Value {
    let mut row = row.clone();
    let members = columns.as_object().expect("an object").clone();
    row.as_object_mut().expect("an object").extend(members);
    row
}

/// Two scenes for each video, and the word that these are all.
pub(crate) fn scenes(parent: &Value) -> Vec<Value> {
    let mut rows: Vec<Value> = (0..2).map(|n| with(parent, &json!({ "number": n }))).collect();
    rows.push(with(parent, &json!({ "metaxy_children": 2 })));
    rows
}

fn life(format: &'static str) -> String {
    let mut t = Transcript { place: Place::duckdb(), format, text: String::new() };
    t.run("list");
    t.run("describe demo/summary");
    t.run("versions");

    // Roots are compared with what they should be.
    let videos = [video("a", 10.0, "f1"), video("b", 20.0, "f1"), video("c", 0.5, "f1")];
    t.place.lines("videos.jsonl", &videos);
    t.run("status");
    t.run("sync demo/video videos.jsonl --dry-run");
    t.run("sync demo/video videos.jsonl --materialization-id first");
    t.run("read demo/video --columns video_id,path,duration --filter 'duration > 1'");
    t.run("status --check");

    // Everything else says what it lacks, and takes it back.
    t.run("resolve demo/crop");
    t.run("resolve demo/crop --max-records 1");
    t.run("resolve demo/crop --to-compute -o crops.jsonl");
    t.compute("crops.jsonl", "done.jsonl", |row| match row["video_id"].as_str() {
        Some("b") => vec![with(row, &json!({ "metaxy_error": "no face" }))],
        _ => vec![with(row, &json!({ "num_faces": 1 }))],
    });
    t.run("write demo/crop done.jsonl --dry-run");
    t.run("write demo/crop done.jsonl --token one --commit-every 1");
    t.run("write demo/crop done.jsonl --token one --commit-every 1");
    t.run("failures demo/crop --check");
    t.run("resolve demo/crop --without-failed --check");
    t.run("resolve demo/scene -o scenes.jsonl");
    t.compute("scenes.jsonl", "scenes-done.jsonl", scenes);
    t.run("write demo/scene scenes-done.jsonl");
    t.run("resolve demo/summary -o summaries.jsonl");
    t.compute("summaries.jsonl", "summaries-done.jsonl", |row| {
        vec![with(row, &json!({ "text": "two scenes" }))]
    });
    t.run("write demo/summary summaries-done.jsonl");
    t.run("status");

    // Something changes.
    t.place.lines("again.jsonl", &[video("a", 10.0, "f2")]);
    t.run("sync demo/video again.jsonl --partial");
    t.run("status demo/crop demo/scene");
    t.run("rebase demo/crop --accept upstream --by ada --because 'the same picture' --dry-run");
    t.run("rebase demo/crop --accept upstream --by ada --because 'the same picture'");
    t.run("resolve demo/crop");

    // Records go, and come back.
    t.run("delete demo/video --id video_id=c --dry-run");
    t.run("delete demo/video --id video_id=c");
    t.run("resolve demo/scene");
    t.run("delete demo/scene --orphans");
    t.run("undelete demo/video --filter \"video_id = 'c'\" --dry-run");
    t.run("undelete demo/video --id video_id=c");
    t.run("delete demo/video --all --hard");
    t.run("delete demo/crop --all --hard --dry-run");
    t.run("delete demo/crop --all --hard --yes");
    t.run("vacuum --all --dry-run");
    t.run("vacuum demo/video --keep 1");
    t.run("vacuum demo/video --older-than 30days");

    // Another store has it all.
    t.run("copy --from dev --to duckdb:other.duckdb --create-tables --dry-run");
    t.run("copy --from dev --to duckdb:other.duckdb --create-tables");
    t.run("copy --from dev --to duckdb:other.duckdb --create-tables");
    t.run("status -s duckdb:other.duckdb");
    t.text
}

#[test]
fn as_tables() {
    insta::assert_snapshot!(life("table"));
}

#[test]
fn as_json() {
    insta::assert_snapshot!(life("json"));
}

#[test]
fn as_markdown() {
    let place = Place::duckdb();
    place.lines("videos.jsonl", &[video("a", 10.0, "f1")]);
    place.run("sync demo/video videos.jsonl").ok();
    insta::assert_snapshot!(place.run("status --format markdown").ok());
}

#[test]
fn shells_and_manuals_know_the_commands() {
    let place = Place::duckdb();
    let completions = place.run("completions bash").ok();
    assert!(completions.contains("--max-records"), "{completions}");
    let manual = place.run("man").ok();
    assert!(manual.contains("Bring deleted records back"), "{manual}");
}
