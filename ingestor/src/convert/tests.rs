//! Conversion as a whole, on rasters by formula: what comes out is read back with GDAL and held against the formula.

use std::path::{Path, PathBuf};

use gdal::raster::{Buffer, ColorInterpretation, GdalType, RasterCreationOptions};
use gdal::spatial_ref::SpatialRef;
use gdal::{Dataset as Raster, DriverManager, Metadata as _};
use shared::dataset::Validity;
use shared::grid::{HALF_WORLD_M, pixel_side_m, to_mercator};
use shared::raster_settings::{RasterRules, RasterSettings};
use tempfile::TempDir;

use super::*;

/// A raster to make: 100 m pixels in UTM 32N unless told otherwise.
struct Recipe {
    size: usize,
    crs: Option<u32>,
    affine: [f64; 6],
    nodata: Option<f64>,
    colors: Vec<ColorInterpretation>,
    options: &'static [&'static str],
}

fn recipe() -> Recipe {
    Recipe {
        size: 64,
        crs: Some(32632),
        affine: [500_000.0, 100.0, 0.0, 5_300_000.0, 0.0, -100.0],
        nodata: None,
        colors: vec![ColorInterpretation::GrayIndex],
        options: &[],
    }
}

impl Recipe {
    /// Writes it: `value(band, x, y)` with bands from 0.
    fn write<T: GdalType + Copy>(&self, folder: &Path, value: impl Fn(usize, usize, usize) -> T) -> PathBuf {
        let path = folder.join("in.tif");
        let options = self.options.iter().copied().collect::<RasterCreationOptions>();
        let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
        let mut raster = driver
            .create_with_band_type_with_options::<T, _>(&path, self.size, self.size, self.colors.len(), &options)
            .unwrap();
        raster.set_geo_transform(&self.affine).unwrap();
        if let Some(crs) = self.crs {
            raster.set_spatial_ref(&SpatialRef::from_epsg(crs).unwrap()).unwrap();
        }
        for (i, color) in self.colors.iter().enumerate() {
            let mut band = raster.rasterband(i + 1).unwrap();
            if self.colors.len() > 1 {
                band.set_color_interpretation(ColorInterpretation::from_c_int(color.c_int()).unwrap()).unwrap();
            }
            if self.nodata.is_some() {
                band.set_no_data_value(self.nodata).unwrap();
            }
            let data = (0..self.size * self.size).map(|at| value(i, at % self.size, at / self.size)).collect();
            let mut data = Buffer::new((self.size, self.size), data);
            band.write((0, 0), (self.size, self.size), &mut data).unwrap();
        }
        drop(raster);
        path
    }
}

fn job(file: &Path, out: &TempDir) -> ConvertJob {
    ConvertJob {
        id: 7,
        file: file.to_owned(),
        out_dir: out.path().to_owned(),
        collection: "c".to_owned(),
        key_names: vec!["name".to_owned(), "band".to_owned()],
        key_values: vec![Some("in".to_owned()), None],
        variable_key: None,
        band_prefix: None,
        colormaps: Vec::new(),
        rules: RasterRules::default(),
        input: "in.tif".to_owned(),
        version: "1".to_owned(),
        source_time_ms: 5,
        drivers: DEFAULT_DRIVERS.map(str::to_owned).to_vec(),
        threads: 2,
        memory_bytes: 1 << 30,
    }
}

fn converted(job: &ConvertJob) -> (Vec<ConvertedCog>, Vec<String>) {
    match convert(job, &|_| {}) {
        ConvertAnswer::Converted { id, cogs, notes } => {
            assert_eq!(id, job.id);
            (cogs, notes)
        }
        other => panic!("{other:?}"),
    }
}

fn refused(job: &ConvertJob) -> (String, bool) {
    match convert(job, &|_| {}) {
        ConvertAnswer::Refused { reason, may_pass, .. } => (reason, may_pass),
        other => panic!("{other:?}"),
    }
}

/// Pixels of a COG and which are valid, by GDAL; one band.
fn read_back(cog: &ConvertedCog, band: usize) -> (Vec<f64>, Vec<u8>, usize) {
    let raster = Raster::open(&cog.file).unwrap();
    assert_eq!(raster.metadata_item("LAYOUT", "IMAGE_STRUCTURE").as_deref(), Some("COG"));
    let band = raster.rasterband(band).unwrap();
    let samples = band.read_band_as::<f64>().unwrap().data().to_vec();
    let valid = band.open_mask_band().unwrap().read_band_as::<u8>().unwrap().data().to_vec();
    (samples, valid, raster.raster_size().0)
}

