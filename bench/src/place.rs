//! Where the databases of a run are: files in a folder of its own, or databases on a server.

use clap::ValueEnum;
use metaxy::clickhouse::Client;
use metaxy::sqlx::{self, Connection, PgConnection};
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fs;
use std::path::Path;
use url::Url;

/// An engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[value(rename_all = "lowercase")]
pub(crate) enum Engine {
    /// DuckDB, in files
    DuckDb,
    /// Postgres, on the server that `DATABASE_URL` names
    Postgres,
    /// ClickHouse, on the server that `CLICKHOUSE_URL` names
    ClickHouse,
}

impl Engine {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::DuckDb => "DuckDB",
            Self::Postgres => "Postgres",
            Self::ClickHouse => "ClickHouse",
        }
    }

    /// The server of the engine, if it has one.
    fn server(self) -> Result<Option<Url>, Box<dyn Error>> {
        let variable = match self {
            Self::DuckDb => return Ok(None),
            Self::Postgres => "DATABASE_URL",
            Self::ClickHouse => "CLICKHOUSE_URL",
        };
        let url = std::env::var(variable).map_err(|_| {
            format!(
                "{} needs {variable}; `cargo xtask bench --engine ..` sets it to a server of its own",
                self.name()
            )
        })?;
        Ok(Some(Url::parse(&url)?))
    }
}

/// A database of a run, gone with [`remove`](Self::remove).
pub(crate) struct Place {
    engine: Engine,
    url: String,
}

impl Place {
    /// An empty one.
    pub(crate) async fn new(
        engine: Engine,
        folder: &Path,
        name: &str,
    ) -> Result<Self, Box<dyn Error>> {
        let Some(mut server) = engine.server()? else {
            let url = format!("duckdb:{}", folder.join(format!("{name}.duckdb")).display());
            return Ok(Self { engine, url });
        };
        let name = format!("metaxy_bench_{}_{name}", std::process::id());
        run(engine, &server, &format!("CREATE DATABASE {name}")).await?;
        server.set_path(&name);
        Ok(Self { engine, url: server.into() })
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The same database for one round: of a file a copy, since its pages are not in memory yet.
    pub(crate) fn again(&self, round: usize) -> Result<Self, Box<dyn Error>> {
        let Some(file) = self.file() else {
            return Ok(Self { engine: self.engine, url: self.url.clone() });
        };
        let copy = format!("{file}.{round}");
        fs::copy(file, &copy)?;
        Ok(Self { engine: self.engine, url: format!("duckdb:{copy}") })
    }

    /// Removes a copy of [`again`](Self::again).
    pub(crate) fn forget(self) -> Result<(), Box<dyn Error>> {
        match self.file() {
            Some(file) => Ok(fs::remove_file(file)?),
            None => Ok(()),
        }
    }

    pub(crate) async fn remove(self) -> Result<(), Box<dyn Error>> {
        let Some(server) = self.engine.server()? else { return self.forget() };
        let url = Url::parse(&self.url)?;
        let name = url.path().trim_start_matches('/');
        let how = if self.engine == Engine::Postgres { " WITH (FORCE)" } else { " SYNC" };
        run(self.engine, &server, &format!("DROP DATABASE {name}{how}")).await
    }

    /// The file, if it is in one.
    pub(crate) fn file(&self) -> Option<&str> {
        self.url.strip_prefix("duckdb:")
    }
}

async fn run(engine: Engine, server: &Url, statement: &str) -> Result<(), Box<dyn Error>> {
    if engine == Engine::Postgres {
        let mut connection = PgConnection::connect(server.as_str()).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await?;
        return Ok(());
    }
    Ok(client(server).query(statement).execute().await?)
}

/// A client of a ClickHouse server.
pub(crate) fn client(server: &Url) -> Client {
    let host = server.host_str().unwrap_or("localhost");
    let mut client =
        Client::default().with_url(format!("http://{host}:{}", server.port().unwrap_or(8123)));
    if !server.username().is_empty() {
        client = client.with_user(server.username());
    }
    if let Some(password) = server.password() {
        client = client.with_password(password);
    }
    client
}
