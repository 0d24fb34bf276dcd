//! What Kiln's two processes must agree on: the words, the layout of a store, the log, the catalogue and its snapshots.
//!
//! No GDAL, no HTTP server, no queue and no file watching in here.

pub mod bbox;
pub mod catalog;
pub mod causes;
pub mod clock;
pub mod collection;
pub mod commit;
pub mod config;
pub mod dataset;
pub mod gc;
pub mod grid;
pub mod layout;
pub mod memory;
pub mod metadata;
pub mod number;
pub mod pattern;
pub mod raster_settings;
pub mod record;
pub mod shutdown;
pub mod slot;
pub mod snapshot;
pub mod store;
pub mod telemetry;
