//! The typed way from a resolve to a write.

use crate::features::{
    Crop, FaceDetection, Source, Video, compute_crops, crop, graph, memory, video,
};
use metaxy::prelude::*;
use metaxy::{Reason, Status};
use metaxy_tests::flow::{counts, increment, open, read};
use metaxy_tests::on_every_engine;
use metaxy_tests::place::Place;
use serde_json::{Value, json};

/// The loop of the documentation. A job is used up by `done`, so that the record is made before.
#[tokio::test]
async fn the_loop_of_the_documentation() -> metaxy::Result<()> {
    #[derive(Row)]
    struct Input {
        video_id: String,
        path: String,
    }

    fn detect(path: &str) -> metaxy::Result<Vec<char>> {
        Ok(path.chars().filter(char::is_ascii_digit).collect())
    }

    let place = Place::new();
    let store = Store::open(place.url()).graph(graph()).create_tables(true).await?;
    let samples = vec![video("a1", "1", "1"), video("b22", "1", "1")];
    println!("{}", store.sync::<Video>(samples).delete_orphans(true).await?);
    compute_crops(&store).await;
    let increment = store.resolve_update::<FaceDetection>().await?;
    println!("{}", increment.counts());
    let mut out = store.writer::<FaceDetection>().commit_every(1_000);
    let mut jobs = increment.jobs::<Input>();
    while let Some(job) = jobs.try_next().await? {
        let faces = detect(&job.input().path)?;
        let record = FaceDetection {
            video_id: job.input().video_id.clone(),
            num_faces: faces.len() as u32,
            faces: DataVersion::default(),
        };
        out.push(job.done(record)?).await?;
    }
    out.commit().await?;

    let mut rows = store.read::<FaceDetection>().rows().await?;
    rows.sort_by(|a, b| a.video_id.cmp(&b.video_id));
    let found: Vec<_> = rows.iter().map(|row| (row.video_id.as_str(), row.num_faces)).collect();
    // The 4 of `.mp4` counts as well.
    assert_eq!(found, [("a1", 2), ("b22", 3)]);
    assert!(store.count_update::<FaceDetection>().await?.is_up_to_date());
    Ok(())
}

#[tokio::test]
async fn jobs_say_what_is_stale_and_why() {
    let store = memory().await;
    store.sync(vec![video("a", "1", "1")]).await.expect("a sync");
    compute_crops(&store).await;
    let before = store.read::<Crop>().rows().await.expect("records").remove(0);
    store.sync(vec![video("a", "2", "1"), video("b", "1", "1")]).await.expect("a sync");

    let mut jobs = store.resolve_update::<Crop>().await.expect("an increment").jobs::<Source>();
    let mut seen = Vec::new();
    while let Some(job) = jobs.try_next().await.expect("a job") {
        let stale: Vec<_> = job
            .stale()
            .iter()
            .map(|field| {
                assert_ne!(field.old.as_deref(), Some(field.new.as_str()));
                assert_eq!(field.old.as_deref(), before.audio.as_str());
                (field.field.clone(), field.reasons.clone())
            })
            .collect();
        seen.push((job.input().video_id.clone(), job.status(), stale));
    }
    seen.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        seen,
        [
            ("a".to_owned(), Status::Stale, vec![("audio".to_owned(), vec![Reason::Upstream])]),
            ("b".to_owned(), Status::New, Vec::new()),
        ]
    );
}

#[derive(Debug, Row)]
struct Id {
    video_id: String,
}

