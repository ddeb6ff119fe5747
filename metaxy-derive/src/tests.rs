//! Expansions, with no compiler involved: input and output stand in one snapshot.
//!
//! What the compiler then says of an expansion is tested in `tests/ui`, what it does in
//! `tests/tests/derive.rs`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::DeriveInput;

/// Expands, and shows input and output as a file would have them.
fn expanded(derive: fn(&DeriveInput) -> TokenStream, input: TokenStream) -> String {
    let shown = |tokens: TokenStream| {
        prettyplease::unparse(&syn::parse2(tokens).expect("items are a file"))
    };
    let item: DeriveInput = syn::parse2(input.clone()).expect("an item");
    format!("{}\n// expands to\n\n{}", shown(input), shown(derive(&item)))
}

macro_rules! check_expand {
    ($name:ident, $derive:expr, { $($input:tt)* }) => {
        #[test]
        fn $name() {
            insta::assert_snapshot!(expanded($derive, quote!($($input)*)));
        }
    };
}

check_expand!(root, crate::feature, {
    /// Raw videos, as ingested.
    #[derive(Feature)]
    #[metaxy(key = "example/video", project = "media", metadata(owner = "x", retries = -3))]
    pub struct Video {
        #[metaxy(id)]
        pub video_id: String,
        /// Where the file is.
        pub path: String,
        #[metaxy(field, code_version = "1")]
        pub audio: DataVersion,
        #[metaxy(field, key = "video/frames", renamed_from = "frames")]
        pub r#frames: DataVersion,
    }
});

check_expand!(every_option_of_an_upstream, crate::feature, {
    #[derive(Feature)]
    #[metaxy(
        key = "example/faces",
        crate = crate::reexported::metaxy,
        deps(
            crate::Video(optional, select(path), rename(path = "source"), filter = "a > 1", filter = "b"),
            Crop(fields = by_suffix, exclude(audio)),
            Scene(lineage = aggregation(on(video_id)), fields = specific(faces(frames))),
            Camera(lineage = expansion(on(video_id)), fields = none),
            Lens(lineage = aggregation, fields = all),
        ),
    )]
    struct Faces {
        #[metaxy(id, name = "vid")]
        video_id: String,
        #[metaxy(field, deps(crate::Video::audio, Crop))]
        faces: DataVersion,
        #[metaxy(field, deps(all))]
        all: DataVersion,
    }
});

check_expand!(row, crate::row, {
    #[derive(Row)]
    struct Input {
        video_id: String,
        #[metaxy(name = "type")]
        kind: Option<u32>,
    }
});

check_expand!(newtype, crate::column, {
    #[derive(Column)]
    struct VideoId(String);
});

check_expand!(newtype_with_a_named_member, crate::column, {
    #[derive(Column)]
    struct VideoId {
        text: String,
    }
});

check_expand!(unit_enum, crate::column, {
    #[derive(Column)]
    #[metaxy(rename_all = "SCREAMING_SNAKE_CASE")]
    enum Quality {
        VeryGood,
        #[metaxy(name = "bad")]
        Bad,
    }
});

check_expand!(broken_feature, crate::feature, {
    #[derive(Feature)]
    #[metaxy(key = "example/video")]
    struct Video {
        #[metaxy(id)]
        video_id: String,
        #[metaxy(feild)]
        audio: DataVersion,
    }
});

check_expand!(broken_column, crate::column, {
    #[derive(Column)]
    struct Pair(u8, u8);
});

/// The runtime has the grammar too and looks at every key again (`metaxy::key`); these are the cases
/// of its own test.
#[test]
fn key_grammar_is_that_of_the_runtime() {
    for good in ["a", "_a", "a/b", "a/1", "a-b_c/d", "raw/video", "a_", "a/_b"] {
        assert_eq!(crate::validate::key_problem(good), None, "{good}");
    }
    for bad in ["", "/", "a/", "/a", "a//b", "A", "1a", "-a", "a__b", "a/-b", "a b", "é", "a\n"] {
        assert!(crate::validate::key_problem(bad).is_some(), "{bad}");
    }
}

#[test]
fn names_that_are_meant() {
    use crate::diag::instead;
    let options = crate::symbol::MEMBER_OPTIONS;
    assert_eq!(instead("feild", options), "did you mean `field`?");
    assert_eq!(instead("code_versoin", options), "did you mean `code_version`?");
    assert_eq!(instead("di", options), "did you mean `id`?");
    assert_eq!(instead("owner", &["key", "deps"]), "expected `key` or `deps`");
    assert_eq!(instead("x", &[] as &[&str]), "there is none");
}

#[test]
#[should_panic(expected = "dropped unread")]
fn errors_are_not_dropped() {
    drop(crate::diag::Errors::new());
}
