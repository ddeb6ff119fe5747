use metaxy::prelude::*;

struct Clip;

#[derive(Feature)]
#[metaxy(key = "example/crop", deps(Clip))]
struct Crop {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    frames: DataVersion,
}

fn main() {}
