//! The command line over features of its own, as a user's program has it.

use metaxy::prelude::*;

/// Raw videos, as ingested.
#[derive(Feature)]
#[metaxy(key = "demo/video", project = "demo", metadata(owner = "ingest", cost = 0.5))]
pub struct Video {
    /// Which video.
    #[metaxy(id)]
    pub video_id: String,
    /// Where it is.
    pub path: Option<String>,
    /// How long it is, in seconds.
    pub duration: f64,
    /// The sound.
    #[metaxy(field, code_version = "1")]
    pub audio: DataVersion,
    /// The pictures.
    #[metaxy(field, code_version = "1")]
    pub frames: DataVersion,
}

/// Videos cut to the face that is seen most.
#[derive(Feature)]
#[metaxy(
    key = "demo/crop",
    project = "demo",
    metadata(owner = "vision", cost = 2.5),
    deps(Video(select(path), filter = "duration > 1"))
)]
pub struct Crop {
    /// Which video.
    #[metaxy(id)]
    pub video_id: String,
    /// How many faces there are.
    pub num_faces: u32,
    /// The face.
    #[metaxy(field, code_version = "1", deps(Video::frames))]
    pub face: DataVersion,
}

/// The scenes of a video.
#[derive(Feature)]
#[metaxy(
    key = "demo/scene",
    project = "demo",
    deps(Video(lineage = expansion(on(video_id)), select(path)))
)]
pub struct Scene {
    /// Which video.
    #[metaxy(id)]
    pub video_id: String,
    /// Which scene of it.
    #[metaxy(id)]
    pub number: i64,
    /// The pictures.
    #[metaxy(field, code_version = "1", deps(Video::frames))]
    pub frames: DataVersion,
}

/// What happens in a video.
#[derive(Feature)]
#[metaxy(
    key = "demo/summary",
    project = "demo",
    deps(Scene(lineage = aggregation(on(video_id))), Crop(optional, select(num_faces)))
)]
pub struct Summary {
    /// Which video.
    #[metaxy(id)]
    pub video_id: String,
    /// The text.
    pub text: String,
    /// The text, as it is versioned.
    #[metaxy(field, code_version = "1", deps(all))]
    pub summary: DataVersion,
}

fn main() -> std::process::ExitCode {
    metaxy::cli::main()
}
