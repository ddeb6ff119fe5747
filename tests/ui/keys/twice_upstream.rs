//! Two features of one key meet downstream.

use metaxy::prelude::*;

mod old {
    use metaxy::prelude::*;

    #[derive(Feature)]
    #[metaxy(key = "raw/video")]
    pub struct Video {
        #[metaxy(id)]
        video_id: String,
        #[metaxy(field)]
        audio: DataVersion,
    }
}

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
#[metaxy(key = "clip", deps(Video))]
struct Clip {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "crop", deps(old::Video, Clip))]
struct Crop {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

fn main() {}
