//! A tile, in order of flow: `plan` (what to read and how to paint it, hashed before any I/O) → `cog` (byte ranges) → `decode` (samples) →
//! `image` (onto the tile's pixels) → `scale`, `transform`, `colormap` (to 8 bits) → `encode` (PNG). `render` strings the CPU half together.

pub(crate) mod cog;
pub(crate) mod colormap;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod image;
pub(crate) mod pixels;
pub(crate) mod plan;
pub(crate) mod render;
pub(crate) mod sampling;
pub(crate) mod scale;
pub(crate) mod transform;
