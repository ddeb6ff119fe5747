//! A member of type `DataVersion` that is not marked as a field.

use metaxy::prelude::*;

#[derive(Feature)]
#[metaxy(key = "raw/video")]
struct Video {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
    frames: DataVersion,
}

fn main() {}
