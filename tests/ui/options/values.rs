//! Values that an option does not take.

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
#[metaxy(
    key = "crop",
    key = "crop2",
    crate = "metaxy",
    deps(
        Video(
            fields = all,
            exclude(audio),
            select(path, path),
            rename(path = "a", path = "b"),
            filter = "",
            lineage = aggregation(video_id),
        ),
        "Crop",
    ),
)]
struct Crop {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "clip", deps(Video(fields = specific(sound(audio), audio(frames), audio(audio)))))]
struct Clip {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "root")]
struct Root {
    #[metaxy(id)]
    id: String,
    #[metaxy(field, deps(Video::audio))]
    audio: DataVersion,
    #[metaxy(field, deps(all))]
    frames: DataVersion,
}

fn main() {}