/// Where a longitude and latitude lie in a COG, in pixels.
fn pixel_of(cog: &ConvertedCog, lon: f64, lat: f64) -> (usize, usize) {
    let place = cog.datasets[0].cog.placement;
    let side = pixel_side_m(place.maxzoom);
    let (x, y) = to_mercator(lon, lat);
    let column = (x + HALF_WORLD_M) / side - f64::from(place.col) * 256.0;
    (column as usize, ((HALF_WORLD_M - y) / side - f64::from(place.row) * 256.0) as usize)
}

#[test]
fn a_plane_stays_a_plane_and_its_statistics_are_those_of_the_formula() {
    let dir = TempDir::new().unwrap();
    let file = recipe().write::<u16>(dir.path(), |_, x, y| (1000 + 20 * x + 3 * y) as u16);
    let (cogs, notes) = converted(&job(&file, &dir));
    assert!(notes.is_empty() && cogs.len() == 1, "{notes:?}");
    let dataset = &cogs[0].datasets[0];
    assert_eq!(dataset.keys, ["in", "1"]);
    assert!(
        dataset.path.starts_with("cogs/c/")
            && dataset.path.ends_with(cogs[0].file.file_name().unwrap().to_str().unwrap())
    );
    assert_eq!(cogs[0].bytes, std::fs::metadata(&cogs[0].file).unwrap().len());
    let statistics = dataset.metadata.statistics.as_ref().unwrap();
    assert_eq!((statistics.min, statistics.max, statistics.valid_pixels), (1000.0, 1000.0 + 63.0 * 23.0, 4096));
    assert!((statistics.mean - (1000.0 + 31.5 * 23.0)).abs() < 1e-9);
    let variance = (64.0 * 64.0 - 1.0) / 12.0 * (400.0 + 9.0);
    assert!((statistics.stdev - f64::sqrt(variance)).abs() < 1e-9);
    assert_eq!(statistics.histogram.counts.iter().sum::<u64>(), 4096);
    assert_eq!(dataset.metadata.crs, "EPSG:32632");
    assert_eq!(dataset.metadata.valid_percentage, 100.0);
    // The middle of the raster, on the central meridian.
    let (samples, valid, width) = read_back(&cogs[0], 1);
    let bounds = dataset.metadata.bounds;
    assert!((bounds.west - 9.0).abs() < 1e-9 && bounds.east > 9.08 && bounds.east < 9.09, "{bounds:?}");
    let (x, y) = pixel_of(&cogs[0], bounds.west.midpoint(bounds.east), bounds.south.midpoint(bounds.north));
    assert!(valid[y * width + x] != 0 && (samples[y * width + x] - (1000.0 + 31.5 * 23.0)).abs() < 15.0);
    // Along a row the plane's slope is that of the formula.
    let slope = (samples[y * width + x + 20] - samples[y * width + x - 20]) / 40.0;
    let expected = 20.0 * pixel_side_m(dataset.cog.placement.maxzoom) * 47.8f64.to_radians().cos() / 100.0;
    assert!((slope / expected - 1.0).abs() < 0.03, "{slope} {expected}");
}

#[test]
fn what_is_read_from_disk_equals_what_is_read_from_memory() {
    let dir = TempDir::new().unwrap();
    let recipe = Recipe { size: 300, nodata: Some(9.0), ..recipe() };
    let file = recipe.write::<f32>(dir.path(), |_, x, y| ((x * 31 + y * 17) % 100) as f32);
    let whole = converted(&job(&file, &dir)).0;
    let parts = converted(&ConvertJob { memory_bytes: 1 << 17, ..job(&file, &dir) }).0;
    assert_eq!(whole[0].datasets[0].metadata.statistics, parts[0].datasets[0].metadata.statistics);
    assert_eq!(whole[0].datasets[0].metadata.convex_hull, parts[0].datasets[0].metadata.convex_hull);
    assert!(read_back(&whole[0], 1) == read_back(&parts[0], 1));
    let statistics = whole[0].datasets[0].metadata.statistics.as_ref().unwrap();
    assert_eq!((statistics.percentiles[49], statistics.valid_pixels), (50.0, 300 * 300 - 900));
}

