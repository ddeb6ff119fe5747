//! The store for scripts: every call and every stream of it, without `async`.
//!
//! There is no second interface to learn: [`wait`] takes what the async one returns, and [`iter`]
//! takes its streams.
//!
//! ```
//! use metaxy::blocking::{iter, wait};
//! use metaxy::prelude::*;
//!
//! #[derive(Feature)]
//! #[metaxy(key = "example/page")]
//! struct Page {
//!     #[metaxy(id)]
//!     url: String,
//!     #[metaxy(field)]
//!     text: DataVersion,
//! }
//!
//! # #[cfg(feature = "duckdb")]
//! # fn main() -> metaxy::Result<()> {
//! let graph = FeatureGraph::of::<Page>()?;
//! let store = wait(Store::open("duckdb::memory:").graph(graph).create_tables(true))?;
//! let page = Page { url: "https://example.org".into(), text: DataVersion::of("Hello") };
//! let report = wait(store.sync(vec![page]))?;
//! assert_eq!(report.counts.new, 1);
//! for page in iter(wait(store.read::<Page>().stream())?) {
//!     println!("{}", page?.url);
//! }
//! # Ok(()) }
//! # #[cfg(not(feature = "duckdb"))]
//! # fn main() {}
//! ```

use crate::error::{Error, Result};
use futures::{Stream, StreamExt};
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use tokio::runtime::{Builder, Handle, Runtime};

/// Runs something on the runtime of this module, which is made when it is first needed.
fn block_on<T>(future: impl Future<Output = T>) -> Result<T> {
    static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);
    if Handle::try_current().is_ok() {
        return Err(Error::BlockingInsideRuntime);
    }
    let handle = {
        let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
        if runtime.is_none() {
            let made = Builder::new_multi_thread().worker_threads(1).enable_all().build();
            *runtime = Some(made.map_err(|error| Error::Runtime { source: error })?);
        }
        runtime.as_ref().map(|runtime| runtime.handle().clone())
    };
    let handle = handle.ok_or_else(|| Error::internal("a runtime was made and is gone"))?;
    Ok(handle.block_on(future))
}

/// Waits for a call: opening a store, a sync, a resolve, a push, a commit, a read.
///
/// # Errors
/// What the call gives, and [`Error::BlockingInsideRuntime`] inside an async runtime.
pub fn wait<T, C>(call: C) -> Result<T>
where
    C: IntoFuture<Output = Result<T>>,
{
    block_on(call.into_future())?
}

/// The items of a stream: jobs, batches, records.
///
/// Inside an async runtime the only item is [`Error::BlockingInsideRuntime`].
pub fn iter<T, S>(stream: S) -> impl Iterator<Item = Result<T>>
where
    S: Stream<Item = Result<T>> + Unpin,
{
    let mut stream = Some(stream);
    std::iter::from_fn(move || {
        let next = block_on(async { pin!(stream.as_mut()?).next().await });
        match next {
            Ok(item) => item,
            Err(error) => {
                stream.take()?;
                Some(Err(error))
            }
        }
    })
}
