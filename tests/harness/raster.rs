//! A raster by formula: where it lies, what its bands hold, and how it is written.

use std::path::Path;
use std::time::Duration;
use std::{fs, io::Write, thread};

use shared::dataset::DataType;
use shared::grid;

use crate::formula::{Formula, Pixel};
use crate::geotiff;

/// One band.
#[derive(Clone, Debug)]
pub struct Band {
    /// Its values.
    pub formula: Formula,
    /// Its description, as GDAL reads it.
    pub description: Option<String>,
}

/// How the bands of a file are to be understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interpretation {
    /// Each for itself.
    #[default]
    Gray,
    /// Red, green and blue, pixel-interleaved.
    Rgb,
}

/// A raster, north-up, to be written as an uncompressed `GeoTIFF`.
#[derive(Clone, Debug)]
pub struct Raster {
    /// EPSG code of its CRS; None writes none.
    pub epsg: Option<u16>,
    /// West and north edge, in units of the CRS.
    pub corner: [f64; 2],
    /// Side of a pixel, in units of the CRS.
    pub pixel: f64,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Type of the samples.
    pub data_type: DataType,
    /// At least one.
    pub bands: Vec<Band>,
    /// Written where a formula gives None, and declared.
    pub nodata: Option<f64>,
    /// Colours by value: 8-bit single-band rasters only.
    pub color_table: Option<Vec<[u8; 3]>>,
    /// Whether an internal 1-bit mask says where the first band's formula gives None.
    pub mask: bool,
    /// What the bands are.
    pub interpretation: Interpretation,
    /// Blocks of 256 × 256 instead of strips.
    pub tiled: bool,
}

impl Raster {
    /// A raster of one band, constant 1, in the given CRS.
    pub fn new(epsg: u16, corner: [f64; 2], pixel: f64, width: u32, height: u32, data_type: DataType) -> Self {
        Self {
            epsg: Some(epsg),
            corner,
            pixel,
            width,
            height,
            data_type,
            bands: vec![Band { formula: Formula::constant(1.0), description: None }],
            nodata: None,
            color_table: None,
            mask: false,
            interpretation: Interpretation::Gray,
            tiled: false,
        }
    }

    /// In degrees (EPSG:4326).
    pub fn lonlat(corner: [f64; 2], pixel: f64, width: u32, height: u32, data_type: DataType) -> Self {
        Self::new(4326, corner, pixel, width, height, data_type)
    }

    /// In metres of a northern UTM zone on WGS84.
    pub fn utm(zone: u16, corner: [f64; 2], pixel: f64, width: u32, height: u32, data_type: DataType) -> Self {
        Self::new(32600 + zone, corner, pixel, width, height, data_type)
    }

    /// Exactly `cols × rows` tiles of the web-map grid at zoom `z`, from tile (`x`, `y`): what is served is then bit for bit what is written.
    pub fn on_grid(z: u8, [x, y]: [u32; 2], [cols, rows]: [u32; 2], data_type: DataType) -> Self {
        let side = grid::tile_side_m(z);
        let corner = [-grid::HALF_WORLD_M + f64::from(x) * side, grid::HALF_WORLD_M - f64::from(y) * side];
        Self::new(3857, corner, grid::pixel_side_m(z), cols * 256, rows * 256, data_type)
    }

    /// With this formula in its only band.
    #[must_use]
    pub fn filled(mut self, formula: Formula) -> Self {
        self.bands = vec![Band { formula, description: None }];
        self
    }

    /// With these bands, described.
    #[must_use]
    pub fn bands(mut self, bands: &[(&str, Formula)]) -> Self {
        self.bands = bands
            .iter()
            .map(|(name, formula)| Band {
                formula: formula.clone(),
                description: (!name.is_empty()).then(|| (*name).to_owned()),
            })
            .collect();
        self
    }

    /// With a nodata value.
    #[must_use]
    pub fn nodata(mut self, value: f64) -> Self {
        self.nodata = Some(value);
        self
    }

    /// The value of a band at a pixel, as it is stored: rounded for integers; None where invalid.
    pub fn value(&self, band: usize, col: u32, row: u32) -> Option<f64> {
        let (col, row) = (f64::from(col), f64::from(row));
        let x = self.corner[0] + (col + 0.5) * self.pixel;
        let y = self.corner[1] - (row + 0.5) * self.pixel;
        let value = self.bands[band].formula.at(Pixel { col, row, x, y })?;
        Some(if self.data_type.is_float() { value } else { value.round() })
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        geotiff::encode(self)
    }

    /// Writes it as a careful program does: under a name that is ignored, then renamed into place.
    pub fn save(&self, path: &Path) {
        save_bytes(&self.to_bytes(), path);
    }

    /// Writes it in place, in pieces, pausing between them: as a slow copy does.
    pub fn save_slowly(&self, path: &Path, pieces: usize, pause: Duration) {
        make_folder_of(path);
        let bytes = self.to_bytes();
        let mut file = fs::File::create(path).expect("the file is created");
        for piece in bytes.chunks(bytes.len().div_ceil(pieces.max(1))) {
            file.write_all(piece).expect("a piece is written");
            file.flush().expect("a piece is flushed");
            thread::sleep(pause);
        }
    }
}

/// Writes a file under an ignored name beside `path`, then renames it into place.
pub fn save_bytes(bytes: &[u8], path: &Path) {
    make_folder_of(path);
    let name = path.file_name().expect("a file has a name").to_string_lossy();
    let part = path.with_file_name(format!(".{name}.part"));
    fs::write(&part, bytes).expect("the file is written");
    fs::rename(&part, path).expect("the file is renamed into place");
}

fn make_folder_of(path: &Path) {
    fs::create_dir_all(path.parent().expect("a file lies in a folder")).expect("the folder is made");
}
