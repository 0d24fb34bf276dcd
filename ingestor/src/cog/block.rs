//! One block: 256×256 pixels gathered, filled where invalid, differenced by the predictor and compressed; and its mask.
//!
//! Predictors: TIFF 6.0, section 14 (horizontal) and Adobe Photoshop TIFF Technical Note 3 (floating point), as libtiff has them.

use shared::dataset::{Compression, Predictor};
use shared::grid::{TILE_PIXELS, TILE_SIZE};
use zstd::zstd_safe::{CParameter, ParamSwitch};

use super::pixels::{Fill, Pixels, highest, lowest};
use super::sample::Sample;
use super::{CogError, CogSpec, predictor, webp};

/// Level of Zstandard: the fastest. A block of noisy 16-bit pixels takes 0.36 ms at level 1, 0.68 ms at level 3 for 6 % less.
const ZSTD_LEVEL: i32 = 1;
/// Differences of noisy pixels hold hardly a match, so those are sought in fewer places and must be longer; what remains is Huffman's. 0.16 ms and 4 %
/// more for such a block, which then decodes in two thirds of the time. Smooth pixels have matches wherever one looks.
const ZSTD_TARGET_LENGTH: u32 = 16;
const ZSTD_MIN_MATCH: u32 = 7;
/// Bytes of floats by significance hold real matches among noise: two tables find the long ones first, and four bytes in a row are no match but
/// chance. Elevation takes 1.2 ms a block instead of 0.7, is 1 to 10 % smaller, and decodes in four fifths of the time.
const ZSTD_FLOAT_LEVEL: i32 = 3;
const ZSTD_FLOAT_MIN_MATCH: u32 = 6;

/// Bytes of a decoded mask block: a bit per pixel.
pub(super) const MASK_BYTES: usize = TILE_PIXELS / 8;

/// An encoded block.
#[derive(Debug)]
pub(super) enum Encoded<'a> {
    /// No valid pixel: not in the file.
    Sparse,
    /// The compressed image, and whether every pixel is valid in every sample.
    Image {
        /// Compressed bytes.
        image: &'a [u8],
        /// The compressed mask under `Fill::Mask`, where it is not wholly set.
        mask: Option<&'a [u8]>,
        /// Whether every sample of every pixel is valid.
        whole: bool,
    },
}

/// Encodes blocks, one after another, reusing its buffers.
pub(super) struct Encoder<T: Sample> {
    fill: Fill<T>,
    predictor: Predictor,
    packer: Packer,
    /// A row of interleaved samples.
    row: Vec<T>,
    /// A row's bytes by significance.
    planes: Vec<u8>,
    raw: Vec<u8>,
    image: Vec<u8>,
    mask: Vec<u8>,
}

impl<T: Sample> Encoder<T> {
    pub(super) fn new(spec: &CogSpec, fill: Fill<T>) -> Result<Self, CogError> {
        let samples = usize::from(spec.samples) + usize::from(fill == Fill::Alpha);
        let row_samples = TILE_SIZE * samples;
        let packer = match spec.compression {
            Compression::Zstd => Packer::Zstd(compressor(predictor(spec)).map_err(CogError::Compress)?),
            Compression::Webp => Packer::Webp { samples, quality: spec.quality },
            Compression::None => Packer::None,
        };
        Ok(Self {
            fill,
            predictor: predictor(spec),
            packer,
            row: vec![T::ZERO; row_samples],
            planes: vec![0; row_samples * size_of::<T>()],
            raw: Vec::with_capacity(TILE_SIZE * row_samples * size_of::<T>()),
            image: Vec::new(),
            mask: Vec::new(),
        })
    }

