//! A store whose creations are not exclusive would let two writers destroy each other's work: it is refused before anything is written, saying why.

use std::path::PathBuf;
use std::process::Command;

use harness::cloud::{RASTERS, STORE, TILES};
use harness::s3::{Promise, S3Server};
use harness::{Finished, Launch, Scene};

/// Answers every link(2) as a file system without hard links does.
const NO_LINKS: &str = "
#include <errno.h>
int link(const char *a, const char *b) { (void)a; (void)b; errno = EPERM; return -1; }
int linkat(int a, const char *b, int c, const char *d, int e) { (void)a; (void)b; (void)c; (void)d; (void)e; errno = EPERM; return -1; }
";

fn run(scene: &Scene, s3: &S3Server, args: &[&str]) -> Finished {
    let launch = Launch::new(scene, "kiln", args.iter().copied());
    s3.environment().into_iter().fold(launch, |launch, (name, value)| launch.env(name, value)).run()
}

#[test]
fn a_bucket_that_keeps_its_promises_can_be_used() {
    let (scene, s3) = (Scene::new(), S3Server::start(Promise::Kept, &[RASTERS, TILES]));
    let probe = run(&scene, &s3, &["store", "probe", STORE]);
    assert_eq!(probe.code, Some(0), "{probe:?}");
    assert!(probe.stdout.contains("can be used") && !probe.stdout.contains("FAULT"), "{}", probe.stdout);
    assert_eq!(probe.stdout.lines().count(), 6, "{}", probe.stdout);
    assert_eq!(s3.keys(TILES, ""), Vec::<String>::new(), "the probe leaves nothing behind");
}

#[test]
fn a_bucket_that_lets_two_create_one_name_is_refused() {
    for (promise, why) in
        [(Promise::Ignored, "ignores If-None-Match"), (Promise::LooksThenWrites, "looks first and writes then")]
    {
        let (scene, s3) = (Scene::new(), S3Server::start(promise, &[RASTERS, TILES]));
        let probe = run(&scene, &s3, &["store", "probe", STORE]);
        assert_eq!(probe.code, Some(2), "{promise:?}: {probe:?}");
        assert!(probe.stdout.contains("FAULT") && probe.stderr.contains(why), "{promise:?}: {probe:?}");
        let state = scene.state();
        let watch = run(&scene, &s3, &["watch", "s3://rasters", "--store", STORE, "--state", state.to_str().unwrap()]);
        assert_eq!(watch.code, Some(2), "{promise:?}: {watch:?}");
        assert!(watch.stderr.contains(STORE) && watch.stderr.contains(why), "{promise:?}: {watch:?}");
        assert_eq!(s3.keys(TILES, ""), Vec::<String>::new(), "{promise:?}: nothing was written");
    }
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let (scene, s3) = (Scene::new(), S3Server::start(Promise::Kept, &[RASTERS]));
    let probe = run(&scene, &s3, &["store", "probe", STORE]);
    assert_eq!(probe.code, Some(2), "{probe:?}");
    assert!(probe.stderr.contains(STORE) && probe.stderr.contains("NoSuchBucket"), "{probe:?}");
}

#[test]
fn a_folder_without_hard_links_is_refused() {
    let scene = Scene::new();
    let library = without_links(&scene);
    let watch = Launch::watch_of(&scene, &scene.source()).env("LD_PRELOAD", library).run();
    assert_eq!(watch.code, Some(2), "{watch:?}");
    assert!(watch.stderr.contains("no hard links") && watch.stderr.contains("another file system"), "{watch:?}");
}

fn without_links(scene: &Scene) -> PathBuf {
    let (source, library) = (scene.root().join("nolinks.c"), scene.root().join("nolinks.so"));
    std::fs::write(&source, NO_LINKS).unwrap();
    let made = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).status().unwrap();
    assert!(made.success(), "the library is compiled");
    library
}

#[test]
fn a_store_inside_what_is_watched_is_refused() {
    let (scene, s3) = (Scene::new(), S3Server::start(Promise::Kept, &[RASTERS, TILES]));
    for (source, store) in
        [("s3://tiles", STORE), (STORE, STORE), ("s3://tiles/kiln/{date}.tif", STORE), (STORE, "s3://tiles/kiln/below")]
    {
        let watch = run(&scene, &s3, &["watch", source, "--store", store]);
        assert_eq!(watch.code, Some(2), "{source} {store}: {watch:?}");
        assert!(watch.stderr.contains("lies inside the source"), "{source} {store}: {watch:?}");
    }
}
