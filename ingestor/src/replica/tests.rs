//! Several writers on one log, and logs that were cut, collected or damaged.

use shared::commit::InputRef;
use shared::{layout, snapshot};

use super::*;
use crate::repair;

struct World {
    dir: tempfile::TempDir,
    store: Store,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store").to_str().unwrap(), true).unwrap();
        Self { dir, store }
    }

    async fn replica(&self, name: &str) -> Replica {
        Replica::open(self.store.clone(), &self.dir.path().join(name)).await.unwrap()
    }

    async fn try_replica(&self, name: &str) -> Result<Replica, ReplicaError> {
        Replica::open(self.store.clone(), &self.dir.path().join(name)).await
    }

    fn commit_file(&self, n: u64) -> PathBuf {
        self.store.local_path(&layout::commit(n)).unwrap()
    }

    async fn publish(&self, replica: &Replica) -> u64 {
        let file = self.dir.path().join("publish.sqlite");
        let written = file.clone();
        let n = replica
            .with(move |conn| schema::write_clean(conn, &written).and_then(|()| schema::head(conn)))
            .await
            .unwrap();
        assert!(snapshot::publish(&self.store, &file, n, schema::newest_format(), 0, 1).await.unwrap());
        std::fs::remove_file(file).unwrap();
        n
    }
}

fn reject(path: &str, prev: u64, reason: &str) -> Proposal {
    vec![Change::Reject {
        input: InputRef { source: "s".to_owned(), path: path.to_owned(), prev },
        version: format!("v of {path}"),
        source_time_ms: 1,
        collection: "c".to_owned(),
        reason: reason.to_owned(),
        may_pass: false,
        owner: None,
    }]
}