    /// Encodes the tile at column `tx`, row `ty` of `pixels`, which are of this level.
    pub(super) fn encode(
        &mut self,
        level: usize,
        pixels: &Pixels<'_, T>,
        (tx, ty): (usize, usize),
    ) -> Result<Encoded<'_>, CogError> {
        let corner = ty * TILE_SIZE * pixels.side + tx * TILE_SIZE;
        let extremes = pixels
            .valid
            .iter()
            .map(|plane| plane.as_deref().map_or((u8::MAX, u8::MAX), |valid| extremes(valid, corner, pixels.side)));
        let (least, most) = extremes.fold((u8::MAX, 0), |(l, m), (least, most)| (l.min(least), m.max(most)));
        if most == 0 {
            return Ok(Encoded::Sparse);
        }
        self.raw.clear();
        for y in 0..TILE_SIZE {
            self.gather(pixels, corner + y * pixels.side);
            self.predict();
        }
        self.packer.pack(level, &self.raw, &mut self.image)?;
        let mask = if self.fill == Fill::Mask && least == 0 {
            self.raw.clear();
            let valid = pixels.valid_of(0).unwrap_or_default();
            for y in 0..TILE_SIZE {
                pack_bits(row_of(valid, corner + y * pixels.side), &mut self.raw);
            }
            self.packer.pack(level, &self.raw, &mut self.mask)?;
            Some(self.mask.as_slice())
        } else {
            None
        };
        let whole = if self.fill == Fill::Opaque { least == u8::MAX } else { least > 0 };
        Ok(Encoded::Image { image: &self.image, mask, whole })
    }

    /// The mask block of a wholly valid block.
    pub(super) fn whole_mask(&mut self) -> Result<Vec<u8>, CogError> {
        let mut compressed = Vec::new();
        self.packer.pack(0, &[u8::MAX; MASK_BYTES], &mut compressed)?;
        Ok(compressed)
    }

    /// Brings a row of pixels into `row`: interleaved, filled, with alpha.
    fn gather(&mut self, pixels: &Pixels<'_, T>, start: usize) {
        let value = self.fill.value();
        let stride = self.row.len() / TILE_SIZE;
        for (s, plane) in pixels.samples.iter().enumerate() {
            let samples = row_of(plane, start);
            let kept = |x: T, v: u8| if v != 0 { x } else { value };
            match (stride, pixels.valid_of(s).map(|valid| row_of(valid, start))) {
                (1, None) => self.row.copy_from_slice(samples),
                (1, Some(valid)) => {
                    self.row.iter_mut().zip(samples).zip(valid).for_each(|((out, x), v)| *out = kept(*x, *v));
                }
                (_, None) => {
                    self.row.chunks_exact_mut(stride).zip(samples).for_each(|(out, x)| out[s] = *x);
                }
                (_, Some(valid)) => {
                    let pixels = self.row.chunks_exact_mut(stride).zip(samples).zip(valid);
                    pixels.for_each(|((out, x), v)| out[s] = kept(*x, *v));
                }
            }
        }
        if self.fill == Fill::Alpha {
            let valid = pixels.valid_of(0).map(|valid| row_of(valid, start));
            // A WebP block may be shown as it is, where painting shows a pixel or not.
            let is_mask = matches!(self.packer, Packer::Webp { .. });
            let alpha = |v: u8| if is_mask && v > 0 { u8::MAX } else { v };
            for (i, out) in self.row.chunks_exact_mut(stride).enumerate() {
                out[stride - 1] = T::from_alpha(valid.map_or(u8::MAX, |valid| alpha(valid[i])));
            }
        }
    }

    /// Appends `row` to `raw`, as the predictor has it.
    fn predict(&mut self) {
        let stride = self.row.len() / TILE_SIZE;
        match self.predictor {
            Predictor::None => {
                self.row.iter_mut().for_each(|x| *x = x.little_endian());
                self.raw.extend_from_slice(bytemuck::cast_slice(&self.row));
            }
            Predictor::Horizontal => {
                let start = self.raw.len();
                self.raw.extend_from_slice(bytemuck::cast_slice(&self.row));
                let row = self.raw.get_mut(start..).unwrap_or_default();
                difference(&self.row, stride, row);
            }
            Predictor::FloatingPoint => {
                for (n, plane) in self.planes.chunks_exact_mut(self.row.len()).enumerate() {
                    plane.iter_mut().zip(&self.row).for_each(|(out, x)| *out = x.byte_from_top(n));
                }
                let (first, _) = self.planes.split_at(stride);
                self.raw.extend_from_slice(first);
                let pairs = self.planes[stride..].iter().zip(&self.planes);
                self.raw.extend(pairs.map(|(x, previous)| x.wrapping_sub(*previous)));
            }
        }
    }
}

