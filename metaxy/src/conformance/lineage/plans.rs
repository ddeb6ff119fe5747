//! What a plan says before anything is computed, and that it is what happens then.

use super::*;
use crate::Reason;
use crate::plan::{Class, Cost, Group, Plan, Unknown};
use ScalarType::{Int64, Text};
use std::time::Duration;

fn video() -> FeatureBuilder {
    FeatureBuilder::new("video").id("i", Int64).column("shelf", Text).field("audio").field("frames")
}

fn crop() -> FeatureBuilder {
    FeatureBuilder::new("crop").id("i", Int64).field("audio").field("frames").dep(of_video())
}

fn of_video() -> DepBuilder {
    DepBuilder::new("video").select::<&str>([])
}

/// Reads the frames of crops alone.
fn faces() -> FeatureBuilder {
    let field = FieldBuilder::new("faces").dep("crop", ["frames"]);
    let crop = DepBuilder::new("crop").select::<&str>([]);
    FeatureBuilder::new("faces").id("i", Int64).field(field).dep(crop)
}

fn shelf() -> FeatureBuilder {
    let videos = DepBuilder::new("video").aggregation(["shelf"]);
    FeatureBuilder::new("shelf").id("shelf", Text).field("all").dep(videos)
}

fn row(i: i64, audio: &str, frames: &str) -> Value {
    json!({ "i": i, "shelf": if i < 3 { "low" } else { "high" }, "audio": audio, "frames": frames })
}

async fn computed(
    engine: &dyn Engine,
    features: impl IntoIterator<Item = FeatureBuilder>,
) -> World {
    let world = world(engine, features).await;
    world.sync("video", &[row(1, "a", "f"), row(2, "a", "f"), row(3, "a", "f")]).await;
    world.compute_all().await;
    world
}

impl World {
    /// Computes all features, upstreams first; how many records each had to compute.
    async fn compute_all(&self) -> Vec<(String, u64)> {
        let mut done = Vec::new();
        for definition in self.store.graph().iter().filter(|d| !d.spec.deps.is_empty()) {
            let feature = definition.spec.key.as_str();
            done.push((feature.to_owned(), self.compute(feature).await.to_compute()));
        }
        done
    }

    async fn plan(&self) -> Plan {
        self.store.plan().await.expect("a plan")
    }

    /// A plan; and then everything is computed, which is as much as it said.
    async fn plan_that_holds(&self) -> Plan {
        let plan = self.plan().await;
        assert_eq!(self.plan().await, plan, "a plan changes nothing");
        let said: Vec<_> = plan.features.iter().filter(|feature| !feature.is_root).collect();
        let said: Vec<_> = said.iter().map(|f| (f.feature.to_string(), f.to_compute())).collect();
        assert_eq!(self.compute_all().await, said);
        let after = self.plan().await;
        assert!(after.features.iter().all(|feature| feature.then.counts.to_compute() == 0));
        plan
    }
}

/// Of a feature, how many records are to be computed now and then.
fn short(plan: &Plan, feature: &str) -> [u64; 4] {
    let feature = plan.of(&key(feature)).expect("a planned feature");
    let (now, then) = (feature.now.counts, feature.then.counts);
    [now.new, now.stale, then.new, then.stale]
}

pub(crate) async fn nothing_to_do(engine: &dyn Engine) {
    let world = computed(engine, [video(), crop(), faces()]).await;
    let plan = world.plan_that_holds().await;
    assert_eq!((plan.to_compute(), plan.features.len()), (0, 3));
    assert!(plan.features.iter().all(|f| f.then.groups.is_empty() && f.unknown.is_empty()));
    assert_eq!(plan.of(&key("crop")).expect("a feature").then.counts.unchanged, 3);
}

