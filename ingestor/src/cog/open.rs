//! Reading back a COG of ours, strictly: what the header says is read, the header is made again from that, and must be equal byte for byte.
//! So a file that passes is laid out exactly as this writer does it; whether its blocks decode is `verify`'s question.

use std::fs::File;
use std::path::Path;

use shared::dataset::{CogLayout, Compression, DataType, Predictor, Validity};
use shared::grid::{HALF_WORLD_M, Placement, tile_side_m};

use super::header::{
    COMPRESSION_WEBP, COMPRESSION_ZSTD, Header, LaidOut, OwnMetadata, SUBFILE_MASK, Sizes, sample_format, tag,
};
use super::ifd::{Directory, FILE_HEADER_BYTES, Kind, bytes_at, number};
use super::{BLOCKS_MAX, CogError, DESCRIBE_BYTES_MAX, LEVELS_MAX, fits};

/// The most directories: an image and a mask per level.
const DIRECTORIES_MAX: usize = 2 * LEVELS_MAX;
/// The most bytes of metadata: escaping twice makes up to nine of one.
const METADATA_BYTES_MAX: u64 = 9 * DESCRIBE_BYTES_MAX as u64 + 1024;
const NODATA_BYTES_MAX: u64 = 64;
const COLOR_MAP_MAX: u64 = 3 << 16;
const TYPES: [DataType; 10] = [
    DataType::Uint8,
    DataType::Int8,
    DataType::Uint16,
    DataType::Int16,
    DataType::Uint32,
    DataType::Int32,
    DataType::Uint64,
    DataType::Int64,
    DataType::Float32,
    DataType::Float64,
];

/// Opens a COG this writer made: its layout, its profile (`CogSpec::profile`) and its dataset records (`CogSpec::describe`). `CogError::Foreign`
/// if it is anything else, or was changed since.
pub fn open(path: &Path) -> Result<(CogLayout, String, String), CogError> {
    let file = File::open(path).map_err(CogError::io("open", path))?;
    let read = read(&file).map_err(|reason| CogError::Foreign { path: path.to_owned(), reason })?;
    Ok((read.laid_out.layout, read.profile, read.describe))
}

/// Whether the overviews of a COG of ours were made by mode (`CogSpec::categorical`). `CogError::Foreign` as `open`.
pub fn is_categorical(path: &Path) -> Result<bool, CogError> {
    let file = File::open(path).map_err(CogError::io("open", path))?;
    let read = read(&file).map_err(|reason| CogError::Foreign { path: path.to_owned(), reason })?;
    Ok(read.categorical)
}

/// A COG of ours that was read.
pub(super) struct Read {
    pub(super) laid_out: LaidOut,
    /// Of the blocks, from full resolution on.
    pub(super) sizes: Vec<Sizes>,
    categorical: bool,
    profile: String,
    describe: String,
}

/// Reads all before the blocks.
pub(super) fn read(file: &File) -> Result<Read, String> {
    let start = bytes_at(file, 0, FILE_HEADER_BYTES as u64)?;
    if start.get(..4) != Some(b"II\x2b\0") {
        return Err("not a little-endian BigTIFF".to_owned());
    }
    let (images, masks) = directories(file, number(&start[8..]))?;
    let main = images.first().ok_or("no image")?;
    let metadata = main.text(file, tag::GDAL_METADATA, METADATA_BYTES_MAX)?;
    let metadata = OwnMetadata::parse(&metadata).ok_or("no metadata of ours")?;
    let placement = placement(file, main, metadata.maxzoom, images.len())?;
    let sizes = sizes(file, &placement, &images, &masks)?;
    let header = Header {
        data_type: data_type(file, main)?,
        samples: main.number(file, tag::SAMPLES_PER_PIXEL, Kind::Short, 1)? as u16,
        compression: match main.number(file, tag::COMPRESSION, Kind::Short, 1)? {
            code if code == u64::from(COMPRESSION_ZSTD) => Compression::Zstd,
            code if code == u64::from(COMPRESSION_WEBP) => Compression::Webp,
            _ => Compression::None,
        },
        predictor: predictor(file, main)?,
        validity: validity(file, main, !masks.is_empty())?,
        placement,
        color_map: color_map(file, main)?,
        categorical: metadata.categorical,
        profile: metadata.profile,
        describe: metadata.describe,
    };
    if !matches!(header.samples, 1 | 3 | 4) {
        return Err(format!("{} samples per pixel", header.samples));
    }
    let laid_out = header.lay_out(&sizes);
    if bytes_at(file, 0, laid_out.layout.header_bytes)? != laid_out.header {
        return Err("its header is not as this version writes it".to_owned());
    }
    let size = file.metadata().map_err(|e| e.to_string())?.len();
    if size != laid_out.bytes {
        return Err(format!("{size} bytes long instead of {}", laid_out.bytes));
    }
    Ok(Read { laid_out, sizes, categorical: header.categorical, profile: header.profile, describe: header.describe })
}

