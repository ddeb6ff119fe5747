//! Statements around plans: what is looked up, what migrations do to tables and note of it, and views.

use super::{Case, HASH, face, one_upstream, read, stamp, video};
use metaxy_sql::ast::{ColumnDecl, Query, Statement};
use metaxy_sql::plan::{Restated, Scope};
use metaxy_sql::{ColumnType, Error, Ident, ScalarType, lower, system};

fn texts<const N: usize>(row: [&str; N]) -> Vec<String> {
    row.map(str::to_owned).to_vec()
}

fn keep(table: &str, query: Query) -> Result<Statement, Error> {
    Ok(Statement::CreateTemporaryAs { table: Ident::new(table)?, query })
}

/// What changes a table, one that nothing else looks at.
fn changes() -> Result<Vec<Statement>, Error> {
    const TABLE: &str = "it's \"changed\"";
    let table = || Ident::new(TABLE);
    let column = |ty: ScalarType, nullable| {
        let (name, ty) = (Ident::new("a column")?, ColumnType::Scalar(ty).into());
        Ok::<_, Error>(ColumnDecl { name, ty, nullable })
    };
    let id = ("id".to_owned(), ColumnType::Scalar(ScalarType::Text), false);
    Ok(vec![
        lower::table(TABLE, &[id], 1)?,
        Statement::AddColumn { table: table()?, column: column(ScalarType::Int32, true)? },
        Statement::ChangeType { table: table()?, column: column(ScalarType::Int64, true)? },
        Statement::ChangeNull { table: table()?, column: column(ScalarType::Int64, false)? },
        Statement::ChangeNull { table: table()?, column: column(ScalarType::Int64, true)? },
        Statement::DropColumn { table: table()?, column: Ident::new("a column")? },
        Statement::DropTable { table: table()? },
    ])
}

/// All cases. Those of `changes` have made `@increment`.
pub(super) fn cases() -> Result<Vec<Case>, Error> {
    let case = |name, statements| Case { name, plan: String::new(), statements };
    let keys = || ["example/video", "o'hara"];
    let settings = [texts(["hash_algorithm", "md5"]), texts(["hash_truncation_length", "16"])];
    let mut restamped = vec![lower::stamp_settings(&settings), lower::settings_of_store()];
    restamped.extend(lower::restamp_settings(&settings[..1]));
    let definition = |field| {
        texts(["example/video", "0a0b0c0d0e0f1011", field, "f0", "it's 1", "[]", "[\"video_id\"]"])
    };
    let restated = Restated { records: video(), stored: texts(["audio", "frames"]), hash: HASH };
    let tables = texts(["example__video", "example__crop"]);
    let to_do = lower::to_do(&one_upstream(), &texts(["path"])).expect("an upstream has a table");
    Ok(vec![
        case(
            "look_ups",
            vec![
                lower::count_of(&read(Scope::default())),
                lower::count("example__video"),
                lower::everything("example__video", &texts(["video_id", "path"]))?,
                lower::counts_of("@increment"),
                lower::definitions_of(system::DEFINITIONS, keys()),
                lower::ids_and_versions_of_definitions(system::DEFINITIONS, keys()),
                lower::failures_of("example/crop", None),
                lower::failures_of("o'hara", Some(10)),
                keep("@ids", lower::no_ids(&face()))?,
            ],
        ),
        case("settings", [vec![lower::settings()], restamped].concat()),
        case("changes_of_tables", changes()?),
        case("refusal", vec![Statement::Refuse { message: REFUSAL.to_owned() }]),
        case(
            "migrations",
            vec![
                lower::migrations(),
                lower::note_applied(
                    ["20260101000000", "it's \"new\"", "c0ffee"],
                    1_700_000_000_123_456,
                ),
                lower::applied(),
                lower::unnote_applied("20260101000000"),
                lower::record_definitions(
                    "example/video",
                    &[definition("audio"), definition("frames")],
                ),
                keep("@restated", lower::restated(&restated))?,
                lower::note_rebase_of("example/video", &stamp(), &tables, ["[]", "ada", "it's so"]),
                lower::take_back("example__video", 4_711)?,
                lower::take_back_note("example/video", "0a0b0c0d0e0f1011", "it's so"),
            ],
        ),
        case("features_that_are_gone", lower::forget_features(&["example/video", "o'hara"]).into()),
        case(
            "views",
            vec![
                lower::view("example__video__current", lower::records(&read(Scope::default())))?,
                lower::view("example__crop__to_do", to_do)?,
            ],
        ),
    ])
}

/// The message of the statement that fails.
pub(crate) const REFUSAL: &str = "it's \"refused\"";
