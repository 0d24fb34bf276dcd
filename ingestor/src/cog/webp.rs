//! Blocks as WebP pictures, by libwebp: lossy in color, exact in alpha.

use std::io;

use shared::grid::TILE_SIZE;
use webp::{PixelLayout, WebPConfig};

/// Effort of libwebp, 0 to 6: what lies above takes far longer and saves little.
const METHOD: i32 = 2;

/// How the colors of a layout lie.
fn pixel_layout(samples: usize) -> PixelLayout {
    if samples == 4 { PixelLayout::Rgba } else { PixelLayout::Rgb }
}

/// Appends the picture of 256×256 pixels of 3 or 4 interleaved samples to `out`.
pub(super) fn encode(pixels: &[u8], samples: usize, quality: u8, out: &mut Vec<u8>) -> io::Result<()> {
    let side = TILE_SIZE as u32;
    let mut config = WebPConfig::new().map_err(|()| io::Error::other("libwebp is of another version"))?;
    config.quality = f32::from(quality);
    config.method = METHOD;
    let encoder = webp::Encoder::new(pixels, pixel_layout(samples), side, side);
    let picture = encoder.encode_advanced(&config).map_err(|error| io::Error::other(format!("WebP: {error:?}")))?;
    out.extend_from_slice(&picture);
    Ok(())
}

/// Whether `data` is a picture of 256×256 pixels that such a layout may have.
pub(super) fn check(data: &[u8], samples: usize) -> Result<(), String> {
    let picture = webp::Decoder::new(data).decode().ok_or("is no whole WebP picture")?;
    let side = TILE_SIZE as u32;
    if (picture.width(), picture.height()) != (side, side) {
        return Err(format!("is a picture of {}×{} pixels", picture.width(), picture.height()));
    }
    if picture.is_alpha() && samples != 4 {
        return Err("has alpha".to_owned());
    }
    Ok(())
}
