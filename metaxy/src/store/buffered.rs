//! [`BufferedWriter`]: one writer for many small producers.
//!
//! Producers push from wherever they run; one task stages what they push and commits it by number of
//! rows or by time. Nobody is told that all is well when it is not: a commit that fails is told to
//! everybody who pushes, flushes or closes from then on.

use crate::awaited::awaited;
use crate::error::{Error, Result};
use crate::key::FeatureKey;
use crate::store::Store;
use crate::store::writer::{BatchWriter, Committed};
use arrow::array::RecordBatch;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// A buffered writer that has not begun; `.await` it.
#[must_use = "a writer begins with `.await`"]
#[derive(Debug)]
pub struct Buffered {
    writer: BatchWriter,
    store: Store,
    key: FeatureKey,
    rows: u64,
    every: Duration,
    queue: usize,
}

impl Buffered {
    pub(crate) fn new(store: Store, key: FeatureKey) -> Self {
        let writer = store.batch_writer(&key);
        Self { writer, store, key, rows: 10_000, every: Duration::from_secs(10), queue: 64 }
    }

    /// Commits whenever so many rows wait; 10,000 unless told otherwise.
    pub fn rows(mut self, rows: u64) -> Self {
        self.rows = rows.max(1);
        self
    }

    /// Commits whenever rows have waited so long; 10 seconds unless told otherwise.
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// How many batches may wait for the task; a producer that comes then waits itself. 64 unless told
    /// otherwise.
    pub fn queue(mut self, batches: usize) -> Self {
        self.queue = batches.max(1);
        self
    }

    /// A name for the run, kept with every row.
    pub fn materialization_id(mut self, id: impl Into<String>) -> Self {
        self.writer = self.writer.materialization_id(id);
        self
    }

    async fn run(self) -> Result<BufferedWriter> {
        self.store.feature(&self.key)?;
        let (sender, receiver) = mpsc::channel(self.queue);
        let failure = Arc::new(OnceLock::new());
        let task = Task {
            key: self.key.clone(),
            writer: self.writer,
            receiver,
            rows: self.rows,
            every: self.every,
            waiting: 0,
            failure: Arc::clone(&failure),
        };
        tokio::spawn(task.run());
        Ok(BufferedWriter { key: self.key, sender, failure })
    }
}

awaited!(Buffered => BufferedWriter);

/// What went wrong, for everybody: how many rows are not in the store, and why.
type Failure = Arc<OnceLock<(u64, Arc<Error>)>>;

/// A handle of a writer that many tasks share; a clone is another handle of the same writer.
///
/// When the last one is dropped, what is there is committed; whether that worked is only logged, so
/// [`close`](Self::close) it.
#[derive(Clone, Debug)]
pub struct BufferedWriter {
    key: FeatureKey,
    sender: mpsc::Sender<Message>,
    failure: Failure,
}

#[derive(Debug)]
enum Message {
    Rows(RecordBatch, oneshot::Sender<Result<()>>),
    Seals(RecordBatch, oneshot::Sender<Result<()>>),
    Commit { close: bool, reply: oneshot::Sender<Result<Committed>> },
}

impl BufferedWriter {
    /// Takes rows, as [`BatchWriter::push`] does; they are committed with the next commit.
    ///
    /// # Errors
    /// When a row is refused, which is this caller's error alone: the others' rows stay. When a commit
    /// has failed, or the writer was closed.
    pub async fn push(&self, rows: RecordBatch) -> Result<()> {
        self.ask(|reply| Message::Rows(rows, reply)).await
    }

