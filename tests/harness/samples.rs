//! Small rasters that many tests use.

use shared::dataset::DataType;

use crate::formula::Formula;
use crate::raster::Raster;

/// Zoom of the rasters that lie exactly on the grid.
pub const ZOOM: u8 = 10;
/// The tile they cover: Bavaria.
pub const TILE: [u32; 2] = [544, 355];

/// A float elevation model in UTM, some 6 × 6 km.
pub fn dem(seed: u64) -> Raster {
    Raster::utm(32, [600_000.0, 5_300_000.0], 60.0, 96, 96, DataType::Float32)
        .filled(Formula::noise(seed, 40.0, 300.0, 2000.0))
}

/// One tile of the grid with the same 16-bit value everywhere.
pub fn flat(value: f64) -> Raster {
    Raster::on_grid(ZOOM, TILE, [1, 1], DataType::Uint16).filled(Formula::constant(value))
}

/// One tile of the grid, three 16-bit bands R, G and B, each the same value everywhere: three COGs.
pub fn flat_rgb(red: f64, green: f64, blue: f64) -> Raster {
    let bands = [("R", red), ("G", green), ("B", blue)].map(|(name, value)| (name, Formula::constant(value)));
    Raster::on_grid(ZOOM, TILE, [1, 1], DataType::Uint16).bands(&bands)
}

/// `ZOOM/x/y.png` of the tile those cover.
pub fn tile() -> String {
    format!("{ZOOM}/{}/{}.png", TILE[0], TILE[1])
}
