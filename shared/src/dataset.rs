//! A dataset: one catalogued band. Which COG holds it, and all a reader must know to fetch any block of it without parsing a header.

use serde::{Deserialize, Serialize};

use crate::grid::Placement;
use crate::metadata::Metadata;

/// One catalogued band: key values → COG, band, metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dataset {
    /// Key values, in the order of the collection's keys.
    pub keys: Vec<String>,
    /// The store path of the COG, as `layout::cog` builds it.
    pub path: String,
    /// Which sample of the COG's pixels is this band: 0 unless bands are pixel-interleaved.
    pub sample: u16,
    /// How to read the COG.
    pub cog: CogLayout,
    /// What is known of the band.
    pub metadata: Metadata,
}

/// All that is needed to read a block of a COG. Datasets of one pixel-interleaved COG repeat it.
///
/// The file is a little-endian BigTIFF. For each level, `TileOffsets` and `TileByteCounts` are arrays of integers, in row-major order of the
/// level's blocks. A byte count of 0 is a sparse block: nothing valid in it. The mask block, where there is one, follows its image block
/// after eight bytes (the trailer of the one and the leader of the other), so that one range read brings both.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CogLayout {
    /// Type of a sample.
    pub data_type: DataType,
    /// Samples per pixel: 1, or 3 or 4 for pixel-interleaved RGB(A).
    pub samples: u16,
    /// How blocks are compressed.
    pub compression: Compression,
    /// What was done to the samples before compression.
    pub predictor: Predictor,
    /// How invalid pixels are told from valid ones.
    pub validity: Validity,
    /// Where the COG lies on the grid.
    pub placement: Placement,
    /// Bytes before the first block: reading that many brings every table.
    pub header_bytes: u64,
    /// Bytes of an entry of `TileOffsets`, 4 or in files beyond 4 GiB 8, and of `TileByteCounts`, 2 or where a block has 64 KiB and more 4. Files of
    /// old have the widest, and records that do not say it.
    #[serde(default = "widest_entries")]
    pub entry_bytes: (u8, u8),
    /// Where each level's tables lie, from `maxzoom` down to `minzoom`.
    pub levels: Vec<Level>,
}

impl CogLayout {
    /// Whether the tables have entries that there are.
    pub fn has_sound_tables(&self) -> bool {
        matches!(self.entry_bytes, (4 | 8, 2 | 4))
    }

    /// Bytes of one decoded block.
    pub fn block_bytes(&self) -> usize {
        crate::grid::TILE_PIXELS * usize::from(self.samples) * self.data_type.bytes()
    }
}

fn widest_entries() -> (u8, u8) {
    (8, 4)
}

/// Where a level's tables lie in the file, in bytes from its start.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Level {
    /// `TileOffsets`.
    pub offsets_at: u64,
    /// `TileByteCounts`.
    pub counts_at: u64,
    /// The same of the level's mask, if `validity` is `Mask`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<MaskTables>,
}

/// Where a mask level's tables lie.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MaskTables {
    /// `TileOffsets`.
    pub offsets_at: u64,
    /// `TileByteCounts`.
    pub counts_at: u64,
}

/// The type of a sample. Names as numpy and xarray have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum DataType {
    Uint8,
    Int8,
    Uint16,
    Int16,
    Uint32,
    Int32,
    Uint64,
    Int64,
    Float32,
    Float64,
}

impl DataType {
    /// Bytes of one sample.
    pub fn bytes(self) -> usize {
        match self {
            Self::Uint8 | Self::Int8 => 1,
            Self::Uint16 | Self::Int16 => 2,
            Self::Uint32 | Self::Int32 | Self::Float32 => 4,
            Self::Uint64 | Self::Int64 | Self::Float64 => 8,
        }
    }

    /// Whether samples are floating point.
    pub fn is_float(self) -> bool {
        matches!(self, Self::Float32 | Self::Float64)
    }

    /// The name, as in `/metadata`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Uint8 => "uint8",
            Self::Int8 => "int8",
            Self::Uint16 => "uint16",
            Self::Int16 => "int16",
            Self::Uint32 => "uint32",
            Self::Int32 => "int32",
            Self::Uint64 => "uint64",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        }
    }
}

/// How a block's bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// TIFF compression 50000: one Zstandard frame (RFC 8878).
    Zstd,
    /// TIFF compression 50001: a lossy WebP picture, of 8-bit RGB or RGBA alone. Alpha is a mask, 0 or 255, and exact.
    Webp,
    /// TIFF compression 1.
    None,
}

/// What was done to samples before compression: TIFF tag 317.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Predictor {
    /// 1: nothing.
    None,
    /// 2: each sample less the same sample of the pixel to its left, in integers of its width.
    Horizontal,
    /// 3: bytes of a row's samples shuffled by significance, then differenced (Adobe Photoshop TIFF Technical Note 3).
    FloatingPoint,
}

/// How a reader tells invalid pixels. NaN is invalid under all of them.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind", content = "value")]
pub enum Validity {
    /// Every pixel of every block is valid (but NaN).
    None,
    /// Samples equal to this value are invalid. NaN for floats without a nodata value.
    Nodata(#[serde(with = "crate::number")] f64),
    /// A 1-bit mask beside each image block: TIFF mask image files, `NewSubfileType` bit 2; 1 is valid, most significant bit first.
    Mask,
    /// The last sample is alpha; 0 is invalid.
    Alpha,
}

/// By bits, so that a nodata value of NaN equals itself, as `Hash` has it.
impl PartialEq for Validity {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Nodata(a), Self::Nodata(b)) => a.to_bits() == b.to_bits(),
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

impl Eq for Validity {}

impl std::hash::Hash for Validity {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        if let Self::Nodata(value) = self {
            value.to_bits().hash(state);
        }
    }
}

impl Validity {
    /// The name the catalogue and `/metadata` use.
    pub fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Nodata(_) => "nodata",
            Self::Mask => "mask",
            Self::Alpha => "alpha",
        }
    }
}
