//! Doors for benchmarks to what is inside; no part of the API.
//!
//! `stages` is each step of a tile by itself on blocks by formula, `site` a whole server without a socket, `pictures` the steps of tiles of a real store.
//! Whoever asks for what is not there has made a mistake in a benchmark, so that is a panic.

mod block;
pub mod pictures;
pub mod site;
pub mod stages;

pub use stages::expression;
