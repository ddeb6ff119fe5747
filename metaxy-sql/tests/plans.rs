//! The text of plans and of the statements that they become, as a change to either shows it.

#[path = "plans/mod.rs"]
mod cases;

use metaxy_sql::ast::Statement;
use metaxy_sql::dialect::{ClickHouse, Cluster, Dialect, DuckDb, Postgres, Replication};
use metaxy_sql::{lower, print};

/// The text of a statement as a store would run it.
fn text(statement: &Statement, dialect: &dyn Dialect) -> String {
    let print = |statement: &Statement| {
        print(statement, dialect).unwrap_or_else(|error| panic!("{error}: {statement:?}"))
    };
    match (dialect.deletes_with_queries(), statement) {
        (false, Statement::Delete { table, .. }) => {
            let find = lower::found(statement.clone()).expect("a removal");
            let found = ["4294967296".to_owned(), "4294967297".to_owned()];
            [print(&find), print(&lower::remove_found(table, &found))].join(";\n\n")
        }
        _ => print(statement),
    }
}

fn cluster(replication: Replication, sharded: bool) -> ClickHouse {
    let (name, database) = ("my \"own\"".to_owned(), "meta".to_owned());
    ClickHouse { cluster: Some(Cluster { name, database, replication, sharded, of_copies: false }) }
}

/// What clusters of ClickHouse are asked: tables, what resolves, appends and removes.
#[test]
fn clusters() {
    let at =
        |path: &str, replica: &str| Replication::At { path: path.into(), replica: replica.into() };
    let kinds = [
        ("replicated", cluster(Replication::Default, false)),
        ("replicated_at", cluster(at("/clickhouse/it's/{shard}/", "{replica}"), false)),
        ("sharded", cluster(Replication::None, true)),
        ("sharded_and_replicated", cluster(Replication::Default, true)),
    ];
    let cases = cases::cases().expect("names that can be written");
    let of = |name: &str| {
        let case = cases.iter().find(|case| case.name == name);
        case.unwrap_or_else(|| panic!("there is no case `{name}`"))
    };
    let tables = |dialect: &dyn Dialect| {
        let add = Statement::AddColumn {
            table: metaxy_sql::Ident::new("example__video").expect("a name"),
            column: metaxy_sql::ast::ColumnDecl {
                name: metaxy_sql::Ident::new("new").expect("a name"),
                ty: metaxy_sql::ColumnType::Scalar(metaxy_sql::ScalarType::Text).into(),
                nullable: true,
            },
        };
        let all = of("tables").statements.iter().chain([&add]);
        all.map(|statement| text(statement, dialect) + ";\n").collect::<Vec<_>>().join("\n")
    };
    for (kind, dialect) in &kinds {
        let settings = dialect.settings();
        let of_cluster = &settings[metaxy_sql::dialect::CLICKHOUSE_SETTINGS.len()..];
        let settings = of_cluster.iter().map(|(name, value)| format!("-- {name} = {value}\n"));
        let text = settings.collect::<String>() + &tables(dialect);
        insta::assert_snapshot!(format!("cluster_{kind}_tables"), text);
    }
    for (kind, dialect) in [&kinds[0], &kinds[2]] {
        for name in ["resolve_one_upstream", "resolve_children", "append", "delete_children"] {
            let statements = of(name).statements.iter();
            let text: Vec<_> = statements.map(|s| text(s, dialect) + ";\n").collect();
            insta::assert_snapshot!(format!("cluster_{kind}_{name}"), text.join("\n"));
        }
    }
}

#[test]
fn plans_and_their_statements() {
    let cases = cases::cases().expect("names that can be written");
    let dialects: [(&str, &dyn Dialect); 3] =
        [("", &DuckDb), ("postgres_", &Postgres), ("clickhouse_", &ClickHouse::ON_ONE_MACHINE)];
    let growing = cases::of_growing_addresses().expect("names that can be written");
    let growing = growing.iter().flat_map(|case| {
        dialects.into_iter().filter(|(_, d)| d.addresses_grow()).map(move |d| (case, d))
    });
    let all = cases.iter().flat_map(|case| dialects.map(|d| (case, d)));
    for (case, (prefix, dialect)) in all.chain(growing) {
        let statements = case.statements.iter().map(|statement| text(statement, dialect) + ";\n");
        let statements: Vec<String> = statements.collect();
        let mut text = String::new();
        if !case.plan.is_empty() {
            text += &format!("{}\n", case.plan);
        }
        match statements.as_slice() {
            [] => text += "no statement: there is nothing to ask\n",
            statements => text += &statements.join("\n"),
        }
        insta::assert_snapshot!(format!("{prefix}{}", case.name), text);
    }
    let mut names: Vec<_> = cases.iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases.len(), "two cases with one name share a snapshot");
}

/// A statement is the same whenever it is made: it is compared, logged and cached by its text.
#[test]
fn statements_are_the_same_every_time() {
    let texts = || {
        let cases = cases::cases().expect("names that can be written");
        let statements = cases.into_iter().flat_map(|case| case.statements);
        statements.map(|s| print(&s, &DuckDb).expect("a text")).collect::<Vec<_>>()
    };
    assert_eq!(texts(), texts());
}

/// Names that are quoted and values that are escaped stand in every statement as they were given.
#[test]
fn values_are_escaped_where_they_stand() {
    let cases = cases::cases().expect("names that can be written");
    let of = |name: &str| {
        let case = cases.iter().find(|case| case.name == name).expect("a case");
        print(&case.statements[0], &DuckDb).expect("a text")
    };
    assert!(of("append").contains("'it''s run 7'"));
    let two = of("resolve_two_upstreams");
    assert!(two.contains("'it''s \"2\"'") && two.contains("\"begins at\""), "{two}");
}

/// The names of the functions in a text of Rust that give a statement or a query to all.
fn that_give_statements(source: &str) -> Vec<&str> {
    let all = source.split("\npub fn ").skip(1).filter_map(|rest| {
        let (signature, _) = rest.split_once(" {\n")?;
        let (_, gives) = signature.rsplit_once("->")?;
        let gives_one = gives.contains("Statement") || gives.contains("Query");
        gives_one.then(|| &rest[..rest.find(['(', '<']).unwrap_or_default()])
    });
    all.collect()
}

/// What the engines are asked in their tests is all that they are ever asked.
#[test]
fn every_function_that_gives_a_statement_has_a_case() {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let texts_below = |folder: &str| {
        let files = std::fs::read_dir(here.join(folder)).expect(folder);
        let paths = files.map(|file| file.expect("a file").path());
        let texts = paths.filter(|path| path.is_file());
        texts.map(|path| std::fs::read_to_string(path).expect("a text")).collect::<String>()
    };
    let of_cases = texts_below("tests/plans");
    let sources = texts_below("src/lower")
        + &std::fs::read_to_string(here.join("src/lower.rs")).expect("a text");
    let functions = that_give_statements(&sources);
    assert!(functions.len() >= 50, "{functions:?}");
    // The first only gathers others; the other two are what ClickHouse makes of a removal, in its tests.
    let elsewhere = ["system_tables", "found", "remove_found"];
    let is_asked =
        |name: &&str| elsewhere.contains(name) || of_cases.contains(&format!("lower::{name}("));
    let missing: Vec<_> = functions.into_iter().filter(|name| !is_asked(name)).collect();
    assert_eq!(missing, [""; 0], "without a case in `tests/plans`");
}
