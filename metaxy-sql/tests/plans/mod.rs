//! Plans that stand for all others, as stores make them.

mod changes;
mod lineage;
mod upkeep;

#[allow(unused_imports, reason = "only tests on engines run statements")]
pub(crate) use upkeep::REFUSAL;

use metaxy_sql::ast::Statement;
use metaxy_sql::plan::{
    Append, AppendFrom, ByField, Call, Class, Classified, Expected, Field, FieldDefinition, Hash,
    HashAlgorithm, Input, Merge, Part, Read, Records, Resolve, Scope, Seal, Seals, Since, Source,
    Stage, Stamp, Statistics, Target, Time, Tombstone, Unchanged, orphan,
};
use metaxy_sql::{ColumnType, Error, Ident, ScalarType, lower, system};

/// A plan, and what can be asked of it.
pub(crate) struct Case {
    /// What it is about.
    pub(crate) name: &'static str,
    /// The plan in words; empty if its statement is all there is to it.
    pub(crate) plan: String,
    /// The statements, in the order in which a store runs them.
    pub(crate) statements: Vec<Statement>,
}

/// Plans for dialects whose addresses grow, which is one: what has changed since a resolve, and a resolve in two
/// statements. The first makes tables.
///
/// # Errors
/// Never: the names can all be written.
#[allow(dead_code, reason = "not every engine is asked them")]
pub(crate) fn of_growing_addresses() -> Result<Vec<Case>, Error> {
    let text = ColumnType::Scalar(ScalarType::Text);
    let statements = |name, statements| Case { name, plan: String::new(), statements };
    let since = Since {
        pending: system::pending("example__crop"),
        target: 140,
        inputs: vec![160],
        unchanged: 80,
        unchanged_older: 3,
    };
    let since = Resolve { since: Some(since), texts: false, ..one_upstream() };
    let mark = lower::Mark {
        table: "example__crop".to_owned(),
        next_row: 140,
        rows: 139,
        latest: 1_700_000_000_000_001,
    };
    let few = one_upstream_of(Statistics { mostly_once: true, few: true });
    Ok(vec![
        statements(
            "watermark_tables",
            vec![lower::watermarks(), lower::pending_table("example__crop", &[text])?],
        ),
        statements(
            "watermarks",
            vec![
                lower::watermark_of("example/crop"),
                lower::marks(["example__video", "example__crop"]),
                lower::changes([&mark]),
                lower::forget_watermark_of("example/crop"),
                lower::forget_watermarks(Some("example__video")),
                lower::forget_watermarks(None),
            ],
        ),
        Case {
            name: "resolve_since",
            plan: since.to_string(),
            statements: lower::resolve(&since).map(Statement::Query).into_iter().collect(),
        },
        Case {
            name: "classify_few",
            plan: few.to_string(),
            statements: lower::classify(&few).map(Statement::Query).into_iter().collect(),
        },
        in_two("resolve_in_two", &two_upstreams())?,
        in_two("resolve_since_in_two", &since)?,
        in_two("samples_in_two", &samples(true))?,
    ])
}

/// A resolve that classifies first: what is looked up where there are records of every class, and where all
/// are new.
#[allow(dead_code, reason = "not every engine is asked it")]
fn in_two(name: &'static str, plan: &Resolve) -> Result<Case, Error> {
    let found = |classes: &[Class], outdated| Classified {
        table: "@classified".to_owned(),
        classes: classes.to_vec(),
        outdated,
    };
    let every = [Class::Orphaned, Class::Blocked, Class::New, Class::Stale];
    let statements = vec![
        Statement::CreateTemporaryAs {
            table: Ident::new("@classified")?,
            query: lower::classify(plan).expect("a plain feature with a table"),
        },
        lower::counts_of_classified("@classified"),
        Statement::Query(lower::look_up(plan, &found(&every, true))),
        Statement::Query(lower::look_up(plan, &found(&[Class::Stale], false))),
        Statement::Query(lower::look_up(plan, &found(&[Class::New], false))),
    ];
    Ok(Case { name, plan: plan.to_string(), statements })
}

