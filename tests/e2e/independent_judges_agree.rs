//! Programs that others wrote, and that know the formats and protocols better than we do, find the same as we say.

use std::path::{Path, PathBuf};
use std::{env, fs};

use harness::judges::{self, Verdict};
use harness::raster::save_bytes;
use harness::samples::{dem, flat_rgb};
use harness::{Formula, Launch, Raster, Scene, Stack};
use serde_json::Value;
use shared::dataset::DataType;

/// Rasters of the corpus that rasterio judges: of many types, CRSs, validities; one crosses the antimeridian.
const REAL: [&str; 11] = [
    "valid/elev.tif",
    "valid/LC08_LST_crop.tif",
    "valid/cog_int16.tif",
    "valid/web.tif",
    "valid/image_float.tif",
    "valid/lc8-utm-1-re.tif",
    "valid/dataraster-int32.tif",
    "valid/cog_dateline.tif",
    "valid/cog_scale.tif",
    "series/arome/AROME_T2m_10.tif",
    "series/landsat/1985.tif",
];

/// The judges' environment, or None with a word about it.
fn environment() -> Option<PathBuf> {
    let found = judges::environment();
    if found.is_none() {
        eprintln!("skipped: KILN_JUDGES does not name the judges' environment; `make test` makes it");
    }
    found
}

fn judged(stack: &Stack, program: &Path, args: &[&str], scene: &Scene) {
    let Verdict { passed, said } = judges::run(program, args, &scene.root().join("judge"));
    assert!(passed, "{said}\n{}", stack.report());
    eprintln!("{}", said.trim_end());
}

fn scene() -> Scene {
    let scene = Scene::new();
    scene.drop_raster("dem.tif", &dem(3));
    scene.drop_raster("bands.tif", &flat_rgb(10.0, 20.0, 30.0));
    let noise = Formula::noise(5, 40.0, 1.0, 200.0);
    let grey = Raster::lonlat([9.0, 48.0], 0.001, 700, 600, DataType::Uint8).filled(noise.with_wedge(700, 600, 0.1));
    scene.drop_raster("grey.tif", &grey.nodata(0.0));
    scene
}

const SCENE: [&str; 5] = ["dem/1", "bands/R", "bands/G", "bands/B", "grey/1"];

fn serve(scene: &Scene) -> (Stack, String) {
    let stack = Launch::serve(scene).start();
    let base = stack.base().to_owned();
    stack.wait_for_datasets(&SCENE);
    (stack, base)
}

#[test]
fn schemathesis_finds_no_fault_in_the_api() {
    let Some(environment) = environment() else { return };
    let scene = scene();
    let (stack, base) = serve(&scene);
    let url = format!("{base}/swagger.json");
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    // An answer that does not end is nothing it can judge.
    let args =
        ["run", &url, "--max-examples", "30", "--checks", checks, "--seed", "20260101", "--exclude-path", "/events"];
    judged(&stack, &judges::program(&environment, "schemathesis"), &args, &scene);
}

