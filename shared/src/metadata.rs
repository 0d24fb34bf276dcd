//! What is known of a dataset: statistics of its raw input pixels and where they lie.

use serde::{Deserialize, Serialize};

use crate::bbox::Bbox;
use crate::collection::Style;
use crate::dataset::DataType;

/// Everything the catalogue holds of a band, measured on the raw stored pixels of the input at full resolution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// WGS84 bounds of the input, by its densified edge.
    pub bounds: Bbox,
    /// Exterior ring of the valid-data hull: closed, counter-clockwise, [lon, lat] in degrees, unwrapped (beyond 180 where it crosses the
    /// antimeridian). Empty without a valid pixel.
    pub convex_hull: Vec<[f64; 2]>,
    /// Valid pixels in percent.
    pub valid_percentage: f64,
    /// None without a valid pixel.
    pub statistics: Option<BandStatistics>,
    /// Type of the stored samples.
    pub data_type: DataType,
    /// The input's CRS: `EPSG:n` where it is one, else WKT.
    pub crs: String,
    /// Width and height of the input in pixels.
    pub size: [u64; 2],
    /// Pixel size of the input in units of its CRS.
    pub resolution: [f64; 2],
    /// The input's nodata value.
    #[serde(with = "crate::number::option")]
    pub nodata: Option<f64>,
    /// Which band of the input, and what the input says of it.
    pub band: Band,
    /// Whether values are classes, and how that was decided.
    pub categorical: Categorical,
    /// Colours by value, from the input's colour table: `[r, g, b, a]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub color_table: Vec<(i64, [u8; 4])>,
    /// Labels by value, from category names or a raster attribute table.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<(i64, String)>,
    /// Key values of the last key for the red, green and blue of the image this band belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rgb: Option<[String; 3]>,
    /// Path of the input relative to its source.
    pub input: String,
    /// The input's version.
    pub version: String,
    /// When the source says the input was last changed: milliseconds since 1970.
    pub source_time_ms: i64,
    /// When it was ingested: milliseconds since 1970.
    pub ingested_at_ms: i64,
    /// How it is shown where its own style differs from the collection's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub style: Option<Style>,
    /// Free JSON of the user.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub user: serde_json::Map<String, serde_json::Value>,
}

/// Statistics of the valid pixels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BandStatistics {
    /// Smallest value.
    #[serde(with = "crate::number")]
    pub min: f64,
    /// Largest value.
    #[serde(with = "crate::number")]
    pub max: f64,
    /// Mean.
    #[serde(with = "crate::number")]
    pub mean: f64,
    /// Population standard deviation.
    #[serde(with = "crate::number")]
    pub stdev: f64,
    /// Percentiles 1 … 99.
    #[serde(with = "crate::number::list")]
    pub percentiles: Vec<f64>,
    /// Counts of valid pixels in equal bins.
    pub histogram: Histogram,
    /// Valid pixels.
    pub valid_pixels: u64,
}

/// Counts in equal bins between `min` and `max`; the last bin holds `max`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// Lower edge of the first bin.
    #[serde(with = "crate::number")]
    pub min: f64,
    /// Upper edge of the last bin.
    #[serde(with = "crate::number")]
    pub max: f64,
    /// Valid pixels per bin.
    pub counts: Vec<u64>,
}

/// What the input says of a band.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Band {
    /// Number in the input, from 1.
    pub number: u32,
    /// Description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Unit of the scaled values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// `physical = stored × scale + offset`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::number::option")]
    pub scale: Option<f64>,
    /// See `scale`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "crate::number::option")]
    pub offset: Option<f64>,
}

/// Whether values are classes, and why we think so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Categorical {
    /// The decision.
    pub is: bool,
    /// Its reason, for `/metadata` and the log.
    pub reason: String,
}