/// What removes the temporary table that a statement makes, since a plan before it may have made it
/// for others to read.
#[allow(dead_code, reason = "only tests on engines leave tables")]
pub(crate) fn before(statement: &Statement) -> Option<Statement> {
    match statement {
        Statement::CreateTemporaryAs { table, .. } => {
            Some(Statement::DropTemporary { table: table.clone() })
        }
        _ => None,
    }
}

/// What is to be run as it is: not all that changes tables can be explained, and what comes after it may
/// rely on it.
#[allow(dead_code, reason = "only tests on engines run statements")]
pub(crate) fn changes_tables(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::CreateTemporaryAs { .. }
            | Statement::CreateTable { .. }
            | Statement::CreateView { .. }
            | Statement::AddColumn { .. }
            | Statement::ChangeType { .. }
            | Statement::ChangeNull { .. }
            | Statement::DropColumn { .. }
            | Statement::DropTable { .. }
            | Statement::DropTemporary { .. }
    )
}

/// MD5, which every engine has built in.
const HASH: Hash = Hash { algorithm: HashAlgorithm::Md5, length: 16 };

fn records(key: &str, ids: &[&str], version: &str) -> Records {
    Records {
        table: key.replace('/', "__"),
        key: key.to_owned(),
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        version: version.to_owned(),
        provenance: ByField::Map,
        data_version: ByField::Map,
        has_token: true,
        statistics: Statistics::default(),
        sole_definition: false,
        seals: None,
    }
}

fn definition(name: &str, code_version: &str, parents: &[&str]) -> FieldDefinition {
    let parents = parents.iter().map(|parent| format!("\"{parent}\"")).collect::<Vec<_>>();
    FieldDefinition {
        name: name.to_owned(),
        code_version: code_version.to_owned(),
        parents: format!("[{}]", parents.join(",")),
    }
}

fn part(label: &str, input: usize) -> Part {
    let (_, field) = label.split_once('.').expect("a label");
    Part { label: label.to_owned(), input, field: field.to_owned() }
}

fn video() -> Records {
    records("example/video", &["video_id"], "0a0b0c0d0e0f1011")
}

fn scene() -> Records {
    records("example/scene", &["video_id", "scene"], "1a1b1c1d1e1f2021")
}

fn crop() -> Records {
    records("example/crop", &["video_id"], "2a2b2c2d2e2f3031")
}

/// Faces of a video: its children.
fn face() -> Records {
    Records {
        seals: Some(Seals {
            table: Some(system::seals("example__face")),
            parents: vec![0],
            has_try: true,
        }),
        ..records("example/face", &["video_id", "face"], "4a4b4c4d4e4f5051")
    }
}

/// A crop of a video: two fields, each of one parent.
fn one_upstream() -> Resolve {
    let field = |name: &str| {
        let label = format!("example/video.{name}");
        Field {
            definition: definition(name, "1", &[&label]),
            label: name.to_owned(),
            parts: vec![part(&label, 0)],
        }
    };
    let video = Input {
        records: Some(video()),
        key: "example/video".to_owned(),
        on: vec![("video_id".to_owned(), 0)],
        grouped: false,
        optional: false,
        filter: None,
        asked: None,
        reads: vec![definition("audio", "1", &[]), definition("frames", "1", &[])],
        columns: vec!["path".to_owned()],
        sources: Vec::new(),
    };
    Resolve {
        target: Target {
            records: Some(crop()),
            ids: vec!["video_id".to_owned()],
            fields: vec![field("audio"), field("frames")],
        },
        expected: Expected::Inputs(vec![video]),
        definitions: Some(system::DEFINITIONS.to_owned()),
        hash: HASH,
        rows: true,
        texts: true,
        removed: None,
        call: Call::default(),
        since: None,
        waiting: false,
    }
}

