//! Large catalogues: what is published page by page comes out byte by byte, whoever published what before it and whatever is missing.

use std::collections::BTreeSet;

use object_store::memory::InMemory;
use object_store::path::Path as StorePath;
use shared::catalog::reader::Catalog;
use shared::collection::{Collection, Key, OnConflict, Style};
use shared::commit::{Change, InputRef};
use shared::dataset::Dataset;
use shared::layout;
use shared::snapshot::Manifest;
use shared::store::{ReadStore, Store};

use super::*;

const RECORD: &str = include_str!("../../../shared/src/catalog/record.dict.json");
/// Datasets at first: enough for a change of one to be little.
const DATASETS: usize = 800;

struct World {
    dir: tempfile::TempDir,
    store: Store,
    /// State of a generator of numbers that look like chance.
    chance: u64,
}

impl World {
    fn new() -> Self {
        let store = Store::from_object_store(Arc::new(InMemory::new()), "memory");
        Self { dir: tempfile::tempdir().unwrap(), store, chance: 1 }
    }

    async fn publisher(&self, name: &str) -> Publisher {
        let folder = self.dir.path().join(name);
        let replica = Arc::new(Replica::open(self.store.clone(), &folder).await.unwrap());
        let scratch = folder.join("publish");
        std::fs::create_dir_all(&scratch).unwrap();
        Publisher::new(replica, scratch, Arc::default(), Arc::default(), None, Arc::default()).large_from(1)
    }

    /// A publisher of a first snapshot.
    async fn filled(&mut self) -> Publisher {
        let publisher = self.publisher("first").await;
        let collection = Collection {
            name: "c".to_owned(),
            title: String::new(),
            default: true,
            keys: ["tile", "date", "band"].map(|name| Key { name: name.to_owned(), description: None }).into(),
            pattern: None,
            on_conflict: OnConflict::Newest,
            style: Style::default(),
            colormaps: std::collections::BTreeMap::new(),
        };
        let define = vec![Change::PutCollection { prev: 0, collection: Box::new(collection) }];
        publisher.replica.append("test", vec![define]).await.unwrap();
        let puts = (0..DATASETS).map(|i| vec![self.put(i, 0)]).collect();
        publisher.replica.append("test", puts).await.unwrap();
        publisher.publish().await.unwrap();
        publisher
    }

    fn number(&mut self, below: usize) -> usize {
        self.chance = self.chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.chance >> 33) as usize % below
    }

    fn put(&mut self, i: usize, prev: u64) -> Change {
        let mut dataset: Dataset = serde_json::from_str(RECORD).unwrap();
        dataset.keys = vec![format!("T{}", i % 31), format!("{i:04}"), "B".to_owned()];
        dataset.path = layout::cog("c", ulid::Ulid::generate()).to_string();
        if let Some(statistics) = &mut dataset.metadata.statistics {
            statistics.histogram.counts = (0..256).map(|_| self.number(1000) as u64).collect();
        }
        Change::Put {
            input: InputRef { source: "s".to_owned(), path: format!("{i}"), prev },
            version: format!("{}", self.number(1_000_000)),
            source_time_ms: 1,
            collection: "c".to_owned(),
            content: format!("{i:064}"),
            datasets: vec![dataset],
        }
    }

    /// Puts, replaces and removes a few inputs by chance, and publishes.
    async fn change_and_publish(&mut self, publisher: &Publisher) -> u64 {
        let mut changes = Vec::new();
        for i in BTreeSet::from([self.number(DATASETS * 2), self.number(DATASETS), self.number(DATASETS)]) {
            let path = format!("{i}");
            publisher.replica.follow().await.unwrap();
            let asked = path.clone();
            let row =
                publisher.replica.with(move |conn| shared::catalog::inputs::find(conn, "s", &asked)).await.unwrap();
            let prev = row.map_or(0, |row| row.n);
            let remove = prev > 0 && self.number(4) == 0;
            let input = InputRef { source: "s".to_owned(), path, prev };
            changes.push(vec![if remove { Change::Remove { input } } else { self.put(i, prev) }]);
        }
        publisher.replica.append("test", changes).await.unwrap();
        publisher.publish().await.unwrap()
    }

    fn reader(&self) -> ReadStore {
        self.store.read_only()
    }

    async fn manifest(&self, n: u64) -> Manifest {
        snapshot::manifest(&self.reader(), n).await.unwrap()
    }

    async fn fetch(&self, n: u64, cache: &str) -> Result<Vec<u8>, snapshot::SnapshotError> {
        let file = Fetcher::new(self.reader(), self.dir.path().join(cache)).fetch(&self.manifest(n).await).await?;
        assert_eq!(Catalog::open(&file).unwrap().n(), n);
        Ok(std::fs::read(file).unwrap())
    }

    async fn stored(&self, suffix: &str) -> Vec<StorePath> {
        let listed = self.store.list(&layout::snapshots(), None).await.unwrap();
        listed.into_iter().map(|meta| meta.location).filter(|path| path.as_ref().ends_with(suffix)).collect()
    }

    /// Takes away every whole file.
    async fn forget_wholes(&self) {
        for path in self.stored(".sqlite").await {
            self.store.delete(&path).await.unwrap();
        }
    }
}

