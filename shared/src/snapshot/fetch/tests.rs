//! What is moved, and what is left, when some of what a snapshot is made of is bad, gone, or cannot be had now.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use object_store::memory::InMemory;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult,
};

use super::*;
use crate::snapshot::delta::Pages;
use crate::snapshot::{Draft, Published, publish_draft};
use crate::store::Store;

/// A store in memory that tells what was read of it, and may be away.
#[derive(Debug, Default)]
struct Watched {
    inner: InMemory,
    read: Mutex<Vec<Path>>,
    is_away: AtomicBool,
}

impl std::fmt::Display for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("watched store")
    }
}

type Stream<T> = futures::stream::BoxStream<'static, object_store::Result<T>>;

#[async_trait::async_trait]
impl ObjectStore for Watched {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.inner.put_opts(at, bytes, options).await
    }

    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(at, options).await
    }

    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        if self.is_away.load(Ordering::Relaxed) {
            return Err(object_store::Error::Generic { store: "watched", source: "it is away".into() });
        }
        self.read.lock().unwrap().push(at.clone());
        self.inner.get_opts(at, options).await
    }

    fn delete_stream(&self, paths: Stream<Path>) -> Stream<Path> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> Stream<ObjectMeta> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

struct World {
    dir: tempfile::TempDir,
    watched: Arc<Watched>,
    store: Store,
    manifests: Vec<Manifest>,
}

impl World {
    /// Snapshots 1 to `last`: the first is there as a whole, the others as steps.
    async fn of(last: u64) -> Self {
        let watched = Arc::new(Watched::default());
        let store = Store::from_object_store(Arc::clone(&watched) as Arc<dyn ObjectStore>, "watched");
        let mut world = Self { dir: tempfile::tempdir().unwrap(), watched, store, manifests: Vec::new() };
        for n in 1..=last {
            world.publish(n).await;
        }
        world.read();
        world
    }

    /// A file of many pages of which each snapshot changes one.
    fn bytes(n: u64) -> Vec<u8> {
        let page = |i: u64| if i <= n { i * 7 + 1 } else { 0 };
        (0..64).flat_map(|i| vec![page(i) as u8; 4096]).collect()
    }

    async fn publish(&mut self, n: u64) {
        let (file, delta) = (self.dir.path().join(format!("{n}")), self.dir.path().join(format!("{n}.delta")));
        std::fs::write(&file, Self::bytes(n)).unwrap();
        let _ = std::fs::remove_file(&delta);
        let name = SnapshotName::new(n);
        let before = self.manifests.last().cloned();
        let pages = before.as_ref().map(|before| Pages::of(&self.dir.path().join(before.n.to_string())).unwrap());
        let of = pages.as_ref().zip(before.as_ref()).map(|(pages, before)| (pages, before.name));
        let compared = delta::make(&file, of, name, &delta).unwrap();
        let draft = Draft {
            name,
            format: 1,
            datasets: 0,
            at_ms: 0,
            bytes: compared.bytes,
            sha256: compared.sha256,
            whole: before.is_none().then_some(file),
            step: before.map(|before| (before, delta, compared.delta_bytes)),
            seen: n - 1,
        };
        let Published::Won(manifest) = publish_draft(&self.store, draft).await.unwrap() else {
            unreachable!("nobody else publishes")
        };
        self.manifests.push(*manifest);
    }

    fn manifest(&self, n: u64) -> &Manifest {
        &self.manifests[n as usize - 1]
    }

    fn fetcher(&self) -> Fetcher {
        Fetcher::new(self.store.read_only(), self.dir.path().join("cache"))
    }

    async fn fetch(&self, fetcher: &Fetcher, n: u64) -> Result<(), SnapshotError> {
        let file = fetcher.fetch(self.manifest(n)).await?;
        assert!(std::fs::read(file).unwrap() == Self::bytes(n));
        Ok(())
    }

    async fn flip(&self, path: &Path) {
        let mut bytes = self.store.get(path).await.unwrap().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.store.overwrite(path, bytes.into()).await.unwrap();
        self.read();
    }

    /// Where the step to n is.
    fn step(&self, n: u64) -> Path {
        self.manifest(n).steps.last().unwrap().name.path()
    }

    /// How many wholes and steps were read since this was asked last.
    fn read(&self) -> (usize, usize) {
        let read = std::mem::take(&mut *self.watched.read.lock().unwrap());
        let of = |end: &str| read.iter().filter(|path| path.as_ref().ends_with(end)).count();
        (of(".sqlite"), of(".delta"))
    }

    fn cached(&self) -> Vec<String> {
        let mut names = names_in(&self.dir.path().join("cache"));
        names.retain(|name| !name.ends_with(NOTE));
        names
    }
}

