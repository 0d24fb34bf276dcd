//! Opens a staged raster and refuses what cannot become tiles, saying why and what to do, before any pixel is read.

use std::path::{Path, PathBuf};

use gdal::raster::{ColorInterpretation, GdalDataType};
use gdal::spatial_ref::{AxisMappingStrategy, SpatialRef};
use gdal::{Dataset, DatasetOptions, GdalOpenFlags, Metadata};
use shared::dataset::DataType;
use shared::grid::EARTH_RADIUS_M;

use super::fault::Fault;
use super::variables::{Part, listed, subdatasets};
use super::{ffi, session, tiff};

/// Bands a raster may have.
const BANDS_MAX: usize = 1000;
/// Pixels a raster may have.
const PIXELS_MAX: u128 = 1 << 40;
/// More decoded bytes per byte of the file than any format reaches on real data.
const RATIO_MAX: u128 = 200_000;
/// Rasters that decode to less than this need no ratio.
const DECODED_FREE: u128 = 256 << 20;
/// How far a CRS's ellipsoid may differ from the Earth's before it is another body.
const EARTH_TOLERANCE: f64 = 0.01;
/// Pictures rather than maps, where nothing places them.
const PICTURE_DRIVERS: [&str; 3] = ["PNG", "JPEG", "WEBP"];

/// Sample types that can be read. GDAL has signed bytes only from 3.7 on.
const TYPES: [(GdalDataType, DataType); 9] = [
    (GdalDataType::UInt8, DataType::Uint8),
    (GdalDataType::UInt16, DataType::Uint16),
    (GdalDataType::Int16, DataType::Int16),
    (GdalDataType::UInt32, DataType::Uint32),
    (GdalDataType::Int32, DataType::Int32),
    (GdalDataType::UInt64, DataType::Uint64),
    (GdalDataType::Int64, DataType::Int64),
    (GdalDataType::Float32, DataType::Float32),
    (GdalDataType::Float64, DataType::Float64),
];

/// A raster that can be read, with what all its bands share.
#[derive(Debug)]
pub(super) struct Raster {
    /// What GDAL opens.
    pub(super) name: PathBuf,
    pub(super) drivers: Vec<String>,
    pub(super) dataset: Dataset,
    /// Numbers of the bands that are wanted.
    pub(super) bands: Vec<usize>,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) srs: SpatialRef,
    pub(super) affine: [f64; 6],
    /// Whether its pixels are what a JPEG or a lossy WebP made of them.
    pub(super) is_lossy: bool,
}

/// Opens a file read-only with these drivers and no others.
pub(super) fn open_dataset(file: &Path, drivers: &[String]) -> Result<Dataset, Vec<String>> {
    let drivers: Vec<&str> = drivers.iter().map(String::as_str).collect();
    let options = DatasetOptions {
        open_flags: GdalOpenFlags::GDAL_OF_READONLY
            | GdalOpenFlags::GDAL_OF_RASTER
            | GdalOpenFlags::GDAL_OF_VERBOSE_ERROR,
        allowed_drivers: Some(&drivers),
        ..DatasetOptions::default()
    };
    let (result, failures) = session::watched(|| Dataset::open_ex(file, options));
    result.map_err(|error| if failures.is_empty() { vec![error.to_string()] } else { failures })
}

/// Opens a staged raster. `crs` is the setting that declares a CRS where the file has none.
pub(super) fn open(file: &Path, part: &Part, drivers: &[String], crs: Option<&str>) -> Result<Raster, Fault> {
    let bytes = std::fs::metadata(file).map_err(|e| Fault::Machine(format!("the staged file is gone: {e}")))?.len();
    if bytes == 0 {
        return Err(Fault::Truncated("the file is empty".to_owned()));
    }
    tiff::check(file)?;
    let dataset = open_dataset(&part.name, drivers).map_err(|messages| explain_unopened(file, drivers, &messages))?;
    let driver = dataset.driver().short_name();
    if driver == "VRT" {
        return Err(Fault::Refused("a VRT names other files and is refused; drop the rasters themselves".to_owned()));
    }
    check_size(&dataset, bytes)?;
    let picture = PICTURE_DRIVERS.contains(&driver.as_str());
    let affine = affine(&dataset, picture)?;
    let srs = spatial_ref(&dataset, crs)?;
    check_earth(&srs)?;
    check_types(&dataset)?;
    let (width, height) = dataset.raster_size();
    let bands = part.bands.clone().unwrap_or_else(|| (1..=dataset.raster_count()).collect());
    let is_lossy = is_lossy(&dataset, &driver);
    Ok(Raster {
        name: part.name.clone(),
        drivers: drivers.to_vec(),
        dataset,
        bands,
        width,
        height,
        srs,
        affine,
        is_lossy,
    })
}

