//! Our COG writer: blocks → overviews → compressed → a file in its final order.
//!
//! The caller gives windows of pixels already on the web-map grid; everything after that happens here, with no GDAL. In order of flow:
//! `pixels` takes a window in, `mean` and `mode` make overviews of it, `block` encodes 256×256 blocks, `spool` holds them in the order
//! they were made, `pyramid` runs all this on several threads with bounded memory, `header` lays out the file, `copy` writes it. `open` reads
//! such a file back, and `verify` decodes every block of it.
//!
//! The file is a little-endian BigTIFF: ghost area of GDAL's COG driver, image file directories with all their tables, then blocks from the
//! smallest overview to full resolution (documentation of GDAL's COG driver, "Header ghost area" and "Tile data leader and trailer").

#[doc(hidden)]
pub mod bench;
mod block;
mod copy;
mod header;
mod ifd;
mod mean;
mod mode;
mod open;
mod pixels;
mod pyramid;
mod sample;
mod spool;
mod stop;
#[cfg(test)]
mod tests;
mod verify;
mod webp;

use std::io;
use std::path::{Path, PathBuf};

use shared::dataset::{CogLayout, Compression, DataType, Predictor};
use shared::grid::Placement;

pub use open::{is_categorical, open};
pub(crate) use stop::StopOnPanic;
pub use verify::{verify, verify_with};

/// The most blocks a full-resolution image may have: 10¹² pixels, and tables of some hundred megabytes.
pub const BLOCKS_MAX: u64 = 1 << 24;
/// The most levels: what keeps the count of pixels under an overview pixel below 2³².
pub const LEVELS_MAX: usize = 16;
/// The most bytes `profile` and `describe` may have together.
pub const DESCRIBE_BYTES_MAX: usize = 4 << 20;
/// The most tiles along a side: GDAL counts pixels in 31 bits.
const SIDE_TILES_MAX: u32 = (1 << 23) - 1;

/// What to write.
#[derive(Clone, Debug)]
pub struct CogSpec {
    /// Where on the grid.
    pub placement: Placement,
    /// Type of a sample.
    pub data_type: DataType,
    /// Samples per pixel, without alpha: 1, or 3 for RGB.
    pub samples: u16,
    /// The nodata value, if the input has one (NaN allowed). One that `data_type` cannot hold counts as none.
    pub nodata: Option<f64>,
    /// Whether overviews take the mode (else the mean). Needs one sample.
    pub categorical: bool,
    /// Whether every pixel of the rectangle is known to be valid and opaque. Matters to 8-bit RGB only, which is then written without
    /// alpha; if it proves false, `write` fails with `CogError::NotAllValid` and the caller tries again with false.
    pub expect_valid: bool,
    /// How blocks are compressed. WebP: 8-bit RGB alone, and alpha tells what is invalid, for a nodata value would not survive.
    pub compression: Compression,
    /// Quality of WebP, 1 to 100: of full resolution, and of overviews.
    pub quality: [u8; 2],
    /// Colour table of 8- and 16-bit unsigned single-sample rasters, for GIS programs.
    pub color_table: Vec<(i64, [u8; 4])>,
    /// How COGs are written, as text: `KILN_PROFILE` in the file's metadata. No ASCII control characters: XML cannot hold them.
    pub profile: String,
    /// JSON of the datasets in the file, without layout: `KILN_DATASETS` in the file's metadata. No ASCII control characters: XML cannot hold them.
    pub describe: String,
    /// Threads that warp and compress.
    pub threads: usize,
    /// Where to write. Must not exist.
    pub path: PathBuf,
}

/// A square window of pixels on the grid at maxzoom, as the warp made it.
#[derive(Debug)]
pub struct Window {
    /// One buffer per sample (planar): `side × side` samples, native-endian bytes of `data_type`. Where invalid, the content is unspecified.
    pub samples: Vec<Vec<u8>>,
    /// Validity per pixel: 0 invalid, else valid (alpha 1…255 for RGB inputs with alpha). One per sample when samples differ in
    /// validity (nodata per band), else one for all. NaN and infinite samples are invalid whatever this says.
    pub valid: Vec<Vec<u8>>,
}

/// Where windows come from. Called from several threads at once.
pub trait WindowSource: Sync {
    /// The window whose north-western tile is (`col`, `row`), `tiles × tiles` tiles at maxzoom, relative to the placement's own corner; None when
    /// no valid pixel lies in it. `tiles` is a power of two, at most 8; `col` and `row` are multiples of it. What lies beyond the placement is not
    /// written, and its overviews expect it invalid.
    fn window(&self, col: u32, row: u32, tiles: u32) -> Result<Option<Window>, String>;

