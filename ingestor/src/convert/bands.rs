//! What a raster says of its bands, and which of them go into one COG.

use gdal::raster::{ColorInterpretation, RasterBand};
use gdal::{Dataset, Metadata};
use shared::collection::KEY_VALUE_BYTES_MAX;
use shared::dataset::DataType;
use shared::metadata::Band;
use shared::raster_settings::RasterSettings;

use super::ConvertJob;
use super::fault::Fault;
use super::ffi;
use super::open::{Raster, data_type};
use super::source::MaskBand;
use super::variables::time_of_band;

/// Colours and labels kept of a band; more than any legend shows.
const ENTRIES_MAX: usize = 1024;

/// A band that becomes a dataset.
#[derive(Clone, Debug)]
pub(super) struct DataBand {
    /// What records say of it.
    pub(super) about: Band,
    pub(super) data_type: DataType,
    /// After settings.
    pub(super) nodata: Option<f64>,
    /// The key values of its dataset.
    pub(super) keys: Vec<String>,
    /// What holds for it.
    pub(super) settings: RasterSettings,
    pub(super) color_table: Vec<(i64, [u8; 4])>,
    pub(super) categories: Vec<(i64, String)>,
    /// Why the file itself makes it categorical, if it does.
    pub(super) classes: Option<&'static str>,
    /// Whether GDAL has a mask that tells what is valid.
    masked: bool,
    /// GDAL's color interpretation, as its number: the enum cannot be copied.
    color: u32,
}

/// Bands that go into one COG: one, or red, green and blue.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) bands: Vec<DataBand>,
    /// The mask or alpha band that holds for all of them.
    pub(super) mask: Option<MaskBand>,
    /// Whether that mask is an alpha band.
    pub(super) alpha: bool,
}

/// The bands of a raster, in groups.
pub(super) fn groups(raster: &Raster, job: &ConvertJob) -> Result<Vec<Group>, Fault> {
    let dataset = &raster.dataset;
    let mut numbers = Vec::new();
    let mut alpha = None;
    for number in raster.bands.iter().copied() {
        if band(dataset, number)?.color_interpretation() == ColorInterpretation::AlphaBand {
            alpha = Some(number);
        } else {
            numbers.push(number);
        }
    }
    if numbers.is_empty() {
        return Err(Fault::Refused("the raster has only an alpha band, nothing to show".to_owned()));
    }
    let values = band_values(dataset, &numbers, &base_settings(job))?;
    let values = match &job.band_prefix {
        Some(variable) if values.len() == 1 => vec![sanitize(variable)],
        Some(variable) => values.iter().map(|value| format!("{}_{value}", sanitize(variable))).collect(),
        None => values,
    };
    if numbers.len() > 1 && !job.key_values.iter().any(Option::is_none) {
        return Err(Fault::Refused(format!(
            "the file has {} bands, but the pattern names one dataset per file; end it with #{{band}} to make each band one",
            numbers.len()
        )));
    }
    let bands = numbers
        .iter()
        .zip(values)
        .map(|(number, value)| describe(dataset, *number, &value, job))
        .collect::<Result<Vec<DataBand>, Fault>>()?;
    // GDAL takes an alpha band for the mask only where there are one or three others; elsewhere it is read as it is.
    let mask = |band: &DataBand| match alpha {
        _ if band.masked => Some(MaskBand::Of(band.about.number as usize)),
        Some(alpha) if band.nodata.is_none() => Some(MaskBand::Alpha(alpha)),
        _ => None,
    };
    if is_rgb(&bands) {
        let mask = mask(&bands[0]);
        return Ok(vec![Group { alpha: alpha.is_some() && mask.is_some(), mask, bands }]);
    }
    Ok(bands.into_iter().map(|band| Group { mask: mask(&band), alpha: false, bands: vec![band] }).collect())
}

/// The settings that hold for the whole file.
pub(super) fn base_settings(job: &ConvertJob) -> RasterSettings {
    let values: Vec<String> = job.key_values.iter().map(|value| value.clone().unwrap_or_default()).collect();
    job.rules.resolve(&job.key_names, &values)
}

/// A band's key value as patterns and URLs can carry it: letters, digits, `_ . + -`; anything else becomes `-`.
pub(super) fn sanitize(name: &str) -> String {
    let allowed = |c: char| if c.is_alphanumeric() || "_.+-".contains(c) { c } else { '-' };
    let mut value: String = name.trim().chars().map(allowed).collect();
    while value.len() > KEY_VALUE_BYTES_MAX {
        value.pop();
    }
    value
}

fn band(dataset: &Dataset, number: usize) -> Result<RasterBand<'_>, Fault> {
    dataset.rasterband(number).map_err(|e| Fault::Refused(format!("band {number} cannot be opened: {e}")))
}

/// Key values of bands: the setting, else descriptions where all differ, else numbers.
fn band_values(dataset: &Dataset, numbers: &[usize], settings: &RasterSettings) -> Result<Vec<String>, Fault> {
    if let Some(names) = &settings.band_names {
        if names.len() != numbers.len() {
            return Err(Fault::Refused(format!(
                "the setting band_names has {} names, but the file has {} bands",
                names.len(),
                numbers.len()
            )));
        }
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != names.len() || names.iter().any(|name| name.trim().is_empty()) {
            return Err(Fault::Refused(
                "the names in the setting band_names are not all different, or one is empty".to_owned(),
            ));
        }
        return Ok(names.clone());
    }
    let described = numbers
        .iter()
        .map(|number| Ok(sanitize(&band(dataset, *number)?.description().unwrap_or_default())))
        .collect::<Result<Vec<String>, Fault>>()?;
    if let Some(times) = band_times(dataset, numbers, &described) {
        return Ok(times);
    }
    let own = |value: &String| !value.is_empty() && described.iter().filter(|other| *other == value).count() == 1;
    let mut values: Vec<String> = Vec::with_capacity(numbers.len());
    for (value, number) in described.iter().zip(numbers) {
        values.push(if own(value) { value.clone() } else { number.to_string() });
    }
    let mut sorted = values.clone();
    sorted.sort_unstable();
    sorted.dedup();
    // A description may be another band's number; then numbers for all.
    Ok(if sorted.len() == values.len() { values } else { numbers.iter().map(ToString::to_string).collect() })
}

