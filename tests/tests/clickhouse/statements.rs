//! Every statement, and the meaning of what is spelled in a way of its own.

#[path = "../../../metaxy-sql/tests/plans/mod.rs"]
mod cases;

use super::client;
use clickhouse::Client;
use metaxy_sql::ast::{Expr, Query, Select, Statement};
use metaxy_sql::dialect::ClickHouse;
use metaxy_sql::{Ident, Literal, lower, print};
use metaxy_tests::databases::Database;

fn text(statement: &Statement) -> String {
    print(statement, &ClickHouse::ON_ONE_MACHINE).expect("a text")
}

async fn run(client: &Client, sql: &str) {
    run_of(client, sql, "").await;
}

async fn run_of(client: &Client, sql: &str, of: &str) {
    let ran = client.query_raw(sql).execute().await;
    ran.unwrap_or_else(|error| panic!("{of}{error}\n{sql}"));
}

async fn texts(client: &Client, sql: &str) -> Vec<String> {
    let cursor = client.query_raw(sql).fetch_bytes("TSVRaw");
    let bytes = cursor.expect(sql).collect().await.unwrap_or_else(|e| panic!("{e}\n{sql}"));
    String::from_utf8(bytes.to_vec()).expect("a text").lines().map(str::to_owned).collect()
}

/// Every statement is understood by the engine and runs, on tables that others of them make.
#[tokio::test]
async fn every_statement_runs() {
    let database = Database::clickhouse().await;
    let client = client(&database).with_setting("session_id", database.url());
    for statement in cases::tables().expect("names that can be written") {
        run(&client, &text(&statement)).await;
    }
    run(
        &client,
        "CREATE TABLE example__video_of_python ENGINE = MergeTree ORDER BY () AS SELECT * EXCEPT \
         (metaxy_data_version_by_field, metaxy_provenance_by_field, metaxy_write_token), \
         CAST(tuple('1') AS Tuple(audio String)) AS metaxy_data_version_by_field, \
         CAST(tuple('1') AS Tuple(audio String)) AS metaxy_provenance_by_field FROM example__video",
    )
    .await;
    let mut n_run = 0;
    for case in cases::cases().expect("names that can be written") {
        if case.name == "tables" {
            continue;
        }
        let of = format!("{}\n{}\n", case.name, case.plan);
        for statement in &case.statements {
            if let Some(before) = cases::before(statement) {
                run_of(&client, &text(&before), &of).await;
            }
            n_run += 1;
            if let Statement::Refuse { .. } = statement {
                let ran = client.query_raw(&text(statement)).execute().await;
                let error = ran.expect_err("a refusal").to_string();
                assert!(error.contains(cases::REFUSAL), "{error}");
                continue;
            }
            // It wants a value to put in the place of NULL, and nobody can name one: what it says is passed on.
            if matches!(statement, Statement::ChangeNull { column, .. } if !column.nullable) {
                let ran = client.query_raw(&text(statement)).execute().await;
                let error = ran.expect_err("NULL is not forbidden again").to_string();
                assert!(error.contains("Cannot convert column"), "{error}");
                continue;
            }
            let Statement::Delete { table, .. } = statement else {
                run_of(&client, &text(statement), &of).await;
                continue;
            };
            let find = lower::found(statement.clone()).expect("a removal");
            run_of(&client, &text(&find), &of).await;
            let rows = ["4294967296".to_owned(), "1".to_owned()];
            run_of(&client, &text(&lower::remove_found(table, &rows)), &of).await;
        }
    }
    assert!(n_run >= 60, "{n_run} statements");
}

/// A part that is used twice is computed once.
#[tokio::test]
async fn a_part_is_computed_once() {
    let database = Database::clickhouse().await;
    let client = client(&database);
    let sql = |kind: &str| {
        format!(
            "WITH p AS {kind} (SELECT generateUUIDv4() AS u FROM numbers(10)) SELECT \
             toString(count()) FROM p AS l INNER JOIN p AS r ON l.u = r.u"
        )
    };
    use metaxy_sql::Dialect;
    let kind = ClickHouse::ON_ONE_MACHINE.named_part(2, false).strip_prefix("AS").expect("a part");
    assert_eq!(texts(&client, &sql(kind)).await, ["10"]);
    assert_eq!(texts(&client, &sql("")).await, ["0"], "it would not be without a word");
}

