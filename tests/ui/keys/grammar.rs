//! Keys that are none, all in one run.

use metaxy::prelude::*;

#[derive(Feature)]
#[metaxy(key = "Raw Video", project = "a/b")]
struct Video {
    #[metaxy(id, name = "metaxy_id")]
    id: String,
    #[metaxy(name = "")]
    path: String,
    #[metaxy(name = "Size")]
    bytes: u64,
    size: u64,
    #[metaxy(field, key = "en//audio")]
    audio: DataVersion,
    #[metaxy(field, key = "1st")]
    first: DataVersion,
    #[metaxy(field, key = "video/-")]
    video: DataVersion,
    #[metaxy(field)]
    a__b: DataVersion,
    #[metaxy(field, key = "a/b")]
    a: DataVersion,
    #[metaxy(field)]
    a_b: DataVersion,
    #[metaxy(field, key = "a/b")]
    c: DataVersion,
    #[metaxy(field, renamed_from = "frames", code_version = "1|2")]
    frames: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "crop", project = "vidéo")]
struct Crop {
    #[metaxy(id)]
    id: String,
    #[metaxy(field)]
    face: DataVersion,
}

fn main() {}