#[test]
fn pixels_already_on_the_grid_are_copied_bit_by_bit() {
    let dir = TempDir::new().unwrap();
    let side = pixel_side_m(9);
    let affine = [5.0 * 256.0 * side, side, 0.0, 7.0 * 256.0 * side, 0.0, -side];
    let recipe = Recipe { size: 256, crs: Some(3857), affine, ..recipe() };
    let formula = |x: usize, y: usize| (x as f32).sin() * 1e-3 + (y as f32).cos() * 1e6;
    let file = recipe.write::<f32>(dir.path(), |_, x, y| formula(x, y));
    let (cogs, _) = converted(&job(&file, &dir));
    let dataset = &cogs[0].datasets[0];
    let place = dataset.cog.placement;
    assert_eq!((place.maxzoom, place.cols, place.rows, place.col, place.row), (9, 1, 1, 261, 249));
    assert_eq!(dataset.cog.validity, Validity::None);
    let samples = read_back(&cogs[0], 1).0;
    assert!((0..65_536).all(|at| samples[at] == f64::from(formula(at % 256, at / 256))));
}

#[test]
fn a_raster_across_the_antimeridian_is_one_file() {
    let dir = TempDir::new().unwrap();
    let affine = [179.0, 0.01, 0.0, 10.0, 0.0, -0.01];
    let recipe = Recipe { size: 200, crs: Some(4326), affine, ..recipe() };
    let file = recipe.write::<i16>(dir.path(), |_, x, _| x as i16 * 10);
    let (cogs, _) = converted(&job(&file, &dir));
    let (dataset, place) = (&cogs[0].datasets[0], cogs[0].datasets[0].cog.placement);
    assert!(dataset.metadata.bounds.crosses_antimeridian());
    assert!(u64::from(place.col) + u64::from(place.cols) > 1 << place.maxzoom);
    let (samples, valid, width) = read_back(&cogs[0], 1);
    let (x, y) = pixel_of(&cogs[0], 180.0, 9.0);
    for (column, expected) in [(x - 3, 1000.0), (x + 3, 1000.0)] {
        assert!(valid[y * width + column] != 0 && (samples[y * width + column] - expected).abs() < 60.0);
    }
    assert!(dataset.metadata.convex_hull.iter().any(|p| p[0] > 180.5), "{:?}", dataset.metadata.convex_hull);
}

#[test]
fn south_up_rotated_and_polar_rasters_lie_where_they_should() {
    let dir = TempDir::new().unwrap();
    let north_up = Recipe { crs: Some(4326), affine: [10.0, 0.01, 0.0, 50.0, 0.0, -0.01], ..recipe() };
    let south_up = Recipe { crs: Some(4326), affine: [10.0, 0.01, 0.0, 49.36, 0.0, 0.01], ..recipe() };
    let a = converted(&job(&north_up.write::<f32>(dir.path(), |_, x, y| (x + 100 * y) as f32), &dir)).0;
    let b = converted(&job(&south_up.write::<f32>(dir.path(), |_, x, y| (x + 100 * (63 - y)) as f32), &dir)).0;
    assert_eq!(a[0].datasets[0].cog.placement, b[0].datasets[0].cog.placement);
    let (pixels_a, pixels_b) = (read_back(&a[0], 1), read_back(&b[0], 1));
    assert_eq!(pixels_a.1, pixels_b.1);
    let near = |(a, b): (&f64, &f64)| a.is_nan() || (a - b).abs() < 0.01;
    assert!(pixels_a.0.iter().zip(&pixels_b.0).all(near));
    let polar = Recipe { crs: Some(3413), affine: [-3.2e6, 1e5, 0.0, 3.2e6, 0.0, -1e5], ..recipe() };
    let (cogs, _) = converted(&job(&polar.write::<f32>(dir.path(), |_, x, _| x as f32), &dir));
    let (bounds, place) = (cogs[0].datasets[0].metadata.bounds, cogs[0].datasets[0].cog.placement);
    assert_eq!((bounds.west, bounds.east, bounds.north), (-180.0, 180.0, 90.0));
    assert_eq!((place.col, u64::from(place.cols), place.row), (0, 1 << place.maxzoom, 0));
}

