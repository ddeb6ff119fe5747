//! A field is computed from a feature that is not among the upstreams.

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
#[metaxy(key = "clip", deps(Video))]
struct Clip {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "crop", deps(Clip))]
struct Crop {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field, deps(Video::audio))]
    audio: DataVersion,
    #[metaxy(field, deps(Clip::audio, Video))]
    whole: DataVersion,
}

fn main() {}
