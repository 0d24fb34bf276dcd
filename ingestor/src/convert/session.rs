//! GDAL as this process uses it: nothing from the network, nothing written beside inputs, no words on standard output, and every
//! failure it reports kept for whoever called it.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Once;

use gdal::config;
use gdal::errors::CplErrType;

use super::ffi;

/// Failure messages kept of one call.
const MESSAGES_MAX: usize = 8;
/// The least block cache with which strips of common rasters are not decoded again and again.
const CACHE_BYTES_MIN: u64 = 64 << 20;
/// Enough for windows of a tiled raster: neighbours in Z order share few blocks.
const CACHE_BYTES_SOME: u64 = 160 << 20;
/// Part of a job's memory that is GDAL's block cache: one in this many.
const CACHE_SHARE: u64 = 4;

static STARTED: Once = Once::new();

thread_local! {
    static FAILURES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Sets GDAL up for a job. Options hold for the process; jobs that run side by side share them.
pub(super) fn start(memory_bytes: u64, scratch: &Path) {
    STARTED.call_once(|| {
        config::set_error_handler(|class, number, message| {
            if matches!(class, CplErrType::Failure | CplErrType::Fatal) {
                keep(number, message);
            }
        });
        for (name, value) in [
            ("GDAL_VRT_ENABLE_PYTHON", "NO"),
            ("PROJ_NETWORK", "OFF"),
            ("CPL_CURL_ENABLE_VSIMEM", "NO"),
            ("GDAL_HTTP_MAX_RETRY", "0"),
            ("GDAL_NUM_THREADS", "1"),
            // A lossy image that libjpeg finds damaged is damaged; GDAL would only warn.
            ("GDAL_ERROR_ON_LIBJPEG_WARNING", "TRUE"),
            // Statistics and histograms are never written, so no .aux.xml arises; existing ones are read.
            ("GDAL_PAM_ENABLED", "YES"),
            ("GTIFF_REPORT_COMPD_CS", "YES"),
        ] {
            // These names and values hold no zero byte, the only thing that can fail.
            let _ = config::set_config_option(name, value);
        }
    });
    if let Some(scratch) = scratch.to_str() {
        let _ = config::set_config_option("CPL_TMPDIR", scratch);
    }
    ffi::bound_block_cache(share(memory_bytes));
}

fn share(memory_bytes: u64) -> u64 {
    (memory_bytes / CACHE_SHARE).max(CACHE_BYTES_MIN)
}

/// For the rest of a job that reads each block once, in order: what GDAL keeps of them is of no use.
pub(super) fn cache_little() {
    ffi::bound_block_cache(CACHE_BYTES_MIN);
}

/// For the rest of a job that finds some blocks again, if it is soon.
pub(super) fn cache_some(memory_bytes: u64) {
    ffi::bound_block_cache(share(memory_bytes).min(CACHE_BYTES_SOME));
}

/// Runs something of GDAL's, and gives what failures GDAL reported meanwhile on this thread, even if it went on.
pub(super) fn watched<R>(work: impl FnOnce() -> R) -> (R, Vec<String>) {
    FAILURES.with_borrow_mut(Vec::clear);
    let result = work();
    (result, FAILURES.with_borrow_mut(std::mem::take))
}

fn keep(number: i32, message: &str) {
    FAILURES.with_borrow_mut(|failures| {
        if failures.len() < MESSAGES_MAX {
            failures.push(format!("{} (GDAL error {number})", message.trim()));
        }
    });
}
