//! One NULL cannot be two values.

use metaxy::prelude::*;

#[derive(Column)]
struct Size(Option<u32>);

#[derive(Feature)]
#[metaxy(key = "raw/video")]
struct Video {
    #[metaxy(id)]
    video_id: String,
    size: Option<Size>,
    #[metaxy(field)]
    audio: DataVersion,
}

fn main() {}