#[test]
fn invalid_pixels_stay_out_of_statistics_and_tiles() {
    let dir = TempDir::new().unwrap();
    let recipe = Recipe { nodata: Some(0.0), ..recipe() };
    let file = recipe.write::<u8>(dir.path(), |_, x, y| if x < 32 { 0 } else { 100 + ((x * y) % 90) as u8 });
    let dataset = converted(&job(&file, &dir)).0.remove(0).datasets.remove(0);
    assert_eq!((dataset.metadata.valid_percentage, dataset.cog.validity), (50.0, Validity::Nodata(0.0)));
    assert!(dataset.metadata.statistics.unwrap().min >= 100.0);
    let west = dataset.metadata.convex_hull.iter().map(|p| p[0]).fold(f64::INFINITY, f64::min);
    assert!(west > dataset.metadata.bounds.west + 0.04, "the hull is that of valid pixels");
    let all = recipe.write::<u8>(dir.path(), |_, _, _| 0);
    let dataset = converted(&job(&all, &dir)).0.remove(0).datasets.remove(0);
    assert!(dataset.metadata.statistics.is_none() && dataset.metadata.convex_hull.is_empty());
}

#[test]
fn color_images_stay_together_and_other_bands_part() {
    use ColorInterpretation::{AlphaBand, BlueBand, GreenBand, RedBand};
    let dir = TempDir::new().unwrap();
    let recipe = Recipe { colors: vec![RedBand, GreenBand, BlueBand, AlphaBand], options: &["ALPHA=YES"], ..recipe() };
    let value =
        |band: usize, x: usize, _: usize| if band == 3 { if x < 20 { 0 } else { 200 } } else { 50 * (band as u8 + 1) };
    let (cogs, _) = converted(&job(&recipe.write::<u8>(dir.path(), value), &dir));
    assert_eq!((cogs.len(), cogs[0].datasets.len(), cogs[0].datasets[0].cog.validity), (1, 3, Validity::Alpha));
    let blue = &cogs[0].datasets[2];
    assert_eq!((blue.sample, blue.keys[1].as_str()), (2, "3"));
    assert_eq!(blue.metadata.rgb, Some(["1", "2", "3"].map(str::to_owned)));
    let statistics = blue.metadata.statistics.as_ref().unwrap();
    assert_eq!((statistics.min, statistics.max, statistics.valid_pixels), (150.0, 150.0, 44 * 64));
    let (samples, alpha, _) = read_back(&cogs[0], 3);
    assert!(samples.iter().zip(&alpha).all(|(sample, alpha)| *alpha == 0 || *sample == 150.0));
    assert!(alpha.iter().all(|alpha| [0, 200].contains(alpha) || (100..200).contains(alpha)));
    let (cogs, _) = converted(&job(&recipe.write::<u16>(dir.path(), |b, x, y| value(b, x, y).into()), &dir));
    assert_eq!(cogs.iter().map(|cog| cog.datasets.len()).collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(cogs[1].datasets[0].metadata.band.number, 2);
}

#[test]
fn alpha_hides_pixels_however_many_bands_there_are() {
    use ColorInterpretation::{AlphaBand, GrayIndex};
    let dir = TempDir::new().unwrap();
    for others in [2, 4, 5] {
        let mut colors = vec![GrayIndex];
        colors.extend((1..others).map(|_| ColorInterpretation::Undefined));
        colors.push(AlphaBand);
        let recipe = Recipe { colors, ..recipe() };
        let value = |band: usize, x: usize, y: usize| match (band == others, x < 20) {
            (_, true) => 0,
            (true, false) => 65_535,
            (false, false) => (1000 + 64 * x + y) as u16,
        };
        let (cogs, _) = converted(&job(&recipe.write::<u16>(dir.path(), value), &dir));
        assert_eq!(cogs.len(), others);
        for cog in &cogs {
            let statistics = cog.datasets[0].metadata.statistics.as_ref().unwrap();
            assert_eq!((statistics.min, statistics.valid_pixels), (1000.0 + 64.0 * 20.0, 44 * 64));
            assert_eq!(cog.datasets[0].cog.validity, Validity::Mask);
        }
    }
}

#[test]
fn infinite_pixels_are_invalid() {
    let dir = TempDir::new().unwrap();
    let strange = |x: usize, y: usize| x < 8 && y < 8;
    let value =
        |x: usize, y: usize| if strange(x, y) { f32::INFINITY.copysign(x as f32 - 3.5) } else { (x + y) as f32 };
    let (cogs, _) = converted(&job(&recipe().write::<f32>(dir.path(), |_, x, y| value(x, y)), &dir));
    let dataset = &cogs[0].datasets[0];
    let statistics = dataset.metadata.statistics.as_ref().unwrap();
    assert_eq!((statistics.min, statistics.max, statistics.valid_pixels), (8.0, 126.0, 64 * 64 - 64));
    assert!(statistics.mean.is_finite() && statistics.stdev.is_finite());
    let (samples, valid, _) = read_back(&cogs[0], 1);
    assert!(samples.iter().zip(&valid).all(|(sample, valid)| *valid == 0 || (8.0..=126.0).contains(sample)));
    assert!(samples.iter().all(|sample| !sample.is_infinite()));
}

#[test]
fn few_integers_are_classes_and_no_class_is_invented() {
    let dir = TempDir::new().unwrap();
    let file = recipe().write::<u8>(dir.path(), |_, x, y| [3, 50, 200][(x / 7 + y / 5) % 3]);
    let (cogs, notes) = converted(&job(&file, &dir));
    let metadata = &cogs[0].datasets[0].metadata;
    assert_eq!((metadata.categorical.is, metadata.categorical.reason.as_str()), (true, "3 distinct values"));
    assert_eq!(notes, ["band 1 is categorical: 3 distinct values"]);
    let (samples, valid, _) = read_back(&cogs[0], 1);
    assert!(samples.iter().zip(&valid).all(|(s, v)| *v == 0 || [3.0, 50.0, 200.0].contains(s)));
    let mut job = job(&file, &dir);
    job.rules.base.categorical = Some(false);
    assert!(!converted(&job).0[0].datasets[0].metadata.categorical.is);
}

#[test]
fn settings_hold() {
    let dir = TempDir::new().unwrap();
    let file = Recipe { crs: None, ..recipe() }.write::<i16>(dir.path(), |_, x, y| (x * 64 + y) as i16);
    assert!(refused(&job(&file, &dir)).0.contains("setting crs"));
    let mut job = job(&file, &dir);
    job.rules.base = RasterSettings {
        crs: Some("EPSG:32632".to_owned()),
        nodata: Some(5.0),
        scale: Some(0.1),
        zoom: Some(8),
        band_names: Some(vec!["height".to_owned()]),
        ..RasterSettings::default()
    };
    let dataset = converted(&job).0.remove(0).datasets.remove(0);
    assert_eq!((dataset.cog.placement.maxzoom, dataset.keys[1].as_str()), (8, "height"));
    assert_eq!((dataset.metadata.nodata, dataset.metadata.band.scale), (Some(5.0), Some(0.1)));
    assert_eq!(dataset.metadata.statistics.unwrap().valid_pixels, 4095);
    job.rules.base.zoom = Some(20);
    assert!(refused(&job).0.contains("zoom"));
}

#[test]
fn what_cannot_become_tiles_is_refused_with_a_reason() {
    let dir = TempDir::new().unwrap();
    let two = Recipe { colors: vec![ColorInterpretation::GrayIndex, ColorInterpretation::Undefined], ..recipe() };
    let mut job = job(&two.write::<u8>(dir.path(), |_, x, _| x as u8), &dir);
    job.key_values = vec![Some("a".to_owned()), Some("b".to_owned())];
    assert!(refused(&job).0.contains("#{band}"));
    let far = Recipe { crs: Some(4326), affine: [0.0, 1.0, 0.0, 0.0, 0.0, 5.0], ..recipe() };
    job.file = far.write::<u8>(dir.path(), |_, x, _| x as u8);
    assert!(refused(&job).0.contains("not on Earth"));
    job.file = Recipe { crs: Some(4326), affine: [0.0, 0.01, 0.0, 89.0, 0.0, -0.01], ..recipe() }
        .write::<u8>(dir.path(), |_, x, _| x as u8);
    assert!(refused(&job).0.contains("where a web map ends"));
    job.file = recipe().write::<i64>(dir.path(), |_, x, _| (1 << 53) + 2 * x as i64);
    assert!(refused(&job).0.contains("2^53"));
    job.file = recipe().write::<u8>(dir.path(), |_, x, _| x as u8);
    let bytes = std::fs::read(&job.file).unwrap();
    std::fs::write(&job.file, &bytes[..bytes.len() - 2000]).unwrap();
    assert!(refused(&job).1, "the rest may come");
    std::fs::write(&job.file, "<VRTDataset rasterXSize=\"5\" rasterYSize=\"5\"/>").unwrap();
    assert!(refused(&job).0.contains("VRT"));
    assert!(std::fs::read_dir(dir.path()).unwrap().count() == 1, "nothing is left behind");
}

#[test]
fn a_cog_of_ours_is_taken_over_unless_it_is_damaged() {
    let (dir, out) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let file = recipe().write::<u16>(dir.path(), |_, x, y| (x * 64 + y) as u16);
    let first = converted(&job(&file, &dir)).0.remove(0);
    let (again, notes) = converted(&ConvertJob { version: "2".to_owned(), ..job(&first.file, &out) });
    assert!(notes[0].contains("taken over"), "{notes:?}");
    assert_eq!(std::fs::read(&again[0].file).unwrap(), std::fs::read(&first.file).unwrap());
    let (old, new) = (&first.datasets[0], &again[0].datasets[0]);
    assert_eq!((&old.cog, new.metadata.version.as_str()), (&new.cog, "2"));
    let mean = |dataset: &shared::dataset::Dataset| dataset.metadata.statistics.as_ref().unwrap().mean;
    assert_eq!(mean(old), mean(new));
    assert_ne!(old.path, new.path);
    let mut bytes = std::fs::read(&first.file).unwrap();
    let middle = old.cog.header_bytes as usize + 40;
    bytes[middle] ^= 0x55;
    std::fs::write(&first.file, bytes).unwrap();
    assert!(
        !matches!(convert(&job(&first.file, &out), &|_| {}), ConvertAnswer::Converted { notes, .. } if !notes.is_empty())
    );
}

#[test]
fn our_own_cogs_are_taken_over_wherever_they_lie() {
    let dir = TempDir::new().unwrap();
    for (crs, affine) in [
        (4326, [179.0, 0.01, 0.0, 10.0, 0.0, -0.01]),
        (4326, [-180.0, 5.625, 0.0, 90.0, 0.0, -2.8125]),
        (4326, [0.0, 5.625, 0.0, 90.0, 0.0, -2.8125]),
        (4326, [180.0, 0.01, 0.0, 10.0, 0.0, -0.01]),
        (3413, [-3.2e6, 1e5, 0.0, 3.2e6, 0.0, -1e5]),
        (32632, [500_000.0, 70.0, 70.0, 5_300_000.0, 70.0, -70.0]),
    ] {
        let recipe = Recipe { crs: Some(crs), affine, ..recipe() };
        let file = recipe.write::<f32>(dir.path(), |_, x, y| (x * 64 + y) as f32);
        let first = converted(&job(&file, &dir)).0.remove(0);
        let notes = converted(&job(&first.file, &dir)).1;
        assert!(notes.iter().any(|note| note.contains("taken over")), "EPSG:{crs} {affine:?}");
    }
}

#[test]
fn percentiles_are_those_of_sorted_values() {
    let dir = TempDir::new().unwrap();
    let random = |x: usize, y: usize| f64::from(((x * 64 + y) as u32).wrapping_mul(2_654_435_761) >> 4) / 1e4 - 9000.0;
    let mut sorted: Vec<f64> = (0..4096).map(|at| random(at % 64, at / 64)).collect();
    sorted.sort_by(f64::total_cmp);
    let check = |file: &Path, rounded: fn(f64) -> f64, tolerance: f64| {
        let statistics = converted(&job(file, &dir)).0[0].datasets[0].metadata.statistics.clone().unwrap();
        let at = |rank: usize| rounded(sorted[rank.min(4095)]);
        for (p, got) in (1..=99).zip(&statistics.percentiles) {
            let rank = f64::from(p) / 100.0 * 4095.0;
            let expected = at(rank as usize) + (at(rank as usize + 1) - at(rank as usize)) * rank.fract();
            assert!((got - expected).abs() <= tolerance * expected.abs().max(1.0), "p{p}: {got}, not {expected}");
        }
        assert_eq!((statistics.min, statistics.max), (at(0), at(4095)));
        let mean = (0..4096).map(at).sum::<f64>() / 4096.0;
        assert!((statistics.mean - mean).abs() < 1e-6);
        assert_eq!(statistics.histogram.counts.iter().sum::<u64>(), 4096);
    };
    check(&recipe().write::<f64>(dir.path(), |_, x, y| random(x, y)), |v| v, 2e-6);
    check(&recipe().write::<f32>(dir.path(), |_, x, y| random(x, y) as f32), |v| f64::from(v as f32), 1e-9);
    check(&recipe().write::<i32>(dir.path(), |_, x, y| random(x, y) as i32), |v| f64::from(v as i32), 1e-9);
    check(&recipe().write::<i64>(dir.path(), |_, x, y| random(x, y) as i64), |v| f64::from(v as i32), 2e-6);
}

/// A `NetCDF` file of one variable at several times, the value being 100 × time step + column.
fn time_series(folder: &Path) -> PathBuf {
    let path = folder.join("in.tif");
    let mut steps = recipe();
    steps.crs = Some(4326);
    steps.affine = [200.0, 0.5, 0.0, 40.0, 0.0, -0.5];
    steps.colors = vec![ColorInterpretation::Undefined, ColorInterpretation::Undefined, ColorInterpretation::Undefined];
    let file = steps.write(folder, |band, x, _| (100 * band + x) as f32);
    let mut raster = Raster::open_ex(
        &file,
        gdal::DatasetOptions { open_flags: gdal::GdalOpenFlags::GDAL_OF_UPDATE, ..gdal::DatasetOptions::default() },
    )
    .unwrap();
    for (key, value) in [
        ("NETCDF_DIM_EXTRA", "{time}"),
        ("NETCDF_DIM_time_DEF", "{3,6}"),
        ("NETCDF_DIM_time_VALUES", "{0,6,12}"),
        ("time#units", "hours since 2026-01-31 18:00:00"),
        ("time#calendar", "standard"),
    ] {
        raster.set_metadata_item(key, value, "").unwrap();
    }
    for band in 1..=3 {
        let mut band = raster.rasterband(band).unwrap();
        band.set_metadata_item("NETCDF_VARNAME", "t2m", "").unwrap();
    }
    drop(raster);
    let raster = Raster::open(&path).unwrap();
    let driver = DriverManager::get_driver_by_name("netCDF").unwrap();
    let out = folder.join("in.nc");
    drop(raster.create_copy(&driver, &out, &RasterCreationOptions::default()).unwrap());
    out
}

#[test]
fn bands_that_are_times_are_called_by_them_and_longitudes_wrap() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut job = job(&time_series(dir.path()), &out);
    job.key_names = ["name", "variable", "time"].map(str::to_owned).to_vec();
    job.key_values = vec![Some("in".to_owned()), Some(String::new()), None];
    job.variable_key = Some(1);
    let ConvertAnswer::Converted { cogs, .. } = convert(&job, &|_| {}) else { panic!("{:?}", convert(&job, &|_| {})) };
    let keys: Vec<String> = cogs.iter().map(|cog| cog.datasets[0].keys.join(" ")).collect();
    let wanted = ["2026-01-31T18:00:00Z", "2026-02-01T00:00:00Z", "2026-02-01T06:00:00Z"];
    assert_eq!(keys, wanted.map(|time| format!("in t2m {time}")));
    let bounds = cogs[0].datasets[0].metadata.bounds;
    assert_eq!((bounds.west, bounds.east), (-160.0, -128.0));
    let least = |i: usize| cogs[i].datasets[0].metadata.statistics.as_ref().unwrap().min;
    assert_eq!([0, 1, 2].map(least), [0.0, 100.0, 200.0]);

    job.rules.base.variables = Some(vec!["pr".to_owned()]);
    let ConvertAnswer::Refused { reason, .. } = convert(&job, &|_| {}) else { panic!("there is no such variable") };
    assert!(reason.contains("\"pr\"") && reason.contains("t2m"), "{reason}");
}

#[test]
fn the_style_beside_a_raster_is_in_its_record() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = recipe().write(dir.path(), |_, x, y| (x + y) as f32);
    std::fs::write(dir.path().join("in.tif.kiln.toml"), "colormap = \"terrain\"\n[metadata]\nsite = \"north\"")
        .unwrap();
    let ConvertAnswer::Converted { cogs, .. } = convert(&job(&file, &out), &|_| {}) else { panic!("not converted") };
    let metadata = &cogs[0].datasets[0].metadata;
    assert_eq!(metadata.style.as_ref().unwrap().colormap.as_deref(), Some("terrain"));
    assert_eq!(metadata.user["site"], "north");
    std::fs::write(dir.path().join("in.tif.kiln.toml"), "colourmap = 1").unwrap();
    let ConvertAnswer::Refused { reason, .. } = convert(&job(&file, &out), &|_| {}) else { panic!("not refused") };
    assert!(reason.contains("in.tif.kiln.toml") && reason.contains("colourmap"), "{reason}");
}