/// Scenes of crops: two upstreams of different granularity, one of which has an upstream itself.
/// The same, where no feature has ever had another definition.
fn sole_definitions() -> Resolve {
    let mut plan = two_upstreams();
    if let Expected::Inputs(inputs) = &mut plan.expected {
        inputs
            .iter_mut()
            .filter_map(|input| input.records.as_mut())
            .chain(&mut plan.target.records)
            .for_each(|records| records.sole_definition = true);
    }
    plan
}

/// Where something is known of the rows of the tables.
fn one_upstream_of(statistics: Statistics) -> Resolve {
    let mut plan = one_upstream();
    let Expected::Inputs(inputs) = &mut plan.expected else { unreachable!("it has an upstream") };
    let records = inputs.iter_mut().filter_map(|input| input.records.as_mut());
    records.chain(&mut plan.target.records).for_each(|records| records.statistics = statistics);
    plan
}

fn two_upstreams() -> Resolve {
    let labels = ["example/crop.frames", "example/scene.cut"];
    let scene = Input {
        records: Some(scene()),
        key: "example/scene".to_owned(),
        on: vec![("video_id".to_owned(), 0), ("scene".to_owned(), 1)],
        grouped: false,
        optional: false,
        filter: None,
        asked: None,
        reads: vec![definition("cut", "3", &[])],
        columns: vec!["begins at".to_owned(), "row".to_owned()],
        sources: Vec::new(),
    };
    let crop = Input {
        records: Some(crop()),
        key: "example/crop".to_owned(),
        on: vec![("video_id".to_owned(), 0)],
        grouped: false,
        optional: false,
        filter: None,
        asked: None,
        reads: vec![definition("frames", "1", &["example/video.frames"])],
        columns: Vec::new(),
        sources: vec![Source {
            records: Some(video()),
            ids: vec![0],
            reads: vec![definition("frames", "1", &[])],
        }],
    };
    let shots = Field {
        definition: definition("shots", "it's \"2\"", &labels),
        label: "shots".to_owned(),
        parts: vec![part(labels[0], 1), part(labels[1], 0)],
    };
    Resolve {
        target: Target {
            records: Some(records("example/shot", &["video_id", "scene"], "3a3b3c3d3e3f4041")),
            ids: vec!["video_id".to_owned(), "scene".to_owned()],
            fields: vec![shots],
        },
        expected: Expected::Inputs(vec![scene, crop]),
        definitions: Some(system::DEFINITIONS.to_owned()),
        hash: HASH,
        rows: true,
        texts: true,
        removed: None,
        call: Call::default(),
        since: None,
        waiting: false,
    }
}

/// The same with the rows of other definitions.
fn older(n_fields: usize) -> Resolve {
    let mut plan = one_upstream();
    plan.target.fields.truncate(n_fields);
    plan.call.unchanged = Unchanged::Older;
    plan
}

/// The same as [`one_upstream`] where nothing was written yet.
fn no_tables() -> Resolve {
    let mut plan = one_upstream();
    plan.target.records = None;
    plan.definitions = None;
    plan
}

/// The same where the upstream has no table.
fn no_upstream_table() -> Resolve {
    let mut plan = one_upstream();
    if let Expected::Inputs(inputs) = &mut plan.expected {
        inputs[0].records = None;
    }
    plan
}

/// A table of Python's as the upstream, read for counts alone.
fn counts_over_structs() -> Resolve {
    let mut plan = one_upstream();
    if let Expected::Inputs(inputs) = &mut plan.expected {
        let members = vec!["audio".to_owned()];
        let records = inputs[0].records.as_mut().expect("a table");
        records.table = "example__video_of_python".to_owned();
        records.provenance = ByField::Struct(members.clone());
        records.data_version = ByField::Struct(members);
        records.has_token = false;
    }
    plan.definitions = None;
    plan.rows = false;
    plan
}

