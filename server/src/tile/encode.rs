//! Pictures as bytes. PNG: grey with one transparent value, palettes with alpha, and RGB with one transparent color; WebP, lossless; and JPEG,
//! which has no transparency, over white.

use image::{ExtendedColorType, ImageEncoder as _, ImageError};

use super::place::Size;
use super::plan::Paint;
use super::png::{self, Kind, PngError};

/// Quality of JPEG: where artefacts begin to be hard to see.
const JPEG_QUALITY: u8 = 85;
/// What JPEG shows where a picture is transparent.
const JPEG_BACKGROUND: u8 = 255;

/// An encoder that failed: only by a size it cannot hold.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EncodeError {
    #[error("cannot encode a PNG: {0}")]
    Png(#[from] PngError),
    #[error("cannot encode a picture of {width}×{height}: {source}")]
    Other { width: u32, height: u32, source: ImageError },
}

/// What a picture is encoded as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Png,
    Webp,
    Jpeg,
    /// Values and mask, not colors.
    Npy,
    /// The same.
    Tiff,
}

impl Format {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [Self::Png, Self::Webp, Self::Jpeg, Self::Npy, Self::Tiff];

    /// By the end of a path.
    pub(crate) fn of_extension(extension: &str) -> Option<Self> {
        match extension {
            "jpeg" => Some(Self::Jpeg),
            "tiff" => Some(Self::Tiff),
            other => Self::ALL.into_iter().find(|format| format.extension() == other),
        }
    }

    /// The end of a path.
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Webp => "webp",
            Self::Jpeg => "jpg",
            Self::Npy => "npy",
            Self::Tiff => "tif",
        }
    }

    /// The media type.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Jpeg => "image/jpeg",
            Self::Npy => "application/x-npy",
            Self::Tiff => "image/tiff; application=geotiff",
        }
    }

    /// Whether it holds values rather than colors.
    pub(crate) fn is_values(self) -> bool {
        matches!(self, Self::Npy | Self::Tiff)
    }
}

/// A picture of 8-bit planes, 0 transparent: one for grey and palettes, three for RGB. No plane: nothing to show.
pub(crate) fn picture(format: Format, paint: &Paint, planes: &[Vec<u8>], size: Size) -> Result<Vec<u8>, EncodeError> {
    match format {
        Format::Webp => webp(&rgba(paint, planes, size), size),
        Format::Jpeg => jpeg(&rgba(paint, planes, size), size),
        _ => match (paint, planes) {
            (_, []) => Ok(nothing(size)),
            (Paint::Rgb, [r, g, b]) => rgb([r, g, b], size),
            (Paint::Palette(colors), [plane, ..]) => palette(plane, colors, size),
            (_, [plane, ..]) => Ok(png::encode(Kind::Grey, plane, size.width, size.height)?),
        },
    }
}

/// A PNG without a visible pixel.
pub(crate) fn nothing(size: Size) -> Vec<u8> {
    png::uniform([0; 4], size.width, size.height)
}

/// The planes as pixels of four bytes.
fn rgba(paint: &Paint, planes: &[Vec<u8>], size: Size) -> Vec<u8> {
    let mut pixels = vec![0; size.pixels() * 4];
    let each = pixels.chunks_exact_mut(4);
    match (paint, planes) {
        (_, []) => {}
        (Paint::Rgb, [r, g, b]) => {
            for (pixel, ((r, g), b)) in each.zip(r.iter().zip(g).zip(b)) {
                pixel.copy_from_slice(&[*r, *g, *b, if (*r, *g, *b) == (0, 0, 0) { 0 } else { 255 }]);
            }
        }
        (Paint::Palette(colors), [plane, ..]) => {
            for (pixel, index) in each.zip(plane) {
                let color = usize::from(*index).checked_sub(1).and_then(|at| colors.get(at));
                pixel.copy_from_slice(color.unwrap_or(&[0; 4]));
            }
        }
        (_, [plane, ..]) => {
            for (pixel, value) in each.zip(plane) {
                pixel.copy_from_slice(&[*value, *value, *value, if *value == 0 { 0 } else { 255 }]);
            }
        }
    }
    pixels
}

fn webp(rgba: &[u8], size: Size) -> Result<Vec<u8>, EncodeError> {
    let mut out = Vec::new();
    let encoder = image::codecs::webp::WebPEncoder::new_lossless(&mut out);
    let written = encoder.write_image(rgba, size.width, size.height, ExtendedColorType::Rgba8);
    written.map_err(|source| EncodeError::Other { width: size.width, height: size.height, source })?;
    Ok(out)
}

fn jpeg(rgba: &[u8], size: Size) -> Result<Vec<u8>, EncodeError> {
    let over = |color: u8, alpha: u8| {
        let (color, alpha) = (u32::from(color), u32::from(alpha));
        ((color * alpha + u32::from(JPEG_BACKGROUND) * (255 - alpha) + 127) / 255) as u8
    };
    let rgb: Vec<u8> =
        rgba.chunks_exact(4).flat_map(|p| [over(p[0], p[3]), over(p[1], p[3]), over(p[2], p[3])]).collect();
    let mut out = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut out, JPEG_QUALITY);
    let written = encoder.write_image(&rgb, size.width, size.height, ExtendedColorType::Rgb8);
    written.map_err(|source| EncodeError::Other { width: size.width, height: size.height, source })?;
    Ok(out)
}

/// 8-bit palette; 0 is transparent, n is the n-th color.
pub(crate) fn palette(indexes: &[u8], colors: &[[u8; 4]], size: Size) -> Result<Vec<u8>, EncodeError> {
    let mut table = [[0; 4]; 256];
    let colors = &colors[..colors.len().min(255)];
    table[1..=colors.len()].copy_from_slice(colors);
    Ok(png::encode(Kind::Palette(&table[..=colors.len()]), indexes, size.width, size.height)?)
}

/// 24-bit RGB; black is transparent, which no valid pixel is: they begin at 1.
fn rgb([red, green, blue]: [&[u8]; 3], size: Size) -> Result<Vec<u8>, EncodeError> {
    let mut pixels = vec![0; red.len() * 3];
    let each = pixels.as_chunks_mut::<3>().0.iter_mut();
    for (pixel, ((r, g), b)) in each.zip(red.iter().zip(green).zip(blue)) {
        *pixel = [*r, *g, *b];
    }
    Ok(png::encode(Kind::Rgb, &pixels, size.width, size.height)?)
}

/// 32-bit RGBA.
pub(crate) fn png_rgba(pixels: &[u8], size: Size) -> Result<Vec<u8>, EncodeError> {
    Ok(png::encode(Kind::Rgba, pixels, size.width, size.height)?)
}
