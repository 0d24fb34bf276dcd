//! One group of bands to one COG with its records: scan, decide, place, write, check.

use jiff::Timestamp;
use shared::dataset::{CogLayout, Compression, DataType, Dataset};
use shared::grid::Placement;
use shared::layout;
use shared::metadata::{BandStatistics, Categorical, Metadata};
use shared::raster_settings::Resampling;
use ulid::Ulid;

use super::bands::{DataBand, Group};
use super::fault::Fault;
use super::footprint::{Footprint, project_hull};
use super::kernel::Kernel;
use super::locate::{Georeference, Kind};
use super::open::Raster;
use super::sample::{Judge, Sample};
use super::source::{Pool, Source};
use super::statistics::{self, Scanned};
use super::warp::Warp;
use super::{ConvertJob, ConvertedCog, place, profile, session};
use crate::cog::{self, CogError, CogSpec};

/// The part of the work that is reading and measuring; the rest is warping and writing.
const SCAN_SHARE: f64 = 0.35;
/// Quality of WebP unless a setting says otherwise: GDAL's too. Where the grid's pixels are finer than the raster's they hold nothing more, so a lower one shows no
/// worse: by so much for each halving of their area, to this at least.
const WEBP_QUALITY: f64 = 75.0;
const WEBP_QUALITY_PER_HALVING: f64 = 12.0;
const WEBP_QUALITY_MIN: f64 = 40.0;
/// And where checking what was written begins.
const VERIFY_AT: f64 = 0.95;

/// What all groups of a raster share.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) job: &'a ConvertJob,
    pub(super) raster: &'a Raster,
    pub(super) pool: &'a Pool,
    pub(super) georeference: &'a Georeference,
    pub(super) footprint: &'a Footprint,
    /// Data bands of the file: one alone may be classes by its values.
    pub(super) bands: usize,
}

