//! All of a COG before its first block, byte for byte: a function of what the file is and of the sizes of its blocks. `open` relies on that: it
//! reads these back, makes the header again and compares.
//!
//! Formats: TIFF 6.0, BigTIFF, OGC GeoTIFF 1.1, GDAL's COG driver ("Header ghost area", "Tile data leader and trailer") and its tags 42112
//! and 42113.

use std::fmt::Write;

use shared::dataset::{CogLayout, Compression, DataType, Level, MaskTables, Predictor, Validity};
use shared::grid::{Placement, TILE_SIZE, pixel_side_m};

use super::ifd::{self, Entry, FILE_HEADER_BYTES, Kind};

/// Tags, as TIFF 6.0, GeoTIFF and GDAL number them.
pub(super) mod tag {
    pub(in crate::cog) const SUBFILE_TYPE: u16 = 254;
    pub(in crate::cog) const WIDTH: u16 = 256;
    pub(in crate::cog) const HEIGHT: u16 = 257;
    pub(in crate::cog) const BITS_PER_SAMPLE: u16 = 258;
    pub(in crate::cog) const COMPRESSION: u16 = 259;
    pub(in crate::cog) const PHOTOMETRIC: u16 = 262;
    pub(in crate::cog) const SAMPLES_PER_PIXEL: u16 = 277;
    pub(in crate::cog) const PLANAR_CONFIGURATION: u16 = 284;
    pub(in crate::cog) const PREDICTOR: u16 = 317;
    pub(in crate::cog) const COLOR_MAP: u16 = 320;
    pub(in crate::cog) const TILE_WIDTH: u16 = 322;
    pub(in crate::cog) const TILE_LENGTH: u16 = 323;
    pub(in crate::cog) const TILE_OFFSETS: u16 = 324;
    pub(in crate::cog) const TILE_BYTE_COUNTS: u16 = 325;
    pub(in crate::cog) const EXTRA_SAMPLES: u16 = 338;
    pub(in crate::cog) const SAMPLE_FORMAT: u16 = 339;
    pub(in crate::cog) const MODEL_PIXEL_SCALE: u16 = 33_550;
    pub(in crate::cog) const MODEL_TIEPOINT: u16 = 33_922;
    pub(in crate::cog) const GEO_KEY_DIRECTORY: u16 = 34_735;
    pub(in crate::cog) const GDAL_METADATA: u16 = 42_112;
    pub(in crate::cog) const GDAL_NODATA: u16 = 42_113;
}

/// Values of `NewSubfileType`: reduced image, and mask.
pub(super) const SUBFILE_REDUCED: u32 = 1;
pub(super) const SUBFILE_MASK: u32 = 4;
/// `Compression` of Zstandard, as libtiff numbers it.
pub(super) const COMPRESSION_ZSTD: u16 = 50_000;
/// And of WebP.
pub(super) const COMPRESSION_WEBP: u16 = 50_001;
const COMPRESSION_NONE: u16 = 1;
const PHOTOMETRIC_GREY: u16 = 1;
const PHOTOMETRIC_RGB: u16 = 2;
const PHOTOMETRIC_PALETTE: u16 = 3;
const PHOTOMETRIC_MASK: u16 = 4;
const UNASSOCIATED_ALPHA: u16 = 2;
/// Bytes around a block: its size before, its last four bytes after it.
pub(super) const LEADER_BYTES: u64 = 4;
pub(super) const TRAILER_BYTES: u64 = 4;
/// EPSG:3857, area pixels, in metres: version 1.1.0, four keys.
const GEO_KEYS: [u16; 20] = [1, 1, 0, 4, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 3857, 3076, 0, 1, 9001];
const GHOST: &str = "LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n\
    BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n ";
const GHOST_MASK: &str = "MASK_INTERLEAVED_WITH_IMAGERY=YES\n";

/// What a COG is, apart from its blocks.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) data_type: DataType,
    /// Alpha included.
    pub(super) samples: u16,
    pub(super) compression: Compression,
    pub(super) predictor: Predictor,
    pub(super) validity: Validity,
    pub(super) placement: Placement,
    /// As the tag has it: all reds, all greens, all blues. Empty: none.
    pub(super) color_map: Vec<u16>,
    /// Whether overviews take the mode, else the mean.
    pub(super) categorical: bool,
    pub(super) profile: String,
    pub(super) describe: String,
}

