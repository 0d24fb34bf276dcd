//! `create_exact` under contention and under faults, the probe, uploads.

use super::*;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().to_str().unwrap(), true).unwrap();
    (dir, store)
}

#[tokio::test]
async fn of_many_creators_one_wins() {
    let (_dir, store) = store();
    let path = Path::from("commits/x.json");
    let tasks: Vec<_> = (0..8)
        .map(|i| {
            let (store, path) = (store.clone(), path.clone());
            tokio::spawn(async move { store.create_exact(&path, &Bytes::from(format!("attempt {i}"))).await.unwrap() })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += u32::from(task.await.unwrap() == Created::Won);
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn the_same_bytes_again_are_won_again() {
    let (_dir, store) = store();
    let (path, bytes) = (Path::from("a/b"), Bytes::from_static(b"uuid 1"));
    assert_eq!(store.create_exact(&path, &bytes).await.unwrap(), Created::Won);
    assert_eq!(store.create_exact(&path, &bytes).await.unwrap(), Created::Won);
    let other = Bytes::from_static(b"uuid 2");
    assert_eq!(store.create_exact(&path, &other).await.unwrap(), Created::Lost(bytes));
}

#[tokio::test]
async fn a_folder_passes_the_probe_and_keeps_nothing_of_it() {
    let (dir, store) = store();
    store.require_promises().await.unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn an_uploaded_file_is_never_overwritten() {
    let (dir, store) = store();
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("x.tif");
    std::fs::write(&file, b"one").unwrap();
    let path = Path::from("cogs/c/20260101/x.tif");
    store.upload_file(&file, &path, || ()).await.unwrap();
    std::fs::write(scratch.path().join("y.tif"), b"two").unwrap();
    assert!(store.upload_file(&scratch.path().join("y.tif"), &path, || ()).await.is_err());
    assert_eq!(std::fs::read(dir.path().join("cogs/c/20260101/x.tif")).unwrap(), b"one");
}

#[test]
fn a_store_that_is_not_there_is_said() {
    let error = ReadStore::open("/nowhere/at/all").unwrap_err().to_string();
    assert!(error.contains("no such folder"), "{error}");
    assert!(Store::open("ftp://x/y", true).unwrap_err().to_string().contains("ftp://"));
}

/// An in-memory store whose every write may fail before it happens, or happen and lose its answer.
#[derive(Debug)]
struct FaultyStore {
    inner: object_store::memory::InMemory,
    seed: std::sync::atomic::AtomicU64,
}

impl std::fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("faulty store")
    }
}

impl FaultyStore {
    /// 0 to 2, by a linear congruential sequence: the same seed gives the same faults.
    fn fate(&self) -> u64 {
        use std::sync::atomic::Ordering::SeqCst;
        let step = |seed: u64| seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let seed = self.seed.fetch_update(SeqCst, SeqCst, |seed| Some(step(seed))).unwrap();
        (seed >> 33) % 3
    }

    fn lost() -> object_store::Error {
        object_store::Error::Generic { store: "faulty", source: "the answer was lost".into() }
    }
}

#[async_trait::async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<object_store::PutResult> {
        match self.fate() {
            0 => Err(Self::lost()),
            1 => {
                let _ = self.inner.put_opts(location, payload, options).await;
                Err(Self::lost())
            }
            _ => self.inner.put_opts(location, payload, options).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: object_store::PutMultipartOptions,
    ) -> object_store::Result<Box<dyn object_store::MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<object_store::GetResult> {
        if self.fate() == 0 { Err(Self::lost()) } else { self.inner.get_opts(location, options).await }
    }

    fn delete_stream(
        &self,
        locations: futures::stream::BoxStream<'static, object_store::Result<Path>>,
    ) -> futures::stream::BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> futures::stream::BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<object_store::ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: object_store::CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[tokio::test(start_paused = true)]
async fn lost_answers_never_make_two_winners_nor_none() {
    for seed in 0..300 {
        let inner = FaultyStore { inner: object_store::memory::InMemory::new(), seed: seed.into() };
        let store = Store::from_object_store(Arc::new(inner), "faulty");
        let path = Path::from("commits/1.json");
        let mut winners = Vec::new();
        for writer in 0..3 {
            let bytes = Bytes::from(format!("by {writer}"));
            // Undecided: the same bytes again, as a committer does.
            let created = loop {
                if let Ok(created) = store.create_exact(&path, &bytes).await {
                    break created;
                }
            };
            match created {
                Created::Won => winners.push(bytes),
                Created::Lost(theirs) => assert!(winners.contains(&theirs), "seed {seed}"),
            }
        }
        assert_eq!(winners, ["by 0"], "seed {seed}");
    }
}
