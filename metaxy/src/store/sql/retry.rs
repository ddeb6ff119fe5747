//! [`Tries`]: what is done again when it fails, how often and after how long.
//!
//! - **A call that reads** is made again as a whole, over another connection, if the server could not be
//!   reached, the connection broke or another transaction was in the way. As soon as it has given its
//!   first rows it is not: an error is then one of the stream.
//! - **A write** is made again if the server has taken it back because another transaction was in the
//!   way (a serialization failure, a deadlock, a lock that was not to be had): what is staged is still
//!   there. If its connection breaks it is not: nobody knows whether it was done, its staged rows are
//!   gone, and the server may still be at it. Whoever has the rows repeats it, with a token in order
//!   that nothing is appended twice.
//! - **A connection that cannot be made** is tried again by both: nothing was asked yet.
//!
//! There are four tries, with pauses of 0.2, 0.6 and 1.8 seconds: a server that restarts is back by then.
//! An error that comes after the last one is given as it is, and callers go on from there.

use super::connection::{Connection, Engine};
use crate::error::{Error, Result};
use std::time::Duration;

const TRIES: u32 = 4;
const PAUSE: Duration = Duration::from_millis(200);

/// The tries of one call.
pub(crate) struct Tries {
    is_worth_it: fn(&Error) -> bool,
    failed: u32,
}

impl Tries {
    /// Of something that changes nothing.
    pub(crate) fn to_read() -> Self {
        let is_worth_it =
            |error: &Error| matches!(error, Error::Unreachable { .. } | Error::Conflict { .. });
        Self { is_worth_it, failed: 0 }
    }

    /// Of something that changes what is stored.
    pub(crate) fn to_write() -> Self {
        Self { is_worth_it: |error| matches!(error, Error::Conflict { .. }), failed: 0 }
    }

    /// Makes a call until it is done, or not worth another try.
    pub(crate) async fn run<T, F>(mut self, call: impl Fn() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        loop {
            match call().await {
                Err(error) => self.after(error).await?,
                done => return done,
            }
        }
    }

    /// Waits until the next try; gives the error back if there is none.
    pub(crate) async fn after(&mut self, error: Error) -> Result<()> {
        self.failed += 1;
        if self.failed >= TRIES || !(self.is_worth_it)(&error) {
            return Err(error);
        }
        tracing::debug!(%error, failed = self.failed, "tried again");
        tokio::time::sleep(PAUSE * 3_u32.pow(self.failed - 1)).await;
        Ok(())
    }
}

/// A connection for a call that is not made again as a whole.
pub(super) async fn connect(engine: &dyn Engine) -> Result<Box<dyn Connection>> {
    Tries::to_read().run(|| engine.connect()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost() -> Error {
        Error::Unreachable { engine: "a database", message: "gone".to_owned() }
    }

    fn in_the_way() -> Error {
        Error::Conflict { engine: "a database", message: "a deadlock".to_owned() }
    }

    async fn n_tries(mut tries: Tries, error: fn() -> Error) -> u32 {
        let mut n = 1;
        while tries.after(error()).await.is_ok() {
            n += 1;
        }
        n
    }

    #[tokio::test]
    async fn only_what_is_safe_is_tried_again() {
        assert_eq!(n_tries(Tries::to_write(), lost).await, 1, "it may have been done");
        assert_eq!(n_tries(Tries::to_read(), || Error::ReadOnly).await, 1, "it will not go away");
        let began = std::time::Instant::now();
        let (read, write) =
            tokio::join!(n_tries(Tries::to_read(), lost), n_tries(Tries::to_write(), in_the_way));
        assert_eq!((read, write), (TRIES, TRIES));
        assert!(began.elapsed() >= PAUSE * 13, "it has waited longer each time");
    }
}