/// The directories of images and of masks, in the order of the file.
fn directories(file: &File, first: u64) -> Result<(Vec<Directory>, Vec<Directory>), String> {
    let (mut images, mut masks) = (Vec::new(), Vec::new());
    let mut at = first;
    for _ in 0..DIRECTORIES_MAX {
        let (directory, next) = Directory::read(file, at)?;
        let kind = directory.number(file, tag::SUBFILE_TYPE, Kind::Long, 1)?;
        let list = if kind & u64::from(SUBFILE_MASK) == 0 { &mut images } else { &mut masks };
        list.push(directory);
        if next == 0 {
            return Ok((images, masks));
        }
        at = next;
    }
    Err(format!("over {DIRECTORIES_MAX} images"))
}

fn placement(file: &File, main: &Directory, maxzoom: u8, levels: usize) -> Result<Placement, String> {
    let minzoom = u8::try_from(levels - 1).ok().and_then(|deeper| maxzoom.checked_sub(deeper));
    let minzoom =
        minzoom.filter(|_| levels <= LEVELS_MAX).ok_or_else(|| format!("{levels} levels at zoom {maxzoom}"))?;
    let tiepoint = main.doubles(file, tag::MODEL_TIEPOINT, 6)?;
    let [_, _, _, west, north, _] = tiepoint[..] else { return Err("no tie point".to_owned()) };
    let side = tile_side_m(maxzoom.min(shared::grid::COG_ZOOM_MAX));
    let tiles =
        |tag| main.number(file, tag, Kind::Long, 1).map(|pixels| pixels as u32 / shared::grid::TILE_SIZE as u32);
    let placement = Placement {
        maxzoom,
        minzoom,
        // A cast of what is no number, or no tile, gives a placement that is not sound or a header that differs.
        col: ((west + HALF_WORLD_M) / side).round() as u32,
        row: ((HALF_WORLD_M - north) / side).round() as u32,
        cols: tiles(tag::WIDTH)?,
        rows: tiles(tag::HEIGHT)?,
    };
    if placement.is_sound() && fits(&placement) {
        Ok(placement)
    } else {
        Err(format!("unsound placement {placement:?}"))
    }
}

fn sizes(file: &File, place: &Placement, images: &[Directory], masks: &[Directory]) -> Result<Vec<Sizes>, String> {
    if !masks.is_empty() && masks.len() != images.len() {
        return Err(format!("{} masks of {} images", masks.len(), images.len()));
    }
    let counts = |directory: &Directory, level: usize| {
        let (cols, rows) = place.blocks(level);
        let numbers = |kind| directory.numbers(file, tag::TILE_BYTE_COUNTS, kind, BLOCKS_MAX);
        let counts = numbers(Kind::Short).or_else(|_| numbers(Kind::Long))?;
        if counts.len() as u64 != u64::from(cols) * u64::from(rows) {
            return Err(format!("{} blocks in {cols} × {rows}", counts.len()));
        }
        Ok(counts.into_iter().map(|count| count as u32).collect())
    };
    let of_level = |(level, image): (usize, &Directory)| {
        let mask = masks.get(level).map_or(Ok(Vec::new()), |mask| counts(mask, level))?;
        Ok(Sizes { image: counts(image, level)?, mask })
    };
    images.iter().enumerate().map(of_level).collect()
}

fn data_type(file: &File, main: &Directory) -> Result<DataType, String> {
    let bits = main.number(file, tag::BITS_PER_SAMPLE, Kind::Short, 4)?;
    let format = main.number(file, tag::SAMPLE_FORMAT, Kind::Short, 4)?;
    let found = TYPES.into_iter().find(|t| 8 * t.bytes() as u64 == bits && u64::from(sample_format(*t)) == format);
    found.ok_or_else(|| format!("samples of {bits} bits in format {format}"))
}

fn predictor(file: &File, main: &Directory) -> Result<Predictor, String> {
    if !main.has(tag::PREDICTOR) {
        return Ok(Predictor::None);
    }
    match main.number(file, tag::PREDICTOR, Kind::Short, 1)? {
        2 => Ok(Predictor::Horizontal),
        3 => Ok(Predictor::FloatingPoint),
        other => Err(format!("predictor {other}")),
    }
}

fn validity(file: &File, main: &Directory, masked: bool) -> Result<Validity, String> {
    if main.has(tag::GDAL_NODATA) {
        let text = main.text(file, tag::GDAL_NODATA, NODATA_BYTES_MAX)?;
        return text.parse().map(Validity::Nodata).map_err(|_| format!("nodata {text:?}"));
    }
    Ok(match (masked, main.has(tag::EXTRA_SAMPLES)) {
        (true, _) => Validity::Mask,
        (false, true) => Validity::Alpha,
        (false, false) => Validity::None,
    })
}

fn color_map(file: &File, main: &Directory) -> Result<Vec<u16>, String> {
    if !main.has(tag::COLOR_MAP) {
        return Ok(Vec::new());
    }
    let map = main.numbers(file, tag::COLOR_MAP, Kind::Short, COLOR_MAP_MAX)?;
    Ok(map.into_iter().map(|level| level as u16).collect())
}
