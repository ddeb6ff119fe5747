//! What Postgres and the way to it say, as errors of ours.

use crate::error::Error;
use metaxy_sql::Dialect;
use metaxy_sql::dialect::Postgres as Sql;

/// An error of the driver.
pub(super) fn of(error: sqlx::Error) -> Error {
    let engine = Sql.name();
    match error {
        sqlx::Error::Database(said) => {
            let code = said.code().unwrap_or_default().into_owned();
            let message = said.message().to_owned();
            of_code(&code, message)
        }
        sqlx::Error::Io(problem) => Error::Unreachable { engine, message: problem.to_string() },
        sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            Error::Unreachable { engine, message: error.to_string() }
        }
        other => database(other.to_string()),
    }
}

/// What the server says with a code: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
fn of_code(code: &str, message: String) -> Error {
    let engine = Sql.name();
    match code {
        // Serialization failure, deadlock, lock not available.
        "40001" | "40P01" | "55P03" => Error::Conflict { engine, message },
        // Shut down, crashed, starting; too many connections; and all about connections.
        "57P01" | "57P02" | "57P03" | "53300" => Error::Unreachable { engine, message },
        _ if code.starts_with("08") => Error::Unreachable { engine, message },
        // Canceled: by a timeout or by somebody.
        "57014" if message.contains("statement timeout") => database(format!(
            "{message}; nothing was changed: repeat the call with a longer `statement_timeout`, or \
             with fewer records"
        )),
        // Disk full.
        "53100" => database(format!(
            "{message}; nothing was changed: make room on the server, and repeat the call"
        )),
        // A limit of the program: of all that we ask for, an index has the only one that data can reach.
        "54000" if message.contains("index row") => database(format!(
            "{message}; nothing was changed: the ids of a record are kept in an index, which takes about \
             2,700 bytes; give the feature shorter ids, a hash of them for instance, and keep the long \
             text as a column"
        )),
        // No schema.
        "3F000" => database(format!(
            "{message}; make the schema with `CREATE SCHEMA`, or name another one with `?schema=`"
        )),
        _ => database(message),
    }
}

/// A pool that has waited in vain for one of its connections to come back. To wait once more would take as
/// long.
pub(super) fn all_in_use(max_connections: u32) -> Error {
    database(format!(
        "all {max_connections} connections of the pool are in use, and none came back in time; end \
         streams that are not read and writers that are not committed, or open the store with \
         `Store::from_pool` over a pool with more `max_connections`"
    ))
}

pub(super) fn database(message: impl Into<String>) -> Error {
    Error::Database { engine: Sql.name(), message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(code: &str, message: &str) -> Error {
        of_code(code, message.to_owned())
    }

    #[test]
    fn what_the_server_took_back_is_done_again() {
        for code in ["40001", "40P01", "55P03"] {
            let error = said(code, "somebody was in the way");
            assert!(matches!(error, Error::Conflict { .. }), "{code}: {error:?}");
        }
    }

    #[test]
    fn a_server_that_goes_away_is_out_of_reach() {
        for code in ["57P01", "57P02", "57P03", "53300", "08006"] {
            let error = said(code, "going away");
            assert!(matches!(error, Error::Unreachable { .. }), "{code}: {error:?}");
        }
    }

    #[test]
    fn what_does_not_go_away_by_itself_says_what_to_do() {
        for (code, message, advice) in [
            (
                "57014",
                "canceling statement due to statement timeout",
                "a longer `statement_timeout`",
            ),
            ("53100", "could not extend file", "make room on the server"),
            ("54000", "index row size 9 exceeds btree version 4 maximum 2704", "shorter ids"),
            ("3F000", "no schema has been selected to create in", "make the schema"),
        ] {
            let error = said(code, message);
            assert!(matches!(error, Error::Database { .. }), "{code}: {error:?}");
            assert!(!error.is_transient(), "{code}: {error:?}");
            let text = error.to_string();
            assert!(text.contains(message) && text.contains(advice), "{code}: {text}");
        }
        // Somebody has canceled it, who knows why.
        let by_hand = said("57014", "canceling statement due to user request");
        assert!(!by_hand.to_string().contains("statement_timeout"), "{by_hand}");
    }
}
