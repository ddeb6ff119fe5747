//! Records that correspond one to one have the same ids.

use metaxy::prelude::*;

#[derive(Feature)]
#[metaxy(key = "raw/scene")]
struct Scene {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(id)]
    scene_id: u32,
    #[metaxy(field)]
    audio: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "crop", deps(Scene))]
struct Crop {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "clip", deps(Scene(rename(scene_id = "scene"))))]
struct Clip {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(id)]
    scene_id: u32,
    #[metaxy(field)]
    audio: DataVersion,
}

// Not a mistake: groups have ids of their own.
#[derive(Feature)]
#[metaxy(key = "summary", deps(Scene(lineage = aggregation(on(video_id)))))]
struct Summary {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

fn main() {}
