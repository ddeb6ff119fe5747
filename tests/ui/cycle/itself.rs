//! A feature that depends on itself, by its name.

use metaxy::prelude::*;

#[derive(Feature)]
#[metaxy(key = "crop", deps(Crop))]
struct Crop {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

fn main() {}
