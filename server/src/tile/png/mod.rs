//! PNG (W3C PNG, third edition) of 8-bit pictures, made for map tiles: one filter for each band of rows, chosen by a
//! few of them, and DEFLATE blocks of literals and runs of zeros.

mod bits;
mod deflate;
mod filter;
mod huffman;
#[cfg(test)]
mod tests;

/// The bytes every PNG begins with (W3C PNG §5.2).
const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

/// Bits of a sample.
const BIT_DEPTH: u8 = 8;

/// The color type of palettes (W3C PNG, IHDR).
const INDEXED: u8 = 3;

/// Bytes of everything but IDAT, at most: a palette of 256 colors with alpha, and the chunks' frames.
const FRAME_MAX: usize = 256 * 4 + 128;

/// The most bytes of filtered rows: what a chunk holds (W3C PNG §5.3), less what stored blocks add.
const FILTERED_MAX: usize = (1 << 31) - (1 << 20);

/// What a picture's pixels are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'a> {
    /// A byte of grey; 0 is transparent.
    Grey,
    /// A byte that is an index of these up to 256 colors: red, green, blue, alpha.
    Palette(&'a [[u8; 4]]),
    /// Red, green, blue; black is transparent.
    Rgb,
    /// Red, green, blue, alpha, not premultiplied.
    Rgba,
}

impl Kind<'_> {
    /// Bytes of a pixel.
    fn bytes(self) -> usize {
        match self {
            Self::Grey | Self::Palette(_) => 1,
            Self::Rgb => 3,
            Self::Rgba => 4,
        }
    }

    /// The color type (W3C PNG, IHDR).
    fn color_type(self) -> u8 {
        match self {
            Self::Grey => 0,
            Self::Rgb => 2,
            Self::Palette(_) => INDEXED,
            Self::Rgba => 6,
        }
    }

    /// A pixel's red, green, blue and alpha.
    fn color(self, pixel: &[u8]) -> Result<[u8; 4], PngError> {
        let opaque = if pixel.iter().all(|sample| *sample == 0) { 0 } else { u8::MAX };
        match (self, pixel) {
            (Self::Palette(colors), _) => Ok(used(colors, pixel)?.last().copied().unwrap_or_default()),
            (_, [r, g, b, a]) => Ok([*r, *g, *b, *a]),
            (_, [r, g, b]) => Ok([*r, *g, *b, opaque]),
            (_, grey) => Ok([grey[0], grey[0], grey[0], opaque]),
        }
    }
}

/// Pixels that are not a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PngError {
    #[error("{bytes} bytes are no picture of {width}×{height}")]
    Size { width: u32, height: u32, bytes: usize },
    #[error("a pixel has color {index} of a palette of {colors}")]
    Color { index: u8, colors: usize },
}

/// A PNG of pixels, row by row from the top, without padding.
pub(crate) fn encode(kind: Kind<'_>, pixels: &[u8], width: u32, height: u32) -> Result<Vec<u8>, PngError> {
    let refused = PngError::Size { width, height, bytes: pixels.len() };
    let pixel = kind.bytes();
    let (row, rows) = ((width as usize).checked_mul(pixel).ok_or(refused)?, height as usize);
    // A row is filtered to a byte more.
    let filtered = (row + 1).checked_mul(rows).ok_or(refused)?;
    if filtered - rows != pixels.len() || pixels.is_empty() || filtered > FILTERED_MAX {
        return Err(refused);
    }
    // Every pixel is like the one before.
    if pixels[pixel..] == pixels[..pixels.len() - pixel] {
        return Ok(uniform(kind.color(&pixels[..pixel])?, width, height));
    }
    let mut out = begin(width, height, BIT_DEPTH, kind.color_type());
    match kind {
        // Samples of tRNS have 16 bits.
        Kind::Grey => chunk(&mut out, *b"tRNS", |out| out.extend_from_slice(&[0; 2])),
        Kind::Rgb => chunk(&mut out, *b"tRNS", |out| out.extend_from_slice(&[0; 6])),
        Kind::Palette(colors) => palette(used(colors, pixels)?, &mut out),
        Kind::Rgba => {}
    }
    end(&filter::filter(pixels, row, pixel), &mut out);
    Ok(out)
}

/// A PNG of one color, whatever the kind: indexes of one bit into a palette of one.
pub(crate) fn uniform(color: [u8; 4], width: u32, height: u32) -> Vec<u8> {
    let mut out = begin(width, height, 1, INDEXED);
    palette(&[color], &mut out);
    // Rows of zeros after the byte of filter None, another zero.
    let row = (width as usize).div_ceil(8) + 1;
    end(&vec![0; row * height as usize], &mut out);
    out
}

/// The signature and IHDR.
fn begin(width: u32, height: u32, bit_depth: u8, color_type: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRAME_MAX);
    out.extend_from_slice(&SIGNATURE);
    chunk(&mut out, *b"IHDR", |out| {
        out.extend_from_slice(&width.to_be_bytes());
        out.extend_from_slice(&height.to_be_bytes());
        // The last three are the methods of compression, filters and interlace: the only ones, and none.
        out.extend_from_slice(&[bit_depth, color_type, 0, 0, 0]);
    });
    out
}

/// IDAT of filtered rows, and IEND.
fn end(filtered: &[u8], out: &mut Vec<u8>) {
    chunk(out, *b"IDAT", |out| deflate::zlib(filtered, out));
    chunk(out, *b"IEND", |_| {});
}

/// The colors up to the last one that a pixel has.
fn used<'a>(colors: &'a [[u8; 4]], pixels: &[u8]) -> Result<&'a [[u8; 4]], PngError> {
    let index = pixels.iter().copied().fold(0, u8::max);
    colors.get(..=usize::from(index)).ok_or(PngError::Color { index, colors: colors.len() })
}

/// PLTE, and tRNS up to the last color that is not opaque: those past its end are.
fn palette(colors: &[[u8; 4]], out: &mut Vec<u8>) {
    chunk(out, *b"PLTE", |out| out.extend(colors.iter().flat_map(|[r, g, b, _]| [*r, *g, *b])));
    if let Some(last) = colors.iter().rposition(|[.., alpha]| *alpha < u8::MAX) {
        chunk(out, *b"tRNS", |out| out.extend(colors[..=last].iter().map(|[.., alpha]| *alpha)));
    }
}

/// Appends a chunk: its data's length, its type, its data, and the CRC of both (W3C PNG §5.3).
fn chunk(out: &mut Vec<u8>, name: [u8; 4], data: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&name);
    let from = out.len();
    data(out);
    let length = (out.len() - from) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    let sum = crc32fast::hash(&out[start + 4..]);
    out.extend_from_slice(&sum.to_be_bytes());
}