#[tokio::test]
async fn a_bad_step_is_read_once_and_moves_no_whole_file() {
    let world = World::of(6).await;
    let fetcher = world.fetcher();
    world.flip(&world.step(4)).await;
    for n in [6, 5, 4] {
        assert!(world.fetch(&fetcher, n).await.unwrap_err().is_rot());
    }
    assert_eq!(world.read(), (0, 3), "the steps to the bad one");
    assert!(world.cached().is_empty(), "{:?}", world.cached());
    let (sound, rotten) = fetcher.newest_sound().await.unwrap();
    assert_eq!((sound.unwrap().0.n, rotten.len()), (3, 3));
    assert_eq!(world.read(), (1, 2));
    // Who has what comes after it is not concerned.
    let served = world.dir.path().join("cache").join(cache_name(&world.manifest(4).name.path()));
    std::fs::write(&served, World::bytes(4)).unwrap();
    std::fs::write(note_name(served.to_str().unwrap()), "").unwrap();
    world.fetch(&fetcher, 6).await.unwrap();
    assert_eq!(world.read(), (0, 2));
}

#[tokio::test]
async fn a_bad_whole_file_is_moved_once() {
    let world = World::of(5).await;
    let fetcher = world.fetcher();
    world.flip(&world.manifest(1).name.path()).await;
    let (sound, rotten) = fetcher.newest_sound().await.unwrap();
    assert_eq!((sound, rotten.len()), (None, 5));
    assert!(rotten[0].1.to_string().contains("which it rests on"), "{}", rotten[0].1);
    assert_eq!(world.read().0, 1);
    assert!(world.cached().is_empty(), "{:?}", world.cached());
}

#[tokio::test]
async fn what_is_gone_is_rot_and_what_is_away_is_not() {
    let world = World::of(3).await;
    let fetcher = world.fetcher();
    world.watched.is_away.store(true, Ordering::Relaxed);
    assert!(!world.fetch(&fetcher, 3).await.unwrap_err().is_rot());
    world.watched.is_away.store(false, Ordering::Relaxed);
    world.fetch(&fetcher, 3).await.unwrap();
    let other = Fetcher::new(world.store.read_only(), world.dir.path().join("other"));
    world.store.delete(&world.step(2)).await.unwrap();
    assert!(world.fetch(&other, 3).await.unwrap_err().is_rot());
    world.read();
    assert!(world.fetch(&other, 2).await.unwrap_err().is_rot());
    assert_eq!(world.read(), (0, 0), "it is not asked for again");
}

#[tokio::test]
async fn a_base_that_this_machine_cannot_read_costs_a_whole_file_and_no_more() {
    let world = World::of(3).await;
    let fetcher = world.fetcher();
    world.fetch(&fetcher, 2).await.unwrap();
    let served = world.dir.path().join("cache").join(cache_name(&world.manifest(2).name.path()));
    std::fs::remove_file(&served).unwrap();
    std::fs::create_dir(&served).unwrap();
    world.read();
    world.fetch(&fetcher, 3).await.unwrap();
    assert_eq!(world.read().0, 1);
    std::fs::remove_dir(&served).unwrap();
    fetcher.keep_only(world.manifest(3).name).await;
    // What lies there is not what was verified: it is made anew.
    let served = world.dir.path().join("cache").join(cache_name(&world.manifest(3).name.path()));
    std::fs::write(&served, vec![1; World::bytes(3).len()]).unwrap();
    world.fetch(&fetcher, 3).await.unwrap();
}

#[tokio::test]
async fn steps_start_only_from_the_publication_they_were_made_from() {
    let mut world = World::of(2).await;
    let fetcher = world.fetcher();
    world.fetch(&fetcher, 2).await.unwrap();
    // A repair has taken the second away, and another took its number.
    world.manifests.pop();
    world.store.delete(&layout::manifest(2)).await.unwrap();
    world.publish(2).await;
    world.publish(3).await;
    world.read();
    world.fetch(&fetcher, 3).await.unwrap();
    assert_eq!(world.read(), (1, 2), "nothing is tried that cannot come out right");
}

#[tokio::test]
async fn a_manifest_that_promises_another_length_is_refused_before_a_whole_file_is_moved() {
    let mut world = World::of(2).await;
    world.manifests[1].bytes += 4096;
    let error = world.fetch(&world.fetcher(), 2).await.unwrap_err();
    assert!(error.is_rot() && error.to_string().contains("its manifest says"), "{error}");
    assert_eq!(world.read(), (0, 1));
}

#[tokio::test]
async fn only_one_file_is_kept() {
    let world = World::of(3).await;
    let fetcher = world.fetcher();
    for n in [1, 2, 3] {
        world.fetch(&fetcher, n).await.unwrap();
    }
    std::fs::write(world.dir.path().join("cache/snapshots-x.sqlite.part"), "cut short").unwrap();
    std::fs::write(world.dir.path().join("cache/lock"), "not ours").unwrap();
    fetcher.keep_only(world.manifest(2).name).await;
    assert_eq!(world.cached(), [cache_name(&world.manifest(2).name.path())]);
    assert!(world.dir.path().join("cache/lock").exists());
    fetcher.clear().await;
    assert!(!world.dir.path().join("cache").exists());
}