#[tokio::test]
async fn what_hurts_elsewhere_goes_through_unchanged() {
    let database = Database::clickhouse().await;
    let client = client(&database);
    let long = "n".repeat(60);
    for value in [
        "'",
        "\"",
        "''",
        "\"\"",
        "`",
        "\\",
        "\\'",
        "\\\"",
        "\\n",
        "\\\\",
        "\u{1F980}",
        "$1",
        "$$",
        "{x:String}",
        "{x:Identifier}",
        "?",
        "??",
        "?fields",
        ":name",
        "%s",
        "; DROP TABLE a; --",
        "/* */",
        "NULL",
        " ",
        "\u{feff}",
        "\u{202e}",
        "x'00'",
        "@stage",
        "a.b",
        "u.id0",
        &long,
    ] {
        let column =
            (Expr::Literal(Literal::Text(value.to_owned())), Ident::new(value).expect("a name"));
        let select = Select { columns: vec![column], ..Select::default() };
        let sql = text(&Statement::Query(Query { with: Vec::new(), union_all: vec![select] }));
        let mut cursor = client.query_raw(&sql).fetch_bytes("JSON").expect("a query");
        let answer = cursor.collect().await.unwrap_or_else(|error| panic!("{error}\n{sql}"));
        let answer: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
        assert_eq!(answer["data"][0][value], value, "{sql}");
    }
}

/// What functions give, where their spelling does not show it.
#[tokio::test]
async fn functions_mean_what_they_mean_elsewhere() {
    let database = Database::clickhouse().await;
    let client = client(&database);
    run(
        &client,
        "CREATE TABLE f (id Int64, name Nullable(String), x Nullable(Float64), m Map(String, String), \
         t Nullable(DateTime64(6, 'UTC'))) ENGINE = MergeTree ORDER BY id",
    )
    .await;
    run(
        &client,
        "INSERT INTO f VALUES (2, 'b', nan, {'a': '', 'k': 'v'}, '1969-12-31 23:59:59.999999'), \
         (10, NULL, 1.5, {}, NULL), (9, 'Z', inf, {'a': 'x'}, '2020-01-01 00:00:00'), \
         (1, '\u{e4}', NULL, {}, NULL)",
    )
    .await;
    use metaxy_sql::Dialect;
    use metaxy_sql::functions::Function as F;
    let sql = |function: F, args: &[&str]| {
        let mut text =
            ClickHouse::ON_ONE_MACHINE.function(function).replace("{..}", &args.join(", "));
        if let Some((_, others)) = args.split_first() {
            text = text.replace("{1..}", &others.join(", "));
        }
        for (i, arg) in args.iter().enumerate() {
            text = text.replace(&format!("{{{i}}}"), arg).replace(&format!("{{{i}!}}"), arg);
        }
        text
    };
    use metaxy_sql::HashAlgorithm as H;
    let shard = |name: &str| {
        let digest = hex::encode(<md5::Md5 as md5::Digest>::digest(name));
        (u64::from_str_radix(&digest[..15], 16).expect("a number") % 7).to_string()
    };
    let [b, z, a] = ["b", "Z", "\u{e4}"].map(shard);
    for (expr, expected) in [
        (sql(F::MapGet, &["m", "'a'"]), ["", "NULL", "x", "NULL"]),
        (sql(F::EpochMicros, &["t"]), ["-1", "NULL", "1577836800000000", "NULL"]),
        (sql(F::Length, &["name"]), ["1", "NULL", "1", "1"]),
        (sql(F::Concat, &["name", "'-'", "name"]), ["b-b", "NULL", "Z-Z", "\u{e4}-\u{e4}"]),
        (sql(F::Shard, &["name", "7"]), [&b, "NULL", &z, &a]),
    ] {
        let query = format!(
            "SELECT ifNull(toString({expr}), 'NULL') FROM f ORDER BY indexOf([2, 10, 9, 1], id)"
        );
        assert_eq!(texts(&client, &query).await, expected, "{expr}");
    }
    for (algorithm, expected) in [
        (H::XxHash64, xxhash_rust::xxh64::xxh64(b"a|b", 0).to_string()),
        (H::XxHash32, xxhash_rust::xxh32::xxh32(b"a|b", 0).to_string()),
        (H::Xxh3_64, xxhash_rust::xxh3::xxh3_64(b"a|b").to_string()),
        (H::Md5, hex::encode(<md5::Md5 as md5::Digest>::digest("a|b"))),
        (H::Sha256, "0eab8a0a3380abf4c7d1fb0b43b66aafbb64a4b953e4eb2dccca579461912d0c".to_owned()),
    ] {
        let sql = format!("SELECT {}", sql(F::Hash(algorithm), &["64", "'a'", "'|b'"]));
        assert_eq!(texts(&client, &sql).await, [expected], "{algorithm}");
    }
    let order = ["id".to_owned()];
    let joined = ClickHouse::ON_ONE_MACHINE.join_texts("name", &order);
    let sql = format!("SELECT ifNull({joined}, 'NULL') FROM f");
    assert_eq!(texts(&client, &sql).await, ["\u{e4}|b|Z"]);
    let sql = format!("SELECT ifNull({joined}, 'NULL') FROM f WHERE name IS NULL");
    assert_eq!(texts(&client, &sql).await, ["NULL"]);
    let list = ClickHouse::ON_ONE_MACHINE.list_of("name", &["name".to_owned()]);
    let sql = format!("SELECT toString({list}) FROM f");
    assert_eq!(texts(&client, &sql).await, ["['Z','b','\u{e4}',NULL]"]);
}