    /// Whether windows come from memory, so that many small ones cost no more than few large ones.
    fn is_at_hand(&self) -> bool {
        false
    }
}

/// What came out.
#[derive(Clone, Debug)]
pub struct WrittenCog {
    /// Layout for the dataset records.
    pub layout: CogLayout,
    /// Size of the file.
    pub bytes: u64,
}

/// Why a COG was not written, opened or found whole.
#[derive(Debug, thiserror::Error)]
pub enum CogError {
    /// The caller asks for what the format or this writer cannot hold.
    #[error("cannot write such a COG: {0}")]
    Spec(String),
    /// The window source failed; its own words.
    #[error("{0}")]
    Source(String),
    /// `expect_valid` was given and a pixel is invalid or not opaque: try again without.
    #[error("a pixel is invalid although all were expected to be valid")]
    NotAllValid,
    /// Reading or writing a file failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: "write", "read".
        action: &'static str,
        /// The file, or the folder of a temporary one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A block could not be compressed.
    #[error("cannot compress a block")]
    Compress(#[source] io::Error),
    /// The file is not a COG as this writer makes them.
    #[error("{} is not a COG written by Kiln: {reason}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
    /// The file is one of ours, and damaged.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What, and where.
        reason: String,
    },
    /// A worker thread panicked, most likely in the window source.
    #[error("a thread that makes blocks failed unexpectedly")]
    Panicked,
}

impl CogError {
    /// Whether the disk is full, so that trying again later may help.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }

    fn io<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// Writes a COG. `progress` hears 0 to 1 from several threads, only when work advanced. On failure nothing stays behind.
pub fn write(
    spec: &CogSpec,
    source: &dyn WindowSource,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<WrittenCog, CogError> {
    check(spec)?;
    let made = match spec.data_type {
        DataType::Uint8 => pyramid::build::<u8>(spec, source, progress),
        DataType::Int8 => pyramid::build::<i8>(spec, source, progress),
        DataType::Uint16 => pyramid::build::<u16>(spec, source, progress),
        DataType::Int16 => pyramid::build::<i16>(spec, source, progress),
        DataType::Uint32 => pyramid::build::<u32>(spec, source, progress),
        DataType::Int32 => pyramid::build::<i32>(spec, source, progress),
        DataType::Uint64 => pyramid::build::<u64>(spec, source, progress),
        DataType::Int64 => pyramid::build::<i64>(spec, source, progress),
        DataType::Float32 => pyramid::build::<f32>(spec, source, progress),
        DataType::Float64 => pyramid::build::<f64>(spec, source, progress),
    }?;
    copy::write_file(spec, &made, &|done| progress(pyramid::DONE_WHEN_MADE + done * (1.0 - pyramid::DONE_WHEN_MADE)))
}

/// The predictor of what is written: TIFF knows none but for general compressions, and classes compress better without one.
fn predictor(spec: &CogSpec) -> Predictor {
    if spec.compression != Compression::Zstd || spec.categorical {
        Predictor::None
    } else if spec.data_type.is_float() {
        Predictor::FloatingPoint
    } else {
        Predictor::Horizontal
    }
}

fn check(spec: &CogSpec) -> Result<(), CogError> {
    let place = &spec.placement;
    let fault = if !place.is_sound() {
        format!("unsound placement {place:?}")
    } else if place.levels() > LEVELS_MAX {
        format!("{} levels, at most {LEVELS_MAX} are possible", place.levels())
    } else if !fits(place) {
        format!("{} × {} blocks, at most {BLOCKS_MAX} are possible", place.cols, place.rows)
    } else if !matches!(spec.samples, 1 | 3) {
        format!("{} samples per pixel, 1 or 3 are possible", spec.samples)
    } else if spec.categorical && spec.samples != 1 {
        "classes in several samples per pixel".to_owned()
    } else if spec.compression == Compression::Webp && (spec.samples != 3 || spec.data_type != DataType::Uint8) {
        "WebP of other samples than 8-bit red, green and blue".to_owned()
    } else if spec.profile.len() + spec.describe.len() > DESCRIBE_BYTES_MAX {
        format!("the dataset records take over {DESCRIBE_BYTES_MAX} bytes")
    } else if spec.profile.bytes().chain(spec.describe.bytes()).any(|byte| byte < b' ') {
        "a control character in the dataset records".to_owned()
    } else {
        return Ok(());
    };
    Err(CogError::Spec(fault))
}

/// Whether the rectangle keeps within what tables and 31-bit pixel counts hold, and the way through its chunks is not too long.
fn fits(place: &Placement) -> bool {
    let (cols, rows) = place.padded();
    cols.max(rows) <= SIDE_TILES_MAX && u64::from(cols) * u64::from(rows) <= BLOCKS_MAX
}
