//! Settings of how rasters are read and written: of a collection, or of what matches some key values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What may be set about rasters. None leaves it to the raster or to the default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RasterSettings {
    /// Value of invalid pixels; overrides the raster's own.
    #[serde(skip_serializing_if = "Option::is_none", with = "crate::number::option")]
    pub nodata: Option<f64>,
    /// CRS of rasters that have none: anything PROJ understands, such as `EPSG:27700`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crs: Option<String>,
    /// `physical = stored × scale + offset`; overrides the raster's own.
    #[serde(skip_serializing_if = "Option::is_none", with = "crate::number::option")]
    pub scale: Option<f64>,
    /// See `scale`.
    #[serde(skip_serializing_if = "Option::is_none", with = "crate::number::option")]
    pub offset: Option<f64>,
    /// Key values of the bands, in order, in place of their descriptions or numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub band_names: Option<Vec<String>>,
    /// Which variables of a file that has several, such as `NetCDF` and GRIB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variables: Option<Vec<String>>,
    /// Kernel of the warp.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resampling: Option<Resampling>,
    /// Whether values are classes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub categorical: Option<bool>,
    /// The finest zoom, in place of the one that fits the raster's pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zoom: Option<u8>,
    /// How blocks are compressed. Without it, 8-bit RGB that arrives lossily compressed becomes WebP, all else ZSTD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<crate::dataset::Compression>,
    /// Quality of WebP, 1 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<u8>,
}

/// A warp kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "GDAL's names")]
pub enum Resampling {
    Nearest,
    Bilinear,
    Cubic,
}

/// Settings of a collection, and of what matches some of its key values; later rules win.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RasterRules {
    /// For all.
    pub base: RasterSettings,
    /// For those whose key values equal every one of `when`.
    pub rules: Vec<RasterRule>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RasterRule {
    /// Key name → value.
    pub when: BTreeMap<String, String>,
    /// What then holds.
    pub set: RasterSettings,
}

impl RasterRules {
    /// What holds for these key values.
    pub fn resolve(&self, key_names: &[String], key_values: &[String]) -> RasterSettings {
        let mut settings = self.base.clone();
        for rule in &self.rules {
            let value = |name: &String| key_names.iter().position(|k| k == name).and_then(|i| key_values.get(i));
            if rule.when.iter().all(|(name, wanted)| value(name) == Some(wanted)) {
                settings = rule.set.clone().over(settings);
            }
        }
        settings
    }
}

impl RasterSettings {
    /// These settings, and where they are silent those of `base`.
    #[must_use]
    pub fn over(self, base: Self) -> Self {
        Self {
            nodata: self.nodata.or(base.nodata),
            crs: self.crs.or(base.crs),
            scale: self.scale.or(base.scale),
            offset: self.offset.or(base.offset),
            band_names: self.band_names.or(base.band_names),
            variables: self.variables.or(base.variables),
            resampling: self.resampling.or(base.resampling),
            categorical: self.categorical.or(base.categorical),
            zoom: self.zoom.or(base.zoom),
            compression: self.compression.or(base.compression),
            quality: self.quality.or(base.quality),
        }
    }
}
