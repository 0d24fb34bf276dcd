//! The few functions of GDAL that the gdal crate lacks, each behind a safe wrapper. The only unsafe code of the house.

use std::ffi::{CStr, c_char, c_int};

use gdal::raster::RasterBand;
use gdal::spatial_ref::SpatialRef;

/// Rows of a raster attribute table, or category names, that are looked at.
const CATEGORIES_MAX: usize = 65_536;

/// A coordinate transformation that reports points it cannot transform as NaN instead of failing.
#[derive(Debug)]
pub(super) struct Transform(gdal_sys::OGRCoordinateTransformationH);

// SAFETY: an OGRCoordinateTransformation may be used, and destroyed, by any one thread at a time: GDAL 3.6, the oldest that this is built with, assigns the
// thread's own PROJ context on each call and before it destroys. `Transform` is not Sync, so there is never more than one.
unsafe impl Send for Transform {}

impl Drop for Transform {
    fn drop(&mut self) {
        // SAFETY: the handle came from OCTNewCoordinateTransformation and is destroyed once.
        unsafe { gdal_sys::OCTDestroyCoordinateTransformation(self.0) };
    }
}

impl Transform {
    /// From one CRS to another; None if PROJ knows no way.
    pub(super) fn new(source: &SpatialRef, target: &SpatialRef) -> Option<Self> {
        // SAFETY: both handles live through the call; the transformation copies what it needs of them.
        let handle = unsafe {
            gdal_sys::CPLPushErrorHandler(Some(gdal_sys::CPLQuietErrorHandler));
            let handle = gdal_sys::OCTNewCoordinateTransformation(source.to_c_hsrs(), target.to_c_hsrs());
            gdal_sys::CPLPopErrorHandler();
            handle
        };
        (!handle.is_null()).then_some(Self(handle))
    }

    /// Transforms points in place. What cannot be transformed becomes NaN.
    pub(super) fn apply(&self, x: &mut [f64], y: &mut [f64]) {
        let count = x.len().min(y.len());
        let Ok(c_count) = c_int::try_from(count) else {
            x.fill(f64::NAN);
            y.fill(f64::NAN);
            return;
        };
        let mut done: Vec<c_int> = vec![0; count];
        // SAFETY: the three arrays hold at least `c_count` elements and outlive the call; a null z is allowed.
        unsafe {
            gdal_sys::CPLPushErrorHandler(Some(gdal_sys::CPLQuietErrorHandler));
            gdal_sys::OCTTransformEx(
                self.0,
                c_count,
                x.as_mut_ptr(),
                y.as_mut_ptr(),
                std::ptr::null_mut(),
                done.as_mut_ptr(),
            );
            gdal_sys::CPLPopErrorHandler();
        }
        for ((x, y), done) in x.iter_mut().zip(y.iter_mut()).zip(done) {
            if done == 0 || !x.is_finite() || !y.is_finite() {
                (*x, *y) = (f64::NAN, f64::NAN);
            }
        }
    }
}

/// Whether two CRSs are the same.
pub(super) fn is_same(a: &SpatialRef, b: &SpatialRef) -> bool {
    // SAFETY: both handles live through the call.
    unsafe { gdal_sys::OSRIsSame(a.to_c_hsrs(), b.to_c_hsrs()) != 0 }
}

/// Bounds GDAL's block cache.
pub(super) fn bound_block_cache(bytes: u64) {
    // SAFETY: a plain number.
    unsafe { gdal_sys::GDALSetCacheMax64(i64::try_from(bytes).unwrap_or(i64::MAX)) };
}

/// Whether a band's samples are complex numbers.
pub(super) fn is_complex(band: &RasterBand<'_>) -> bool {
    // SAFETY: the band borrows its open dataset.
    unsafe { gdal_sys::GDALDataTypeIsComplex(gdal_sys::GDALGetRasterDataType(band.c_rasterband())) != 0 }
}

/// The names of the values 0, 1, 2 … of a band; empty if it has none.
pub(super) fn category_names(band: &RasterBand<'_>) -> Vec<String> {
    let mut names = Vec::new();
    // SAFETY: the list is owned by the band, ends with a null pointer, and is read before anything else touches the band.
    unsafe {
        let mut entry = gdal_sys::GDALGetRasterCategoryNames(band.c_rasterband());
        while !entry.is_null() && !(*entry).is_null() && names.len() < CATEGORIES_MAX {
            names.push(text(*entry));
            entry = entry.add(1);
        }
    }
    names
}

/// A row of a thematic raster attribute table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Class {
    /// The value.
    pub(super) value: i64,
    /// Its label.
    pub(super) label: Option<String>,
    /// Its colour.
    pub(super) color: Option<[u8; 4]>,
}

/// The rows of a band's raster attribute table, if it is one of classes: thematic, a value per row, and names or colours.
pub(super) fn thematic_table(band: &RasterBand<'_>) -> Vec<Class> {
    use gdal_sys::GDALRATFieldUsage as Usage;
    // SAFETY: the table is owned by the band, which borrows its open dataset; rows and columns asked for exist.
    unsafe {
        let table = gdal_sys::GDALGetDefaultRAT(band.c_rasterband());
        if table.is_null() || gdal_sys::GDALRATGetTableType(table) != gdal_sys::GDALRATTableType::GRTT_THEMATIC {
            return Vec::new();
        }
        let column = |usage| Some(gdal_sys::GDALRATGetColOfUsage(table, usage)).filter(|column| *column >= 0);
        let name = column(Usage::GFU_Name);
        let [red, green, blue] = [Usage::GFU_Red, Usage::GFU_Green, Usage::GFU_Blue].map(column);
        let alpha = column(Usage::GFU_Alpha);
        if name.is_none() && red.is_none() {
            return Vec::new();
        }
        let value = column(Usage::GFU_MinMax).or_else(|| column(Usage::GFU_Min));
        let rows = gdal_sys::GDALRATGetRowCount(table).clamp(0, CATEGORIES_MAX as c_int);
        let byte = |row, column| gdal_sys::GDALRATGetValueAsInt(table, row, column).clamp(0, 255) as u8;
        (0..rows)
            .map(|row| Class {
                value: value
                    .map_or(i64::from(row), |column| gdal_sys::GDALRATGetValueAsDouble(table, row, column) as i64),
                label: name
                    .map(|column| text(gdal_sys::GDALRATGetValueAsString(table, row, column)))
                    .filter(|label| !label.trim().is_empty()),
                color: match (red, green, blue) {
                    (Some(r), Some(g), Some(b)) => {
                        Some([byte(row, r), byte(row, g), byte(row, b), alpha.map_or(255, |a| byte(row, a))])
                    }
                    _ => None,
                },
            })
            .collect()
    }
}

/// A copy of a C string, what is not UTF-8 replaced.
///
/// # Safety
/// `pointer` is null or points to a string that ends with a zero byte and is not changed meanwhile.
unsafe fn text(pointer: *const c_char) -> String {
    if pointer.is_null() {
        return String::new();
    }
    // SAFETY: what the caller promises.
    unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
}