/// What writers have said of today's definition is the price, unless the feature has one.
pub(crate) async fn what_records_took(engine: &dyn Engine) {
    let priced = || faces().metadata("cost", 7.5);
    let world = computed(engine, [video(), crop(), priced()]).await;
    let cost = |plan: &Plan, feature: &str| plan.of(&key(feature)).expect("a feature").cost;
    let plan = world.plan().await;
    assert_eq!((cost(&plan, "crop"), cost(&plan, "faces")), (None, Some(Cost::Declared(7.5))));

    world.add("video", &[row(1, "remixed", "f"), row(2, "remixed", "f")]).await;
    let compute = async |store: &Store, feature: &str, seconds: u64| {
        let increment = store.resolve_update_of(&key(feature)).await.expect("an increment");
        let mut rows = increment.to_compute();
        let mut writer = store.batch_writer(&key(feature));
        while let Some(batch) = rows.try_next().await.expect("rows") {
            writer.push(&batch).await.expect("rows that fit");
        }
        writer.took(Duration::from_secs(seconds));
        writer.commit().await.expect("a write");
    };
    compute(&world.store, "crop", 3).await;
    let plan = world.plan().await;
    assert_eq!(cost(&plan, "crop"), Some(Cost::Measured(1.5)));
    world.add("video", &[row(4, "a", "f"), row(5, "a", "f")]).await;
    assert_eq!(world.plan().await.of(&key("crop")).expect("a feature").total_cost(), Some(3.0));
    compute(&world.store, "crop", 9).await;
    assert_eq!(cost(&world.plan().await, "crop"), Some(Cost::Measured(3.0)), "the mean of both");

    // Another definition is measured anew; until then the last one is what is known.
    let changed = world.store.graph().with_code_version("crop.frames", "2").expect("a graph");
    let changed = world.store.with_graph(changed);
    let plan = changed.plan().await.expect("a plan");
    assert_eq!(cost(&plan, "crop"), Some(Cost::Measured(3.0)));
    compute(&changed, "crop", 5).await;
    let plan = changed.plan().await.expect("a plan");
    assert_eq!(cost(&plan, "crop"), Some(Cost::Measured(1.0)));
    assert_eq!(cost(&plan, "faces"), Some(Cost::Declared(7.5)));
}

pub(crate) async fn a_change_of_a_root_goes_down_by_its_field(engine: &dyn Engine) {
    let world = computed(engine, [video(), crop(), faces(), shelf()]).await;
    world
        .add("video", &[row(1, "remixed", "f"), row(2, "a", "cut"), row(3, "remixed", "cut")])
        .await;
    let plan = world.plan_that_holds().await;
    assert_eq!(short(&plan, "crop"), [0, 3, 0, 3]);
    // The audio of a crop changes nothing here.
    assert_eq!(short(&plan, "faces"), [0, 0, 0, 2]);
    assert_eq!(short(&plan, "shelf"), [0, 2, 0, 2]);
    let crop = plan.of(&key("crop")).expect("a feature");
    let stale: Vec<_> = crop.stale_fields().into_iter().collect();
    assert_eq!(stale, [("audio", 2), ("frames", 2)]);
    let of = |fields: &[&str]| {
        let fields = fields.iter().map(|field| ((*field).to_owned(), vec![Reason::Upstream]));
        (Class::Stale, fields.collect::<std::collections::BTreeMap<_, _>>(), 1)
    };
    let mut groups: Vec<_> = crop
        .then
        .groups
        .iter()
        .map(|group| (group.class, group.fields.clone(), group.records))
        .collect();
    groups.sort();
    let mut expected = vec![of(&["audio"]), of(&["frames"]), of(&["audio", "frames"])];
    expected.sort();
    assert_eq!(groups, expected);
}

pub(crate) async fn what_is_new_goes_down(engine: &dyn Engine) {
    let world = world(engine, [video(), crop(), faces(), shelf()]).await;
    assert_eq!(world.plan_that_holds().await.to_compute(), 0);
    world.sync("video", &[row(1, "a", "f"), row(3, "a", "f")]).await;
    let plan = world.plan_that_holds().await;
    assert_eq!(short(&plan, "crop"), [2, 0, 2, 0]);
    assert_eq!(short(&plan, "faces"), [0, 0, 2, 0]);
    assert_eq!(short(&plan, "shelf"), [2, 0, 2, 0]);
    world.add("video", &[row(2, "a", "f")]).await;
    let plan = world.plan_that_holds().await;
    assert_eq!(short(&plan, "faces"), [0, 0, 1, 0]);
    assert_eq!(short(&plan, "shelf"), [0, 1, 0, 1]);
}

