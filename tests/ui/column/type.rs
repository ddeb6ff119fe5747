//! Types that no column can hold.

use metaxy::prelude::*;

use std::ops::Range;

#[derive(Feature)]
#[metaxy(key = "raw/video")]
struct Video {
    #[metaxy(id)]
    video_id: String,
    part: Range<u8>,
    total: u128,
    lists: Vec<Vec<String>>,
    #[metaxy(field)]
    audio: DataVersion,
}

fn main() {}