impl Subject<'_> {
    /// Converts a group. Notes are for people.
    pub(super) fn convert<T: Sample>(
        &self,
        group: &Group,
        notes: &mut Vec<String>,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<ConvertedCog, Fault> {
        let bands = group.bands.iter().map(|band| band.about.number as usize).collect();
        let judges: Vec<Judge<T>> = group.bands.iter().map(|band| Judge::new(band.nodata)).collect();
        let limits = (self.job.threads, self.job.memory_bytes);
        let mut source = Source::new(self.raster, self.pool, bands, judges, group.mask, limits)?;
        if source.in_memory() && self.bands == group.bands.len() {
            session::cache_little();
        } else if source.in_memory() || source.is_tiled() {
            // Bands that lie interleaved are decoded together, and the others' wanted next.
            session::cache_some(self.job.memory_bytes);
        }
        let (scanned, coverage) = statistics::scan(&mut source, &|done| progress(done * SCAN_SHARE))?;
        let categorical = self.decide_categorical(&group.bands[0], &scanned[0]);
        if categorical.is {
            notes.push(format!("band {} is categorical: {}", group.bands[0].about.number, categorical.reason));
        }
        let settings = &group.bands[0].settings;
        let compression = compression(self.raster, group, settings.compression, T::DATA_TYPE);
        if compression == Compression::Webp {
            notes.push(
                "its pictures are stored as WebP, which changes values a little; the setting `compression` keeps them"
                    .to_owned(),
            );
        }
        let placement = place::place(self.footprint, self.georeference.size(), settings.zoom)?;
        let ulid = Ulid::generate();
        let describer = Describer { subject: self, placement, ulid, categorical: &categorical };
        let metadata = describer.metadata(group, &scanned)?;
        let describe = describer.describe(group, &metadata)?;
        let all_valid: Vec<bool> = scanned.iter().map(|band| band.valid == self.pixels()).collect();
        let spec = CogSpec {
            placement,
            data_type: T::DATA_TYPE,
            samples: group.bands.len() as u16,
            nodata: group.bands[0].nodata.filter(|nodata| nodata.is_nan() || T::exactly(*nodata).is_some()),
            categorical: categorical.is,
            expect_valid: all_valid.iter().all(|valid| *valid) && self.fills(&placement),
            compression,
            quality: settings.quality.map_or_else(|| self.quality(&placement), |quality| [quality; 2]),
            color_table: group.bands[0].color_table.clone(),
            profile: profile().to_owned(),
            describe,
            threads: self.job.threads.max(1),
            path: self.job.out_dir.join(format!("{ulid}.tif")),
        };
        let kernel = kernel(settings.resampling, categorical.is);
        let warp = Warp::new(&source, (self.georeference, &coverage), placement, kernel, (all_valid, group.alpha));
        let written = |done| progress(SCAN_SHARE + done * (VERIFY_AT - SCAN_SHARE));
        let written = write(spec.clone(), &warp, &written)?;
        let verified = |done| progress(VERIFY_AT + done * (1.0 - VERIFY_AT));
        cog::verify_with(&spec.path, &written.layout, spec.threads, &verified)?;
        progress(1.0);
        let datasets = describer.datasets(group, metadata, &written.layout);
        Ok(ConvertedCog { file: spec.path, bytes: written.bytes, datasets })
    }

    /// Of full resolution and of overviews.
    fn quality(&self, placement: &Placement) -> [u8; 2] {
        let ratio =
            place::pixel_m(self.footprint, self.georeference.size()) / shared::grid::pixel_side_m(placement.maxzoom);
        let less = WEBP_QUALITY_PER_HALVING * 2.0 * ratio.max(1.0).log2();
        [(WEBP_QUALITY - less).max(WEBP_QUALITY_MIN) as u8, WEBP_QUALITY as u8]
    }

    fn pixels(&self) -> u64 {
        self.raster.width as u64 * self.raster.height as u64
    }

    fn decide_categorical(&self, band: &DataBand, scanned: &Scanned) -> Categorical {
        let decide = |is, reason: &str| Categorical { is, reason: reason.to_owned() };
        match (band.settings.categorical, band.classes, scanned.distinct) {
            (Some(is), _, _) => decide(is, "setting"),
            (None, Some(reason), _) => decide(true, reason),
            (None, None, Some(n)) if self.bands == 1 && n > 0 => {
                decide(true, &format!("{n} distinct value{}", if n == 1 { "" } else { "s" }))
            }
            (None, None, _) if self.bands > 1 => decide(false, "one of several bands without a legend"),
            (None, None, _) if !matches!(band.data_type, DataType::Float32 | DataType::Float64) => {
                decide(false, &format!("more than {} distinct values", statistics::CLASSES_MAX))
            }
            _ => decide(false, "floating-point values"),
        }
    }

    /// Whether the raster covers all blocks: only sure where its edges are parallel to the grid's.
    fn fills(&self, placement: &Placement) -> bool {
        let gt = self.georeference.affine();
        let is_padded = placement.padded() != (placement.cols, placement.rows);
        if self.georeference.kind() == Kind::Projected || gt[2] != 0.0 || gt[4] != 0.0 || is_padded {
            return false;
        }
        let f = self.footprint;
        let [west, south, east, north] = placement.bounds_m();
        let (w, s) = shared::grid::to_mercator(f.west, f.south);
        let (e, n) = shared::grid::to_mercator(f.east, f.north);
        let half = shared::grid::pixel_side_m(placement.maxzoom) / 4.0;
        w <= west + half && s <= south + half && e >= east - half && n >= north - half
    }
}

/// What arrives as 8-bit RGB and lossily compressed stays so, and small; nothing else may lose a value unasked.
fn compression(raster: &Raster, group: &Group, wanted: Option<Compression>, data_type: DataType) -> Compression {
    let is_picture = group.bands.len() == 3 && data_type == DataType::Uint8;
    match wanted {
        None if is_picture && raster.is_lossy => Compression::Webp,
        Some(Compression::Webp) if is_picture => Compression::Webp,
        None | Some(Compression::Webp) => Compression::Zstd,
        Some(wanted) => wanted,
    }
}

/// Writes; a COG that was expected to be valid throughout and is not is written again.
fn write<T: Sample>(
    mut spec: CogSpec,
    warp: &Warp<'_, T>,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<cog::WrittenCog, Fault> {
    let mut result = cog::write(&spec, warp, progress);
    if matches!(result, Err(CogError::NotAllValid)) {
        spec.expect_valid = false;
        result = cog::write(&spec, warp, progress);
    }
    result.map_err(|error| warp.take_fault().unwrap_or_else(|| Fault::from(error)))
}

