//! The store that tiles are asked of: rasters by formula like those people have, ingested by `kiln` once and kept below the target directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use harness::formula::Formula;
use harness::launch::Launch;
use harness::raster::{Interpretation, Raster};
use harness::scene::Scene;
use shared::dataset::DataType;

use super::texture::Texture;
use crate::LIMIT;

/// Raised whenever the rasters, or what `kiln` makes of them, change.
const VERSION: u32 = 1;
/// Pixels along the side of the satellite's scene, of 10 m: some six hundred tiles at its finest zoom.
const SCENE_SIDE: u32 = 6144;
/// Pixels along the side of the other rasters.
const SIDE: u32 = 4096;
/// Part of the scene's sides that the corner without data takes.
const WEDGE: f64 = 0.4;
/// Land cover: class codes as of ESA `WorldCover`, and their colors.
const CLASSES: [(u8, [u8; 3]); 7] = [
    (10, [0, 100, 0]),
    (20, [255, 187, 34]),
    (30, [255, 255, 76]),
    (40, [240, 150, 255]),
    (50, [250, 0, 0]),
    (60, [180, 180, 180]),
    (80, [0, 100, 200]),
];
/// Every dataset of the store.
const DATASETS: [&str; 8] = ["dem/1", "landcover/1", "photo/1", "photo/2", "photo/3", "scene/B", "scene/G", "scene/R"];

/// A store on this machine.
#[derive(Debug)]
pub(crate) struct Data {
    pub(crate) store: PathBuf,
}

impl Data {
    /// What an earlier run left, or made now.
    pub(crate) fn prepare() -> Self {
        let folder = folder().join(format!("data-{VERSION}"));
        let data = Self { store: folder.join("store") };
        if !folder.is_dir() {
            let unfinished = folder.with_extension("unfinished");
            let _ = fs::remove_dir_all(&unfinished);
            println!("making rasters and a store of them in {}; this happens once", folder.display());
            make(&unfinished);
            fs::rename(&unfinished, &folder).unwrap();
        }
        data
    }

    /// Its newest snapshot.
    pub(crate) fn snapshot(&self) -> PathBuf {
        let found = fs::read_dir(self.store.join("snapshots")).unwrap().flatten().map(|entry| entry.path());
        found.max().unwrap()
    }
}

/// Where measurements keep what they make: beside the binaries.
pub(crate) fn folder() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    own.ancestors().nth(2).unwrap().join("measure")
}

fn make(folder: &Path) {
    let (source, store) = (folder.join("rasters"), folder.join("store"));
    fs::create_dir_all(&source).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| satellite().save(&source.join("scene.tif")));
        scope.spawn(|| {
            photo().save(&source.join("photo.tif"));
            landcover().save(&source.join("landcover.tif"));
            dem().save(&source.join("dem.tif"));
        });
    });
    let scene = Scene::new();
    let mut ingest = Launch::serve_with(&scene, &source, "127.0.0.1:0", &store).start();
    ingest.wait_for("all are in the catalogue", LIMIT, || {
        let mut found = ingest.dataset_paths();
        found.sort();
        (found == DATASETS).then_some(())
    });
    ingest.stop();
    // What is served is in the store.
    fs::remove_dir_all(&source).unwrap();
}

fn utm(side: u32, pixel: f64, data_type: DataType) -> Raster {
    Raster::utm(33, [499_980.0, 5_300_040.0], pixel, side, side, data_type)
}

/// Three uint16 bands of reflectance, each a COG, with a corner that the satellite did not see.
fn satellite() -> Raster {
    let ground = Arc::new(Texture::new(1, (512, 2), 0.8, 0.05));
    let band = |low: f64, high: f64, away: f64| {
        let ground = Arc::clone(&ground);
        let reflectance = move |col: f64, row: f64| {
            let value = 0.8 * ground.at(col, row) + 0.2 * ground.at(col + away, row + 2.0 * away);
            low + (high - low) * value
        };
        Formula::new(move |p| Some(reflectance(p.col, p.row))).with_wedge(SCENE_SIDE, SCENE_SIDE, WEDGE)
    };
    let bands =
        [("R", band(200.0, 2200.0, 300.0)), ("G", band(200.0, 2000.0, 700.0)), ("B", band(100.0, 1600.0, 1100.0))];
    utm(SCENE_SIDE, 10.0, DataType::Uint16).bands(&bands).nodata(0.0)
}

/// Three 8-bit bands in one file, as of an aerial photo that was processed for the eye.
pub(crate) fn photo() -> Raster {
    let ground = Arc::new(Texture::new(2, (256, 2), 0.8, 0.04));
    let band = |away: f64| {
        let ground = Arc::clone(&ground);
        Formula::new(move |p| {
            Some(20.0 + 220.0 * (0.85 * ground.at(p.col, p.row) + 0.15 * ground.at(p.col + away, p.row)))
        })
    };
    let mut raster =
        utm(SIDE, 10.0, DataType::Uint8).bands(&[("", band(300.0)), ("", band(700.0)), ("", band(1100.0))]);
    raster.interpretation = Interpretation::Rgb;
    raster
}

/// uint8 classes in patches of some ten to hundred pixels.
pub(crate) fn landcover() -> Raster {
    let ground = Texture::new(3, (256, 16), 0.6, 0.0);
    let class = move |value: f64| f64::from(CLASSES[(value * 6.999) as usize].0);
    let mut raster = utm(SIDE, 10.0, DataType::Uint8)
        .filled(Formula::new(move |p| Some(class(ground.at(p.col, p.row)))))
        .nodata(0.0);
    let mut table = vec![[0; 3]; 256];
    for (class, color) in CLASSES {
        table[usize::from(class)] = color;
    }
    raster.color_table = Some(table);
    raster
}

/// float32 heights, NaN outside the outline of a country.
pub(crate) fn dem() -> Raster {
    let ground = Texture::new(4, (512, 2), 0.5, 0.0002);
    let middle = f64::from(SIDE) / 2.0;
    utm(SIDE, 20.0, DataType::Float32)
        .filled(Formula::new(move |p| {
            let (x, y) = ((p.col - middle) / middle, (p.row - middle) / middle);
            let edge = 0.85 + 0.1 * (y.atan2(x) * 7.0).sin();
            (x.hypot(y) < edge).then(|| 200.0 + 2600.0 * ground.at(p.col, p.row))
        }))
        .nodata(f64::NAN)
}
