//! The features of the example in the documentation, with values to fill them.

use metaxy::prelude::*;

/// Raw videos, as ingested.
#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "example/video")]
pub(crate) struct Video {
    #[metaxy(id)]
    pub(crate) video_id: String,
    pub(crate) path: String,
    #[metaxy(field, code_version = "1")]
    pub(crate) audio: DataVersion,
    #[metaxy(field, code_version = "1")]
    pub(crate) frames: DataVersion,
}

#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "example/crop", deps(Video))]
pub(crate) struct Crop {
    #[metaxy(id)]
    pub(crate) video_id: String,
    #[metaxy(field)]
    pub(crate) audio: DataVersion,
    #[metaxy(field)]
    pub(crate) frames: DataVersion,
}

#[derive(Clone, Debug, Feature, PartialEq)]
#[metaxy(key = "example/face_detection", deps(Crop, Video(select(path))))]
pub(crate) struct FaceDetection {
    #[metaxy(id)]
    pub(crate) video_id: String,
    #[metaxy(field, code_version = "1", deps(Crop::frames))]
    pub(crate) faces: DataVersion,
    pub(crate) num_faces: u32,
}

/// What a crop is computed from.
#[derive(Debug, Row)]
pub(crate) struct Source {
    pub(crate) video_id: String,
    pub(crate) path: String,
}

pub(crate) fn graph() -> FeatureGraph {
    FeatureGraph::of::<FaceDetection>().expect("a graph")
}

pub(crate) async fn memory() -> Store {
    metaxy_tests::flow::memory(&graph()).await
}

pub(crate) async fn open(engine: &str) -> Store {
    metaxy_tests::flow::open(engine, &graph()).await
}

/// A video with these versions of sound and frames.
pub(crate) fn video(id: &str, audio: &str, frames: &str) -> Video {
    Video {
        video_id: id.to_owned(),
        path: format!("/videos/{id}.mp4"),
        audio: DataVersion::new(audio),
        frames: DataVersion::new(frames),
    }
}

pub(crate) fn crop(id: &str) -> Crop {
    Crop { video_id: id.to_owned(), audio: DataVersion::default(), frames: DataVersion::default() }
}

/// Writes every crop that is new or stale; how many.
pub(crate) async fn compute_crops(store: &Store) -> u64 {
    let mut jobs = store.resolve_update::<Crop>().await.expect("an increment").jobs::<Source>();
    let mut out = store.writer::<Crop>();
    while let Some(job) = jobs.try_next().await.expect("a job") {
        let record = crop(&job.input().video_id);
        assert_eq!(job.input().path, format!("/videos/{}.mp4", record.video_id));
        out.push(job.done(record).expect("the same record")).await.expect("a good record");
    }
    out.commit().await.expect("a commit").rows
}
