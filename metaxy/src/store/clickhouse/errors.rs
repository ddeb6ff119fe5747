//! What ClickHouse and the way to it say, as errors of ours.

use crate::error::Error;
use metaxy_sql::Dialect;
use metaxy_sql::dialect::ClickHouse as Sql;

/// An error of the client.
pub(super) fn of(error: clickhouse::error::Error) -> Error {
    use clickhouse::error::Error as E;
    let message = match error {
        // The server has spoken.
        E::BadResponse(message) => message.trim_end().to_owned(),
        E::Network(problem) => return lost(&*problem),
        E::TimedOut => {
            return Error::Unreachable { engine: Sql.name(), message: "no answer in time".into() };
        }
        other => return database(other.to_string()),
    };
    match code(&message) {
        // No rows were changed by it: it may be repeated.
        // TOO_MANY_SIMULTANEOUS_QUERIES, SESSION_IS_LOCKED.
        Some(202 | 373) => Error::Unreachable { engine: Sql.name(), message },
        _ => database(message),
    }
}

/// The code of an error of the server: `Code: 60. DB::Exception: ..`.
pub(super) fn code(message: &str) -> Option<u32> {
    let rest = &message[message.find("Code: ")? + "Code: ".len()..];
    rest.split('.').next()?.parse().ok()
}

pub(super) fn database(message: impl Into<String>) -> Error {
    Error::Database { engine: Sql.name(), message: message.into() }
}

/// The server cannot be reached, or went away.
pub(super) fn lost(error: &dyn std::error::Error) -> Error {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        message += &format!(": {inner}");
        source = inner.source();
    }
    Error::Unreachable { engine: Sql.name(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_found() {
        assert_eq!(code("Code: 60. DB::Exception: Unknown table"), Some(60));
        assert_eq!(code("nothing"), None);
    }
}
