//! PNG (W3C PNG 1.2): grey with one transparent value, palettes with alpha, and RGB with one transparent color.

use png::{BitDepth, ColorType, Compression, Encoder};

use super::plan::Size;

/// Bytes reserved for a picture of these pixels, so that writing seldom grows the buffer.
const COMPRESSION_EXPECTED: usize = 3;

/// An encoder that failed: only by a size it cannot hold.
#[derive(Debug, thiserror::Error)]
#[error("cannot encode a PNG of {width}×{height}: {source}")]
pub(crate) struct EncodeError {
    width: u32,
    height: u32,
    source: png::EncodingError,
}

/// 8-bit grey; 0 is transparent.
pub(crate) fn grey(indexes: &[u8], size: Size) -> Result<Vec<u8>, EncodeError> {
    write(size, indexes, |encoder| {
        encoder.set_color(ColorType::Grayscale);
        encoder.set_trns(vec![0, 0]);
    })
}

/// 8-bit palette; 0 is transparent, n is the n-th color.
pub(crate) fn palette(indexes: &[u8], colors: &[[u8; 4]], size: Size) -> Result<Vec<u8>, EncodeError> {
    let colors = &colors[..colors.len().min(255)];
    let mut rgb = vec![0; 3];
    let mut alpha = vec![0];
    for [r, g, b, a] in colors {
        rgb.extend([r, g, b]);
        alpha.push(*a);
    }
    // Entries past the end are opaque.
    alpha.truncate(alpha.iter().rposition(|a| *a != u8::MAX).map_or(0, |last| last + 1));
    write(size, indexes, |encoder| {
        encoder.set_color(ColorType::Indexed);
        encoder.set_palette(rgb);
        encoder.set_trns(alpha);
    })
}

/// 24-bit RGB; black is transparent, which no valid pixel is: they begin at 1.
pub(crate) fn rgb(planes: [&[u8]; 3], size: Size) -> Result<Vec<u8>, EncodeError> {
    let mut pixels = vec![0; planes[0].len() * 3];
    for (i, pixel) in pixels.chunks_exact_mut(3).enumerate() {
        pixel[0] = planes[0][i];
        pixel[1] = planes[1][i];
        pixel[2] = planes[2][i];
    }
    write(size, &pixels, |encoder| {
        encoder.set_color(ColorType::Rgb);
        encoder.set_trns(vec![0; 6]);
    })
}

/// Nothing but transparency, in as few bytes as that takes.
pub(crate) fn transparent(size: Size) -> Result<Vec<u8>, EncodeError> {
    let row = (size.width as usize).div_ceil(8);
    write(size, &vec![0; row * size.height as usize], |encoder| {
        encoder.set_color(ColorType::Indexed);
        encoder.set_depth(BitDepth::One);
        encoder.set_palette(vec![0; 3]);
        encoder.set_trns(vec![0]);
    })
}

fn write(size: Size, pixels: &[u8], set: impl FnOnce(&mut Encoder<'_, &mut Vec<u8>>)) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::with_capacity(pixels.len() / COMPRESSION_EXPECTED + 1024);
    let mut encoder = Encoder::new(&mut out, size.width, size.height);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    set(&mut encoder);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(pixels)?;
        writer.finish()
    });
    written.map_err(|source| EncodeError { width: size.width, height: size.height, source })?;
    Ok(out)
}