#[tokio::test]
async fn chains_of_deltas_give_the_very_bytes_of_the_replica() {
    let mut world = World::new();
    let publisher = world.filled().await;
    for round in 0..60 {
        let n = world.change_and_publish(&publisher).await;
        let replica = std::fs::read(world.dir.path().join("first/replica.sqlite")).unwrap();
        assert!(world.fetch(n, "warm").await.unwrap() == replica, "step by step");
        assert!(world.fetch(n, &format!("cold-{round}")).await.unwrap() == replica, "from a whole file");
        publisher.replica.with(|conn| schema::check_counts(conn)).await.unwrap();
    }
    let wholes = world.stored(".sqlite").await.len();
    assert!((1..20).contains(&wholes), "{wholes} whole files");
    // All that retention keeps can still be made.
    let manifests = snapshot::numbers_past(&world.reader(), 0).await.unwrap();
    for n in manifests.iter().rev().take(20) {
        world.fetch(*n, &format!("kept-{n}")).await.unwrap();
    }
    assert!(world.stored(".delta").await.len() < manifests.len(), "the others are gone");
}

#[tokio::test]
async fn who_is_up_to_date_never_moves_a_whole_file() {
    let mut world = World::new();
    let publisher = world.filled().await;
    let first = snapshot::numbers_past(&world.reader(), 0).await.unwrap()[0];
    world.fetch(first, "warm").await.unwrap();
    for _ in 0..30 {
        let n = world.change_and_publish(&publisher).await;
        let manifest = world.manifest(n).await;
        let step = manifest.steps.last().unwrap();
        assert!(step.bytes < manifest.bytes / 4, "{} of {}", step.bytes, manifest.bytes);
        world.forget_wholes().await;
        world.fetch(n, "warm").await.unwrap();
        assert!(world.fetch(n, "cold").await.unwrap_err().is_rot());
    }
}

#[tokio::test]
async fn two_publishers_in_turn_make_one_chain() {
    let mut world = World::new();
    let first = world.filled().await;
    // A replica of its own making: from the log, its pages are the other's in another order.
    let second = world.publisher("second").await;
    let n = world.change_and_publish(&first).await;
    world.fetch(n, "warm").await.unwrap();
    let mut sizes = Vec::new();
    for _ in 0..10 {
        for publisher in [&second, &first] {
            let n = world.change_and_publish(publisher).await;
            let manifest = world.manifest(n).await;
            sizes.push(manifest.steps.last().unwrap().bytes);
            let bytes = world.fetch(n, "warm").await.unwrap();
            assert!(sizes.last().is_some_and(|step| *step < bytes.len() as u64 / 4), "{sizes:?} of {}", bytes.len());
        }
    }
}

