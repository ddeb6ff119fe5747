//! The upstream has no such field: the compiler knows a similar name.

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
#[metaxy(key = "crop", deps(Video))]
struct Crop {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field, deps(Video::audoi))]
    audio: DataVersion,
}

fn main() {}
