//! Plans that change what is stored: deletions, their undoing, vacuums, rebases.

use super::{Case, HASH, face, stamp, tombstone, video};
use metaxy_sql::ast::{Query, Statement};
use metaxy_sql::filter::{Comparison, Filter, Operand, Value};
use metaxy_sql::plan::{
    AsComputed, Meant, MeantBy, Orphans, Rebase, Rebased, Records, SealCopies, SealCopy, Undelete,
    Vacuum, orphan, reason,
};
use metaxy_sql::{Error, Ident, lower, system};

fn keep(table: &str, query: Query) -> Result<Statement, Error> {
    Ok(Statement::CreateTemporaryAs { table: Ident::new(table)?, query })
}

fn columns(of: &[&str], ours: &[&str]) -> Vec<String> {
    of.iter().chain(ours).map(|column| (*column).to_owned()).collect()
}

fn columns_of_video() -> Vec<String> {
    columns(&["video_id", "path"], &system::COLUMNS)
}

fn seals(of: SealCopy) -> Result<Statement, Error> {
    let ours = [
        system::PROVENANCE_BY_FIELD,
        system::PROVENANCE,
        system::FEATURE_VERSION,
        system::PROJECT_VERSION,
        system::UPDATED_AT,
        system::DELETED_AT,
        system::MATERIALIZATION_ID,
        system::WRITE_TOKEN,
        system::TRY,
        system::CHILDREN,
    ];
    let columns = columns(&["video_id"], &ours);
    let plan = SealCopies { records: face(), columns, of, stamp: stamp() };
    Ok(lower::seal_copies(&plan)?.expect("there are seals"))
}

fn path_is(text: &str) -> Filter {
    Filter::Compare {
        left: Operand::Column("path".to_owned()),
        op: Comparison::Eq,
        right: Operand::Constant(Value::Text(text.to_owned())),
    }
}

fn meant(records: Records, by: MeantBy) -> Query {
    lower::meant(&Meant { records, by, ever: false })
}

/// What a resolve leaves for a rebase: as far as these statements look at it.
fn increment(n_fields: usize) -> Query {
    let resolve = super::older(n_fields);
    lower::resolve(&resolve).expect("a query")
}

/// All cases.
pub(super) fn cases() -> Result<Vec<Case>, Error> {
    let case = |name, statements| Case { name, plan: String::new(), statements };
    let ids = || MeantBy::Ids("@meant".to_owned());
    let parents = || MeantBy::Parents("@parents".to_owned());
    let vacuum = |records| Vacuum { records, keep: 2, before: Some(1_700_000_000_000_000) };
    let fields = || vec!["audio".to_owned(), "frames".to_owned()];
    let rebased = |records, filter| {
        let (increment, accepted) = ("@older".to_owned(), reason::CODE | reason::ADDED);
        lower::rebased(&Rebased { records, increment, n_fields: 2, accepted, filter, among: None })
    };
    let rebase = |records, columns, rebased: &str| {
        let (rebased, fields) = (rebased.to_owned(), fields());
        let (stored, stamp) = (fields.clone(), stamp());
        let follows = false;
        lower::rebase(&Rebase {
            records,
            columns,
            rebased,
            fields,
            stored,
            follows,
            stamp,
            hash: HASH,
        })
    };
    Ok(vec![
        case(
            "delete_where",
            vec![
                keep("@meant", meant(video(), MeantBy::Filter(path_is("it's \"x\""))))?,
                lower::tombstone(&tombstone("@meant", None))?,
                lower::note_removed(&video(), "@meant", &stamp()),
                lower::remove_rows(&video(), "@meant")?,
                lower::undelete(&Undelete {
                    records: video(),
                    columns: columns_of_video(),
                    by: ids(),
                    stamp: stamp(),
                })?,
            ],
        ),
        case(
            "delete_of_all_times",
            vec![keep("@ever", lower::meant(&Meant { records: video(), by: ids(), ever: true }))?],
        ),
        case(
            "delete_children",
            vec![
                keep("@children", meant(face(), MeantBy::Filter(path_is("x"))))?,
                seals(SealCopy::Without("@children".to_owned()))?,
                lower::remove_rows(&face(), "@children")?,
            ],
        ),
        case(
            "delete_parents",
            vec![
                keep("@parents", lower::parents_there(&face(), "@seals"))?,
                keep("@of parents", meant(face(), parents()))?,
                seals(SealCopy::Tombstone("@parents".to_owned()))?,
                seals(SealCopy::Undelete("@parents".to_owned()))?,
                lower::remove_seals(&face(), "@parents")?.expect("there are seals"),
                lower::undelete(&Undelete {
                    records: face(),
                    columns: columns(&["video_id", "face", "path"], &system::COLUMNS),
                    by: parents(),
                    stamp: stamp(),
                })?,
            ],
        ),
        case("vacuum", vec![lower::vacuum(&vacuum(video()))?]),
        case("vacuum_children", {
            let mut statements = vec![keep("@superseded", lower::superseded(&vacuum(face())))?];
            statements.extend(lower::remove_superseded(&face(), "@superseded")?);
            statements
        }),
        case("rebase", {
            let of_face = columns(&["video_id", "face", "path"], &system::COLUMNS);
            vec![
                keep("@older", increment(2))?,
                keep("@rebased", rebased(video(), Some(path_is("x"))))?,
                rebase(video(), columns_of_video(), "@rebased")?,
                keep("@rebased parents", rebased(face(), None))?,
                rebase(face(), of_face, "@rebased parents")?,
                seals(SealCopy::Rebase("@rebased parents".to_owned(), fields()))?,
                keep(
                    "@orphans",
                    lower::orphans(&Orphans {
                        increment: "@older".to_owned(),
                        n_ids: 1,
                        causes: vec![orphan::GONE, orphan::EXCLUDED],
                        but: Some("@meant".to_owned()),
                    }),
                )?,
                lower::note_rebase("example/video", &stamp(), 3, ["[\"code\"]", "ada", "it's so"]),
                lower::rebases_of("example/video"),
                lower::durations_of(["example/video", "example/crop"], 1_000),
            ]
        }),
        case("plan", {
            let computed = |records: Option<Records>, values_change| {
                lower::as_computed(&AsComputed {
                    ids: vec!["video_id".to_owned()],
                    columns: columns_of_video()
                        .into_iter()
                        .map(|column| {
                            let ty = (column != "video_id").then(|| lower::column_type(&column));
                            (column, ty)
                        })
                        .collect(),
                    records,
                    increment: "@increment".to_owned(),
                    fields: fields(),
                    values_change,
                    stamp: stamp(),
                    hash: HASH,
                })
            };
            vec![
                keep("@increment", increment(2))?,
                lower::groups("@increment", 2, 1),
                keep("@samples", lower::as_samples(&video(), &fields()))?,
                keep("@planned 0", computed(Some(video()), true))?,
                keep("@planned 1", computed(None, false))?,
            ]
        }),
    ])
}
