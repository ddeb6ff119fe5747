//! Which features a program has: those of every crate that it links, in an order of their own.

use linked_features as _;
use metaxy::prelude::*;
use metaxy::registry;

#[derive(Feature)]
#[metaxy(key = "local", deps(linked_features::Video))]
struct Local {
    #[metaxy(id)]
    video_id: String,
    #[metaxy(field)]
    audio: DataVersion,
}

fn keys(defs: &[&'static metaxy::__private::FeatureDef]) -> Vec<&'static str> {
    defs.iter().map(|def| def.key).collect()
}

#[test]
fn features_of_linked_crates_are_found_and_sorted() {
    assert_eq!(keys(&registry::linked()), ["linked/transcript", "linked/video", "local"]);
}

#[test]
fn everything_upstream_of_named_roots_is_found_once() {
    use metaxy::FeatureSet;
    let roots = <(Local, linked_features::Video)>::defs();
    assert_eq!(keys(&roots), ["local", "linked/video"]);
    assert_eq!(keys(&registry::with_upstream(roots)), ["linked/video", "local"]);
    assert_eq!(keys(&registry::with_upstream(Local::defs())), ["linked/video", "local"]);
}
