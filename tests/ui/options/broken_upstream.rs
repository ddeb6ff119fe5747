//! A mistake in a feature is none of those that depend on it.

use metaxy::prelude::*;

#[derive(Feature)]
#[metaxy(key = "raw/video", owner = "media")]
struct Video {
    #[metaxy(id)]
    video_id: String,
    path: String,
    #[metaxy(field)]
    audio: DataVersion,
    #[metaxy(feild)]
    frames: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "crop", deps(Video(select(path), rename(path = "source"), exclude(frames))))]
struct Crop {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field, deps(Video::frames))]
    audio: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "faces", deps(Crop, Video))]
struct Faces {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

fn uses(video: Video) {
    let _ = (Video::key(), Video::FIELDS.audio, Video::COLUMNS.path, video.path);
}

fn main() {}
