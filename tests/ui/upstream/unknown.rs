//! The upstream does not exist: the compiler knows a similar name.

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
#[metaxy(key = "crop", deps(Vidoe))]
struct Crop {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

fn main() {}