async fn reasons(replica: &Replica) -> Vec<(String, Option<String>)> {
    let rows = replica.with(|conn| shared::catalog::inputs::page(conn, "s", "", 10_000)).await.unwrap();
    rows.into_iter().map(|row| (row.path, row.reason)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_lose_nothing_and_double_nothing() {
    let world = World::new();
    let mut tasks = Vec::new();
    for writer in 0..3 {
        let replica = world.replica(&format!("r{writer}")).await;
        tasks.push(tokio::spawn(async move {
            let mut won = 0;
            for i in 0..20 {
                // Every other input is contended: only one of the three may decide it.
                let path = if i % 2 == 0 { format!("shared{i}") } else { format!("own{writer}-{i}") };
                let outcomes = replica.append("test", vec![reject(&path, 0, &format!("by {writer}"))]).await.unwrap();
                won += outcomes.iter().flatten().count();
            }
            (replica, won)
        }));
    }
    let (mut replicas, mut won) = (Vec::new(), 0);
    for task in tasks {
        let (replica, count) = task.await.unwrap();
        replicas.push(replica);
        won += count;
    }
    for replica in &replicas {
        replica.follow().await.unwrap();
    }
    assert_eq!(won, 10 + 3 * 10, "each contended input once, each own input once");
    let first = reasons(&replicas[0]).await;
    assert_eq!(first.len(), 40);
    for replica in &replicas {
        assert_eq!(reasons(replica).await, first);
        assert_eq!(replica.head().await.unwrap(), 40, "no gap and no commit without a change");
    }
}

#[tokio::test]
async fn proposals_about_one_input_come_one_after_the_other() {
    let world = World::new();
    let replica = world.replica("r").await;
    let outcomes = replica
        .append("test", vec![reject("a", 0, "x"), reject("b", 0, "y"), reject("a", 0, "z"), reject("a", 1, "w")])
        .await
        .unwrap();
    assert_eq!(outcomes, [Some(1), Some(1), None, None], "what rests on a number that is past is dropped");
    assert_eq!(reasons(&replica).await[0].1.as_deref(), Some("x"));
}

#[tokio::test]
async fn a_store_made_anew_is_noticed() {
    let world = World::new();
    let replica = world.replica("r").await;
    for path in ["a", "b"] {
        replica.append("test", vec![reject(path, 0, "old")]).await.unwrap();
    }
    drop(replica);
    std::fs::remove_dir_all(world.store.local_root().unwrap()).unwrap();
    std::fs::create_dir(world.store.local_root().unwrap()).unwrap();
    let other = world.replica("other").await;
    for path in ["x", "y", "z"] {
        other.append("test", vec![reject(path, 0, "new")]).await.unwrap();
    }
    let replica = world.replica("r").await;
    assert_eq!(reasons(&replica).await, reasons(&other).await);
}

#[tokio::test]
async fn who_slept_through_a_collection_starts_from_the_newest_snapshot() {
    let world = World::new();
    let (sleeper, writer) = (world.replica("sleeper").await, world.replica("writer").await);
    for i in 0..6 {
        writer.append("test", vec![reject(&format!("f{i}"), 0, "x")]).await.unwrap();
    }
    let n = world.publish(&writer).await;
    shared::gc::announce(&world.store, n, 0).await.unwrap();
    (1..n).for_each(|n| std::fs::remove_file(world.commit_file(n)).unwrap());
    // The first number it would write looks free; what it wins there is void.
    let outcomes = sleeper.append("test", vec![reject("late", 0, "late")]).await.unwrap();
    assert_eq!(outcomes, [Some(n + 1)]);
    assert!(!world.commit_file(1).exists());
    assert_eq!(reasons(&sleeper).await.len(), 7);
    writer.follow().await.unwrap();
    assert_eq!(reasons(&writer).await, reasons(&sleeper).await);
}

#[tokio::test]
async fn a_commit_cut_short_stops_writers_until_it_is_repaired() {
    let world = World::new();
    let replica = world.replica("r").await;
    for path in ["a", "b", "c"] {
        replica.append("test", vec![reject(path, 0, "x")]).await.unwrap();
    }
    let bytes = std::fs::read(world.commit_file(2)).unwrap();
    std::fs::write(world.commit_file(2), &bytes[..bytes.len() / 2]).unwrap();
    let error = world.try_replica("fresh").await.unwrap_err();
    assert!(!error.may_pass() && error.to_string().contains("commits/00000000000000000002.json"), "{error}");
    let scratch = tempfile::tempdir().unwrap();
    let report = repair::repair(&world.store, scratch.path()).await.unwrap();
    assert_eq!(report.len(), 1, "{report:?}");
    drop(replica);
    let fresh = world.replica("fresh").await;
    assert_eq!(reasons(&fresh).await.into_iter().map(|(path, _)| path).collect::<Vec<_>>(), ["a", "c"]);
    let old = world.replica("r").await;
    assert_eq!(reasons(&old).await, reasons(&fresh).await, "a replica that had the lost commit forgets it");
    assert!(repair::repair(&world.store, scratch.path()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_bad_commit_that_a_snapshot_includes_is_deleted() {
    let world = World::new();
    let replica = world.replica("r").await;
    for path in ["a", "b"] {
        replica.append("test", vec![reject(path, 0, "x")]).await.unwrap();
    }
    world.publish(&replica).await;
    replica.append("test", vec![reject("c", 0, "x")]).await.unwrap();
    std::fs::write(world.commit_file(1), "rot").unwrap();
    let scratch = tempfile::tempdir().unwrap();
    repair::repair(&world.store, scratch.path()).await.unwrap();
    assert!(!world.commit_file(1).exists());
    assert_eq!(reasons(&world.replica("fresh").await).await.len(), 3);
}

#[tokio::test]
async fn a_rotten_snapshot_is_passed_over() {
    let world = World::new();
    let replica = world.replica("r").await;
    replica.append("test", vec![reject("a", 0, "x")]).await.unwrap();
    world.publish(&replica).await;
    replica.append("test", vec![reject("b", 0, "x")]).await.unwrap();
    let n = world.publish(&replica).await;
    let manifest = snapshot::manifest(&world.store.read_only(), n).await.unwrap();
    let file = world.store.local_path(&manifest.name.path()).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(reasons(&world.replica("fresh").await).await.len(), 2, "the rest comes from the log");
    let scratch = tempfile::tempdir().unwrap();
    let report = repair::repair(&world.store, scratch.path()).await.unwrap();
    assert!(report[0].contains("checksum"), "{report:?}");
    assert_eq!(snapshot::numbers_past(&world.store.read_only(), 0).await.unwrap(), [1]);
    assert_eq!(snapshot::latest_hint(&world.store.read_only()).await.unwrap(), Some(1));
}

#[tokio::test]
async fn what_a_rebuild_left_when_it_was_killed_is_swept() {
    let world = World::new();
    let left = world.dir.path().join("r/snapshots");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("snapshots-1.sqlite"), "large").unwrap();
    world.replica("r").await;
    assert!(!left.exists());
}