#[test]
fn rasterio_reads_the_same_from_our_cogs_and_from_their_sources() {
    let Some(environment) = environment() else { return };
    let scene = scene();
    let corpus = env::var_os("KILN_CORPUS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let real = REAL.iter().filter_map(|path| Some((path, fs::read(corpus.join(path)).ok()?)));
    let mut count = 3;
    for (path, bytes) in real {
        save_bytes(&bytes, &scene.path(path));
        count += 1;
    }
    let stack = Launch::serve(&scene).start();
    let base = stack.base().to_owned();
    stack.wait_for("all are ingested", std::time::Duration::from_mins(2), || {
        let mut inputs: Vec<String> =
            stack.datasets().iter().map(|dataset| dataset["name"].as_str().unwrap().to_owned()).collect();
        inputs.dedup();
        (inputs.len() == count).then_some(())
    });
    let script = judges::script("rasterio_reads_the_same.py");
    let (store, source) = (scene.store(), scene.source());
    let args = [script.to_str().unwrap(), &base, store.to_str().unwrap(), source.to_str().unwrap()];
    judged(&stack, &judges::program(&environment, "python"), &args, &scene);
}

#[test]
fn gdals_own_warp_gives_the_same_pixels() {
    let Some(environment) = environment() else { return };
    let scene = scene();
    let side = 900;
    let utm = |data_type| Raster::utm(33, [499_980.0, 5_300_040.0], 10.0, side, side, data_type);
    let noise = |seed| Formula::noise(seed, 300.0, 300.0, 6000.0).with_wedge(side, side, 0.2);
    scene.drop_raster("uint16.tif", &utm(DataType::Uint16).filled(noise(1)).nodata(0.0));
    scene.drop_raster("float32.tif", &utm(DataType::Float32).filled(noise(2)).nodata(f64::NAN));
    let mut classes = utm(DataType::Uint8).filled(Formula::classes(3, 400.0, &[1.0, 2.0, 5.0]));
    classes.color_table = Some((0..=255).map(|i| [i, 255 - i, 80]).collect());
    scene.drop_raster("classes.tif", &classes);
    let lonlat = Raster::lonlat([9.0, 48.0], 0.001, 700, 600, DataType::Int16);
    scene.drop_raster("lonlat.tif", &lonlat.filled(Formula::noise(4, 40.0, -500.0, 2000.0)));
    let mut args = vec![judges::script("gdal_warps_the_same.py")];
    for name in ["uint16", "float32", "classes", "lonlat"] {
        let (source, out) = (scene.path(&format!("{name}.tif")), scene.root().join(name));
        let convert = ["convert".into(), source.clone(), "-o".into(), out.clone()];
        let finished = Launch::new(&scene, "kiln", convert).run();
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        let cog = fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
        args.extend([source, cog]);
    }
    let args: Vec<&str> = args.iter().map(|arg| arg.to_str().unwrap()).collect();
    let Verdict { passed, said } =
        judges::run(&judges::program(&environment, "python"), &args, &scene.root().join("judge"));
    assert!(passed, "{said}");
    eprintln!("{}", said.trim_end());
}

#[test]
fn gdal_reads_our_wmts_and_our_tiles() {
    let Some(environment) = environment() else { return };
    let scene = scene();
    let (stack, base) = serve(&scene);
    let known: Value = stack.json("/jobs?input=grey.tif");
    let cog = known["decided"][0]["datasets"][0]["cog"].as_str().unwrap().to_owned();
    let (script, store) = (judges::script("gdal_reads_the_services.py"), scene.store());
    let work = scene.root().join("judge");
    let args = [script.to_str().unwrap(), &base, store.to_str().unwrap(), "grey/1", &cog, work.to_str().unwrap()];
    judged(&stack, &judges::program(&environment, "python"), &args, &scene);
}

#[test]
fn maplibre_draws_our_tilejson_in_a_browser() {
    if environment().is_none() {
        return;
    }
    let scene = scene();
    let (stack, base) = serve(&scene);
    let (script, shot) = (judges::script("maplibre_draws_tilejson.mjs"), scene.root().join("map.png"));
    for layer in
        ["singleband/dem/1/tilejson.json?colormap=terrain", "singleband/*/1/tilejson.json?stretch_range=[0,255]"]
    {
        let url = format!("{base}/{layer}");
        judged(&stack, Path::new("node"), &[script.to_str().unwrap(), &url, shot.to_str().unwrap()], &scene);
    }
}

#[test]
fn terracottas_own_client_accepts_the_server() {
    let Some(environment) = environment() else { return };
    let scene = scene();
    let (stack, base) = serve(&scene);
    let (script, shot) = (judges::script("terracotta_client_lists_datasets.mjs"), scene.root().join("client.png"));
    let program = judges::program(&environment, "terracotta");
    let args = [script.to_str().unwrap(), program.to_str().unwrap(), &base, "grey", shot.to_str().unwrap()];
    judged(&stack, Path::new("node"), &args, &scene);
}

#[test]
fn the_kubernetes_examples_are_valid() {
    let Some(environment) = environment() else { return };
    let scene = Scene::new();
    let script = judges::script("kubernetes_manifests_are_valid.py");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/README.md");
    let args = [script.to_str().unwrap(), page.to_str().unwrap()];
    let Verdict { passed, said } =
        judges::run(&judges::program(&environment, "python"), &args, &scene.root().join("judge"));
    assert!(passed, "{said}");
    eprintln!("{}", said.trim_end());
}
