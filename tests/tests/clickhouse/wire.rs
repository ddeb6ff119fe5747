//! What crosses the wire: the increment, and nothing else of what is stored.

use metaxy::prelude::*;
use metaxy_tests::databases::Database;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use url::Url;

#[derive(Clone, Debug, Feature)]
#[metaxy(key = "wire/video")]
pub(crate) struct Video {
    #[metaxy(id)]
    pub(crate) id: u32,
    pub(crate) path: String,
    #[metaxy(field)]
    pub(crate) frames: DataVersion,
}

#[derive(Clone, Debug, Feature)]
#[metaxy(key = "wire/crop", deps(Video))]
pub(crate) struct Crop {
    #[metaxy(id)]
    pub(crate) id: u32,
    #[metaxy(field)]
    pub(crate) frames: DataVersion,
}

#[derive(Row)]
pub(crate) struct Source {
    pub(crate) id: u32,
}

pub(crate) fn graph() -> FeatureGraph {
    FeatureGraph::of::<Crop>().expect("a graph")
}

pub(crate) fn videos(ids: std::ops::Range<u32>, version: &str) -> Vec<Video> {
    let video = |id| Video {
        id,
        path: format!("s3://bucket/some/longer/path/{id:08}.mp4"),
        frames: DataVersion::new(version),
    };
    ids.map(video).collect()
}

/// Computes all crops that are new or stale; how many were appended.
pub(crate) async fn compute(store: &Store) -> metaxy::Result<u64> {
    let mut jobs = store.resolve_update::<Crop>().await?.jobs::<Source>();
    let mut out = store.writer::<Crop>();
    while let Some(job) = jobs.try_next().await? {
        let crop = Crop { id: job.input().id, frames: DataVersion::default() };
        out.push(job.done(crop)?).await?;
    }
    Ok(out.commit().await?.rows)
}

/// A way to a server that counts the bytes that come back, and that can be cut.
pub(crate) struct Way {
    pub(crate) url: String,
    came: Arc<AtomicU64>,
    /// How many bytes may have come back before no more do.
    end: Arc<AtomicU64>,
    /// What carries bytes, both ways of every connection.
    carriers: Arc<Mutex<Vec<AbortHandle>>>,
}

impl Way {
    pub(crate) async fn to(url: &str) -> Self {
        let mut url = Url::parse(url).expect("an address");
        let server = (url.host_str().expect("a host").to_owned(), url.port().unwrap_or(8123));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        url.set_host(Some("127.0.0.1")).expect("a host");
        url.set_port(Some(listener.local_addr().expect("an address").port())).expect("a port");
        let came = Arc::new(AtomicU64::new(0));
        let end = Arc::new(AtomicU64::new(u64::MAX));
        let (count, limit) = (Arc::clone(&came), Arc::clone(&end));
        let carriers = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&carriers);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(server.clone()).await else { continue };
                let ((mut from_near, mut to_near), (mut from_far, mut to_far)) =
                    (near.into_split(), far.into_split());
                let there =
                    tokio::spawn(async move { tokio::io::copy(&mut from_near, &mut to_far).await });
                let (count, limit) = (Arc::clone(&count), Arc::clone(&limit));
                let back = tokio::spawn(async move {
                    let mut bytes = vec![0; 65_536];
                    while let Ok(n @ 1..) = from_far.read(&mut bytes).await {
                        let came = count.fetch_add(n as u64, Ordering::Relaxed) + n as u64;
                        if came > limit.load(Ordering::Relaxed) {
                            std::future::pending::<()>().await;
                        }
                        if to_near.write_all(&bytes[..n]).await.is_err() {
                            break;
                        }
                    }
                });
                let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                all.extend([there.abort_handle(), back.abort_handle()]);
            }
        });
        Self { url: url.into(), came, end, carriers }
    }

    /// Lets no more than so many bytes come back until it is cut, so that what is longer is on its way
    /// then, however much a socket holds.
    pub(crate) fn hold_after(&self, bytes: u64) {
        self.end.store(self.came() + bytes, Ordering::Relaxed);
    }

    /// Ends all connections, on both sides; new ones can be made.
    pub(crate) fn cut(&self) {
        self.end.store(u64::MAX, Ordering::Relaxed);
        let mut carriers = self.carriers.lock().unwrap_or_else(PoisonError::into_inner);
        carriers.drain(..).for_each(|carrier| carrier.abort());
    }

    pub(crate) fn came(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn only_a_small_increment_over_many_records_leaves_the_server() {
    const MANY: u32 = 100_000;
    let database = Database::clickhouse().await;
    let way = Way::to(&database.url()).await;
    let store = Store::open(&way.url).graph(graph()).create_tables(true).await.expect("a store");
    store.sync(videos(0..MANY, "1")).await.expect("a sync");
    assert_eq!(compute(&store).await.expect("crops"), u64::from(MANY));
    let all = way.came();
    assert!(all > 1_000_000, "{all} bytes are not {MANY} records");

    store.sync(videos(50..60, "2")).partial(true).await.expect("a sync");
    let before = way.came();
    let mut jobs = store.resolve_update::<Crop>().await.expect("an increment").jobs::<Source>();
    let mut n = 0;
    while let Some(job) = jobs.try_next().await.expect("a job") {
        assert!((50..60).contains(&job.input().id));
        drop(job.failed("only looked at"));
        n += 1;
    }
    let came = way.came() - before;
    assert_eq!(n, 10);
    assert!(came < 30_000, "{came} bytes for ten records");
}
