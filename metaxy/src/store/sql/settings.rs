//! The settings that a store is stamped with when it is made.

use super::connection::{Access, Connection, Engine, end};
use super::{text_batch, texts};
use crate::error::{Error, Result};
use crate::store::Settings;
use crate::store::open::RequestedSettings;
use metaxy_sql::{HashAlgorithm, lower, system};

const ALGORITHM: &str = "hash_algorithm";
const LENGTH: &str = "hash_truncation_length";

/// The settings of a store: as it was created, or, for a new one, as it is opened.
pub(crate) async fn open(
    engine: &dyn Engine,
    create_tables: bool,
    requested: RequestedSettings,
) -> Result<Settings> {
    let connection = &mut *super::retry::connect(engine).await?;
    let access = if create_tables {
        // Whoever opens it at the same time waits, and then finds it stamped.
        Access::Write(&[system::SETTINGS.to_owned()])
    } else {
        Access::Read
    };
    connection.begin(access).await?;
    let default = engine.dialect().default_algorithm();
    let settings = match stamped(connection, create_tables, requested, default).await {
        // A store that could not be used is not made.
        Ok(settings) => {
            let checked = connection.check_algorithm(settings.hash_algorithm).await;
            checked.map(|()| settings)
        }
        Err(error) => Err(error),
    };
    end(connection, settings).await
}

/// What a store is stamped with, by name and value.
pub(crate) fn stamp(settings: Settings) -> [Vec<String>; 2] {
    [
        vec![ALGORITHM.to_owned(), settings.hash_algorithm.to_string()],
        vec![LENGTH.to_owned(), settings.hash_truncation_length.to_string()],
    ]
}

async fn has(connection: &mut dyn Connection, table: &str) -> Result<bool> {
    Ok(connection.tables(&[table.to_owned()]).await?.contains_key(table))
}

async fn stamped(
    connection: &mut dyn Connection,
    create_tables: bool,
    requested: RequestedSettings,
    default: HashAlgorithm,
) -> Result<Settings> {
    let table = system::SETTINGS;
    let is_there = has(connection, table).await?;
    let rows = match is_there {
        true => texts(connection, lower::settings_of_store()).await?,
        false => Vec::new(),
    };
    if rows.is_empty() {
        // Only then: every open store would ask for a table that hardly any has.
        if !requested.is_complete() && has(connection, system::PUSHES).await? {
            return Err(Error::UnknownSettings);
        }
        let settings = requested.or_default(default);
        if create_tables {
            if !is_there {
                connection.execute(lower::settings()).await?;
            }
            let stamp = stamp(settings);
            let columns = [system::settings::NAME, system::settings::VALUE];
            connection.append(table, text_batch(&columns, &stamp)?).await?;
        }
        return Ok(settings);
    }
    let mut stored = RequestedSettings::default();
    for row in rows {
        match row.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [ALGORITHM, name] => {
                let known = HashAlgorithm::ALL.into_iter().find(|a| a.name() == name);
                stored.hash_algorithm = Some(known.ok_or_else(|| Error::Setting {
                    setting: ALGORITHM,
                    value: name.to_owned(),
                    problem: "this version of metaxy does not know it",
                })?);
            }
            [LENGTH, length] => {
                let length = length.parse().map_err(|_| Error::Setting {
                    setting: LENGTH,
                    value: length.to_owned(),
                    problem: "it is no number",
                })?;
                stored.hash_truncation_length = Some(length);
            }
            _ => {}
        }
    }
    requested.check(stored.or_default(default))
}
