//! A COG of ours dropped as input: checked block by block and copied, not encoded again.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use shared::bbox::Bbox;
use shared::dataset::{CogLayout, Dataset};
use shared::grid::{HALF_WORLD_M, Placement, pixel_side_m, to_mercator};
use shared::layout;
use shared::metadata::Metadata;
use shared::raster_settings::RasterSettings;
use ulid::Ulid;

use super::bands::{base_settings, sanitize};
use super::fault::Fault;
use super::{ConvertJob, ConvertedCog, profile};
use crate::cog;

/// The part of the work that is checking; the rest is copying.
const VERIFY_SHARE: f64 = 0.5;
/// Percentiles of a band that has valid pixels.
const PERCENTILES: usize = 99;
/// Bytes copied between two words of progress.
const COPY_BYTES: u64 = 32 << 20;

/// A dataset as its COG carries it: without layout, which the file itself is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Carried {
    /// Key values where it was made.
    pub(super) keys: Vec<String>,
    /// Of the raster it was made from.
    pub(super) metadata: Metadata,
}

/// Takes the file over if it is a COG with our profile, whole, and no setting asks for other pixels. None: convert it as any other raster.
pub(super) fn take_over(job: &ConvertJob, progress: &(dyn Fn(f64) + Sync)) -> Result<Option<ConvertedCog>, Fault> {
    // What it would be called as a variable, it does not say.
    if job.variable_key.is_some() {
        return Ok(None);
    }
    let Ok((layout, its_profile, records)) = cog::open(&job.file) else { return Ok(None) };
    if its_profile != profile() || changes_pixels(&base_settings(job)) {
        return Ok(None);
    }
    let Ok(carried) = serde_json::from_str::<Vec<Carried>>(&records) else { return Ok(None) };
    let band_key = job.key_values.iter().any(Option::is_none);
    let sound = match carried.len() {
        1 => layout.samples == 1,
        3 => layout.samples >= 3 && band_key,
        _ => false,
    };
    let Ok(categorical) = cog::is_categorical(&job.file) else { return Ok(None) };
    if !sound || !carried.iter().all(|c| fits(&c.metadata, &layout, categorical)) {
        return Ok(None);
    }
    if cog::verify_with(&job.file, &layout, job.threads, &|done| progress(done * VERIFY_SHARE)).is_err() {
        return Ok(None);
    }
    let ulid = Ulid::generate();
    let file = job.out_dir.join(format!("{ulid}.tif"));
    let bytes =
        copy(&job.file, &file, &|done| progress(VERIFY_SHARE + done * (1.0 - VERIFY_SHARE))).map_err(|source| {
            let _ = std::fs::remove_file(&file);
            Fault::from(cog::CogError::Io { action: "write", path: file.clone(), source })
        })?;
    let values = band_values(&carried);
    let rgb = <[String; 3]>::try_from(values.clone()).ok();
    let path = layout::cog(&job.collection, ulid).to_string();
    let datasets = (0u16..)
        .zip(carried.into_iter().zip(&values))
        .map(|(sample, (carried, value))| {
            let keys: Vec<String> =
                job.key_values.iter().map(|known| known.clone().unwrap_or_else(|| value.clone())).collect();
            let settings = job.rules.resolve(&job.key_names, &keys);
            let mut metadata = carried.metadata;
            metadata.band.scale = settings.scale.or(metadata.band.scale);
            metadata.band.offset = settings.offset.or(metadata.band.offset);
            metadata.rgb.clone_from(&rgb);
            metadata.input.clone_from(&job.input);
            metadata.version.clone_from(&job.version);
            metadata.source_time_ms = job.source_time_ms;
            metadata.ingested_at_ms = jiff::Timestamp::now().as_millisecond();
            Dataset { keys, path: path.clone(), sample, cog: layout.clone(), metadata }
        })
        .collect();
    Ok(Some(ConvertedCog { file, bytes, datasets }))
}

