//! What end-to-end tests stand on: rasters by formula, the real binaries on a free port, and pictures to compare.
//!
//! Nothing here is served or shipped. A harness that cannot go on fails the test that uses it, so it panics with what it knows.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    reason = "a harness that fails must fail the test that uses it"
)]

pub mod binaries;
pub mod cloud;
pub mod events;
pub mod formula;
mod geotiff;
pub mod http;
pub mod judges;
pub mod lambda;
pub mod launch;
pub mod nats;
pub mod picture;
pub mod raster;
pub mod s3;
pub mod samples;
pub mod scene;
pub mod stack;
pub mod wait;

pub use formula::Formula;
pub use http::Response;
pub use launch::{Finished, Launch};
pub use raster::{Band, Raster};
pub use scene::Scene;
pub use stack::Stack;
pub use wait::wait_for;