pub(crate) async fn a_group_is_computed_once(engine: &dyn Engine) {
    let per_shelf = DepBuilder::new("crop").aggregation(["j"]);
    let crop = FeatureBuilder::new("crop").id("i", Int64).id("j", Int64).field("frames");
    let of_video = DepBuilder::new("shot").select::<&str>([]);
    let shot = FeatureBuilder::new("shot").id("i", Int64).id("j", Int64).field("frames");
    let all = FeatureBuilder::new("all").id("j", Int64).field("all").dep(per_shelf);
    let world = world(engine, [shot, crop.dep(of_video), all]).await;
    let shot = |i: i64, j: i64, frames: &str| json!({ "i": i, "j": j, "frames": frames });
    world.sync("shot", &[shot(1, 1, "f"), shot(2, 1, "f"), shot(3, 2, "f")]).await;
    let plan = world.plan_that_holds().await;
    assert_eq!(short(&plan, "all"), [0, 0, 2, 0]);
    world.add("shot", &[shot(1, 1, "g"), shot(2, 1, "g"), shot(4, 3, "f")]).await;
    let plan = world.plan_that_holds().await;
    assert_eq!(short(&plan, "all"), [0, 0, 1, 1]);
}

pub(crate) async fn an_upstream_that_may_be_absent(engine: &dyn Engine) {
    let note = FeatureBuilder::new("note").id("i", Int64).field("text");
    let seen =
        FeatureBuilder::new("seen").id("i", Int64).field("text").dep(DepBuilder::new("note"));
    let both = FeatureBuilder::new("both")
        .id("i", Int64)
        .field("all")
        .dep(DepBuilder::new("crop").select::<&str>([]))
        .dep(DepBuilder::new("seen").select::<&str>([]).optional());
    let world = computed(engine, [video(), crop(), note, seen, both]).await;
    world.sync("note", &[json!({ "i": 2, "text": "t" }), json!({ "i": 9, "text": "t" })]).await;
    let plan = world.plan_that_holds().await;
    assert_eq!(short(&plan, "seen"), [2, 0, 2, 0]);
    assert_eq!(short(&plan, "both"), [0, 0, 0, 1]);
}

pub(crate) async fn blocked_now_and_stale_then(engine: &dyn Engine) {
    let world = computed(engine, [video(), crop(), faces()]).await;
    let frames = FieldBuilder::new("frames").code_version("2");
    let edited = FeatureBuilder::new("crop").id("i", Int64).field("audio").field(frames);
    let world = world.under([video(), edited.dep(of_video()), faces()]);
    let plan = world.plan_that_holds().await;
    assert_eq!(short(&plan, "crop"), [0, 3, 0, 3]);
    let faces = plan.of(&key("faces")).expect("a feature");
    assert_eq!((faces.now.counts.blocked, faces.then.counts.stale), (3, 3));
    assert_eq!(faces.now.groups[0].cause.as_deref(), Some("crop is stale"));
    let Group { class, fields, records, .. } = &faces.then.groups[0];
    assert_eq!((class, records), (&Class::Stale, &3));
    assert_eq!(fields["faces"], [Reason::Upstream]);
}

pub(crate) async fn a_code_version_that_is_not_made_yet(engine: &dyn Engine) {
    let world = computed(engine, [video(), crop(), faces(), shelf()]).await;
    let changed = world.store.graph().with_code_version("crop.audio", "2").expect("a graph");
    let priced = world.store.with_graph(changed).plan().await.expect("a plan");
    assert_eq!(short(&priced, "crop"), [0, 3, 0, 3]);
    assert_eq!(short(&priced, "faces"), [0, 0, 0, 0]);
    assert_eq!(priced.to_compute(), 3);
    assert_eq!(world.plan().await.to_compute(), 0);
}

pub(crate) async fn the_code_version_of_a_root(engine: &dyn Engine) {
    let world = computed(engine, [video(), crop(), faces(), shelf()]).await;
    let changed = world.store.graph().with_code_version("video.audio", "2").expect("a graph");
    let plan = world.store.with_graph(changed).plan().await.expect("a plan");
    let video = plan.of(&key("video")).expect("a feature");
    assert_eq!((video.is_root, video.then.counts.stale), (true, 3));
    assert_eq!(video.then.groups[0].fields["audio"], [Reason::Code]);
    // Nobody but the caller knows the values; if they differ, this is what is to be done.
    assert_eq!(short(&plan, "crop"), [0, 0, 0, 3]);
    assert_eq!(short(&plan, "faces"), [0, 0, 0, 0]);
    assert_eq!(plan.to_compute(), 5);
    let unknown = &plan.of(&key("crop")).expect("a feature").unknown;
    assert_eq!(*unknown, [Unknown::Values { of: key("video"), records: 3 }]);
}