/// Samples of a root.
fn samples(complete: bool) -> Resolve {
    let field = |name: &str| Field {
        definition: definition(name, "1", &[]),
        label: name.to_owned(),
        parts: Vec::new(),
    };
    Resolve {
        target: Target {
            records: Some(video()),
            ids: vec!["video_id".to_owned()],
            fields: vec![field("audio"), field("frames")],
        },
        expected: Expected::Samples { stage: "@stage".to_owned(), complete },
        definitions: Some(system::DEFINITIONS.to_owned()),
        hash: HASH,
        rows: true,
        texts: true,
        removed: None,
        call: Call::default(),
        since: None,
        waiting: false,
    }
}

fn read(scope: Scope) -> Read {
    Read {
        records: video(),
        columns: ["video_id", "path", system::UPDATED_AT].map(str::to_owned).to_vec(),
        scope,
        filter: None,
        definitions: Some(system::DEFINITIONS.to_owned()),
        fields: vec![definition("audio", "1", &[]), definition("frames", "1", &[])],
    }
}

fn stamp() -> Stamp {
    Stamp {
        version: "0a0b0c0d0e0f1011".to_owned(),
        project_version: "f0f1f2f3f4f5f6f7".to_owned(),
        time: Time::At(1_700_000_000_123_456),
        materialization_id: Some("it's run 7".to_owned()),
        token: 4_711,
    }
}

fn append(from: AppendFrom) -> Append {
    Append {
        records: video(),
        columns: vec!["path".to_owned()],
        fields: vec!["frames".to_owned(), "audio".to_owned()],
        root: None,
        from,
        stamp: stamp(),
        hash: HASH,
    }
}

fn tombstone(ids: &str, orphans: Option<Vec<i8>>) -> Tombstone {
    let columns = ["video_id", "path"].into_iter().chain(system::COLUMNS);
    Tombstone {
        records: video(),
        columns: columns.map(str::to_owned).collect(),
        ids: ids.to_owned(),
        orphans,
        time: Time::At(1_700_000_000_123_456),
        materialization_id: None,
        token: 4_712,
    }
}

fn stage() -> Stage {
    let text = ColumnType::Scalar(ScalarType::Text);
    Stage {
        table: "@stage".to_owned(),
        ids: vec![text],
        columns: vec![text],
        n_fields: 2,
        tries: false,
    }
}

/// What all cases need: the tables that they name.
///
/// # Errors
/// Never: the names can all be written.
pub(crate) fn tables() -> Result<Vec<Statement>, Error> {
    let text = ColumnType::Scalar(ScalarType::Text);
    let id = |name: &str| (name.to_owned(), text, false);
    let column = |name: &str| (name.to_owned(), text, true);
    Ok(vec![
        lower::definitions(),
        lower::table("example__video", &[id("video_id"), column("path")], 1)?,
        lower::table(
            "example__scene",
            &[id("video_id"), id("scene"), column("begins at"), column("row")],
            2,
        )?,
        lower::table("example__crop", &[id("video_id")], 1)?,
        lower::table("example__shot", &[id("video_id"), id("scene")], 2)?,
        lower::stage(&stage()),
        lower::children_table(
            "example__face",
            &[id("video_id"), id("face"), column("path")],
            2,
            &[0],
        )?,
        lower::seals_table(&system::seals("example__face"), &[("video_id".to_owned(), text)])?,
        lower::stage(&Stage {
            table: "@faces".to_owned(),
            ids: vec![text, text],
            tries: true,
            ..stage()
        }),
        lower::seal_stage("@seals", &[text], 2),
        lower::failures(),
        lower::removed(),
        lower::rebases(),
        lower::durations(),
        lower::pushes(),
        lower::push_stage("@pushes"),
    ])
}

/// What a push does, and what the history of pushes is read by.
fn pushes() -> Vec<Statement> {
    let which = [("example".to_owned(), 1_700_000_000_000_001), ("o'hara".to_owned(), 2)];
    vec![
        lower::rows_of_pushes(None),
        lower::rows_of_pushes(Some(&which)),
        lower::latest_push(),
        lower::forget_definitions(["example/video"]),
        lower::append_pushes("@pushes"),
    ]
}