/// Sizes of a level's blocks, row-major; 0 is sparse.
#[derive(Debug)]
pub(super) struct Sizes {
    pub(super) image: Vec<u32>,
    /// Empty but under `Validity::Mask`.
    pub(super) mask: Vec<u32>,
}

/// The types of the entries of all tables: the narrowest that hold them.
#[derive(Debug)]
struct EntryKinds {
    offsets: Kind,
    counts: Kind,
}

/// A header in bytes.
#[derive(Debug)]
pub(super) struct LaidOut {
    pub(super) header: Vec<u8>,
    pub(super) layout: CogLayout,
    /// Size of the whole file.
    pub(super) bytes: u64,
}

impl Header {
    /// Lays out the file. `sizes` go from full resolution to the smallest overview.
    pub(super) fn lay_out(&self, sizes: &[Sizes]) -> LaidOut {
        let small = sizes.iter().flat_map(|s| s.image.iter().chain(&s.mask)).all(|size| u16::try_from(*size).is_ok());
        let kinds = EntryKinds { offsets: Kind::Long, counts: if small { Kind::Short } else { Kind::Long } };
        let laid_out = self.lay_out_with(sizes, &kinds);
        if u32::try_from(laid_out.bytes).is_ok() {
            return laid_out;
        }
        self.lay_out_with(sizes, &EntryKinds { offsets: Kind::Long8, ..kinds })
    }

    fn lay_out_with(&self, sizes: &[Sizes], kinds: &EntryKinds) -> LaidOut {
        let masked = self.validity == Validity::Mask;
        let mut out = file_header(masked);
        let mut next = 8;
        let mut levels = Vec::with_capacity(sizes.len());
        let mut color_map_at = None;
        for level in 0..sizes.len() {
            let (places, after) = ifd::append(&mut out, next, &self.image_entries(level, kinds, color_map_at));
            next = after;
            color_map_at = color_map_at.or(places.get(&tag::COLOR_MAP).copied());
            let place = |tag| places.get(&tag).copied().unwrap_or_default();
            let mut tables =
                Level { offsets_at: place(tag::TILE_OFFSETS), counts_at: place(tag::TILE_BYTE_COUNTS), mask: None };
            if masked {
                let (places, after) = ifd::append(&mut out, next, &self.mask_entries(level, kinds));
                next = after;
                let place = |tag| places.get(&tag).copied().unwrap_or_default();
                tables.mask =
                    Some(MaskTables { offsets_at: place(tag::TILE_OFFSETS), counts_at: place(tag::TILE_BYTE_COUNTS) });
            }
            levels.push(tables);
        }
        let bytes = fill_tables(&mut out, &levels, kinds, sizes);
        let layout = CogLayout {
            data_type: self.data_type,
            samples: self.samples,
            compression: self.compression,
            predictor: self.predictor,
            validity: self.validity,
            placement: self.placement,
            header_bytes: out.len() as u64,
            entry_bytes: (kinds.offsets.bytes() as u8, kinds.counts.bytes() as u8),
            levels,
        };
        LaidOut { header: out, layout, bytes }
    }

    fn image_entries(&self, level: usize, kinds: &EntryKinds, color_map_at: Option<u64>) -> Vec<Entry> {
        let samples = usize::from(self.samples);
        let mut entries = vec![Entry::long(tag::SUBFILE_TYPE, if level == 0 { 0 } else { SUBFILE_REDUCED })];
        entries.extend(self.size_entries(level));
        entries.push(Entry::shorts(tag::BITS_PER_SAMPLE, &vec![8 * self.data_type.bytes() as u16; samples]));
        entries.push(self.compression_entry());
        let photometric = match samples {
            1 if self.color_map.is_empty() => PHOTOMETRIC_GREY,
            1 => PHOTOMETRIC_PALETTE,
            _ => PHOTOMETRIC_RGB,
        };
        entries.push(Entry::shorts(tag::PHOTOMETRIC, &[photometric]));
        entries.push(Entry::shorts(tag::SAMPLES_PER_PIXEL, &[self.samples]));
        entries.push(Entry::shorts(tag::PLANAR_CONFIGURATION, &[1]));
        match self.predictor {
            Predictor::None => {}
            Predictor::Horizontal => entries.push(Entry::shorts(tag::PREDICTOR, &[2])),
            Predictor::FloatingPoint => entries.push(Entry::shorts(tag::PREDICTOR, &[3])),
        }
        if let Some(at) = color_map_at {
            entries.push(Entry::shared_shorts(tag::COLOR_MAP, at, self.color_map.len() as u64));
        } else if !self.color_map.is_empty() {
            entries.push(Entry::shorts(tag::COLOR_MAP, &self.color_map));
        }
        entries.extend(self.tile_entries(level, kinds));
        if self.validity == Validity::Alpha {
            entries.push(Entry::shorts(tag::EXTRA_SAMPLES, &[UNASSOCIATED_ALPHA]));
        }
        entries.push(Entry::shorts(tag::SAMPLE_FORMAT, &vec![sample_format(self.data_type); samples]));
        if level == 0 {
            let (pixel, [west, _, _, north]) = (pixel_side_m(self.placement.maxzoom), self.placement.bounds_m());
            entries.push(Entry::doubles(tag::MODEL_PIXEL_SCALE, &[pixel, pixel, 0.0]));
            entries.push(Entry::doubles(tag::MODEL_TIEPOINT, &[0.0, 0.0, 0.0, west, north, 0.0]));
            entries.push(Entry::shorts(tag::GEO_KEY_DIRECTORY, &GEO_KEYS));
            entries.push(Entry::text(tag::GDAL_METADATA, &self.metadata()));
        }
        if let Validity::Nodata(value) = self.validity {
            entries.push(Entry::text(tag::GDAL_NODATA, &nodata_text(value, self.data_type)));
        }
        entries
    }

