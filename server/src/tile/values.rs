//! Values and their mask as bytes: NumPy's `.npy` (format 1.0), and `GeoTIFF` (OGC 19-008r4) with the mask as GDAL keeps it in a file.

use shared::dataset::DataType;

use super::image::Band;
use super::pixels::{Sample, Samples, with_samples};
use super::place::Size;

/// Bytes of an `.npy` header are padded to a multiple of this.
const NPY_ALIGNMENT: usize = 64;

/// The values of a picture in the type they are asked for, and where they are valid: 0 or 255.
pub(super) struct Values {
    samples: Samples,
    mask: Vec<u8>,
}

impl Values {
    /// Of a band; without one, nothing is valid. What is not valid is 0.
    pub(super) fn of(band: Option<&Band<'_>>, data_type: DataType, pixels: usize) -> Self {
        let mut samples = Samples::zeros(data_type, pixels);
        let mut valid = Vec::with_capacity(pixels);
        match band {
            None => valid.resize(pixels, 0),
            Some(band) if matches!(data_type, DataType::Int64 | DataType::Uint64) && !band.is_resampled() => {
                // Doubles would round them.
                match (&mut samples, band.samples.get()) {
                    (Samples::U64(to), Samples::U64(from)) => {
                        let _ = band.longs(0..pixels, &mut valid);
                        to.iter_mut()
                            .zip(from.chunks_exact(band.stride))
                            .for_each(|(to, from)| *to = from[band.sample]);
                    }
                    (Samples::I64(to), _) => to.copy_from_slice(&band.longs(0..pixels, &mut valid)),
                    _ => valid.resize(pixels, 0),
                }
                with_samples!(&mut samples, to => blank(to, &valid));
            }
            Some(band) => {
                let values = band.floats(0..pixels, &mut valid);
                with_samples!(&mut samples, to => {
                    fill(to, &values);
                    blank(to, &valid);
                });
            }
        }
        for valid in &mut valid {
            *valid = if *valid == 0 { 0 } else { 255 };
        }
        Self { samples, mask: valid }
    }

    /// An array of shape `(2, height, width)`: the values, and 255 where they are valid, as rio-tiler has it. Types that cannot hold 255 have 1.
    pub(super) fn npy(mut self, size: Size) -> Vec<u8> {
        let descr = match &self.samples {
            Samples::U8(_) => "|u1",
            Samples::I8(_) => "|i1",
            Samples::U16(_) => "<u2",
            Samples::I16(_) => "<i2",
            Samples::U32(_) => "<u4",
            Samples::I32(_) => "<i4",
            Samples::U64(_) => "<u8",
            Samples::I64(_) => "<i8",
            Samples::F32(_) => "<f4",
            Samples::F64(_) => "<f8",
        };
        let mut header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2, {}, {}), }}", size.height, size.width);
        let unpadded = 10 + header.len() + 1;
        header.push_str(&" ".repeat(unpadded.next_multiple_of(NPY_ALIGNMENT) - unpadded));
        header.push('\n');
        let mut out = b"\x93NUMPY\x01\x00".to_vec();
        out.extend((header.len() as u16).to_le_bytes());
        out.extend(header.as_bytes());
        out.extend_from_slice(self.samples.bytes_mut());
        let mask = &self.mask;
        match &mut self.samples {
            Samples::I8(to) => to.iter_mut().zip(mask).for_each(|(to, valid)| *to = i8::from(*valid != 0)),
            samples => with_samples!(samples, to => {
                let mask: Vec<f64> = mask.iter().map(|v| f64::from(*v)).collect();
                fill(to, &mask);
            }),
        }
        out.extend_from_slice(self.samples.bytes_mut());
        out
    }

    /// A `GeoTIFF` in EPSG:3857 of one band and a mask, uncompressed. Without an extent it lies nowhere.
    pub(super) fn geotiff(mut self, size: Size, extent_m: Option<[f64; 4]>) -> Vec<u8> {
        let bits = with_samples!(&self.samples, v => size_of_sample(v)) as u32 * 8;
        let format = match &self.samples {
            Samples::U8(_) | Samples::U16(_) | Samples::U32(_) | Samples::U64(_) => 1,
            Samples::I8(_) | Samples::I16(_) | Samples::I32(_) | Samples::I64(_) => 2,
            Samples::F32(_) | Samples::F64(_) => 3,
        };
        let mask = packed(&self.mask, size);
        let image = self.samples.bytes_mut();
        let mut file = Tiff(b"II\x2a\x00\x08\x00\x00\x00".to_vec());
        let mut tags =
            vec![Tag::short(258, &[bits]), Tag::short(262, &[1]), Tag::short(277, &[1]), Tag::short(339, &[format])];
        if let Some([west, south, east, north]) = extent_m {
            let scale = [(east - west) / f64::from(size.width), (north - south) / f64::from(size.height), 0.0];
            tags.push(Tag::double(33550, &scale));
            tags.push(Tag::double(33922, &[0.0, 0.0, 0.0, west, north, 0.0]));
            // GTModelType projected, GTRasterType area, ProjectedCRS EPSG:3857.
            tags.push(Tag::short(34735, &[1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 3857]));
        }
        file.directory(size, tags, image, true);
        // A mask is an image of its own: NewSubfileType bit 2, PhotometricInterpretation 4, a bit per pixel.
        let tags = vec![Tag::long(254, 4), Tag::short(258, &[1]), Tag::short(262, &[4]), Tag::short(277, &[1])];
        file.directory(size, tags, &mask, false);
        file.0
    }
}

