//! A float cannot identify a record.

use metaxy::prelude::*;

#[derive(Column)]
struct Seconds(f64);

#[derive(Feature)]
#[metaxy(key = "raw/video")]
struct Video {
    #[metaxy(id)]
    start: f64,
    #[metaxy(id)]
    end: Seconds,
    #[metaxy(id)]
    video_id: Option<String>,
    #[metaxy(field)]
    audio: DataVersion,
}

fn main() {}