    fn mask_entries(&self, level: usize, kinds: &EntryKinds) -> Vec<Entry> {
        let kind = SUBFILE_MASK | if level == 0 { 0 } else { SUBFILE_REDUCED };
        let mut entries = vec![Entry::long(tag::SUBFILE_TYPE, kind)];
        entries.extend(self.size_entries(level));
        entries.push(Entry::shorts(tag::BITS_PER_SAMPLE, &[1]));
        entries.push(self.compression_entry());
        entries.push(Entry::shorts(tag::PHOTOMETRIC, &[PHOTOMETRIC_MASK]));
        entries.push(Entry::shorts(tag::SAMPLES_PER_PIXEL, &[1]));
        entries.push(Entry::shorts(tag::PLANAR_CONFIGURATION, &[1]));
        entries.extend(self.tile_entries(level, kinds));
        entries
    }

    fn size_entries(&self, level: usize) -> [Entry; 2] {
        let side = TILE_SIZE as u32;
        let Placement { cols, rows, .. } = self.placement;
        [Entry::long(tag::WIDTH, (cols * side) >> level), Entry::long(tag::HEIGHT, (rows * side) >> level)]
    }

    fn compression_entry(&self) -> Entry {
        let code = match self.compression {
            Compression::Zstd => COMPRESSION_ZSTD,
            Compression::Webp => COMPRESSION_WEBP,
            Compression::None => COMPRESSION_NONE,
        };
        Entry::shorts(tag::COMPRESSION, &[code])
    }

    fn tile_entries(&self, level: usize, kinds: &EntryKinds) -> [Entry; 4] {
        let (cols, rows) = self.placement.blocks(level);
        let blocks = cols as usize * rows as usize;
        [
            Entry::shorts(tag::TILE_WIDTH, &[TILE_SIZE as u16]),
            Entry::shorts(tag::TILE_LENGTH, &[TILE_SIZE as u16]),
            Entry::zeros(tag::TILE_OFFSETS, kinds.offsets, blocks),
            Entry::zeros(tag::TILE_BYTE_COUNTS, kinds.counts, blocks),
        ]
    }