/// All cases.
///
/// # Errors
/// Never: the names can all be written.
pub(crate) fn cases() -> Result<Vec<Case>, Error> {
    let resolve = |name, plan: Resolve| Case {
        name,
        plan: plan.to_string(),
        statements: lower::resolve(&plan).map(Statement::Query).into_iter().collect(),
    };
    let statement =
        |name, statement| Case { name, plan: String::new(), statements: vec![statement] };
    let mut nothing = no_tables();
    if let Expected::Inputs(inputs) = &mut nothing.expected {
        inputs[0].records = None;
    }
    let increment =
        || AppendFrom::Increment { stage: "@stage".to_owned(), increment: "@increment".to_owned() };
    let Some(query) = lower::resolve(&samples(true)) else {
        panic!("samples can always be compared")
    };
    let table = Ident::new("@increment")?;
    let mut all = vec![
        Case { name: "tables", plan: String::new(), statements: tables()? },
        Case { name: "pushes", plan: String::new(), statements: pushes() },
        resolve("resolve_one_upstream", one_upstream()),
        resolve("resolve_two_upstreams", two_upstreams()),
        resolve("resolve_sole_definitions", sole_definitions()),
        resolve("resolve_no_tables", no_tables()),
        resolve("resolve_no_upstream_table", no_upstream_table()),
        resolve("resolve_nothing_at_all", nothing),
        resolve("count_over_structs", counts_over_structs()),
        resolve("samples_complete", samples(true)),
        resolve("samples_partial", samples(false)),
        statement("read_latest", lower::read(&read(Scope::default()))),
        statement(
            "read_as_of_a_time",
            lower::read(&read(Scope { as_of: Some(1_700_000_000_000_000), ..Scope::default() })),
        ),
        statement(
            "read_everything",
            lower::read(&read(Scope {
                history: true,
                other_versions: true,
                tombstones: true,
                as_of: None,
            })),
        ),
        statement("read_history", lower::read(&read(Scope { history: true, ..Scope::default() }))),
        statement("duplicates", lower::duplicates("@stage", 1)),
        statement("latest_time", lower::latest_time("example__video")),
        statement("append", lower::append(&append(AppendFrom::Stage("@stage".to_owned())))?),
        Case {
            name: "append_increment",
            plan: String::new(),
            statements: vec![
                Statement::CreateTemporaryAs { table, query },
                lower::append(&append(increment()))?,
                lower::tombstone(&tombstone("@increment", Some(vec![orphan::GONE])))?,
            ],
        },
        Case {
            name: "append_children",
            plan: String::new(),
            statements: vec![
                lower::append(&Append {
                    records: face(),
                    ..append(AppendFrom::Stage("@faces".to_owned()))
                })?,
                lower::seal(&Seal {
                    table: system::seals("example__face"),
                    ids: vec!["video_id".to_owned()],
                    fields: vec!["frames".to_owned(), "audio".to_owned()],
                    stage: "@seals".to_owned(),
                    stamp: stamp(),
                    hash: HASH,
                })?,
                lower::clear_failures("example/face", "@seals", 1),
            ],
        },
        statement(
            "merge",
            lower::merge(&Merge {
                table: "example__video".to_owned(),
                stage: "example__scene".to_owned(),
                columns: ["video_id", system::UPDATED_AT, system::WRITE_TOKEN]
                    .map(str::to_owned)
                    .to_vec(),
                ids: vec!["video_id".to_owned()],
                same: vec![system::UPDATED_AT.to_owned()],
            })?,
        ),
        statement("has_rows", lower::has_rows("example__video")),
        statement("has_token", lower::has_token("example__video", 4_711)),
        statement("tombstone", lower::tombstone(&tombstone("@stage", None))?),
    ];
    all.extend(changes::cases()?);
    all.extend(lineage::cases());
    all.extend(upkeep::cases()?);
    Ok(all)
}
