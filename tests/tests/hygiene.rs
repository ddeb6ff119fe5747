//! The derives name nothing that a user's crate could mean otherwise; most of it is shown by
//! compiling `fixtures/renamed` and this file.

#![forbid(unsafe_code)]
#![deny(warnings, missing_docs)]

use metaxy::prelude::*;

mod nested {
    //! Metaxy, seen through the user's own module.

    pub(super) mod features {
        pub(crate) use metaxy as runtime;
    }
}

#[derive(Feature)]
#[metaxy(key = "hygiene/video", crate = crate::nested::features::runtime)]
struct Video {
    #[metaxy(id)]
    video_id: String,
    #[deprecated]
    path: String,
    #[metaxy(field)]
    audio: DataVersion,
    #[cfg(any())]
    never: std::rc::Rc<u8>,
}

// Names that the expansion has for its own locals and items.
#[allow(non_upper_case_globals, dead_code)]
const rows: () = ();
#[allow(non_upper_case_globals, dead_code)]
const cells_0: () = ();
#[allow(dead_code)]
struct VideoFields;
#[allow(dead_code)]
static __DEF: () = ();

/// A feature whose parts come out of a macro.
macro_rules! feature {
    ($name:ident, $key:literal, $upstream:path, $id:ident: $ty:ty, $field:ident) => {
        #[derive(Feature)]
        #[metaxy(key = $key, deps($upstream))]
        struct $name {
            #[metaxy(id)]
            $id: $ty,
            #[metaxy(field, deps($upstream))]
            $field: DataVersion,
        }
    };
}

feature!(Crop, "hygiene/crop", self::Video, video_id: String, audio);

/// A column that is called like the handle of all columns.
#[derive(Column)]
struct ShotColumns(String);

/// A feature that is called like the handle of all fields of another one.
#[derive(Feature)]
#[metaxy(key = "hygiene/shot-fields")]
struct ShotFields {
    #[metaxy(id)]
    shot_id: String,
    #[metaxy(field)]
    length: DataVersion,
}

#[derive(Feature)]
#[metaxy(key = "hygiene/shot", deps(ShotFields))]
struct Shot {
    #[metaxy(id)]
    shot_id: String,
    columns: ShotColumns,
    #[metaxy(field, deps(ShotFields::length))]
    frames: DataVersion,
}

mod upstream_elsewhere {
    use super::Video as Film;
    use metaxy::{DataVersion, Feature};

    type Clip = super::Crop;

    #[derive(Feature)]
    #[metaxy(key = "hygiene/faces", deps(Film, Clip))]
    pub(super) struct Faces {
        #[metaxy(id)]
        video_id: String,
        #[metaxy(field, deps(Clip::audio, Film::audio))]
        faces: DataVersion,
    }
}

#[test]
fn a_feature_may_be_inside_a_function() {
    #[derive(Feature)]
    #[metaxy(key = "hygiene/local", deps(Video))]
    struct Local {
        #[metaxy(id)]
        video_id: String,
        #[metaxy(field, deps(Video::audio))]
        audio: DataVersion,
    }

    assert_eq!(Local::definition().type_path, "hygiene::Local");
    let faces = upstream_elsewhere::Faces::definition();
    assert_eq!(faces.spec.deps[1].feature.as_str(), "hygiene/crop");
}

#[test]
fn a_feature_may_know_the_crate_by_another_name() {
    assert_eq!(renamed::Crop::key().as_str(), "renamed/crop");
    let columns = renamed::Video::columns();
    let names: Vec<_> = columns.iter().map(|column| &*column.name).collect();
    assert_eq!(names, ["video_id", "kind", "type"]);
}

#[test]
fn a_type_may_be_called_like_a_handle() {
    let shot = Shot::definition();
    assert_eq!(shot.spec.deps[0].feature, ShotFields::key());
    let columns = shot.columns.unwrap_or_default();
    assert_eq!(columns[1].ty, metaxy::ScalarType::Text.into());
    assert_eq!((Shot::COLUMNS.columns.name(), Shot::FIELDS.frames.key()), ("columns", "frames"));
}
