//! What ClickHouse and the way to it say, as errors of ours.

use crate::error::Error;

/// What messages call it.
pub(super) const NAME: &str = "ClickHouse";

/// An error of the client.
pub(super) fn of(error: clickhouse::error::Error) -> Error {
    use clickhouse::error::Error as E;
    let message = match error {
        // The server has spoken.
        E::BadResponse(message) => message.trim_end().to_owned(),
        E::Network(problem) => return lost(&*problem),
        E::TimedOut => {
            return Error::Unreachable { engine: NAME, message: "no answer in time".into() };
        }
        other => return database(other.to_string()),
    };
    match code(&message) {
        // No rows were changed by it: it may be repeated.
        // TOO_MANY_SIMULTANEOUS_QUERIES, SESSION_IS_LOCKED.
        Some(202 | 373) => Error::Unreachable { engine: NAME, message },
        // UNKNOWN_TABLE, one that only a session has.
        Some(60) if message.contains('@') => database(
            "the server has forgotten the rows that were staged: it keeps them for an hour after the \
             last of them, and not over a restart; none of them was written: begin a new write, and \
             commit more often",
        ),
        // TIMEOUT_EXCEEDED.
        Some(159) => database(format!(
            "{message}; no row of this statement is there: repeat the call with a larger \
             `max_execution_time`, or with fewer records"
        )),
        // NOT_ENOUGH_SPACE, and what comes of a disk that is full in the middle of something.
        Some(243) => no_space(&message),
        _ if message.contains("No space left on device") => no_space(&message),
        _ => database(message),
    }
}

/// The code of an error of the server: `Code: 60. DB::Exception: ..`.
pub(super) fn code(message: &str) -> Option<u32> {
    let rest = &message[message.find("Code: ")? + "Code: ".len()..];
    rest.split('.').next()?.parse().ok()
}

fn no_space(message: &str) -> Error {
    database(format!(
        "{message}; no row of this statement is there: make room on the server, and repeat the call"
    ))
}

pub(super) fn database(message: impl Into<String>) -> Error {
    Error::Database { engine: NAME, message: message.into() }
}

/// The server cannot be reached, or went away.
pub(super) fn lost(error: &dyn std::error::Error) -> Error {
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        message += &format!(": {inner}");
        source = inner.source();
    }
    Error::Unreachable { engine: NAME, message }
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
