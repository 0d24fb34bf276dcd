//! A small writer of uncompressed little-endian classic TIFF (TIFF 6.0) with `GeoTIFF` keys (OGC 19-008r4).
//!
//! Deliberately our own: what is tested must not be written by the code, nor by the library, under test.

use shared::dataset::DataType;

use crate::raster::{Interpretation, Raster};

const STRIP_ROWS: u32 = 64;
const TILE_SIDE: u32 = 256;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const ASCII: u16 = 2;
const DOUBLE: u16 = 12;

/// The bytes of the file: header, pixels, then the directories.
pub(crate) fn encode(raster: &Raster) -> Vec<u8> {
    let mut file = vec![b'I', b'I', 42, 0, 0, 0, 0, 0];
    let mut pointer = 4;
    let main = image_directory(raster, &mut file);
    pointer = append_directory(&mut file, pointer, main);
    if raster.mask {
        let mask = mask_directory(raster, &mut file);
        append_directory(&mut file, pointer, mask);
    }
    file
}

/// A tag: number, field type, count, bytes of its value.
struct Tag(u16, u16, u32, Vec<u8>);

fn shorts(tag: u16, values: &[u16]) -> Tag {
    Tag(tag, SHORT, values.len() as u32, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn longs(tag: u16, values: &[u32]) -> Tag {
    Tag(tag, LONG, values.len() as u32, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn doubles(tag: u16, values: &[f64]) -> Tag {
    Tag(tag, DOUBLE, values.len() as u32, values.iter().flat_map(|v| v.to_le_bytes()).collect())
}

fn ascii(tag: u16, text: &str) -> Tag {
    let mut bytes = text.as_bytes().to_vec();
    bytes.push(0);
    Tag(tag, ASCII, bytes.len() as u32, bytes)
}

fn image_directory(raster: &Raster, file: &mut Vec<u8>) -> Vec<Tag> {
    let count = raster.bands.len() as u16;
    let rgb = raster.interpretation == Interpretation::Rgb;
    let planar = if rgb || count == 1 { 1u16 } else { 2 };
    let (offsets, sizes) = write_pixels(raster, planar == 1, file);
    let photometric = if rgb {
        2
    } else if raster.color_table.is_some() {
        3
    } else {
        1
    };
    let bits = raster.data_type.bytes() as u16 * 8;
    let mut tags = vec![
        longs(256, &[raster.width]),
        longs(257, &[raster.height]),
        shorts(258, &vec![bits; usize::from(count)]),
        shorts(259, &[1]),
        shorts(262, &[photometric]),
        shorts(277, &[count]),
        shorts(284, &[planar]),
        shorts(339, &vec![sample_format(raster.data_type); usize::from(count)]),
        doubles(33550, &[raster.pixel, raster.pixel, 0.0]),
        doubles(33922, &[0.0, 0.0, 0.0, raster.corner[0], raster.corner[1], 0.0]),
    ];
    if raster.tiled {
        tags.extend([longs(322, &[TILE_SIDE]), longs(323, &[TILE_SIDE]), longs(324, &offsets), longs(325, &sizes)]);
    } else {
        tags.extend([longs(273, &offsets), longs(278, &[STRIP_ROWS]), longs(279, &sizes)]);
    }
    let colors = if rgb { 3 } else { 1 };
    if count > colors {
        tags.push(shorts(338, &vec![0; usize::from(count - colors)]));
    }
    if let Some(table) = &raster.color_table {
        tags.push(shorts(320, &color_map(table)));
    }
    if let Some(code) = raster.epsg {
        tags.push(shorts(34735, &geo_keys(code)));
    }
    tags.extend(descriptions(raster));
    if let Some(nodata) = raster.nodata {
        tags.push(ascii(42113, &nodata.to_string().to_lowercase()));
    }
    tags
}

/// A transparency mask (TIFF 6.0, `NewSubfileType` bit 2): one bit a pixel, 1 is valid.
fn mask_directory(raster: &Raster, file: &mut Vec<u8>) -> Vec<Tag> {
    let offset = file.len() as u32;
    for row in 0..raster.height {
        let mut bits = vec![0u8; raster.width.div_ceil(8) as usize];
        for col in (0..raster.width).filter(|col| raster.value(0, *col, row).is_some()) {
            bits[(col / 8) as usize] |= 0x80 >> (col % 8);
        }
        file.extend(bits);
    }
    let size = file.len() as u32 - offset;
    vec![
        longs(254, &[4]),
        longs(256, &[raster.width]),
        longs(257, &[raster.height]),
        shorts(258, &[1]),
        shorts(259, &[1]),
        shorts(262, &[4]),
        longs(273, &[offset]),
        shorts(277, &[1]),
        longs(278, &[raster.height]),
        longs(279, &[size]),
        shorts(284, &[1]),
    ]
}

/// Writes every strip or tile; returns where each lies and how long it is.
fn write_pixels(raster: &Raster, together: bool, file: &mut Vec<u8>) -> (Vec<u32>, Vec<u32>) {
    let (block_width, block_height) = if raster.tiled { (TILE_SIDE, TILE_SIDE) } else { (raster.width, STRIP_ROWS) };
    let all: Vec<usize> = (0..raster.bands.len()).collect();
    let groups: Vec<&[usize]> = if together { vec![&all] } else { all.chunks(1).collect() };
    let (mut offsets, mut sizes) = (Vec::new(), Vec::new());
    for group in groups {
        for top in (0..raster.height).step_by(block_height as usize) {
            let rows = if raster.tiled { block_height } else { block_height.min(raster.height - top) };
            for left in (0..raster.width).step_by(block_width as usize) {
                let start = file.len();
                for row in top..top + rows {
                    for col in left..left + block_width {
                        for band in group {
                            push_sample(raster, *band, col, row, file);
                        }
                    }
                }
                offsets.push(start as u32);
                sizes.push((file.len() - start) as u32);
            }
        }
    }
    (offsets, sizes)
}

fn push_sample(raster: &Raster, band: usize, col: u32, row: u32, file: &mut Vec<u8>) {
    let inside = col < raster.width && row < raster.height;
    let value = inside.then(|| raster.value(band, col, row)).flatten();
    let value = value.unwrap_or(raster.nodata.unwrap_or(0.0));
    match raster.data_type {
        DataType::Uint8 => file.push(value as u8),
        DataType::Int8 => file.extend((value as i8).to_le_bytes()),
        DataType::Uint16 => file.extend((value as u16).to_le_bytes()),
        DataType::Int16 => file.extend((value as i16).to_le_bytes()),
        DataType::Uint32 => file.extend((value as u32).to_le_bytes()),
        DataType::Int32 => file.extend((value as i32).to_le_bytes()),
        DataType::Uint64 => file.extend((value as u64).to_le_bytes()),
        DataType::Int64 => file.extend((value as i64).to_le_bytes()),
        DataType::Float32 => file.extend((value as f32).to_le_bytes()),
        DataType::Float64 => file.extend(value.to_le_bytes()),
    }
}

fn sample_format(data_type: DataType) -> u16 {
    match data_type {
        DataType::Uint8 | DataType::Uint16 | DataType::Uint32 | DataType::Uint64 => 1,
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => 2,
        DataType::Float32 | DataType::Float64 => 3,
    }
}

/// All reds, then greens, then blues, of 256 entries, in 16 bits.
fn color_map(table: &[[u8; 3]]) -> Vec<u16> {
    (0..3)
        .flat_map(|channel| (0..256).map(move |value| u16::from(table.get(value).map_or(0, |c| c[channel])) * 257))
        .collect()
}

fn geo_keys(code: u16) -> Vec<u16> {
    let (model, key) = if (4000..5000).contains(&code) { (2, 2048) } else { (1, 3072) };
    vec![1, 1, 0, 3, 1024, 0, 1, model, 1025, 0, 1, 1, key, 0, 1, code]
}

/// `GDAL_METADATA` with the descriptions of the bands, if any has one.
fn descriptions(raster: &Raster) -> Option<Tag> {
    let described =
        raster.bands.iter().enumerate().filter_map(|(index, band)| Some((index, band.description.as_ref()?)));
    let items: Vec<String> = described
        .map(|(index, text)| {
            format!("<Item name=\"DESCRIPTION\" sample=\"{index}\" role=\"description\">{text}</Item>")
        })
        .collect();
    (!items.is_empty()).then(|| ascii(42112, &format!("<GDALMetadata>{}</GDALMetadata>", items.concat())))
}

/// Appends a directory and lets `pointer` point at it; returns where the next pointer lies.
fn append_directory(file: &mut Vec<u8>, pointer: usize, mut tags: Vec<Tag>) -> usize {
    tags.sort_by_key(|tag| tag.0);
    for Tag(.., bytes) in &mut tags {
        if bytes.len() > 4 {
            file.resize(file.len().next_multiple_of(2), 0);
            let offset = file.len() as u32;
            file.append(bytes);
            *bytes = offset.to_le_bytes().to_vec();
        }
        bytes.resize(4, 0);
    }
    file.resize(file.len().next_multiple_of(2), 0);
    let start = file.len() as u32;
    file[pointer..pointer + 4].copy_from_slice(&start.to_le_bytes());
    file.extend((tags.len() as u16).to_le_bytes());
    for Tag(number, kind, count, bytes) in tags {
        file.extend(number.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(count.to_le_bytes());
        file.extend(bytes);
    }
    file.extend([0; 4]);
    file.len() - 4
}