    /// Takes seals of an expansion, as [`BatchWriter::seal`] does.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub async fn seal(&self, parents: RecordBatch) -> Result<()> {
        self.ask(|reply| Message::Seals(parents, reply)).await
    }

    /// Commits what was pushed, by anybody, and says what was written in all.
    ///
    /// # Errors
    /// When the commit fails or an earlier one has failed, or the writer was closed.
    pub async fn flush(&self) -> Result<Committed> {
        self.ask(|reply| Message::Commit { close: false, reply }).await
    }

    /// Commits what was pushed, by anybody, and ends the writer for everybody.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn close(self) -> Result<Committed> {
        self.ask(|reply| Message::Commit { close: true, reply }).await
    }

    async fn ask<T>(
        &self,
        message: impl FnOnce(oneshot::Sender<Result<T>>) -> Message,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        if self.sender.send(message(reply)).await.is_ok()
            && let Ok(answer) = answer.await
        {
            return answer;
        }
        Err(failed(&self.key, &self.failure)
            .unwrap_or_else(|| Error::WriterClosed { feature: self.key.clone() }))
    }
}

fn failed(key: &FeatureKey, failure: &Failure) -> Option<Error> {
    failure.get().map(|(rows, source)| Error::Buffered {
        feature: key.clone(),
        rows: *rows,
        source: Arc::clone(source),
    })
}

struct Task {
    key: FeatureKey,
    writer: BatchWriter,
    receiver: mpsc::Receiver<Message>,
    rows: u64,
    every: Duration,
    /// Rows and seals that are not committed.
    waiting: u64,
    failure: Failure,
}

impl Task {
    async fn run(mut self) {
        let mut deadline: Option<Instant> = None;
        loop {
            let message = match deadline.filter(|_| self.waiting > 0) {
                None => self.receiver.recv().await,
                Some(at) => match timeout_at(at, self.receiver.recv()).await {
                    Ok(message) => message,
                    Err(_) => {
                        // Whoever comes next is told if it fails.
                        let _ = self.commit().await;
                        continue;
                    }
                },
            };
            // Nobody is there to be told if an answer cannot be sent.
            match message {
                None => break,
                Some(Message::Commit { close, reply }) => {
                    let committed = self.commit().await;
                    let _ = reply.send(committed);
                    if close {
                        return;
                    }
                }
                Some(Message::Rows(rows, reply)) => {
                    let n = rows.num_rows();
                    let taken = match failed(&self.key, &self.failure) {
                        Some(error) => Err(error),
                        None => self.writer.push(&rows).await,
                    };
                    self.answer(taken, n, &mut deadline, reply).await;
                }
                Some(Message::Seals(parents, reply)) => {
                    let n = parents.num_rows();
                    let taken = match failed(&self.key, &self.failure) {
                        Some(error) => Err(error),
                        None => self.writer.seal(&parents).await,
                    };
                    self.answer(taken, n, &mut deadline, reply).await;
                }
            }
        }
        if let Err(error) = self.commit().await {
            let error: &dyn std::error::Error = &error;
            tracing::error!(feature = %self.key, error, "rows of a buffered writer were not written");
        }
    }

    async fn answer(
        &mut self,
        taken: Result<()>,
        rows: usize,
        deadline: &mut Option<Instant>,
        reply: oneshot::Sender<Result<()>>,
    ) {
        let taken = match taken {
            Ok(()) => {
                if self.waiting == 0 {
                    *deadline = Some(Instant::now() + self.every);
                }
                self.waiting += u64::try_from(rows).unwrap_or(u64::MAX);
                if self.waiting >= self.rows { self.commit().await.map(drop) } else { Ok(()) }
            }
            // What was wrong with these rows is no matter of the others.
            Err(
                error @ (Error::Write { .. } | Error::CannotKeep { .. } | Error::Buffered { .. }),
            ) => Err(error),
            Err(error) => Err(self.fail(error)),
        };
        let _ = reply.send(taken);
    }

    async fn commit(&mut self) -> Result<Committed> {
        if let Some(error) = failed(&self.key, &self.failure) {
            return Err(error);
        }
        match self.writer.commit().await {
            Ok(committed) => {
                self.waiting = 0;
                Ok(committed)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Nothing can be written from now on: what waits is lost, and everybody is told.
    fn fail(&mut self, error: Error) -> Error {
        let waiting = std::mem::take(&mut self.waiting);
        let (rows, source) = self.failure.get_or_init(|| (waiting, Arc::new(error)));
        Error::Buffered { feature: self.key.clone(), rows: *rows, source: Arc::clone(source) }
    }
}