/// Times of bands that differ by nothing else: none of their descriptions tells one from another.
fn band_times(dataset: &Dataset, numbers: &[usize], described: &[String]) -> Option<Vec<String>> {
    let all_differ = |values: &[String]| {
        let mut sorted = values.to_vec();
        sorted.sort_unstable();
        sorted.dedup();
        sorted.len() == values.len() && !values.iter().any(String::is_empty)
    };
    if all_differ(described) {
        return None;
    }
    let times: Option<Vec<String>> = numbers.iter().map(|number| time_of_band(dataset, *number)).collect();
    times.filter(|times| all_differ(times))
}

fn describe(dataset: &Dataset, number: usize, value: &str, job: &ConvertJob) -> Result<DataBand, Fault> {
    let keys: Vec<String> =
        job.key_values.iter().map(|known| known.clone().unwrap_or_else(|| value.to_owned())).collect();
    let settings = job.rules.resolve(&job.key_names, &keys);
    let band = band(dataset, number)?;
    let data_type = data_type(dataset, number)?;
    let own_nodata = match data_type {
        DataType::Int64 => band.no_data_value_i64().map(|v| v as f64),
        DataType::Uint64 => band.no_data_value_u64().map(|v| v as f64),
        _ => band.no_data_value(),
    };
    let flags =
        band.mask_flags().map_err(|e| Fault::Refused(format!("the mask of band {number} cannot be read: {e}")))?;
    let (scale, offset) = (settings.scale.or(band.scale()), settings.offset.or(band.offset()));
    let neutral = scale.unwrap_or(1.0) == 1.0 && offset.unwrap_or(0.0) == 0.0;
    let description = band.description().unwrap_or_default().trim().to_owned();
    let unit = band.unit().trim().to_owned();
    let about = Band {
        number: number as u32,
        name: (!description.is_empty()).then_some(description),
        unit: (!unit.is_empty()).then_some(unit),
        scale: scale.filter(|_| !neutral),
        offset: offset.filter(|_| !neutral),
    };
    let (color_table, categories, classes) = legend(&band);
    Ok(DataBand {
        about,
        data_type,
        nodata: settings.nodata.or(own_nodata),
        keys,
        settings,
        color_table,
        categories,
        classes,
        masked: !flags.is_all_valid() && !flags.is_nodata(),
        color: band.color_interpretation().c_int(),
    })
}

type Legend = (Vec<(i64, [u8; 4])>, Vec<(i64, String)>, Option<&'static str>);

/// Colours and labels by value, and why they make the band categorical.
fn legend(band: &RasterBand<'_>) -> Legend {
    let mut colors: Vec<(i64, [u8; 4])> = Vec::new();
    let mut labels: Vec<(i64, String)> = Vec::new();
    let mut reason = None;
    let table = ffi::thematic_table(band);
    if !table.is_empty() {
        reason = Some("raster attribute table");
        colors.extend(table.iter().filter_map(|class| class.color.map(|color| (class.value, color))));
        labels.extend(table.into_iter().filter_map(|class| class.label.map(|label| (class.value, label))));
    }
    let names = ffi::category_names(band);
    if names.iter().any(|name| !name.trim().is_empty()) {
        reason = Some("category names");
        labels = (0..).zip(names).filter(|(_, name)| !name.trim().is_empty()).collect();
    }
    if let Some(table) = band.color_table() {
        reason = Some("color table");
        let byte = |v: i16| v.clamp(0, 255) as u8;
        let entry = |i: usize| table.entry_as_rgb(i).map(|c| (i as i64, [byte(c.r), byte(c.g), byte(c.b), byte(c.a)]));
        colors = (0..table.entry_count()).filter_map(entry).collect();
    }
    // Wide tables are mostly padding: what is black and opaque at the end says nothing.
    while colors.len() > ENTRIES_MAX && colors.last().is_some_and(|(_, color)| *color == [0, 0, 0, 255]) {
        colors.pop();
    }
    colors.truncate(ENTRIES_MAX);
    labels.truncate(ENTRIES_MAX);
    (colors, labels, reason)
}

/// 8-bit red, green and blue, in this order, nothing else, all invalid by the same rule and none of them classes.
fn is_rgb(bands: &[DataBand]) -> bool {
    let [red, green, blue] = bands else { return false };
    let colors = [ColorInterpretation::RedBand, ColorInterpretation::GreenBand, ColorInterpretation::BlueBand];
    let alike = |a: &DataBand, b: &DataBand| {
        a.nodata.map(f64::to_bits) == b.nodata.map(f64::to_bits)
            && a.masked == b.masked
            && a.settings.zoom == b.settings.zoom
            && a.settings.resampling == b.settings.resampling
            && a.settings.compression == b.settings.compression
    };
    [red, green, blue].iter().zip(colors).all(|(band, color)| {
        band.color == color.c_int()
            && band.data_type == DataType::Uint8
            && band.classes.is_none()
            && band.settings.categorical != Some(true)
    }) && alike(red, green)
        && alike(red, blue)
}
