//! What names a group or a parent is a column of the upstream, of the same type.

use metaxy::prelude::*;

#[derive(Feature)]
#[metaxy(key = "raw/video")]
struct Video {
    #[metaxy(id)]
    video_id: String,
    path: String,
    #[metaxy(field)]
    audio: DataVersion,
    #[metaxy(field)]
    frames: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "per_camera", deps(Video(lineage = aggregation(on(camera)))))]
struct PerCamera {
    #[metaxy(id)]
    camera: u32,
    #[metaxy(field)]
    audio: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "per_path", deps(Video(lineage = aggregation(on(path)))))]
struct PerPath {
    #[metaxy(id)]
    path: u32,
    #[metaxy(field)]
    audio: DataVersion,
}

fn main() {}
