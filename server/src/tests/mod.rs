//! The server from its router on, over stores made by formula.

mod answers;
mod any_input;
mod layers;
mod live;
mod mosaics;
mod page;
mod pictures;
mod plan_hashes;
mod reloads;
mod scene;
mod values;
