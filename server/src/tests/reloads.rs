//! What is served only ever gets newer, whatever the store holds.

use axum::http::{StatusCode, header};
use shared::dataset::{DataType, Validity};
use shared::layout;

use super::scene::{Cog, Scene, Served};

fn scene() -> Scene {
    let mut scene = Scene::new();
    scene.add("a", &["1"], &Cog::of(DataType::Uint8, Validity::None, |_, _, _| Some(1u8)));
    scene
}

fn flip(scene: &Scene, prefix: &str) {
    let folder = scene.file("snapshots");
    let names = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let file = names.into_iter().find(|p| p.file_name().unwrap().to_string_lossy().starts_with(prefix)).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn without_a_snapshot_all_routes_say_when_to_come_back() {
    let mut scene = scene();
    let (state, reloader) = scene.state();
    let served = Served { state, reloader };
    served.reloader.look().await;
    for url in ["/keys", "/collections", "/singleband/a/1/1/1/1.png", "/ready"] {
        let response = served.get(url).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "{url}");
        assert!(url == "/ready" || response.headers().contains_key(header::RETRY_AFTER), "{url}");
    }
    assert_eq!(served.get("/health").await.status(), StatusCode::OK);
    scene.publish().await;
    served.reloader.look().await;
    assert_eq!(served.ok("/ready").await["snapshot"], 1);
    served.ok("/keys").await;
}

#[tokio::test]
async fn a_snapshot_that_does_not_verify_is_passed_over_and_said() {
    let mut scene = scene();
    scene.publish().await;
    scene.publish().await;
    flip(&scene, "00000000000000000002");
    let (state, reloader) = scene.state();
    let served = Served { state, reloader };
    served.reloader.look().await;
    let ready = served.ok("/ready").await;
    assert_eq!(ready["snapshot"], 1);
    assert!(ready["last_error"].as_str().unwrap().contains("snapshots/00000000000000000002"), "{ready}");
    scene.publish().await;
    served.reloader.look().await;
    let ready = served.ok("/ready").await;
    assert_eq!((&ready["snapshot"], &ready["last_error"]), (&3.into(), &serde_json::Value::Null));
}

#[tokio::test]
async fn what_is_served_never_goes_back_and_outlives_its_store() {
    let mut scene = scene();
    scene.publish().await;
    let served = scene.serve().await;
    assert_eq!(served.ok("/ready").await["snapshot"], 2);
    std::fs::remove_file(scene.file(layout::manifest(2).as_ref())).unwrap();
    served.reloader.look().await;
    assert_eq!(served.ok("/ready").await["snapshot"], 2);
    std::fs::write(scene.file(layout::manifest(9).as_ref()), "{}").unwrap();
    served.reloader.look().await;
    assert_eq!(served.ok("/ready").await["snapshot"], 2);
    std::fs::remove_dir_all(scene.file("")).unwrap();
    served.reloader.look().await;
    served.ok("/datasets").await;
    served.ok("/metadata/a/1").await;
}

/// Snapshots in the cache folder.
fn cached(scene: &Scene) -> Vec<String> {
    let names = std::fs::read_dir(scene.dir.path().join("cache")).unwrap();
    let mut names: Vec<String> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !name.ends_with(".verified"));
    names.sort();
    names
}

#[tokio::test]
async fn snapshots_that_are_steps_are_made_from_the_one_that_is_served() {
    let mut scene = scene();
    scene.publish().await;
    scene.publish_step().await;
    // One that starts cold: from the whole file.
    let (state, reloader) = scene.state();
    let served = Served { state, reloader };
    served.reloader.look().await;
    assert_eq!(served.ok("/ready").await["snapshot"], 2);
    for n in 3..6 {
        scene.add(&format!("r{n}"), &["1"], &Cog::of(DataType::Uint8, Validity::None, |_, _, _| Some(2u8)));
        scene.publish_step().await;
        served.reloader.look().await;
        assert_eq!(served.ok("/ready").await["snapshot"], n);
        served.ok(&format!("/metadata/r{n}/1")).await;
        let cached = cached(&scene);
        assert!(
            cached.len() == 1 && cached[0].contains(&format!("{n:020}-")),
            "only what is served is kept: {cached:?}"
        );
    }
}

#[tokio::test]
async fn a_step_that_does_not_verify_is_passed_over() {
    let mut scene = scene();
    scene.publish().await;
    let served = scene.serve().await;
    scene.publish_step().await;
    flip(&scene, "00000000000000000003");
    served.reloader.look().await;
    let ready = served.ok("/ready").await;
    assert_eq!(ready["snapshot"], 2);
    assert!(ready["last_error"].as_str().unwrap().contains("does not apply"), "{ready}");
    assert!(cached(&scene).is_empty(), "nothing is left of it: {:?}", cached(&scene));
}

#[tokio::test]
async fn rot_is_left_to_the_listing_and_what_may_pass_is_not() {
    let mut scene = scene();
    scene.publish().await;
    let served = scene.serve().await;
    scene.publish_step().await;
    let manifest = shared::snapshot::manifest(&scene.store.read_only(), 3).await.unwrap();
    let step = scene.file(manifest.steps[0].name.path().as_ref());
    std::fs::rename(&step, scene.file("aside")).unwrap();
    std::fs::create_dir(&step).unwrap();
    assert!(!served.reloader.look().await, "what this machine cannot read it may soon");
    std::fs::remove_dir(&step).unwrap();
    std::fs::rename(scene.file("aside"), &step).unwrap();
    flip(&scene, "00000000000000000003");
    assert!(served.reloader.look().await, "looking again at once would find no more");
    assert!(served.ok("/ready").await["last_error"].is_string());
}

#[tokio::test]
async fn a_snapshot_with_another_number_of_datasets_than_was_published_is_not_served() {
    let mut scene = scene();
    scene.publish().await;
    let served = scene.serve().await;
    let next = scene.file_of_next();
    let format = shared::catalog::schema::newest_format();
    assert!(shared::snapshot::publish(&scene.store, &next, 3, format, 7, 0).await.unwrap());
    served.reloader.look().await;
    let ready = served.ok("/ready").await;
    assert_eq!(ready["snapshot"], 2);
    assert!(ready["last_error"].as_str().unwrap().contains("its manifest says"), "{ready}");
}
