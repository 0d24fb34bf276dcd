//! `demo FOLDER`: writes a small folder of rasters by formula, for a first look at Kiln. Does nothing for files that are there.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool speaks on its standard streams")]

mod landscape;

use std::path::Path;
use std::process::ExitCode;

use harness::formula::{Formula, Pixel, octaves};
use harness::raster::{Band, Interpretation, Raster};
use landscape::{COVER_COLORS, Cover, cover, elevation, shade};
use shared::dataset::DataType;

/// UTM zone of the demo: central Europe.
const ZONE: u16 = 32;
/// West and north of the demo, in metres of its zone.
const CORNER: [f64; 2] = [385_000.0, 5_165_000.0];
/// Side of the demo's square, in metres.
const SIDE_M: f64 = 30_720.0;

fn main() -> ExitCode {
    let folder = std::env::args_os().nth(1).filter(|name| !name.to_string_lossy().starts_with('-'));
    let Some(folder) = folder else {
        eprintln!("demo: name the folder to write into, e.g. demo ./demo");
        return ExitCode::from(2);
    };
    let folder = Path::new(&folder);
    for (name, make) in RASTERS {
        let path = folder.join(name);
        if path.exists() {
            continue;
        }
        make().save(&path);
        println!("wrote {}", path.display());
    }
    ExitCode::SUCCESS
}

type Make = fn() -> Raster;

/// What the folder holds, and how each is made.
const RASTERS: [(&str, Make); 7] = [
    ("elevation.tif", elevation_model),
    ("landcover.tif", land_cover),
    ("photo.tif", photo),
    ("sentinel_20260101_B02.tif", || sentinel(0)),
    ("sentinel_20260101_B03.tif", || sentinel(1)),
    ("sentinel_20260101_B04.tif", || sentinel(2)),
    ("sentinel_20260101_B08.tif", || sentinel(3)),
];

fn square(pixels: u32, data_type: DataType) -> Raster {
    Raster::utm(ZONE, CORNER, SIDE_M / f64::from(pixels), pixels, pixels, data_type)
}

/// Metres east and south of the corner.
fn place(p: Pixel) -> (f64, f64) {
    (p.x - CORNER[0], CORNER[1] - p.y)
}

fn elevation_model() -> Raster {
    let heights = Formula::new(|p| {
        let (x, y) = place(p);
        Some(elevation(x, y))
    });
    square(768, DataType::Float32).bands(&[("elevation", heights)])
}

fn land_cover() -> Raster {
    let classes = Formula::new(|p| {
        let (x, y) = place(p);
        Some(cover(x, y) as u8 as f64)
    });
    let mut raster = square(768, DataType::Uint8).bands(&[("cover", classes)]).nodata(0.0);
    raster.color_table = Some(COVER_COLORS.to_vec());
    raster
}

fn photo() -> Raster {
    let channel = |index: usize| {
        let formula = Formula::new(move |p| {
            let (x, y) = place(p);
            let color = f64::from(COVER_COLORS[cover(x, y) as usize][index]);
            let grain = 0.9 + 0.2 * octaves(31, x / 120.0, y / 120.0);
            Some((color * shade(x, y) * grain).clamp(1.0, 255.0))
        });
        Band { formula, description: None }
    };
    let mut raster = square(768, DataType::Uint8);
    raster.bands = (0..3).map(channel).collect();
    raster.interpretation = Interpretation::Rgb;
    raster
}

/// One band of a made-up satellite scene: reflectance × 10,000, clouds, and a corner that was not seen (0).
fn sentinel(band: usize) -> Raster {
    let pixels = 640;
    let reflectance = Formula::new(move |p| {
        let (x, y) = place(p);
        let ground = cover(x, y).reflectance()[band] * shade(x, y) * (0.85 + 0.3 * octaves(17, x / 300.0, y / 300.0));
        let cloud = ((octaves(23, x / 9000.0, y / 6000.0) - 0.56) * 6.0).clamp(0.0, 0.95);
        Some((ground * (1.0 - cloud) + 8200.0 * cloud).clamp(1.0, 10_000.0))
    });
    let name = ["B02", "B03", "B04", "B08"][band];
    square(pixels, DataType::Uint16).bands(&[(name, reflectance.with_wedge(pixels, pixels, 0.35))]).nodata(0.0)
}

impl Cover {
    /// Typical reflectance × 10,000 in blue, green, red and near infrared.
    fn reflectance(self) -> [f64; 4] {
        match self {
            Self::Water => [900.0, 700.0, 400.0, 200.0],
            Self::Crops => [700.0, 1100.0, 1200.0, 3000.0],
            Self::Forest => [300.0, 520.0, 330.0, 2800.0],
            Self::Meadow => [500.0, 950.0, 700.0, 3800.0],
            Self::Rock => [1500.0, 1700.0, 1850.0, 2200.0],
            Self::Snow => [7800.0, 7900.0, 7700.0, 7000.0],
        }
    }
}
