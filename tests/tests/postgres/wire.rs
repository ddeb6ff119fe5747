//! Only the increment leaves the server.

use super::{Crop, compute, open, open_at, videos};
use metaxy_tests::databases::Database;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

/// A way to the server that counts what comes back; its address.
async fn counting(url: &str, bytes: Arc<AtomicU64>) -> String {
    let mut url = url::Url::parse(url).expect("an address");
    let socket =
        url.query_pairs().find(|(name, _)| name == "host").map(|(_, dir)| dir.into_owned());
    let (host, port) = (url.host_str().unwrap_or_default().to_owned(), url.port().unwrap_or(5432));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let here = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let bytes = Arc::clone(&bytes);
            match &socket {
                Some(folder) => {
                    let path = format!("{folder}/.s.PGSQL.{port}");
                    let server = UnixStream::connect(path).await.expect("the server");
                    tokio::spawn(pass(client, server, bytes));
                }
                None => {
                    let server = TcpStream::connect((host.as_str(), port)).await;
                    tokio::spawn(pass(client, server.expect("the server"), bytes));
                }
            }
        }
    });
    let theirs: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != "host")
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let user = theirs.iter().find(|(name, _)| name == "user").map(|(_, user)| user.clone());
    url.set_host(Some("127.0.0.1")).expect("a host");
    url.set_port(Some(here)).expect("a port");
    if let Some(user) = user {
        url.set_username(&user).expect("a user");
    }
    url.set_query(Some("sslmode=disable"));
    url.into()
}

async fn pass<S>(client: TcpStream, server: S, bytes: Arc<AtomicU64>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + 'static,
{
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    tokio::spawn(async move {
        let _ = tokio::io::copy(&mut from_client, &mut to_server).await;
        let _ = to_server.shutdown().await;
    });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(n @ 1..) = from_server.read(&mut buffer).await {
        bytes.fetch_add(n as u64, Ordering::Relaxed);
        if to_client.write_all(&buffer[..n]).await.is_err() {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_increment_over_many_records_is_few_bytes() {
    const RECORDS: u32 = 100_000;
    let database = Database::postgres().await;
    let direct = open(&database).await;
    direct.sync(videos(RECORDS, "1")).await.expect("a sync");
    assert_eq!(compute(&direct).await.expect("crops"), u64::from(RECORDS));
    direct.sync(videos(10, "2")).partial(true).await.expect("a sync");

    let bytes = Arc::new(AtomicU64::new(0));
    let store = open_at(&counting(&database.url(), Arc::clone(&bytes)).await).await;
    let increment = store.resolve_update::<Crop>().await.expect("an increment");
    assert_eq!((increment.counts().stale, increment.counts().unchanged), (10, 99_990));
    assert_eq!(compute(&store).await.expect("crops"), 10);
    let first = bytes.load(Ordering::Relaxed);
    assert!((1_000..64_000).contains(&first), "{first} bytes");
    // Counts alone are a handful of numbers.
    assert_eq!(store.count_update::<Crop>().await.expect("counts").unchanged, 100_000);
    let counts = bytes.load(Ordering::Relaxed) - first;
    assert!(counts < 8_000, "{counts} bytes");
}
