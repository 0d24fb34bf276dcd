//! Whether a COG of ours is whole: its header as this writer makes it, every block between the right leader and trailer, and every block
//! decodes to just its pixels.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use shared::dataset::{CogLayout, Compression, Validity};

use super::block::MASK_BYTES;
use super::header::{LEADER_BYTES, Sizes, TRAILER_BYTES};
use super::{CogError, open, webp};

/// A block may be larger than its pixels by what a compressor needs to say that it found nothing: at most this.
const OVERHEAD_BYTES_MAX: usize = 4096;

/// Decodes every block. `layout` must be what `open` or `write` answered. `CogError::Foreign` if the header is another, `CogError::Damaged` if a
/// block is not whole.
pub fn verify(path: &Path, layout: &CogLayout) -> Result<(), CogError> {
    verify_with(path, layout, 1, &|_| {})
}

/// The same on several threads. `progress` hears 0 to 1 from all of them, at every block.
pub fn verify_with(
    path: &Path,
    layout: &CogLayout,
    threads: usize,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<(), CogError> {
    let file = File::open(path).map_err(CogError::io("open", path))?;
    let foreign = |reason| CogError::Foreign { path: path.to_owned(), reason };
    let read = open::read(&file).map_err(foreign)?;
    if read.laid_out.layout != *layout {
        return Err(foreign("its layout is another than recorded".to_owned()));
    }
    let damaged = |reason| CogError::Damaged { path: path.to_owned(), reason };
    let blocks = blocks(layout, &read.sizes).map_err(damaged)?;
    let share = blocks.len().div_ceil(threads.max(1)).max(1);
    let checked = AtomicUsize::new(0);
    let tell = || progress((checked.fetch_add(1, Ordering::Relaxed) + 1) as f64 / blocks.len() as f64);
    let check = |blocks: &[Block]| check_blocks(&file, layout, blocks, &tell);
    std::thread::scope(|scope| {
        let others: Vec<_> = blocks.chunks(share).skip(1).map(|part| scope.spawn(|| check(part))).collect();
        let mut result = blocks.chunks(share).next().map_or(Ok(()), check).map_err(damaged);
        for other in others {
            let answer = other.join().map_or(Err(CogError::Panicked), |answer| answer.map_err(damaged));
            result = result.and(answer);
        }
        result
    })
}

/// A block in the file.
struct Block {
    at: u64,
    bytes: u32,
    /// Bytes when decoded.
    decoded: usize,
}

/// All blocks, in the order of the file. Their places need no check: the header is the one that is made for these sizes and this file's length.
fn blocks(layout: &CogLayout, sizes: &[Sizes]) -> Result<Vec<Block>, String> {
    let mut blocks = Vec::new();
    let mut at = layout.header_bytes;
    let mut push = |bytes: u32, decoded: usize| {
        if bytes > 0 {
            blocks.push(Block { at: at + LEADER_BYTES, bytes, decoded });
            at += LEADER_BYTES + u64::from(bytes) + TRAILER_BYTES;
        }
    };
    for (level, sizes) in sizes.iter().enumerate().rev() {
        for (i, image) in sizes.image.iter().enumerate() {
            let mask = sizes.mask.get(i);
            if mask.is_some_and(|mask| (*mask == 0) != (*image == 0)) {
                return Err(format!("block {i} of level {level} and its mask are not both there"));
            }
            if *image == 0 && layout.validity == Validity::None {
                return Err(format!("block {i} of level {level} is missing though all pixels are valid"));
            }
            push(*image, layout.block_bytes());
            push(mask.copied().unwrap_or(0), MASK_BYTES);
        }
    }
    Ok(blocks)
}

fn check_blocks(file: &File, layout: &CogLayout, blocks: &[Block], tell: &dyn Fn()) -> Result<(), String> {
    let mut decoder = zstd::bulk::Decompressor::new().map_err(|e| e.to_string())?;
    let (mut framed, mut decoded) = (Vec::new(), Vec::new());
    for block in blocks {
        let at = block.at;
        let bytes = block.bytes as usize;
        if bytes > block.decoded + OVERHEAD_BYTES_MAX || bytes < TRAILER_BYTES as usize {
            return Err(format!("a block of {bytes} bytes at byte {at}"));
        }
        framed.resize((LEADER_BYTES + TRAILER_BYTES) as usize + bytes, 0);
        file.read_exact_at(&mut framed, at - LEADER_BYTES).map_err(|e| format!("byte {at} cannot be read: {e}"))?;
        let (leader, rest) = framed.split_at(LEADER_BYTES as usize);
        let (data, trailer) = rest.split_at(bytes);
        if leader != block.bytes.to_le_bytes() || !data.ends_with(trailer) {
            return Err(format!("leader or trailer of the block at byte {at} differ from it"));
        }
        decoded.clear();
        let size = match layout.compression {
            Compression::None => bytes,
            Compression::Webp => {
                webp::check(data, usize::from(layout.samples))
                    .map_err(|fault| format!("the block at byte {at} {fault}"))?;
                block.decoded
            }
            Compression::Zstd => {
                decoded.reserve(block.decoded);
                decoder
                    .decompress_to_buffer(data, &mut decoded)
                    .map_err(|e| format!("the block at byte {at} does not decode: {e}"))?
            }
        };
        if size != block.decoded {
            return Err(format!("the block at byte {at} decodes to {size} bytes instead of {}", block.decoded));
        }
        tell();
    }
    Ok(())
}
