//! Conversion: one staged raster in, COGs and metadata out. The only place that names the gdal crate; runs in child processes.
//!
//! In order of flow: `worker` reads a job, `beside` the style beside the raster, `takeover` looks whether the file is a COG of ours, `variables` finds
//! the rasters in it, `tiff` and `open` refuse what cannot become
//! tiles, `bands` describes and groups bands, `footprint` (by `locate`) says where they lie; then per group `cog_of`: `source` and
//! `statistics` read and measure, `place` chooses tiles, `warp` (by `cells`, `kernel` and `bilinear`) gives windows to the COG writer.

mod bands;
#[doc(hidden)]
pub mod bench;
mod beside;
mod bilinear;
mod cells;
mod cog_of;
mod coverage;
mod fault;
#[expect(unsafe_code, reason = "GDAL functions that the gdal crate does not wrap")]
mod ffi;
mod footprint;
mod hull;
mod kernel;
mod locate;
mod open;
mod place;
mod sample;
mod session;
mod source;
mod statistics;
mod takeover;
mod tiff;
mod variables;
mod warp;
mod worker;

use std::path::PathBuf;

pub use worker::run_worker;

use serde::{Deserialize, Serialize};
use shared::dataset::Dataset;
use shared::raster_settings::RasterRules;

use cog_of::Subject;
use fault::Fault;
use footprint::Footprint;
use locate::Georeference;
use sample::with_sample;
use source::Pool;
use variables::Part;

/// GDAL drivers that may open inputs unless a setting adds more. None of them follows names to other places.
pub const DEFAULT_DRIVERS: [&str; 12] =
    ["GTiff", "JP2OpenJPEG", "HFA", "AAIGrid", "SRTMHGT", "DTED", "GRIB", "netCDF", "ENVI", "PNG", "JPEG", "WEBP"];

/// How COGs are written, as they carry it: a COG of another profile is converted again when it is dropped as input.
pub fn profile() -> &'static str {
    "kiln-1 webmercatorquad 256 bilinear-mean nearest-mode"
}

/// One raster to convert: a line of JSON on the child's standard input.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConvertJob {
    /// Number that the answers repeat.
    pub id: u64,
    /// The staged file, its sidecars beside it.
    pub file: PathBuf,
    /// An empty folder for what is written. COGs are named `<ulid>.tif`.
    pub out_dir: PathBuf,
    /// The collection, for the store paths in the dataset records.
    pub collection: String,
    /// Key names, in order.
    pub key_names: Vec<String>,
    /// Key values from the pattern; None at the key that takes the band's value.
    pub key_values: Vec<Option<String>>,
    /// What bands are called by where several variables have no key of their own.
    #[serde(default)]
    pub band_prefix: Option<String>,
    /// The key that takes a variable's name, if one does.
    #[serde(default)]
    pub variable_key: Option<usize>,
    /// Settings by key values.
    pub rules: RasterRules,
    /// Path of the input relative to its source, for the records.
    pub input: String,
    /// The input's version, for the records.
    pub version: String,
    /// For the records.
    pub source_time_ms: i64,
    /// Names of the collection's own color maps.
    #[serde(default)]
    pub colormaps: Vec<String>,
    /// GDAL drivers that may open the file.
    pub drivers: Vec<String>,
    /// Threads this job may use.
    pub threads: usize,
    /// Memory this job may use.
    pub memory_bytes: u64,
}

/// A line of JSON on the child's standard output.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer")]
pub enum ConvertAnswer {
    /// The child is up and waits for jobs.
    Ready,
    /// Still at work; `done` from 0 to 1. Sent at most every 200 ms, and only when work advanced.
    Progress {
        /// The job.
        id: u64,
        /// Part done, 0 to 1.
        done: f64,
    },
    /// Converted.
    Converted {
        /// The job.
        id: u64,
        /// What was written, one per COG.
        cogs: Vec<ConvertedCog>,
        /// What a person should know though nothing failed, e.g. how categorical was decided.
        notes: Vec<String>,
    },
    /// The raster cannot be ingested as it is.
    Refused {
        /// The job.
        id: u64,
        /// What is wrong, where, what to do.
        reason: String,
        /// Whether the same bytes may pass later or more bytes may come (truncated).
        may_pass: bool,
    },
    /// Not a raster for maps: a picture without georeferencing. Not an error.
    Skipped {
        /// The job.
        id: u64,
        /// Why.
        reason: String,
    },
    /// The machine failed, not the raster: disk full, memory. To be tried again.
    Failed {
        /// The job.
        id: u64,
        /// What failed.
        reason: String,
        /// Whether the disk is full.
        disk_full: bool,
    },
}

