//! Files of several variables or times: which of their rasters are wanted, and what their bands are called.
//!
//! A variable is a subdataset of `NetCDF`, HDF5 and the like, or what a band says it is of (`NETCDF_VARNAME`, `GRIB_ELEMENT`).

use std::path::{Path, PathBuf};

use gdal::{Dataset, Metadata as _};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::ConvertJob;
use super::bands::base_settings;
use super::fault::Fault;
use super::open::open_dataset;

/// Subdatasets and variables named in a message.
const NAMED_MAX: usize = 20;
/// Calendars of CF that are the one of everybody.
const CALENDARS: [&str; 3] = ["standard", "gregorian", "proleptic_gregorian"];

/// A raster of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// What GDAL opens.
    pub(super) name: PathBuf,
    /// The variable, where they are told apart.
    pub(super) variable: Option<String>,
    /// The bands that are of it; None: all.
    pub(super) bands: Option<Vec<usize>>,
}

/// The rasters of a file that a job asks for: the file itself unless the settings name variables, or a key takes them.
pub(super) fn parts(job: &ConvertJob) -> Result<Vec<Part>, Fault> {
    let wanted = base_settings(job).variables.unwrap_or_default();
    let whole = || vec![Part { name: job.file.clone(), variable: None, bands: None }];
    if wanted.is_empty() && job.variable_key.is_none() {
        return Ok(whole());
    }
    // What cannot be opened is explained where everything is opened.
    let Ok(dataset) = open_dataset(&job.file, &job.drivers) else { return Ok(whole()) };
    let found = in_file(&dataset, &job.file)?;
    let names = || found.iter().filter_map(|part| part.variable.clone()).collect::<Vec<_>>();
    if found.is_empty() {
        return Err(Fault::Refused(
            "the setting variables or the key #{variable} asks for variables, but the file names none".to_owned(),
        ));
    }
    if wanted.is_empty() {
        return Ok(found);
    }
    let mut parts = Vec::with_capacity(wanted.len());
    for name in &wanted {
        let part = found
            .iter()
            .find(|part| part.variable.as_ref() == Some(name))
            .ok_or_else(|| Fault::Refused(format!("the file has no variable {name:?}; it has {}", listed(&names()))))?;
        parts.push(part.clone());
    }
    Ok(parts)
}

/// The subdatasets of a file: what GDAL opens, and the variable.
pub(super) fn subdatasets(dataset: &Dataset) -> Vec<(String, String)> {
    let items = dataset.metadata_domain("SUBDATASETS").unwrap_or_default();
    let names = items.iter().filter_map(|item| item.split_once("_NAME=").map(|(_, name)| name.to_owned()));
    names
        .map(|name| (name.clone(), name.rsplit([':', '/']).next().unwrap_or(&name).trim_matches('"').to_owned()))
        .collect()
}

/// Names for a message.
pub(super) fn listed(names: &[String]) -> String {
    names.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn in_file(dataset: &Dataset, file: &Path) -> Result<Vec<Part>, Fault> {
    let subdatasets = subdatasets(dataset);
    if dataset.raster_count() == 0 && !subdatasets.is_empty() {
        let part =
            |(name, variable): (String, String)| Part { name: name.into(), variable: Some(variable), bands: None };
        return Ok(subdatasets.into_iter().map(part).collect());
    }
    let mut parts: Vec<Part> = Vec::new();
    for number in 1..=dataset.raster_count() {
        let band =
            dataset.rasterband(number).map_err(|e| Fault::Refused(format!("band {number} cannot be opened: {e}")))?;
        let Some(variable) = ["NETCDF_VARNAME", "GRIB_ELEMENT"].iter().find_map(|item| band.metadata_item(item, ""))
        else {
            continue;
        };
        match parts.iter_mut().find(|part| part.variable.as_ref() == Some(&variable)) {
            Some(part) => part.bands.get_or_insert_default().push(number),
            None => parts.push(Part { name: file.to_owned(), variable: Some(variable), bands: Some(vec![number]) }),
        }
    }
    Ok(parts)
}

/// When a band is valid, as ISO 8601: what `NetCDF`'s time axis (CF conventions, section 4.4) or GRIB says.
pub(super) fn time_of_band(dataset: &Dataset, number: usize) -> Option<String> {
    let band = dataset.rasterband(number).ok()?;
    let timestamp = if let Some(seconds) = band.metadata_item("GRIB_VALID_TIME", "") {
        Timestamp::from_second(seconds.split_whitespace().next()?.parse().ok()?).ok()?
    } else {
        let value = band.metadata_item("NETCDF_DIM_time", "")?.trim().parse().ok()?;
        let calendar = dataset.metadata_item("time#calendar", "");
        if calendar.is_some_and(|calendar| !CALENDARS.contains(&calendar.trim().to_ascii_lowercase().as_str())) {
            return None;
        }
        cf_time(value, &dataset.metadata_item("time#units", "")?)?
    };
    Some(timestamp.round(jiff::Unit::Second).ok()?.to_string())
}

/// `value` of `units`, such as `hours since 1900-01-01 00:00:0.0`.
fn cf_time(value: f64, units: &str) -> Option<Timestamp> {
    let (unit, since) = units.trim().split_once(" since ")?;
    let seconds = match unit.trim().to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    };
    let since = since.trim().trim_end_matches("UTC").trim_end_matches('Z').trim().replace('T', " ");
    let (date, time) = since.split_once(' ').unwrap_or((&since, "0:0:0"));
    let mut numbers = date.split('-').map(|part| part.parse::<i16>().ok());
    let (year, month, day) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let mut parts = time.split(':').map(|part| part.trim().parse::<f64>().ok());
    let (hour, minute, second) =
        (parts.next().unwrap_or(Some(0.0))?, parts.next().unwrap_or(Some(0.0))?, parts.next().unwrap_or(Some(0.0))?);
    let start = DateTime::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?, 0, 0, 0, 0).ok()?;
    let start = TimeZone::UTC.to_timestamp(start).ok()?;
    let after = value * seconds + hour * 3600.0 + minute * 60.0 + second;
    start.checked_add(SignedDuration::try_from_secs_f64(after).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_cf_are_read() {
        let of = |value, units| cf_time(value, units).map(|time| time.to_string());
        assert_eq!(of(17927.0, "days since 1950-01-01 00:00:00").as_deref(), Some("1999-01-31T00:00:00Z"));
        assert_eq!(of(1_043_148.0, "hours since 1900-01-01 00:00:0.0").as_deref(), Some("2019-01-01T12:00:00Z"));
        assert_eq!(of(90.0, "minutes since 2026-1-1T12:30:00Z").as_deref(), Some("2026-01-01T14:00:00Z"));
        assert_eq!(of(1.0, "days since 2026-03-01").as_deref(), Some("2026-03-02T00:00:00Z"));
        for bad in ["months since 1950-01-01", "days", "days since yesterday", "days since 2026-13-01"] {
            assert_eq!(of(1.0, bad), None, "{bad}");
        }
        assert_eq!(of(f64::MAX, "days since 1950-01-01"), None);
    }
}
