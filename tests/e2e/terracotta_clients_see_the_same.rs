//! Answers frozen from Terracotta 0.10.1, where they are at hand: `../shared` beside the repository, or the folder named by `KILN_SHARED`.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use harness::{Launch, Scene};

fn shared() -> PathBuf {
    env::var_os("KILN_SHARED").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from)
}

/// Whether the set and what compares it are here; says why not.
fn at_hand(set: &Path) -> bool {
    let pillow = Command::new("python3").args(["-c", "import PIL"]).output().is_ok_and(|o| o.status.success());
    let there = set.join("requests.json").is_file() && shared().join("tools/compare-golden").is_file();
    if !there {
        eprintln!("skipped: {} is not there", set.display());
    } else if !pillow {
        eprintln!("skipped: python3 with Pillow is not there");
    }
    there && pillow
}

fn compare(set: &str) {
    let set = shared().join("golden").join(set);
    if !at_hand(&set) {
        return;
    }
    let scene = Scene::new();
    let stack = Launch::serve_of(&scene, &set.join("rasters/{type}_{date}_{band}.tif")).start();
    let count = std::fs::read_dir(set.join("rasters")).unwrap().count();
    assert!(count > 0, "a set has rasters");
    stack.wait_for("every raster of the set is served", Duration::from_mins(3), || {
        (stack.datasets().len() == count).then_some(())
    });
    let compared = Command::new(shared().join("tools/compare-golden"))
        .args([stack.base(), "--skip", "/compute", "--set"])
        .arg(&set)
        .output()
        .expect("compare-golden runs");
    let said = String::from_utf8_lossy(&compared.stdout);
    assert!(compared.status.success(), "{said}{}", String::from_utf8_lossy(&compared.stderr));
}

#[test]
fn on_rasters_that_lie_on_the_grid() {
    compare("terracotta-0.10.1");
}

#[test]
fn on_rasters_in_utm() {
    compare("terracotta-0.10.1-utm");
}