/// Overwrites `out`, the bytes of `row`, with differences to the same sample of the pixel to the left.
fn difference<T: Sample>(row: &[T], stride: usize, out: &mut [u8]) {
    let size = size_of::<T>();
    let (first, rest) = out.split_at_mut(stride * size);
    for (out, x) in first.chunks_exact_mut(size).zip(row) {
        out.copy_from_slice(bytemuck::bytes_of(&x.little_endian()));
    }
    for (out, (x, previous)) in rest.chunks_exact_mut(size).zip(row[stride..].iter().zip(row)) {
        out.copy_from_slice(bytemuck::bytes_of(&x.difference(*previous).little_endian()));
    }
}

fn compressor(predictor: Predictor) -> std::io::Result<zstd::bulk::Compressor<'static>> {
    let level = if predictor == Predictor::FloatingPoint { ZSTD_FLOAT_LEVEL } else { ZSTD_LEVEL };
    let mut compressor = zstd::bulk::Compressor::new(level)?;
    match predictor {
        Predictor::Horizontal => {
            compressor.set_parameter(CParameter::TargetLength(ZSTD_TARGET_LENGTH))?;
            compressor.set_parameter(CParameter::MinMatch(ZSTD_MIN_MATCH))?;
            // Else a target length would turn Huffman off.
            compressor.set_parameter(CParameter::LiteralCompressionMode(ParamSwitch::Enable))?;
        }
        Predictor::FloatingPoint => compressor.set_parameter(CParameter::MinMatch(ZSTD_FLOAT_MIN_MATCH))?,
        Predictor::None => {}
    }
    Ok(compressor)
}

/// What makes few bytes of a block's many.
enum Packer {
    Zstd(zstd::bulk::Compressor<'static>),
    Webp {
        samples: usize,
        /// Of full resolution, and of overviews.
        quality: [u8; 2],
    },
    None,
}

impl Packer {
    /// Packs a block of a level; `out` then holds the packed bytes and nothing else.
    fn pack(&mut self, level: usize, raw: &[u8], out: &mut Vec<u8>) -> Result<(), CogError> {
        out.clear();
        match self {
            Self::Zstd(compressor) => {
                out.reserve(zstd::zstd_safe::compress_bound(raw.len()));
                compressor.compress_to_buffer(raw, out).map(|_| ()).map_err(CogError::Compress)
            }
            Self::Webp { samples, quality } => {
                webp::encode(raw, *samples, quality[level.min(1)], out).map_err(CogError::Compress)
            }
            Self::None => {
                out.extend_from_slice(raw);
                Ok(())
            }
        }
    }
}

/// The smallest and largest value of a tile of a validity plane.
fn extremes(valid: &[u8], corner: usize, side: usize) -> (u8, u8) {
    let rows = (0..TILE_SIZE).map(|y| row_of(valid, corner + y * side));
    rows.fold((u8::MAX, 0), |(least, most), row| (least.min(lowest(row)), most.max(highest(row))))
}

/// Bits of a row of a validity plane, most significant first.
fn pack_bits(valid: &[u8], out: &mut Vec<u8>) {
    let byte = |eight: &[u8; 8]| eight.iter().fold(0, |byte, v| byte << 1 | u8::from(*v != 0));
    out.extend(valid.as_chunks::<8>().0.iter().map(byte));
}

fn row_of<A>(plane: &[A], start: usize) -> &[A] {
    &plane[start..start + TILE_SIZE]
}
