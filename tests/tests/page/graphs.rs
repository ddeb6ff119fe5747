//! The graphs of these tests.

use metaxy::builder::{DepBuilder, FeatureBuilder, FieldBuilder};
use metaxy::look::{Look, State};
use metaxy::{FeatureGraph, FeatureKey, ScalarType};

/// A description that is markup, script and the end of both.
pub(crate) const NASTY: &str = "Raw \"videos\" & 'sound' 🎬\n</script><script>window.attacked = 1</script>\
                                <!-- {{data}} \u{2028} ]]> <img src=x onerror=\"window.attacked = 1\">";

/// A filter that is markup as well.
const FILTER: &str = "size > 3 AND path LIKE '%\"<x>'";

fn feature(key: &str) -> FeatureBuilder {
    FeatureBuilder::new(key).id("video_id", ScalarType::Text)
}

/// Four features of a pipeline over videos.
pub(crate) fn media() -> FeatureGraph {
    let boxes = FieldBuilder::new("boxes").code_version("2026-01").dep("media/crop", ["frames"]);
    let crop_frames =
        FieldBuilder::new("frames").code_version("1").dep("media/video", ["frames", "sound"]);
    let people = FieldBuilder::new("people").dep("media/faces", ["boxes"]);
    let crop_sound = FieldBuilder::new("sound").dep("media/video", ["sound"]);
    let sound = DepBuilder::new("media/crop").no_fields().optional();
    FeatureGraph::builder()
        .project("media")
        .feature(feature("media/video").description(NASTY).field("frames").field("sound"))
        .feature(
            feature("media/crop")
                .column("size", ScalarType::Int64)
                .column("path", ScalarType::Text)
                .dep("media/video")
                .field(crop_frames)
                .field(crop_sound),
        )
        .feature(
            FeatureBuilder::new("media/faces")
                .id("video_id", ScalarType::Text)
                .id("number", ScalarType::Int64)
                .description("Faces in <b>every</b> frame")
                .metadata("owner", "ada")
                .metadata("runs_on", "gpu-pool")
                .dep(DepBuilder::new("media/crop").expansion(["video_id"]).filter(FILTER))
                .field(boxes),
        )
        .feature(
            feature("media/summary")
                .dep(DepBuilder::new("media/faces").aggregation(["video_id"]))
                .dep(sound)
                .field(people),
        )
        .build()
        .unwrap()
}

/// Three hundred features of five fields each, in a pipeline of some breadth.
pub(crate) fn large() -> FeatureGraph {
    const N: usize = 300;
    let name = |i: usize| format!("stage_{}/step_{}", i / 20, i % 20);
    let fields = ["audio", "frames", "text", "faces", "scores"];
    let mut builder = FeatureGraph::builder().project("large");
    for i in 0..N {
        let mut feature = feature(&name(i)).description(format!("Step number {i}."));
        // Each needs one or two of the stage before, and now and then one from far away.
        let near = (i >= 20).then(|| i - 20);
        let beside = (i >= 20 && i % 3 == 0).then(|| (i / 20 - 1) * 20 + (i * 7) % 20);
        let far = (i >= 100 && i % 17 == 0).then(|| i - 80);
        let mut upstreams: Vec<usize> = near.into_iter().chain(beside).chain(far).collect();
        upstreams.sort_unstable();
        upstreams.dedup();
        for upstream in upstreams {
            feature = feature.dep(name(upstream).as_str());
        }
        builder = builder.feature(fields.iter().fold(feature, |f, field| f.field(*field)));
    }
    builder.build().unwrap()
}

/// What a store might say about the graph of videos.
pub(crate) fn with_states(look: Look<'_>) -> Look<'_> {
    let key = |key: &str| FeatureKey::new(key).unwrap();
    look.state(&key("media/video"), State { records: Some(400), ..State::default() }).state(
        &key("media/faces"),
        State { records: Some(1_204), new: 3, stale: 17, ..State::default() },
    )
}
