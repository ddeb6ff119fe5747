//! A database of a test's own on a real server, gone with its guard; and servers of a test's own, for
//! those that stop one.
//!
//! `cargo xtask test` runs the server that tests share, or the user does: it is whatever
//! `DATABASE_URL` and `CLICKHOUSE_URL` name. A test that needs one fails where it is not named.

use sqlx::{Column, Connection, PgConnection, Row};
use std::collections::HashMap;
use std::env;
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};
pub use test_servers::{Engine, Host, Server};
use url::Url;

/// Databases that were made beside another one, by the name of that; they are gone with it.
static BESIDE: LazyLock<Mutex<HashMap<String, Vec<Database>>>> = LazyLock::new(Mutex::default);

/// An empty database; dropped with all that is in it when this is.
#[derive(Debug)]
pub struct Database {
    engine: Engine,
    server: Url,
    name: String,
}

impl Database {
    /// A database on the server of Postgres that tests share.
    ///
    /// # Panics
    /// If no server is named, or it refuses.
    pub async fn postgres() -> Self {
        Self::on(Engine::Postgres, &shared(Engine::Postgres)).await
    }

    /// A database on the server of ClickHouse that tests share.
    ///
    /// # Panics
    /// If no server is named, or it refuses.
    pub async fn clickhouse() -> Self {
        Self::on(Engine::ClickHouse, &shared(Engine::ClickHouse)).await
    }

    /// A database on the server with this address.
    ///
    /// # Panics
    /// If it refuses.
    pub async fn on(engine: Engine, server: &str) -> Self {
        let url = Url::parse(server).unwrap_or_else(|error| panic!("`{server}`: {error}"));
        let database = Self { engine, server: url, name: unique_name() };
        database.run(&database.server, &format!("CREATE DATABASE {}", database.name)).await;
        database
    }

    /// Another empty database on the same server, gone with the one that an address names.
    async fn beside(engine: Engine, url: &Url) -> String {
        let first = url.path().trim_start_matches('/').to_owned();
        let another = Self::on(engine, url.as_str()).await;
        let address = another.url();
        let mut beside = BESIDE.lock().unwrap_or_else(PoisonError::into_inner);
        beside.entry(first).or_default().push(another);
        address
    }

    /// The address of the database, as stores take it.
    #[must_use]
    pub fn url(&self) -> String {
        let mut url = self.server.clone();
        url.set_path(&self.name);
        url.into()
    }

    /// Runs a statement of a test's own in the database, as another program would.
    ///
    /// # Panics
    /// If it fails.
    pub async fn execute(&self, statement: &str) {
        self.run(&Url::parse(&self.url()).expect("an address"), statement).await;
    }

    /// The first column of a query of a test's own, which has to be text.
    ///
    /// # Panics
    /// If it fails.
    pub async fn texts(&self, query: &str) -> Vec<String> {
        let url = Url::parse(&self.url()).expect("an address");
        match self.engine {
            Engine::Postgres => {
                let mut connection = connect(&url).await;
                let query = sqlx::query_scalar(sqlx::AssertSqlSafe(query));
                query.fetch_all(&mut connection).await.expect("rows")
            }
            Engine::ClickHouse => client(&url).query(query).fetch_all().await.expect("rows"),
        }
    }

    /// The names and the values of the columns of a query of a test's own, which has one row of texts.
    ///
    /// # Panics
    /// If it fails, or has another answer.
    pub async fn named_texts(&self, query: &str) -> Vec<(String, String)> {
        let url = Url::parse(&self.url()).expect("an address");
        match self.engine {
            Engine::Postgres => {
                let mut connection = connect(&url).await;
                let query = sqlx::query(sqlx::AssertSqlSafe(query));
                let row = query.fetch_one(&mut connection).await.expect("a row");
                let columns = row.columns().iter();
                columns
                    .map(|column| (column.name().to_owned(), row.get(column.ordinal())))
                    .collect()
            }
            Engine::ClickHouse => {
                let query = client(&url).query_raw(query);
                let mut answer =
                    query.fetch_bytes("JSONCompactStringsEachRowWithNames").expect("one");
                let answer = answer.collect().await.expect("an answer");
                let lines = answer.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                let lines = lines.map(|line| serde_json::from_slice(line).expect("texts"));
                let lines: Vec<Vec<String>> = lines.collect();
                let [names, values] = &lines[..] else { panic!("one row, not {lines:?}") };
                names.iter().cloned().zip(values.iter().cloned()).collect()
            }
        }
    }