/// One COG that was written.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ConvertedCog {
    /// The file in `out_dir`.
    pub file: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// The datasets in it; their `path` is the store path it must be uploaded to.
    pub datasets: Vec<Dataset>,
}

/// Converts a raster: what the child process does with a job. `progress` hears 0 to 1 from several threads.
pub fn convert(job: &ConvertJob, progress: &(dyn Fn(f64) + Sync)) -> ConvertAnswer {
    let id = job.id;
    let mut notes = Vec::new();
    let converted = beside::Beside::of(&job.file, &job.colormaps).and_then(|beside| {
        let mut cogs = convert_raster(job, &mut notes, progress)?;
        beside.put_into(&mut cogs);
        Ok(cogs)
    });
    let fault = match converted {
        Ok(cogs) => return ConvertAnswer::Converted { id, cogs, notes },
        Err(fault) => fault,
    };
    let reason = fault.to_string();
    match fault {
        Fault::Refused(_) => ConvertAnswer::Refused { id, reason, may_pass: false },
        Fault::Truncated(_) => ConvertAnswer::Refused { id, reason, may_pass: true },
        Fault::Skipped(_) => ConvertAnswer::Skipped { id, reason },
        Fault::DiskFull(_) => ConvertAnswer::Failed { id, reason, disk_full: true },
        Fault::Machine(_) => ConvertAnswer::Failed { id, reason, disk_full: false },
    }
}

fn convert_raster(
    job: &ConvertJob,
    notes: &mut Vec<String>,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<Vec<ConvertedCog>, Fault> {
    session::start(job.memory_bytes, &job.out_dir);
    if let Some(cog) = takeover::take_over(job, progress)? {
        notes.push("a COG of ours, taken over as it is".to_owned());
        return Ok(vec![cog]);
    }
    let parts = variables::parts(job)?;
    let mut all = Vec::new();
    for (i, part) in parts.iter().enumerate() {
        let progress = |done: f64| progress((i as f64 + done) / parts.len() as f64);
        match convert_part(&of_variable(job, part, parts.len()), part, notes, &progress) {
            Ok(cogs) => all.extend(cogs),
            Err(fault) => {
                remove(&all);
                return Err(fault);
            }
        }
    }
    let mut keys: Vec<&Vec<String>> = all.iter().flat_map(|cog| &cog.datasets).map(|dataset| &dataset.keys).collect();
    keys.sort_unstable();
    if let Some(twice) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
        let fault = format!(
            "two of its bands have the same key values {}; end the pattern with #{{variable}}#{{band}}",
            twice[0].join("/")
        );
        remove(&all);
        return Err(Fault::Refused(fault));
    }
    Ok(all)
}

/// The job of one variable: its key has the variable's name; without a key for it, the bands are called by it.
fn of_variable(job: &ConvertJob, part: &Part, parts: usize) -> ConvertJob {
    let mut job = job.clone();
    if let (Some(key), Some(variable)) = (job.variable_key, &part.variable)
        && let Some(value) = job.key_values.get_mut(key)
    {
        *value = Some(bands::sanitize(variable));
    }
    job.band_prefix = part.variable.clone().filter(|_| job.variable_key.is_none() && parts > 1);
    job
}

fn convert_part(
    job: &ConvertJob,
    part: &Part,
    notes: &mut Vec<String>,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<Vec<ConvertedCog>, Fault> {
    let raster = open::open(&job.file, part, &job.drivers, bands::base_settings(job).crs.as_deref())?;
    let groups = bands::groups(&raster, job)?;
    let georeference = Georeference::of(&raster)?;
    let footprint = Footprint::of(&georeference)?;
    let pool = Pool::new(&raster);
    let subject = Subject {
        job,
        raster: &raster,
        pool: &pool,
        georeference: &georeference,
        footprint: &footprint,
        bands: groups.iter().map(|group| group.bands.len()).sum(),
    };
    let mut cogs = Vec::with_capacity(groups.len());
    for (i, group) in groups.iter().enumerate() {
        let progress = |done: f64| progress((i as f64 + done) / groups.len() as f64);
        let unsupported = Err(Fault::Refused("signed 8-bit integers are not supported".to_owned()));
        let cog =
            with_sample!(group.bands[0].data_type, T => subject.convert::<T>(group, notes, &progress), unsupported);
        match cog {
            Ok(cog) => cogs.push(cog),
            Err(fault) => {
                remove(&cogs);
                return Err(fault);
            }
        }
    }
    Ok(cogs)
}

/// COGs of a raster that failed half way are nobody's.
fn remove(cogs: &[ConvertedCog]) {
    for cog in cogs {
        // The folder is swept anyway; what is not removed here goes then.
        let _ = std::fs::remove_file(&cog.file);
    }
}

#[cfg(test)]
mod tests;
