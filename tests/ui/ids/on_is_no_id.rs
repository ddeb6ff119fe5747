//! What names a group or a parent is an id here.

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
#[metaxy(
    key = "frame",
    deps(Video(lineage = expansion(on(vidoe_id)))),
)]
struct Frame {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(id)]
    frame: u32,
    path: String,
    #[metaxy(field)]
    image: DataVersion,
}

#[derive(Feature)]
#[metaxy(
    key = "summary",
    deps(Video(lineage = aggregation(on(path)))),
)]
struct Summary {
    #[metaxy(id)]
    video_id: String,
    path: String,
    #[metaxy(field)]
    image: DataVersion,
}

fn main() {}
