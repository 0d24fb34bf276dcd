//! The file in its final order: header, then blocks from the smallest overview to full resolution, each between its leader and trailer.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};

use super::header::{Header, LaidOut, Sizes};
use super::pyramid::{LevelBlocks, Made};
use super::spool::{Spool, Stored};
use super::{CogError, CogSpec, WrittenCog, predictor};

const BUFFER_BYTES: usize = 1 << 20;
/// Progress is told once in so many blocks.
const BLOCKS_PER_PROGRESS: usize = 16;
/// Entries of the colour map of 8-bit samples; 16-bit samples have 65,536.
const COLORS_OF_BYTE: usize = 256;
/// An 8-bit colour as TIFF's 16 bits.
const COLOR_SCALE: u16 = 257;

/// Writes the file. It is removed if that fails. `progress` hears 0 to 1, once in some blocks.
pub(super) fn write_file(spec: &CogSpec, made: &Made, progress: &dyn Fn(f64)) -> Result<WrittenCog, CogError> {
    let laid_out = header(spec, made).lay_out(&made.levels.iter().map(sizes).collect::<Vec<_>>());
    let file = OpenOptions::new().write(true).create_new(true).open(&spec.path);
    let file = file.map_err(CogError::io("create", &spec.path))?;
    if let Err(error) = copy(file, spec, made, &laid_out, progress) {
        // The first error is the one to be told; a file that cannot be removed either lies in the caller's scratch.
        let _ = std::fs::remove_file(&spec.path);
        return Err(error);
    }
    Ok(WrittenCog { layout: laid_out.layout, bytes: laid_out.bytes })
}

fn copy(file: File, spec: &CogSpec, made: &Made, laid_out: &LaidOut, progress: &dyn Fn(f64)) -> Result<(), CogError> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, file);
    let mut buffer = Vec::new();
    let blocks: usize = made.levels.iter().map(|level| level.image.len()).sum();
    let mut copied = 0usize;
    out.write_all(&laid_out.header).map_err(CogError::io("write", &spec.path))?;
    for level in made.levels.iter().rev() {
        for (i, image) in level.image.iter().enumerate() {
            for block in [Some(image), level.mask.get(i)].into_iter().flatten() {
                read_framed(&made.spool, *block, &mut buffer)?;
                out.write_all(&buffer).map_err(CogError::io("write", &spec.path))?;
            }
            copied += 1;
            if copied.is_multiple_of(BLOCKS_PER_PROGRESS) {
                progress(copied as f64 / blocks as f64);
            }
        }
    }
    out.flush().map_err(CogError::io("write", &spec.path))?;
    progress(1.0);
    Ok(())
}

/// Replaces `buffer` by a block with leader and trailer; by nothing if it is sparse.
fn read_framed(spool: &Spool, block: Stored, buffer: &mut Vec<u8>) -> Result<(), CogError> {
    buffer.clear();
    if block.bytes > 0 {
        buffer.extend(block.bytes.to_le_bytes());
        spool.read(block, buffer)?;
        buffer.extend_from_within(buffer.len() - 4..);
    }
    Ok(())
}

fn header(spec: &CogSpec, made: &Made) -> Header {
    Header {
        data_type: spec.data_type,
        samples: made.samples,
        compression: spec.compression,
        predictor: predictor(spec),
        validity: made.validity,
        placement: spec.placement,
        color_map: color_map(spec),
        categorical: spec.categorical,
        profile: spec.profile.clone(),
        describe: spec.describe.clone(),
    }
}

fn sizes(level: &LevelBlocks) -> Sizes {
    let sizes = |blocks: &[Stored]| blocks.iter().map(|block| block.bytes).collect();
    Sizes { image: sizes(&level.image), mask: sizes(&level.mask) }
}

/// The colour map: all reds, greens and blues. TIFF has no transparent colours and no maps for other types.
fn color_map(spec: &CogSpec) -> Vec<u16> {
    use shared::dataset::DataType::{Uint8, Uint16};
    let colors = match spec.data_type {
        Uint8 => COLORS_OF_BYTE,
        Uint16 => COLORS_OF_BYTE * COLORS_OF_BYTE,
        _ => return Vec::new(),
    };
    if spec.samples != 1 || spec.color_table.is_empty() {
        return Vec::new();
    }
    let mut map = vec![0; 3 * colors];
    for (value, color) in &spec.color_table {
        let Some(value) = usize::try_from(*value).ok().filter(|value| *value < colors) else { continue };
        for (part, level) in map.chunks_exact_mut(colors).zip(color) {
            part[value] = u16::from(*level) * COLOR_SCALE;
        }
    }
    map
}
