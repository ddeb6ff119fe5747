//! A field holds a version, not the value.

use metaxy::prelude::*;

#[derive(Feature)]
#[metaxy(key = "raw/video")]
struct Video {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: Vec<u8>,
}

fn main() {}