    async fn run(&self, url: &Url, statement: &str) {
        let ran = match self.engine {
            Engine::Postgres => {
                let statement = sqlx::raw_sql(sqlx::AssertSqlSafe(statement));
                let ran = statement.execute(&mut connect(url).await).await;
                ran.map(drop).map_err(|error| error.to_string())
            }
            Engine::ClickHouse => {
                let ran = client(url).query(statement).execute().await;
                ran.map_err(|error| error.to_string())
            }
        };
        if let Err(error) = ran {
            panic!("{}: {error}: {statement}", self.engine.name());
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let beside = BESIDE.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
        drop(beside);
        let (how, name) = match self.engine {
            // Whoever still looks into it is sent away.
            Engine::Postgres => ("WITH (FORCE)", &self.name),
            Engine::ClickHouse => ("SYNC", &self.name),
        };
        let statement = format!("DROP DATABASE IF EXISTS {name} {how}");
        // A runtime cannot wait inside another one, and a guard is dropped inside a test's.
        let dropped = thread::scope(|scope| {
            let work = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(self.run(&self.server, &statement));
            });
            work.join()
        });
        // The thread has said why. A test that fails anyhow must not end the process with this.
        assert!(dropped.is_ok() || thread::panicking(), "the database `{name}` is still there");
    }
}

/// The address of a new store: of a server, that of another database.
///
/// # Panics
/// If the server refuses.
pub async fn another(url: &str) -> String {
    for engine in Engine::ALL {
        if let Some(parsed) = Url::parse(url).ok().filter(|url| is_of(engine, url)) {
            return Database::beside(engine, &parsed).await;
        }
    }
    url.to_owned()
}

fn is_of(engine: Engine, url: &Url) -> bool {
    match engine {
        Engine::Postgres => matches!(url.scheme(), "postgres" | "postgresql"),
        Engine::ClickHouse => url.scheme() == "clickhouse",
    }
}

/// Starts a server that is a test's alone, so that it can be stopped and started again.
///
/// # Panics
/// If it does not start.
#[must_use]
pub fn own_server(engine: Engine) -> Server {
    Host::of_this_run()
        .and_then(|host| host.start(engine))
        .unwrap_or_else(|error| panic!("{error}"))
}

/// The address of the server that tests share.
fn shared(engine: Engine) -> String {
    env::var(engine.variable()).ok().filter(|url| !url.is_empty()).unwrap_or_else(|| {
        panic!(
            "this test needs {}: `cargo xtask test` runs all tests with one, \
             `cargo xtask engines -- cargo test ..` some; both install what is missing, or say how. Or \
             set {} to the address of a server of your own",
            engine.name(),
            engine.variable()
        )
    })
}

async fn connect(url: &Url) -> PgConnection {
    PgConnection::connect(url.as_str()).await.expect("a connection to Postgres")
}

fn client(url: &Url) -> clickhouse::Client {
    let host = url.host_str().expect("an address with a host");
    let address = format!("http://{host}:{}", url.port().unwrap_or(8123));
    let database = url.path().trim_start_matches('/');
    let mut client = clickhouse::Client::default().with_url(address).with_database(database);
    if !url.username().is_empty() {
        client = client.with_user(url.username());
    }
    match url.password() {
        Some(password) => client.with_password(password),
        None => client,
    }
}

/// A name that no other test has on the same server, in this process, in another one or long ago.
fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_micros();
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("metaxy_test_{now:x}_{:x}_{count}", process::id())
}
