//! A second ingestor on the same store exits and names the first; when the first is killed, the next one starts.

use harness::samples::flat;
use harness::{Launch, Scene};

#[test]
fn a_second_ingestor_exits_naming_the_first() {
    let scene = Scene::new();
    scene.drop_raster("a.tif", &flat(100.0));
    let mut first = Launch::serve(&scene).start();
    first.wait_for_datasets(&["a/1"]);
    let second = Launch::serve(&scene).run();
    assert_eq!(second.code, Some(2), "{}", second.stderr);
    let pid = first.pid_number().to_string();
    assert!(second.stderr.contains(&pid), "the message names process {pid}: {}", second.stderr);
    assert!(!second.stdout.contains("serving http://"), "nothing was started: {}", second.stdout);
    assert_eq!(first.get("/ready").status, 200, "the first is not disturbed");
    first.kill();
    let third = Launch::serve(&scene).start();
    third.wait_for_datasets(&["a/1"]);
}
