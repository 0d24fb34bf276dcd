//! The web page in a real browser: the specs of `server/ui/tests` over a running `kiln serve` and rasters by formula.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::raster::Interpretation;
use harness::{Formula, Launch, Raster, Scene, Stack};
use shared::dataset::DataType;

/// Side of the rasters: half a kilometre in pixels of 0.002°, one degree in all.
const SIDE: u32 = 500;
/// Dates of the series, each with a level of its own in near infrared.
const DATES: [(&str, f64); 4] = [("20260101", 0.0), ("20260401", 900.0), ("20260701", 1500.0), ("20261001", 400.0)];
/// Dates of classes, and which there are.
const USAGE: [(&str, [f64; 3]); 2] = [("20250101", [1.0, 2.0, 3.0]), ("20260101", [1.0, 3.0, 4.0])];
const CLASSES: [(f64, &str, &str); 4] =
    [(1.0, "water", "#3e76a8"), (2.0, "meadow", "#92b062"), (3.0, "forest", "#3a683e"), (4.0, "rock", "#948a80")];

/// `server/ui`, if its packages, Node and a browser are there; or a word about what is missing.
fn workshop() -> Option<(PathBuf, PathBuf)> {
    let ui = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/ui");
    let skip = |why: &str| {
        eprintln!("skipped: {why}; `make test` installs it");
        None
    };
    if !ui.join("node_modules/.bin/playwright").exists() {
        return skip("the packages of server/ui are not installed");
    }
    if !Command::new("node").arg("--version").output().is_ok_and(|output| output.status.success()) {
        return skip("there is no node");
    }
    let known = env::var_os("CHROMIUM").map(PathBuf::from);
    let found = known.into_iter().chain(["/usr/bin/chromium", "/usr/bin/chromium-browser"].map(PathBuf::from));
    match found.into_iter().find(|path| path.exists()) {
        Some(chromium) => Some((ui, chromium)),
        None => skip("there is no chromium"),
    }
}

/// A sidecar that names some of the classes.
fn named(values: &[f64]) -> String {
    let rows = CLASSES.iter().filter(|class| values.contains(&class.0));
    let rows = rows.map(|(value, label, color)| format!("{{ value = {value}, label = {label:?}, color = {color:?} }}"));
    format!("categories = [{}]\n", rows.collect::<Vec<_>>().join(", "))
}

fn raster(data_type: DataType) -> Raster {
    Raster::lonlat([7.0, 47.0], 0.002, SIDE, SIDE, data_type)
}

/// A plain folder with heights, classes and a photo, and beside it a series of four bands at four dates, and classes at two.
fn serve(scene: &Scene) -> Stack {
    let noise = |seed, low, high| Formula::noise(seed, 160.0, low, high);
    scene.drop_raster("dem.tif", &raster(DataType::Float32).filled(noise(1, 0.0, 1000.0)));
    fs::write(scene.path("dem.tif.kiln.toml"), "unit = \"m\"\n").unwrap();
    let values = CLASSES.map(|class| class.0);
    fs::write(scene.path("cover.tif.kiln.toml"), named(&values)).unwrap();
    scene.drop_raster("cover.tif", &raster(DataType::Uint8).filled(Formula::classes(2, 120.0, &values)));
    let colors = [("R", noise(3, 20.0, 255.0)), ("G", noise(4, 20.0, 200.0)), ("B", noise(5, 0.0, 120.0))];
    let mut photo = raster(DataType::Uint8).bands(&colors);
    photo.interpretation = Interpretation::Rgb;
    scene.drop_raster("photo.tif", &photo);

    let series = scene.root().join("series");
    fs::create_dir(&series).unwrap();
    for (date, level) in DATES {
        for (i, band) in ["B02", "B03", "B04"].into_iter().enumerate() {
            let formula = noise(10 + i as u64, 300.0, 1500.0).map(move |_, value| value + level * 0.2 * (i + 1) as f64);
            raster(DataType::Uint16).filled(formula).save(&series.join(format!("{date}_{band}.tif")));
        }
        let near_infrared = noise(20, 1500.0, 4500.0).map(move |_, value| value + level);
        raster(DataType::Uint16).filled(near_infrared).save(&series.join(format!("{date}_B08.tif")));
    }
    let usage = scene.root().join("usage");
    fs::create_dir(&usage).unwrap();
    for (date, values) in USAGE {
        let file = usage.join(format!("{date}_cover.tif"));
        fs::write(file.with_extension("tif.kiln.toml"), named(&values)).unwrap();
        raster(DataType::Uint8).filled(Formula::classes(2, 120.0, &values)).save(&file);
    }
    let [series, usage] = [series, usage].map(|folder| folder.join("{date}_{band}.tif").display().to_string());
    let config = scene.config(&format!(
        "[collections.series]\ntitle = \"Series\"\nsource = {series:?}\n[collections.usage]\nsource = {usage:?}\n"
    ));
    let stack = Launch::serve(scene).arg("--config").arg(config).start();
    stack.wait_for_datasets(&["cover/1", "dem/1", "photo/R", "photo/G", "photo/B"]);
    stack.wait_for("the series is there", std::time::Duration::from_mins(1), || {
        let found = stack.get("/collections/series/datasets?total=true");
        (found.status == 200 && found.json()["total"] == DATES.len() * 4).then_some(())
    });
    stack.wait_for("the usage is there", std::time::Duration::from_mins(1), || {
        let found = stack.get("/collections/usage/datasets?total=true");
        (found.status == 200 && found.json()["total"] == USAGE.len()).then_some(())
    });
    stack
}

#[test]
fn the_page_shows_and_shares_what_is_ingested() {
    let Some((ui, chromium)) = workshop() else { return };
    let scene = Scene::new();
    let stack = serve(&scene);
    if !stack.get("/").text().contains("id=\"app\"") {
        eprintln!("skipped: the binary was built without the page; `make ui` makes it");
        return;
    }
    let output = Command::new("npm")
        .args(["test", "--silent"])
        .current_dir(&ui)
        .env("KILN_URL", stack.base())
        .env("KILN_DROP", scene.source())
        .env("KILN_RESULTS", scene.root().join("results"))
        .env("CHROMIUM", chromium)
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    assert!(output.status.success(), "{said}\n{}", stack.report());
    eprintln!("{}", said.trim_end());
}