#[tokio::test]
async fn a_publisher_whose_pages_lie_otherwise_starts_again_from_what_is_published() {
    let mut world = World::new();
    let first = world.filled().await;
    let second = world.publisher("second").await;
    // As if it had applied the log by itself from the beginning.
    second.replica.with(|conn| Ok(conn.execute_batch("VACUUM")?)).await.unwrap();
    second.replica.with(|conn| Ok(conn.execute_batch("DELETE FROM footprints WHERE 0; REINDEX")?)).await.unwrap();
    world.change_and_publish(&first).await;
    let n = world.change_and_publish(&second).await;
    let manifest = world.manifest(n).await;
    assert!(manifest.steps.last().unwrap().bytes < manifest.bytes / 4, "{:?}", manifest.steps);
    world.fetch(n, "cold").await.unwrap();
}

#[tokio::test]
async fn a_damaged_or_missing_delta_costs_a_whole_file_or_an_older_snapshot() {
    let mut world = World::new();
    let publisher = world.filled().await;
    let first = world.change_and_publish(&publisher).await;
    world.fetch(first, "warm").await.unwrap();
    let second = world.change_and_publish(&publisher).await;
    // The file that the step starts from is not what it was: found by the sum of the result.
    let name = world.manifest(first).await.name.path();
    let served = world.dir.path().join("warm").join(name.as_ref().replace('/', "-"));
    let mut bytes = std::fs::read(&served).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&served, bytes).unwrap();
    world.fetch(second, "warm").await.unwrap();
    let third = world.change_and_publish(&publisher).await;
    let step = world.manifest(third).await.steps.pop().unwrap();
    let mut delta = world.store.get(&step.name.path()).await.unwrap().to_vec();
    let middle = delta.len() / 2;
    delta[middle] ^= 1;
    world.store.overwrite(&step.name.path(), delta.into()).await.unwrap();
    assert!(world.fetch(third, "warm").await.unwrap_err().is_rot());
    let (sound, rotten) = Fetcher::new(world.reader(), world.dir.path().join("warm")).newest_sound().await.unwrap();
    assert_eq!((sound.unwrap().0.n, rotten.len()), (second, 1));
    // A publisher that starts notices, and makes room for one that can be used.
    let again = world.publisher("again").await;
    assert_eq!(again.newest_published().await.unwrap(), second);
    let fourth = again.publish().await.unwrap();
    assert!(fourth > third);
    world.fetch(fourth, "warm").await.unwrap();
    world.store.delete(&step.name.path()).await.unwrap();
    assert!(world.fetch(third, "other").await.unwrap_err().is_rot());
}

#[tokio::test]
async fn a_repair_takes_away_what_does_not_verify() {
    let mut world = World::new();
    let publisher = world.filled().await;
    let n = world.change_and_publish(&publisher).await;
    let step = world.manifest(n).await.steps.pop().unwrap();
    world.store.overwrite(&step.name.path(), "rot".into()).await.unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let report = crate::repair::repair(&world.store, scratch.path()).await.unwrap();
    assert!(report[0].contains("does not verify"), "{report:?}");
    assert!(world.stored(".delta").await.is_empty());
    let replica = Replica::open(world.store.clone(), &world.dir.path().join("fresh")).await.unwrap();
    assert_eq!(replica.head().await.unwrap(), n, "the rest comes from the log");
}

#[tokio::test]
async fn a_local_store_makes_what_is_not_there_whole() {
    let mut world = World::new();
    world.store = Store::open(world.dir.path().join("store").to_str().unwrap(), true).unwrap();
    let publisher = world.filled().await;
    let n = world.change_and_publish(&publisher).await;
    let whole = world.manifest(n).await.whole.unwrap();
    let in_place = world.store.local_path(&whole.name.path()).unwrap();
    let before = std::fs::read(&in_place).unwrap();
    world.fetch(n, "cache").await.unwrap();
    assert!(std::fs::read(&in_place).unwrap() == before, "what a server may have open is never changed");
    let fetcher = Fetcher::new(world.reader(), world.dir.path().join("cache"));
    let of_whole = fetcher.fetch(&world.manifest(whole.name.n).await).await;
    assert_eq!(of_whole.unwrap(), in_place);
}

