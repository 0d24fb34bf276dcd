//! What is not just as this writer makes it is not taken over.

use std::fs::File;
use std::os::unix::fs::FileExt;

use shared::dataset::{CogLayout, DataType, Validity};

use super::scene::{Scene, noise, place};
use crate::cog::{CogError, open, verify};

fn scene() -> Scene<impl Fn(usize, usize, usize) -> Option<f64> + Sync> {
    Scene::new(place(2, 2, 2), DataType::Uint8, |_, x, y| (x > 300).then(|| noise(x / 9, y / 9, 30)))
}

#[test]
fn any_changed_byte_of_the_header_is_found() {
    let scene = scene();
    let layout = scene.write().unwrap().layout;
    let bytes = std::fs::read(scene.path()).unwrap();
    let file = File::options().write(true).open(scene.path()).unwrap();
    for (i, byte) in bytes.iter().enumerate().take(layout.header_bytes as usize) {
        for bit in [0, 7] {
            file.write_all_at(&[byte ^ 1 << bit], i as u64).unwrap();
            // Another text, or the same raster at another place, may still be well-formed; all else must be refused.
            if let Ok((found, profile, describe)) = open(&scene.path()) {
                let moved = CogLayout { placement: layout.placement, ..found.clone() } == layout && found != layout;
                assert!(moved || profile != scene.spec.profile || describe != scene.spec.describe, "byte {i}");
                assert_eq!(verify(&scene.path(), &layout).is_err(), moved, "byte {i}");
            }
        }
        file.write_all_at(&[*byte], i as u64).unwrap();
    }
}

#[test]
fn any_cut_is_found() {
    let scene = scene();
    let layout = scene.write().unwrap().layout;
    let bytes = std::fs::read(scene.path()).unwrap();
    for size in (0..layout.header_bytes as usize).step_by(7).chain([bytes.len() - 1]) {
        std::fs::write(scene.path(), &bytes[..size]).unwrap();
        assert!(matches!(open(&scene.path()), Err(CogError::Foreign { .. })), "{size} bytes");
        assert!(matches!(verify(&scene.path(), &layout), Err(CogError::Foreign { .. })));
    }
    let longer = [&bytes[..], &[0]].concat();
    std::fs::write(scene.path(), longer).unwrap();
    assert!(open(&scene.path()).is_err());
}

#[test]
fn a_damaged_block_is_found() {
    let scene = scene();
    let layout = scene.write().unwrap().layout;
    let bytes = std::fs::read(scene.path()).unwrap();
    let first = layout.header_bytes as usize;
    // Leader, start of a frame, trailer of the last block, its last byte.
    for i in [first, first + 3, first + 4, first + 6, bytes.len() - 4, bytes.len() - 5] {
        let mut damaged = bytes.clone();
        damaged[i] ^= 0x40;
        std::fs::write(scene.path(), &damaged).unwrap();
        assert!(matches!(verify(&scene.path(), &layout), Err(CogError::Damaged { .. })), "byte {i}");
    }
}

#[test]
fn another_layout_than_recorded_is_found() {
    let scene = scene();
    let mut layout = scene.write().unwrap().layout;
    assert_eq!(layout.validity, Validity::Mask);
    layout.levels[1].counts_at += 4;
    assert!(matches!(verify(&scene.path(), &layout), Err(CogError::Foreign { .. })));
}

#[test]
fn foreign_bytes_are_refused_without_a_panic() {
    let scene = scene();
    let small = b"II\x2b\0\x08\0\0\0\x10\0\0\0\0\0\0\0".to_vec();
    let huge_count = [&small[..], &u64::MAX.to_le_bytes()].concat();
    let mut loops = small.clone();
    loops.extend(1u64.to_le_bytes());
    loops.extend([254, 0, 4, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    loops.extend(16u64.to_le_bytes());
    for bytes in [Vec::new(), b"<VRTDataset/>".to_vec(), b"II\x2a\0\x08\0\0\0".to_vec(), small, huge_count, loops] {
        std::fs::write(scene.path(), &bytes).unwrap();
        assert!(matches!(open(&scene.path()), Err(CogError::Foreign { .. })));
    }
    assert!(matches!(open(&scene.folder.path().join("none.tif")), Err(CogError::Io { .. })));
}
