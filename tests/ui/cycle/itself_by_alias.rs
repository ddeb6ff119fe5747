//! A feature that depends on itself, by another name.

use metaxy::prelude::*;

type Other = Crop;

#[derive(Feature)]
#[metaxy(key = "crop", deps(Other))]
struct Crop {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

fn main() {}
