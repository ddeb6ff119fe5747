//! The same files, applied by `sqlx`.

use crate::{Target, Version, named, work};
use metaxy::migrate::{Layout, State};
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPool;

#[tokio::test]
async fn sqlx_applies_the_files_and_undoes_them() {
    let target = Target::postgres().await;
    let mut migrations = target.migrations(Layout::Sqlx);
    let pool = PgPool::connect(&target.url()).await.expect("a pool");
    let mut graphs = Vec::new();
    // A column that nobody writes any more would have to be filled before it is needed again.
    let versions = Version::ALL.into_iter().filter(|version| *version < Version::Removed);
    for (round, version) in versions.enumerate() {
        let graph = version.graph();
        let options = named("next").rebase(true).because("it's a \"test\";\n-- no-transaction");
        migrations.add(&graph, options).expect("files");
        let migrator = Migrator::new(target.dir()).await.expect("files that sqlx reads");
        assert_eq!(
            migrator.iter().filter(|one| one.migration_type.is_up_migration()).count(),
            migrations.iter().len()
        );
        migrator.run(&pool).await.expect("an application");
        work(&target.open(&graph).await, round).await;
        graphs.push(graph);
    }
    let migrator = Migrator::new(target.dir()).await.expect("files that sqlx reads");
    migrator.undo(&pool, 0).await.expect("a way back");
    assert_eq!(target.table_names().await, ["_sqlx_migrations"]);
    migrator.run(&pool).await.expect("an application");
    let graph = graphs.pop().expect("a graph");
    work(&target.open(&graph).await, 9).await;

    // Ours are kept elsewhere, so that nothing is known here of what sqlx has done.
    let status = migrations.status(target.url()).await.expect("a status");
    assert!(status.iter().all(|line| line.state == State::Pending));
    let names = target.table_names().await;
    assert!(!names.contains(&"metaxy_system__migrations".to_owned()), "{names:?}");
}

/// What cannot be undone fails there as well, and stays.
#[tokio::test]
async fn sqlx_is_told_what_cannot_be_undone() {
    let target = Target::postgres().await;
    let mut migrations = target.migrations(Layout::Sqlx);
    let pool = PgPool::connect(&target.url()).await.expect("a pool");
    migrations.add(&Version::Added.graph(), named("first")).expect("files");
    migrations.add(&Version::Removed.graph(), named("less").drops(true)).expect("files");
    let migrator = Migrator::new(target.dir()).await.expect("files that sqlx reads");
    migrator.run(&pool).await.expect("an application");
    let tables = target.tables().await;
    let error = migrator.undo(&pool, 0).await.expect_err("it is gone").to_string();
    assert!(error.contains("cannot be undone"), "{error}");
    assert_eq!(target.tables().await, tables);
}