/// A new crop with the very same pixels: whoever reads it has nothing to do.
#[tokio::test]
async fn a_data_version_of_the_users_stops_the_news() {
    let store = memory().await;
    let compute = async |pixels: &str| {
        let mut jobs = store.resolve_update::<Crop>().await.expect("an increment").jobs::<Source>();
        let mut out = store.writer::<Crop>();
        while let Some(job) = jobs.try_next().await.expect("a job") {
            let id = job.input().video_id.clone();
            let record = Crop { frames: DataVersion::of(pixels), ..crop(&id) };
            out.push(job.done(record).expect("the same record")).await.expect("a good record");
        }
        out.commit().await.expect("a commit").rows
    };
    let detect = async || {
        let increment = store.resolve_update::<FaceDetection>().await.expect("an increment");
        let mut jobs = increment.jobs::<Id>();
        let mut out = store.writer::<FaceDetection>();
        while let Some(job) = jobs.try_next().await.expect("a job") {
            let video_id = job.input().video_id.clone();
            let record = FaceDetection { video_id, faces: DataVersion::default(), num_faces: 1 };
            out.push(job.done(record).expect("the same record")).await.expect("a good record");
        }
        out.commit().await.expect("a commit").rows
    };
    store.sync(vec![video("a", "1", "first cut")]).await.expect("a sync");
    assert_eq!((compute("black").await, detect().await), (1, 1));
    store.sync(vec![video("a", "1", "second cut")]).await.expect("a sync");
    assert_eq!((compute("black").await, detect().await), (1, 0), "the same pixels");
    store.sync(vec![video("a", "1", "third cut")]).await.expect("a sync");
    assert_eq!((compute("white").await, detect().await), (1, 1));

    // Where a version is given it stays given, also when another field is computed again.
    store.sync(vec![video("a", "2", "third cut")]).await.expect("a sync");
    let rows = increment(&store, "example/crop").await;
    let kept = &rows[0]["metaxy_data_version_by_field"]["frames"];
    assert_eq!(*kept, json!(DataVersion::of("white").as_str()));
    assert_eq!(compute_crops(&store).await, 1);
    assert_eq!(detect().await, 0);
}

#[tokio::test]
async fn deleted_records_orphan_downstream_and_come_back() {
    let store = memory().await;
    store.sync(vec![video("a", "1", "1"), video("b", "1", "1")]).await.expect("a sync");
    compute_crops(&store).await;
    assert_eq!(store.delete(&[video("a", "1", "1")]).await.expect("a deletion").records(), 1);
    let of_crop = counts(&store, "example/crop").await;
    assert_eq!((of_crop.orphaned, of_crop.unchanged), (1, 1));
    assert_eq!(read(&store, "example/crop").await.len(), 2, "orphans are not deleted unasked");

    assert_eq!(store.delete_orphans::<Crop>().await.expect("a deletion").records(), 1);
    assert!(counts(&store, "example/crop").await.is_up_to_date());
    assert_eq!(read(&store, "example/crop").await.len(), 1);
    assert_eq!(store.delete_orphans::<Crop>().await.expect("a deletion").records(), 0);

    // The record is written again: it is computed again, since its result was deleted.
    store.sync(vec![video("a", "1", "1")]).partial(true).await.expect("a sync");
    assert_eq!(counts(&store, "example/crop").await.new, 1);
    assert_eq!(compute_crops(&store).await, 1);
    assert_eq!(read(&store, "example/crop").await.len(), 2);
}

/// An upstream that was never computed is no reason to delete, unless that is asked for by name.
#[tokio::test]
async fn orphans_without_a_trace_stay() {
    let store = memory().await;
    store.sync(vec![video("a", "1", "1")]).await.expect("a sync");
    compute_crops(&store).await;
    // Another store knows nothing of the video, but has the crop.
    let place = Place::new();
    let other = place.open(&graph()).await.expect("a store");
    let crops = read(&store, "example/crop").await;
    metaxy_tests::flow::write(
        &other,
        "example/crop",
        &metaxy_tests::batch::only(&crops, &["video_id", "metaxy_provenance_by_field"]),
    )
    .await
    .expect("good rows");
    let rows = increment(&other, "example/crop").await;
    assert_eq!(
        (&rows[0]["metaxy_status"], &rows[0]["metaxy_cause"]),
        (&json!("orphaned"), &json!("missing"))
    );
    // There are orphans, and no jobs, although there is no table whose columns a job would bring.
    let increment = other.resolve_update::<Crop>().await.expect("an increment");
    let jobs: Vec<_> = increment.jobs::<Source>().try_collect().await.expect("no job");
    assert_eq!(jobs.len(), 0);
    assert_eq!(other.delete_orphans::<Crop>().await.expect("a deletion").records(), 0);
    let deleted = other.delete_orphans::<Crop>().missing(true).await.expect("a deletion");
    assert_eq!(deleted.records(), 1);
    assert_eq!(read(&other, "example/crop").await, Vec::<Value>::new());
}

