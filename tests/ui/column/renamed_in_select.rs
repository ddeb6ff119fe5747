//! `select` takes the names that columns have upstream.

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
#[metaxy(key = "crop", deps(Video(rename(path = "source"), select(source))))]
struct Crop {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

fn main() {}
