//! The upstream exists and is no feature.

use metaxy::prelude::*;

struct Clip;

#[derive(Feature)]
#[metaxy(key = "crop", deps(Clip))]
struct Crop {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

fn main() {}