#[tokio::test]
async fn a_failure_that_passes_costs_no_whole_file() {
    let mut world = World::new();
    let first = world.filled().await;
    let second = world.publisher("second").await;
    world.change_and_publish(&second).await;
    world.change_and_publish(&first).await;
    // Nothing but steps can be had from now on.
    world.forget_wholes().await;
    second.replica.follow().await.unwrap();
    let blocked = world.dir.path().join("second/publish/snapshots");
    std::fs::write(&blocked, "no folder can be made here").unwrap();
    let input = world.put(DATASETS * 3, 0);
    second.replica.append("test", vec![vec![input]]).await.unwrap();
    assert!(second.publish().await.unwrap_err().may_pass());
    std::fs::remove_file(&blocked).unwrap();
    let n = second.publish().await.unwrap();
    assert!(world.manifest(n).await.whole.is_some(), "what was known before was still known");
    let left = std::fs::read_dir(world.dir.path().join("second/publish")).unwrap().count();
    assert_eq!(left, 0, "nothing is left of either try");
}

#[tokio::test]
async fn who_starts_again_does_so_from_what_was_fetched_already() {
    let mut world = World::new();
    let first = world.filled().await;
    let second = world.publisher("second").await;
    second.replica.with(|conn| Ok(conn.execute_batch("VACUUM")?)).await.unwrap();
    let n = world.change_and_publish(&first).await;
    assert_eq!(second.newest_published().await.unwrap(), n);
    // Were it fetched again, it would not be there.
    world.forget_wholes().await;
    let n = world.change_and_publish(&second).await;
    let manifest = world.manifest(n).await;
    assert!(manifest.steps.last().unwrap().bytes < manifest.bytes / 4, "{:?}", manifest.steps);
    assert_eq!(std::fs::read_dir(world.dir.path().join("second/publish")).unwrap().count(), 0);
}

/// Leaves more than a quarter of a replica's pages unused.
async fn leave_unused(replica: &Replica) {
    let fill =
        "CREATE TABLE filler (x); WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000)
                INSERT INTO filler SELECT randomblob(2000) FROM n; DROP TABLE filler";
    replica.with(move |conn| Ok(conn.execute_batch(fill)?)).await.unwrap();
}

#[tokio::test]
async fn a_packed_catalogue_goes_whole_and_only_so() {
    let mut world = World::new();
    let publisher = world.filled().await;
    world.change_and_publish(&publisher).await;
    leave_unused(&publisher.replica).await;
    let deltas = world.stored(".delta").await.len();
    let n = world.change_and_publish(&publisher).await;
    let manifest = world.manifest(n).await;
    assert_eq!((manifest.whole.is_none(), manifest.steps.len()), (true, 0));
    assert_eq!(world.stored(".delta").await.len(), deltas);
    world.fetch(n, "cold").await.unwrap();
    let next = world.change_and_publish(&publisher).await;
    assert_eq!(world.manifest(next).await.steps.len(), 1, "what follows is a step from there");
}

#[tokio::test]
async fn a_catalogue_that_cannot_be_packed_is_published_as_it_is() {
    let mut world = World::new();
    let publisher = world.filled().await;
    leave_unused(&publisher.replica).await;
    let path = format!("{}", DATASETS * 3);
    let put = world.put(DATASETS * 3, 0);
    publisher.replica.append("test", vec![vec![put]]).await.unwrap();
    // Whoever reads keeps SQLite from packing, as a full disk would; the replica must let somebody read for that.
    let shared = |conn: &mut rusqlite::Connection| {
        conn.busy_timeout(Duration::ZERO)?;
        conn.pragma_update(None, "locking_mode", "NORMAL")?;
        shared::catalog::schema::head(conn)
    };
    publisher.replica.with(shared).await.unwrap();
    let reader = rusqlite::Connection::open(world.dir.path().join("first/replica.sqlite")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM inputs").unwrap();
    let before = publisher.replica.bytes().unwrap();
    let n = publisher.publish().await.unwrap();
    assert_eq!(world.manifest(n).await.bytes, before);
    world.fetch(n, "cold").await.unwrap();
    drop(reader);
    let found = publisher.replica.with(move |conn| shared::catalog::inputs::find(conn, "s", &path)).await.unwrap();
    assert!(found.is_some());
}