#[tokio::test]
async fn failed_jobs_come_again() {
    let store = memory().await;
    store.sync(vec![video("a", "1", "1"), video("b", "1", "1")]).await.expect("a sync");
    let mut jobs = store.resolve_update::<Crop>().await.expect("an increment").jobs::<Source>();
    let mut out = store.writer::<Crop>();
    while let Some(job) = jobs.try_next().await.expect("a job") {
        let done = if job.input().video_id == "a" {
            job.failed("the file is cut off")
        } else {
            let record = crop(&job.input().video_id);
            job.done(record).expect("the same record")
        };
        out.push(done).await.expect("an outcome");
    }
    let committed = out.commit().await.expect("a commit");
    assert_eq!(committed.rows, 1);
    assert_eq!(committed.failed, ["video_id = a: the file is cut off"]);
    assert_eq!(committed.to_string(), "1 written, 1 failed");
    assert_eq!(counts(&store, "example/crop").await.new, 1);
}

#[tokio::test]
async fn commits_by_itself_every_so_many_records() {
    let place = Place::new();
    let store = place.open(&graph()).await.expect("a store");
    let mut out = store.writer::<Video>().commit_every(10).materialization_id("run 7");
    for n in 0..25 {
        out.push(video(&n.to_string(), "1", "1")).await.expect("a good record");
    }
    assert_eq!(read(&store, "example/video").await.len(), 20, "so many survive a crash");
    drop(out);
    let mut out = store.writer::<Video>().commit_every(10);
    for n in 20..25 {
        out.push(video(&n.to_string(), "1", "1")).await.expect("a good record");
    }
    let committed = out.commit().await.expect("a commit");
    assert_eq!((committed.rows, committed.commits), (5, 1));
    let again = out.commit().await.expect("nothing is left");
    assert_eq!((again.rows, again.commits), (5, 1));
    let rows = read(&store, "example/video").await;
    let of_run = rows.iter().filter(|row| row["metaxy_materialization_id"] == "run 7").count();
    assert_eq!((rows.len(), of_run), (25, 20));
}

/// What a writer was given and did not commit was never there.
#[tokio::test]
async fn uncommitted_records_are_invisible() {
    let store = memory().await;
    let mut out = store.writer::<Video>();
    for n in 0..10_000 {
        out.push(video(&n.to_string(), "1", "1")).await.expect("a good record");
    }
    assert_eq!(read(&store, "example/video").await, Vec::<Value>::new());
    drop(out);
    assert_eq!(read(&store, "example/video").await, Vec::<Value>::new());
}

on_every_engine! { the_members_of_a_group_come_as_lists }

/// A reading of a sensor, and what is made of all readings.
#[derive(Clone, Debug, Feature)]
#[metaxy(key = "readings/one")]
struct Reading {
    #[metaxy(id)]
    sensor: String,
    #[metaxy(id)]
    number: i64,
    file: String,
    #[metaxy(field)]
    value: DataVersion,
}

#[derive(Clone, Debug, Feature)]
#[metaxy(
    key = "readings/all",
    deps(Reading(lineage = aggregation(on(sensor)), select(number, file), rename(file = "files")))
)]
struct Sensor {
    #[metaxy(id)]
    sensor: String,
    #[metaxy(field)]
    value: DataVersion,
}

#[derive(Debug, Row)]
struct Members {
    sensor: String,
    number: Vec<i64>,
    files: Vec<String>,
}

async fn the_members_of_a_group_come_as_lists(engine: &str) {
    let store = open(engine, &FeatureGraph::of::<(Reading, Sensor)>().expect("a graph")).await;
    let reading = |sensor: &str, number, file: &str| Reading {
        sensor: sensor.to_owned(),
        number,
        file: file.to_owned(),
        value: DataVersion::new("1"),
    };
    let readings = vec![
        reading("a", 10, "ten"),
        reading("a", 9, "nine"),
        reading("b", 1, "one"),
        reading("a", 1, "a one"),
    ];
    store.sync::<Reading>(readings).await.expect("a sync");
    let increment = store.resolve_update::<Sensor>().await.expect("an increment");
    let mut jobs = increment.jobs::<Members>();
    let mut found = Vec::new();
    while let Some(job) = jobs.try_next().await.expect("a job") {
        let Members { sensor, number, files } = job.input();
        found.push(format!("{sensor} {number:?} {files:?}"));
        drop(job);
    }
    found.sort();
    let expected = [r#"a [1, 9, 10] ["a one", "nine", "ten"]"#, r#"b [1] ["one"]"#];
    assert_eq!(found, expected, "in the order of the ids");
}