    /// GDAL's metadata: XML, as its GeoTIFF driver reads it.
    fn metadata(&self) -> String {
        let levels = self.placement.levels().to_string();
        let zoom = self.placement.maxzoom.to_string();
        let items = [
            (METADATA_PROFILE, self.profile.as_str()),
            (METADATA_DATASETS, &self.describe),
            (METADATA_RESAMPLING, if self.categorical { RESAMPLING_MODE } else { RESAMPLING_MEAN }),
            (r#""NAME" domain="TILING_SCHEME""#, "GoogleMapsCompatible"),
            (METADATA_ZOOM, &zoom),
            (r#""ALIGNED_LEVELS" domain="TILING_SCHEME""#, &levels),
        ];
        let mut xml = String::from("<GDALMetadata>\n");
        for (name, text) in items {
            // Writing to a String does not fail.
            let _ = writeln!(xml, "  <Item name={name}>{}</Item>", escaped(text));
        }
        xml + "</GDALMetadata>\n"
    }
}

const METADATA_PROFILE: &str = r#""KILN_PROFILE""#;
const METADATA_DATASETS: &str = r#""KILN_DATASETS""#;
const METADATA_RESAMPLING: &str = r#""OVERVIEW_RESAMPLING""#;
/// The two ways of making overviews, in GDAL's words.
const RESAMPLING_MODE: &str = "MODE";
const RESAMPLING_MEAN: &str = "AVERAGE";
const METADATA_ZOOM: &str = r#""ZOOM_LEVEL" domain="TILING_SCHEME""#;

/// What `open` needs of our own metadata.
#[derive(Debug)]
pub(super) struct OwnMetadata {
    pub(super) profile: String,
    pub(super) describe: String,
    pub(super) categorical: bool,
    pub(super) maxzoom: u8,
}

impl OwnMetadata {
    /// Reads metadata as `Header` writes it; None if it is any other.
    pub(super) fn parse(xml: &str) -> Option<Self> {
        let item = |name| {
            let text = xml.split_once(&format!("<Item name={name}>"))?.1.split_once("</Item>")?.0;
            Some(unescaped(text))
        };
        Some(Self {
            profile: item(METADATA_PROFILE)?,
            describe: item(METADATA_DATASETS)?,
            categorical: item(METADATA_RESAMPLING)? == RESAMPLING_MODE,
            maxzoom: item(METADATA_ZOOM)?.parse().ok()?,
        })
    }
}

/// 339: 1 unsigned, 2 signed, 3 floating point.
pub(super) fn sample_format(data_type: DataType) -> u16 {
    match data_type {
        DataType::Uint8 | DataType::Uint16 | DataType::Uint32 | DataType::Uint64 => 1,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => 2,
        DataType::Float32 | DataType::Float64 => 3,
    }
}

fn file_header(masked: bool) -> Vec<u8> {
    let mut out = Vec::new();
    // Little-endian, BigTIFF, offsets of eight bytes; the first directory's place comes later.
    out.extend(b"II\x2b\0\x08\0\0\0");
    out.resize(FILE_HEADER_BYTES, 0);
    let mask = if masked { GHOST_MASK } else { "" };
    let size = GHOST.len() + mask.len();
    out.extend(format!("GDAL_STRUCTURAL_METADATA_SIZE={size:06} bytes\n{GHOST}{mask}").into_bytes());
    out
}

/// Gives each block its place, smallest overview first, a mask block after its image block, and returns where the file ends.
fn fill_tables(out: &mut [u8], levels: &[Level], kinds: &EntryKinds, sizes: &[Sizes]) -> u64 {
    let mut at = out.len() as u64;
    for (tables, sizes) in levels.iter().zip(sizes).rev() {
        for (i, size) in sizes.image.iter().enumerate() {
            place(out, kinds, (tables.offsets_at, tables.counts_at), i, *size, &mut at);
            if let (Some(mask), Some(size)) = (&tables.mask, sizes.mask.get(i)) {
                place(out, kinds, (mask.offsets_at, mask.counts_at), i, *size, &mut at);
            }
        }
    }
    at
}

fn place(out: &mut [u8], kinds: &EntryKinds, (offsets_at, counts_at): (u64, u64), i: usize, size: u32, at: &mut u64) {
    if size > 0 {
        let mut put = |kind: Kind, table_at: u64, value: u64| {
            ifd::patch(out, table_at as usize + kind.bytes() * i, &value.to_le_bytes()[..kind.bytes()]);
        };
        put(kinds.offsets, offsets_at, *at + LEADER_BYTES);
        put(kinds.counts, counts_at, size.into());
        *at += LEADER_BYTES + u64::from(size) + TRAILER_BYTES;
    }
}

/// Integers in full, since GDAL reads those of 64 bits digit by digit.
fn nodata_text(value: f64, data_type: DataType) -> String {
    let size = value.abs();
    if value.is_nan() {
        "nan".to_owned()
    } else if data_type.is_float() && value.is_finite() && size != 0.0 && !(1e-5..1e16).contains(&size) {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

/// Escapes twice: GDAL's GeoTIFF driver unescapes once more than XML asks for, and writes so too. Quotes may stand in text as they are.
fn escaped(text: &str) -> String {
    let once = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    once(&once(text))
}

fn unescaped(xml: &str) -> String {
    let once = |xml: &str| xml.replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&");
    once(&once(xml))
}
