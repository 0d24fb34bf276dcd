//! A tile, in order of flow: `plan` (what to read and how to paint it, hashed before any I/O) → `cog` (byte ranges) → `decode` (samples) →
//! `image` and `means` (onto the tile's pixels) → `expression` (band maths), `mosaic` (several scenes) → `scale`, `transform`, `colormap` (to 8
//! bits) → `encode` (pictures), `values` (numbers). `render` strings the CPU half together.

mod canon;
pub(crate) mod cog;
pub(crate) mod colormap;
pub(crate) mod decode;
pub(crate) mod encode;
pub(crate) mod expression;
pub(crate) mod hull;
pub(crate) mod image;
pub(crate) mod kept;
pub(crate) mod legend;
mod means;
mod mosaic;
pub(crate) mod pixels;
pub(crate) mod place;
pub(crate) mod plan;
mod png;
pub(crate) mod pooled;
pub(crate) mod render;
pub(crate) mod sampling;
pub(crate) mod scale;
pub(crate) mod transform;
mod values;
mod verbatim;
pub(crate) mod zonal;
