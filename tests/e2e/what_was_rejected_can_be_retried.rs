//! `kiln rejected` says why; once the reason is gone, `kiln rejected retry` lets it in, while the ingestor runs.

use std::time::Duration;

use harness::samples::{dem, flat};
use harness::{Launch, Scene};

#[test]
fn what_was_rejected_is_ingested_once_its_fault_is_mended() {
    let scene = Scene::new();
    let mut nowhere = dem(1);
    nowhere.epsg = None;
    scene.drop_raster("nowhere.tif", &nowhere);
    scene.drop_raster("fine.tif", &flat(1.0));
    let mut stack = Launch::serve(&scene).start();
    stack.wait_for("it is rejected, naming the setting that helps", Duration::from_mins(1), || {
        let said = Launch::rejected(&scene).run().stdout;
        (said.contains("nowhere.tif") && said.contains("crs")).then_some(())
    });
    stack.wait_for_datasets(&["fine/1"]);
    stack.stop();

    let config = scene.config("[collections.default]\ncrs = \"EPSG:32632\"\n");
    let stack = Launch::serve(&scene).arg("--config").arg(config).args(["--reconcile-seconds", "1"]).start();
    stack.wait_for_datasets(&["fine/1"]);
    let unknown = Launch::rejected(&scene).args(["retry", "other.tif"]).run();
    assert!(unknown.code == Some(2) && unknown.stderr.contains("other.tif"), "{unknown:?}");
    let released = Launch::rejected(&scene).args(["retry", "nowhere.tif"]).run();
    assert_eq!(released.code, Some(0), "{}", released.stderr);
    stack.wait_for_datasets(&["fine/1", "nowhere/1"]);
    assert!(!Launch::rejected(&scene).run().stdout.contains("nowhere.tif"), "no longer listed");
}
