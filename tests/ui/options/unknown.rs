//! Every mistake of a struct in one run, each under its token.

use metaxy::prelude::*;

#[derive(Feature)]
#[metaxy(key = "raw/video")]
struct Video {
    #[metaxy(id)]
    video_id: String,
    path: String,
    #[metaxy(field)]
    audio: DataVersion,
    #[metaxy(field)]
    frames: DataVersion,
}

#[derive(Feature)]
#[metaxy(kye = "crop", deps(Video(optinal, select, filter = 3, fields = by_nmae, lineage = expanson(on(video_id)))))]
#[metaxy(projcet = "x", metadata(owner, cost = 1 + 1))]
#[metaxy = "crop"]
struct Crop {
    #[metaxy(id = "video_id")]
    video_id: String,
    #[metaxy(versoin = "2")]
    path: String,
    #[metaxy(field, code_version = 1)]
    audio: DataVersion,
    #[metaxy(field, code_version = "1", code_version = "2", deps())]
    frames: DataVersion,
    #[metaxy(id, field)]
    both: DataVersion,
    #[metaxy(code_version = "1", deps(Video::audio))]
    size: u32,
    #[metaxy(field, name = "x", deps(all, Video))]
    named: DataVersion,
    #[metaxy(field, deps(audio, Video::frames, Video::frames, 3))]
    picked: DataVersion,
}

fn main() {}
