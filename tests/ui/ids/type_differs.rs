//! An id of one name has one type.

use metaxy::prelude::*;

#[derive(Feature)]
#[metaxy(key = "raw/video")]
struct Video {
    #[metaxy(id)]
    video_id: i64,
    #[metaxy(field)]
    audio: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "crop", deps(Video))]
struct Crop {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

fn main() {}
