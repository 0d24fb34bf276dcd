//! The server from its router on, over stores made by formula.

mod answers;
mod any_input;
mod layers;
mod mosaics;
mod pictures;
mod plan_hashes;
mod reloads;
mod scene;
mod values;