fn fill<T: Sample>(to: &mut [T], values: &[f64]) {
    to.iter_mut().zip(values).for_each(|(to, value)| *to = T::from_f64(*value));
}

fn blank<T: Sample>(to: &mut [T], valid: &[u8]) {
    to.iter_mut().zip(valid).filter(|(_, valid)| **valid == 0).for_each(|(to, _)| *to = T::zeroed());
}

fn size_of_sample<T>(_of: &[T]) -> usize {
    size_of::<T>()
}

/// A bit per pixel, the most significant first; rows begin at bytes.
fn packed(mask: &[u8], size: Size) -> Vec<u8> {
    let width = size.width as usize;
    let byte = |pixels: &[u8]| pixels.iter().enumerate().fold(0, |byte, (i, v)| byte | (u8::from(*v != 0) << (7 - i)));
    mask.chunks_exact(width).flat_map(|row| row.chunks(8).map(byte)).collect()
}

/// A little-endian TIFF 6.0 being written: header, then directories each followed by what it points at.
struct Tiff(Vec<u8>);

struct Tag {
    id: u16,
    kind: u16,
    count: u32,
    bytes: Vec<u8>,
}

impl Tag {
    fn short(id: u16, values: &[u32]) -> Self {
        let bytes = values.iter().flat_map(|v| (*v as u16).to_le_bytes()).collect();
        Self { id, kind: 3, count: values.len() as u32, bytes }
    }

    fn long(id: u16, value: u32) -> Self {
        Self { id, kind: 4, count: 1, bytes: value.to_le_bytes().to_vec() }
    }

    fn double(id: u16, values: &[f64]) -> Self {
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Self { id, kind: 12, count: values.len() as u32, bytes }
    }
}

impl Tiff {
    /// Adds a directory and its pixels, as one strip.
    fn directory(&mut self, size: Size, mut tags: Vec<Tag>, pixels: &[u8], more: bool) {
        let start = self.0.len();
        tags.extend([
            Tag::long(256, size.width),
            Tag::long(257, size.height),
            Tag::short(259, &[1]),
            Tag::long(278, size.height),
            Tag::long(279, pixels.len() as u32),
            Tag::long(273, 0),
        ]);
        tags.sort_by_key(|tag| tag.id);
        let mut data_at = start + 2 + tags.len() * 12 + 4;
        let outside: usize = tags.iter().filter(|tag| tag.bytes.len() > 4).map(|tag| tag.bytes.len()).sum();
        let pixels_at = (data_at + outside).next_multiple_of(16);
        let next = if more { (pixels_at + pixels.len()).next_multiple_of(2) } else { 0 };
        let mut data = Vec::new();
        self.0.extend((tags.len() as u16).to_le_bytes());
        for mut tag in tags {
            if tag.id == 273 {
                tag.bytes = (pixels_at as u32).to_le_bytes().to_vec();
            }
            self.0.extend(tag.id.to_le_bytes());
            self.0.extend(tag.kind.to_le_bytes());
            self.0.extend(tag.count.to_le_bytes());
            if tag.bytes.len() > 4 {
                self.0.extend((data_at as u32).to_le_bytes());
                data_at += tag.bytes.len();
                data.extend(tag.bytes);
            } else {
                tag.bytes.resize(4, 0);
                self.0.extend(tag.bytes);
            }
        }
        self.0.extend((next as u32).to_le_bytes());
        self.0.extend(data);
        self.0.resize(pixels_at, 0);
        self.0.extend(pixels);
        if more {
            self.0.resize(next, 0);
        }
    }
}