/// Whether metadata can be that of a COG: what the server relies on is held against the file, for anybody can write the rest.
fn fits(metadata: &Metadata, layout: &CogLayout, categorical: bool) -> bool {
    let percentiles = metadata.statistics.as_ref().map_or(0, |statistics| statistics.percentiles.len());
    metadata.data_type == layout.data_type
        && metadata.categorical.is == categorical
        && matches!(percentiles, 0 | PERCENTILES)
        && lies_within(&metadata.bounds, &layout.placement)
}

/// Whether bounds lie in a placement's rectangle, but for a pixel.
fn lies_within(bounds: &Bbox, placement: &Placement) -> bool {
    let slack = pixel_side_m(placement.maxzoom);
    let [west, south, east, north] = placement.bounds_m();
    let (w, s) = to_mercator(bounds.west, bounds.south);
    let (e, n) = to_mercator(bounds.east, bounds.north);
    let around = 2.0 * HALF_WORLD_M;
    let e = if e < w { e + around } else { e };
    // A rectangle across the antimeridian reaches beyond the world, and bounds east of it lie at its far end.
    let across = |shift: f64| w + shift >= west - slack && e + shift <= east + slack;
    s <= n && s >= south - slack && n <= north + slack && (across(0.0) || across(around))
}

/// Copies a file to a new one, and answers its size.
fn copy(from: &Path, to: &Path, progress: &dyn Fn(f64)) -> io::Result<u64> {
    let from = File::open(from)?;
    let total = from.metadata()?.len().max(1);
    let mut to = OpenOptions::new().write(true).create_new(true).open(to)?;
    let mut bytes = 0;
    loop {
        let copied = io::copy(&mut (&from).take(COPY_BYTES), &mut to)?;
        if copied == 0 {
            return Ok(bytes);
        }
        bytes += copied;
        progress((bytes as f64 / total as f64).min(1.0));
    }
}

fn changes_pixels(settings: &RasterSettings) -> bool {
    settings.nodata.is_some()
        || settings.resampling.is_some()
        || settings.categorical.is_some()
        || settings.zoom.is_some()
        || settings.compression.is_some()
        || settings.quality.is_some()
        || settings.band_names.is_some()
}

/// The bands' descriptions where they differ, else their numbers in this file.
fn band_values(carried: &[Carried]) -> Vec<String> {
    let names: Vec<String> =
        carried.iter().map(|c| sanitize(c.metadata.band.name.as_deref().unwrap_or_default())).collect();
    let different =
        names.iter().all(|name| !name.is_empty() && names.iter().filter(|other| *other == name).count() == 1);
    if different { names } else { (1..=carried.len()).map(|n| n.to_string()).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_must_lie_in_the_rectangle() {
        let place = |col, cols| Placement { maxzoom: 2, minzoom: 2, col, row: 1, cols, rows: 1 };
        let within = |bounds: [f64; 4], placement| lies_within(&Bbox::from(bounds), &placement);
        assert!(within([0.0, 0.0, 90.0, 66.0], place(2, 1)));
        assert!(within([-0.1, 10.0, 50.0, 60.0], place(2, 1)), "less than a pixel outside");
        assert!(!within([-5.0, 10.0, 50.0, 60.0], place(2, 1)));
        assert!(!within([10.0, -20.0, 50.0, 60.0], place(2, 1)));
        assert!(!within([10.0, f64::NAN, 50.0, 60.0], place(2, 1)));
        assert!(within([170.0, 10.0, -170.0, 60.0], place(3, 2)));
        assert!(within([-179.0, 10.0, -170.0, 60.0], place(3, 2)), "beyond the antimeridian only");
        assert!(!within([170.0, 10.0, -80.0, 60.0], place(3, 2)));
        assert!(within([-180.0, 0.0, 180.0, 66.0], place(0, 4)));
    }
}