/// GDAL says `JPEG`, `YCbCr JPEG` or `WEBP`, and of WebP whether nothing was lost.
fn is_lossy(dataset: &Dataset, driver: &str) -> bool {
    let item = |key: &str| dataset.metadata_item(key, "IMAGE_STRUCTURE").unwrap_or_default().to_ascii_uppercase();
    let compression = item("COMPRESSION");
    let lossless = item("COMPRESSION_REVERSIBILITY").starts_with("LOSSLESS");
    let is = |name: &str| driver == name || compression.ends_with(name);
    (is("JPEG") || is("WEBP")) && !lossless
}

/// The sample type of a band, if it is one tiles can be made of.
pub(super) fn data_type(dataset: &Dataset, band: usize) -> Result<DataType, Fault> {
    let refused = |e: &dyn std::fmt::Display| Fault::Refused(format!("band {band} cannot be read: {e}"));
    let band_type = dataset.rasterband(band).map_err(|e| refused(&e))?.band_type();
    let known = TYPES.iter().find(|(gdal, _)| *gdal == band_type).map(|(_, ours)| *ours);
    known.ok_or_else(|| refused(&format!("samples of type {band_type:?} are not supported")))
}

fn explain_unopened(file: &Path, drivers: &[String], messages: &[String]) -> Fault {
    let folder = file.parent().map(|folder| format!("{}/", folder.display())).unwrap_or_default();
    // Readers know the file by its name; where it was staged is of no use to them.
    let said = messages.first().map_or("no reason given", String::as_str).replace(&folder, "");
    let start = std::fs::File::open(file).and_then(|mut file| {
        let mut bytes = [0u8; 64];
        std::io::Read::read(&mut file, &mut bytes).map(|n| bytes[..n].to_vec())
    });
    let start = String::from_utf8_lossy(start.as_deref().unwrap_or_default()).trim_start().to_owned();
    if start.starts_with("<VRTDataset") {
        return Fault::Refused(
            "a VRT names other files and is refused, whatever it is called; drop the rasters themselves".to_owned(),
        );
    }
    if said.contains("missing codec") {
        return Fault::Refused(format!(
            "its compression is not supported by this GDAL; compress it otherwise, e.g. with DEFLATE: {said}"
        ));
    }
    if said.contains("not recognized") {
        return Fault::Refused(format!(
            "not a raster that any of the allowed GDAL drivers reads ({})",
            drivers.join(", ")
        ));
    }
    Fault::Refused(format!("the file cannot be opened: {said}"))
}

fn check_size(dataset: &Dataset, bytes: u64) -> Result<(), Fault> {
    let subdatasets: Vec<String> = subdatasets(dataset).into_iter().map(|(_, variable)| variable).collect();
    let bands = dataset.raster_count();
    if bands == 0 {
        return Err(Fault::Refused(if subdatasets.is_empty() {
            "the file has no raster band".to_owned()
        } else {
            format!(
                "the file holds {} rasters ({}); choose with the setting variables, e.g. variables = [\"{}\"]",
                subdatasets.len(),
                listed(&subdatasets),
                subdatasets[0]
            )
        }));
    }
    let (width, height) = dataset.raster_size();
    let pixels = width as u128 * height as u128;
    if bands > BANDS_MAX {
        return Err(Fault::Refused(format!(
            "{bands} bands are more than the {BANDS_MAX} that are supported; split the file"
        )));
    }
    if pixels == 0 || pixels > PIXELS_MAX {
        return Err(Fault::Refused(format!(
            "{width} × {height} pixels are more than the {PIXELS_MAX} that are supported"
        )));
    }
    let decoded = pixels * bands as u128;
    if decoded > DECODED_FREE && decoded > u128::from(bytes) * RATIO_MAX {
        return Err(Fault::Refused(format!(
            "{width} × {height} pixels in {bands} bands cannot be in a file of {bytes} bytes; its size is not believable"
        )));
    }
    Ok(())
}