fn kernel(setting: Option<Resampling>, categorical: bool) -> Kernel {
    match setting {
        Some(Resampling::Nearest) => Kernel::Nearest,
        Some(Resampling::Cubic) => Kernel::Cubic,
        None if categorical => Kernel::Nearest,
        Some(Resampling::Bilinear) | None => Kernel::Bilinear,
    }
}

/// Makes records of a group.
struct Describer<'s> {
    subject: &'s Subject<'s>,
    placement: Placement,
    ulid: Ulid,
    categorical: &'s Categorical,
}

impl Describer<'_> {
    fn metadata(&self, group: &Group, scanned: &[Scanned]) -> Result<Vec<Metadata>, Fault> {
        let subject = self.subject;
        let crs = crs_name(subject.raster);
        let gt = subject.georeference.affine();
        let rgb = match group.bands.as_slice() {
            [red, green, blue] => Some([red, green, blue].map(|band| self.band_value(band))),
            _ => None,
        };
        group
            .bands
            .iter()
            .zip(scanned)
            .map(|(band, scanned)| {
                Ok(Metadata {
                    bounds: subject.footprint.bbox(),
                    convex_hull: project_hull(&scanned.hull, subject.georeference, subject.footprint)?,
                    valid_percentage: scanned.valid as f64 / subject.pixels() as f64 * 100.0,
                    statistics: scanned.statistics.clone().map(without_negative_zero),
                    data_type: band.data_type,
                    crs: crs.clone(),
                    size: [subject.raster.width as u64, subject.raster.height as u64],
                    resolution: [gt[1].hypot(gt[4]), gt[2].hypot(gt[5])],
                    nodata: band.nodata,
                    band: band.about.clone(),
                    categorical: self.categorical.clone(),
                    color_table: band.color_table.clone(),
                    categories: band.categories.clone(),
                    rgb: rgb.clone(),
                    input: subject.job.input.clone(),
                    version: subject.job.version.clone(),
                    source_time_ms: subject.job.source_time_ms,
                    ingested_at_ms: Timestamp::now().as_millisecond(),
                    style: None,
                    user: serde_json::Map::new(),
                })
            })
            .collect()
    }

    /// The value of the key that takes the band's.
    fn band_value(&self, band: &DataBand) -> String {
        let at = self.subject.job.key_values.iter().position(Option::is_none);
        at.and_then(|at| band.keys.get(at)).cloned().unwrap_or_else(|| band.about.number.to_string())
    }

    /// What the COG itself carries: keys and metadata, without layout.
    fn describe(&self, group: &Group, metadata: &[Metadata]) -> Result<String, Fault> {
        let records: Vec<super::takeover::Carried> = group
            .bands
            .iter()
            .zip(metadata)
            .map(|(band, metadata)| super::takeover::Carried { keys: band.keys.clone(), metadata: metadata.clone() })
            .collect();
        serde_json::to_string(&records)
            .map_err(|e| Fault::Machine(format!("the records of {:?} cannot be written: {e}", self.placement)))
    }

    fn datasets(&self, group: &Group, metadata: Vec<Metadata>, layout: &CogLayout) -> Vec<Dataset> {
        let path = layout::cog(&self.subject.job.collection, self.ulid).to_string();
        (0u16..)
            .zip(group.bands.iter().zip(metadata))
            .map(|(sample, (band, metadata))| Dataset {
                keys: band.keys.clone(),
                path: path.clone(),
                sample,
                cog: layout.clone(),
                metadata,
            })
            .collect()
    }
}

/// `EPSG:n` where the CRS is one, else WKT.
fn crs_name(raster: &Raster) -> String {
    let named = |srs: &gdal::spatial_ref::SpatialRef| srs.authority().ok().filter(|name| name.starts_with("EPSG:"));
    let identified = || {
        let mut copy = raster.srs.clone();
        copy.auto_identify_epsg().ok().and_then(|()| named(&copy))
    };
    named(&raster.srs).or_else(identified).or_else(|| raster.srs.to_wkt().ok()).unwrap_or_default()
}

/// −0 equals 0 but prints otherwise.
fn without_negative_zero(mut statistics: BandStatistics) -> BandStatistics {
    for value in
        [&mut statistics.min, &mut statistics.max, &mut statistics.mean].into_iter().chain(&mut statistics.percentiles)
    {
        *value += 0.0;
    }
    statistics
}