pub(crate) async fn data_versions_of_their_own(engine: &dyn Engine) {
    let world = world(engine, [video(), crop(), faces()]).await;
    world.sync("video", &[row(1, "a", "f")]).await;
    // A hash of the content, which does not change with what it was made from.
    let increment = world.increment_rows("crop").await;
    let mut own = increment[0].clone();
    own["metaxy_data_version_by_field"] = json!({ "audio": "A", "frames": "F" });
    flow::write(&world.store, "crop", &[own]).await.expect("a write");
    world.compute("faces").await;
    world.add("video", &[row(1, "a", "cut")]).await;
    let plan = world.plan().await;
    assert_eq!(short(&plan, "faces"), [0, 0, 0, 1]);
    let unknown = &plan.of(&key("faces")).expect("a feature").unknown;
    assert_eq!(*unknown, [Unknown::OwnVersions { of: key("crop"), records: 1 }]);
}

impl World {
    async fn increment_rows(&self, feature: &str) -> Vec<Value> {
        flow::increment(&self.store, feature).await
    }
}

pub(crate) async fn children_are_not_known(engine: &dyn Engine) {
    let scene = FeatureBuilder::new("scene")
        .id("i", Int64)
        .id("n", Int64)
        .field("frames")
        .dep(of_video().expansion(["i"]));
    let text = FeatureBuilder::new("text").id("i", Int64).id("n", Int64).field("frames");
    let text = text.dep(DepBuilder::new("scene"));
    let world = world(engine, [video(), scene, text]).await;
    world.sync("video", &[row(1, "a", "f"), row(2, "a", "f")]).await;
    let plan = world.plan().await;
    assert_eq!(short(&plan, "scene"), [2, 0, 2, 0]);
    assert_eq!(short(&plan, "text"), [0, 0, 0, 0]);
    let unknown = &plan.of(&key("text")).expect("a feature").unknown;
    assert_eq!(*unknown, [Unknown::Children { of: key("scene"), parents: 2 }]);
}

pub(crate) async fn a_filter_over_what_is_computed(engine: &dyn Engine) {
    let long = FeatureBuilder::new("long").id("i", Int64).field("frames");
    let kept = FeatureBuilder::new("kept").id("i", Int64).column("size", Int64).field("frames");
    let kept = kept.dep(of_video());
    let world =
        world(engine, [video(), kept, long.dep(DepBuilder::new("kept").filter("size > 3"))]).await;
    world.sync("video", &[row(1, "a", "f")]).await;
    let plan = world.plan().await;
    assert_eq!(short(&plan, "kept"), [1, 0, 1, 0]);
    let long = plan.of(&key("long")).expect("a feature");
    assert_eq!(long.unknown, [Unknown::Columns { of: key("kept"), records: 1 }]);
    assert_eq!(long.to_compute(), 0);
}

pub(crate) async fn orphans_stay(engine: &dyn Engine) {
    let world = computed(engine, [video(), crop(), faces()]).await;
    world.delete("video", &[json!({ "i": 1 })]).await;
    let plan = world.plan().await;
    let crop = plan.of(&key("crop")).expect("a feature");
    assert_eq!(crop.then.counts.orphaned, 1);
    assert_eq!(crop.then.groups[0].cause.as_deref(), Some("gone"));
    assert!(plan.of(&key("faces")).expect("a feature").then.counts.is_up_to_date());
}

pub(crate) async fn some_features(engine: &dyn Engine) {
    let world = computed(engine, [video(), crop(), faces()]).await;
    world.add("video", &[row(1, "a", "cut")]).await;
    let plan = world.store.plan_of(&[key("faces")]).await.expect("a plan");
    assert_eq!((plan.features.len(), plan.to_compute()), (1, 0));
    let error = world.store.plan_of(&[key("fcaes")]).await.expect_err("a typo");
    assert!(error.to_string().contains("`fcaes`"), "{error}");
}