fn affine(dataset: &Dataset, picture: bool) -> Result<[f64; 6], Fault> {
    let found = dataset.geo_transform().ok().filter(|gt| *gt != [0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    let Some(gt) = found else {
        if picture && dataset.spatial_ref().is_err() {
            return Err(Fault::Skipped("a picture without georeferencing".to_owned()));
        }
        if dataset.metadata_domain("RPC").is_some_and(|rpc| !rpc.is_empty()) {
            return Err(Fault::Refused(
                "the raster is placed only by RPCs; orthorectify it first: gdalwarp -rpc -t_srs EPSG:4326 in.tif out.tif".to_owned(),
            ));
        }
        if !dataset.gcps().is_empty() {
            return Err(Fault::Refused(format!(
                "the raster is placed only by {} ground control points; warp it first: gdalwarp -tps -t_srs EPSG:4326 in.tif out.tif",
                dataset.gcps().len()
            )));
        }
        return Err(Fault::Refused(
            "the raster has no georeferencing: neither a geotransform nor a world file says where it lies".to_owned(),
        ));
    };
    let area = gt[1] * gt[5] - gt[2] * gt[4];
    if gt.iter().any(|v| !v.is_finite()) || !area.is_normal() {
        return Err(Fault::Refused(format!("the geotransform {gt:?} is not usable: pixels have no size")));
    }
    Ok(gt)
}

fn spatial_ref(dataset: &Dataset, crs: Option<&str>) -> Result<SpatialRef, Fault> {
    let own = dataset.spatial_ref().ok().filter(|srs| !srs.is_local() && (srs.is_geographic() || srs.is_projected()));
    let mut srs = match (own, crs) {
        (Some(srs), _) => srs,
        (None, Some(crs)) => SpatialRef::from_definition(crs).map_err(|e| {
            Fault::Refused(format!("the raster has no CRS, and the setting crs = {crs:?} is not one PROJ knows: {e}"))
        })?,
        (None, None) if is_cf_geographic(dataset) => {
            SpatialRef::from_epsg(4326).map_err(|e| Fault::Machine(format!("PROJ does not know EPSG:4326: {e}")))?
        }
        (None, None) => {
            return Err(Fault::Refused(
                "the raster has no coordinate reference system; declare it with the setting crs, e.g. crs = \"EPSG:32633\"".to_owned(),
            ));
        }
    };
    srs.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
    Ok(srs)
}

/// Whether a `NetCDF` file says that its axes are longitudes and latitudes: then its CRS is the Earth's (CF conventions, section 5.6).
fn is_cf_geographic(dataset: &Dataset) -> bool {
    if dataset.driver().short_name() != "netCDF" {
        return false;
    }
    let items = dataset.metadata_domain("").unwrap_or_default();
    let has = |unit: &str| {
        items.iter().any(|item| item.split_once("#units=").is_some_and(|(_, found)| found.starts_with(unit)))
    };
    has("degrees_north") && has("degrees_east")
}

fn check_earth(srs: &SpatialRef) -> Result<(), Fault> {
    let semi_major = srs.semi_major().unwrap_or(EARTH_RADIUS_M);
    if (semi_major / EARTH_RADIUS_M - 1.0).abs() > EARTH_TOLERANCE {
        return Err(Fault::Refused(format!(
            "the raster does not lie on Earth: its CRS {} has a radius of {:.0} km",
            srs.name().unwrap_or_default(),
            semi_major / 1000.0
        )));
    }
    Ok(())
}

fn check_types(dataset: &Dataset) -> Result<(), Fault> {
    for number in 1..=dataset.raster_count() {
        let band =
            dataset.rasterband(number).map_err(|e| Fault::Refused(format!("band {number} cannot be opened: {e}")))?;
        if ffi::is_complex(&band) {
            return Err(Fault::Refused(format!(
                "band {number} holds complex numbers, which cannot be shown; convert it first, e.g. to amplitude"
            )));
        }
        if band.metadata_item("PIXELTYPE", "IMAGE_STRUCTURE").as_deref() == Some("SIGNEDBYTE") {
            return Err(Fault::Refused(format!(
                "band {number} holds signed 8-bit integers, which are not supported; convert it: gdal_translate -ot Int16 in.tif out.tif"
            )));
        }
        if band.color_interpretation() != ColorInterpretation::AlphaBand {
            data_type(dataset, number)?;
        }
    }
    Ok(())
}
