//! A newtype of what cannot be in a list cannot be in one either.

use metaxy::prelude::*;

#[derive(Column)]
struct Tags(Vec<String>);

#[derive(Feature)]
#[metaxy(key = "raw/video")]
struct Video {
    #[metaxy(id)]
    video_id: String,
    tags: Vec<Tags>,
    #[metaxy(field)]
    audio: DataVersion,
}

fn main() {}
