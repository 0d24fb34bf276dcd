//! Rasters by formula, as the writer's source.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use shared::dataset::{Compression, DataType};
use shared::grid::{Placement, TILE_SIZE};
use tempfile::TempDir;

use super::read::{Image, read_level};
use crate::cog::{CogError, CogSpec, Window, WindowSource, WrittenCog, open, verify, verify_with, write};

/// What invalid pixels hold in windows: it must not come through.
const GARBAGE: f64 = 77.0;

/// A raster: the value of each sample at each pixel, None where invalid.
pub(super) struct Scene<F> {
    pub(super) spec: CogSpec,
    pub(super) value: F,
    /// Validity planes in the windows: 1, or one per sample.
    pub(super) planes: usize,
    /// Alpha where the first sample is valid.
    pub(super) alpha: fn(usize, usize) -> u8,
    pub(super) folder: TempDir,
    windows: AtomicU32,
}

impl<F: Fn(usize, usize, usize) -> Option<f64> + Sync> Scene<F> {
    pub(super) fn new(placement: Placement, data_type: DataType, value: F) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let spec = CogSpec {
            placement,
            data_type,
            samples: 1,
            nodata: None,
            categorical: false,
            expect_valid: false,
            compression: Compression::Zstd,
            quality: [75; 2],
            color_table: Vec::new(),
            profile: "kiln-1 <&>".to_owned(),
            describe: r#"[{"keys":["a","b"],"note":"1 < 2 &amp; \"x\" ü"}]"#.to_owned(),
            threads: 2,
            path: folder.path().join("cog.tif"),
        };
        Self { spec, value, planes: 1, alpha: |_, _| 255, folder, windows: AtomicU32::new(0) }
    }

    pub(super) fn write(&self) -> Result<WrittenCog, CogError> {
        write(&self.spec, self, &|done| assert!((0.0..=1.0).contains(&done)))
    }

    /// Writes it, checks that it opens and is whole, and reads all levels.
    pub(super) fn written(&self) -> (WrittenCog, Vec<Image>) {
        let written = self.write().unwrap();
        let (layout, profile, describe) = open(&self.spec.path).unwrap();
        assert_eq!(layout, written.layout);
        assert_eq!((profile, describe), (self.spec.profile.clone(), self.spec.describe.clone()));
        assert_eq!(std::fs::metadata(&self.spec.path).unwrap().len(), written.bytes);
        verify(&self.spec.path, &layout).unwrap();
        verify_with(&self.spec.path, &layout, 3, &|done| assert!((0.0..=1.0).contains(&done))).unwrap();
        let images = (0..layout.levels.len()).map(|level| read_level(&self.spec.path, &layout, level)).collect();
        (written, images)
    }

    pub(super) fn path(&self) -> PathBuf {
        self.spec.path.clone()
    }

    /// Valid values of a sample under pixel (`x`, `y`) of a level.
    pub(super) fn under(&self, sample: usize, level: usize, x: usize, y: usize) -> Vec<f64> {
        let side = 1 << level;
        let pixels = (0..side * side).map(|i| (x * side + i % side, y * side + i / side));
        pixels.filter_map(|(x, y)| (self.value)(sample, x, y)).collect()
    }

    /// Windows asked for so far.
    pub(super) fn windows(&self) -> u32 {
        self.windows.load(Ordering::Relaxed)
    }
}

impl<F: Fn(usize, usize, usize) -> Option<f64> + Sync> WindowSource for Scene<F> {
    fn window(&self, col: u32, row: u32, tiles: u32) -> Result<Option<Window>, String> {
        assert!(tiles.is_power_of_two() && tiles <= 8 && col.is_multiple_of(tiles) && row.is_multiple_of(tiles));
        assert!(col < self.spec.placement.cols && row < self.spec.placement.rows);
        self.windows.fetch_add(1, Ordering::Relaxed);
        let side = tiles as usize * TILE_SIZE;
        let (x0, y0) = (col as usize * TILE_SIZE, row as usize * TILE_SIZE);
        let mut window = Window { samples: Vec::new(), valid: vec![Vec::new(); self.planes] };
        for sample in 0..usize::from(self.spec.samples) {
            let mut plane = Vec::new();
            for (x, y) in (0..side * side).map(|i| (x0 + i % side, y0 + i / side)) {
                let value = (self.value)(sample, x, y);
                put(self.spec.data_type, value.unwrap_or(GARBAGE), &mut plane);
                if let Some(valid) = window.valid.get_mut(sample) {
                    valid.push(if value.is_some() { (self.alpha)(x, y) } else { 0 });
                }
            }
            window.samples.push(plane);
        }
        let empty = window.valid.iter().flatten().all(|v| *v == 0);
        Ok((!empty).then_some(window))
    }
}

/// A rectangle of `cols` × `rows` tiles with `levels` levels somewhere on the grid.
pub(super) fn place(levels: u8, cols: u32, rows: u32) -> Placement {
    let step = 1 << (levels - 1);
    Placement { maxzoom: 9, minzoom: 10 - levels, col: 13 * step, row: 7 * step, cols, rows }
}

/// A hash of a pixel, below `below`.
pub(super) fn noise(x: usize, y: usize, below: u64) -> f64 {
    let mut h = (x as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (y as u64).wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    h = (h ^ h >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    ((h ^ h >> 32) % below) as f64
}

fn put(data_type: DataType, v: f64, out: &mut Vec<u8>) {
    match data_type {
        DataType::Uint8 => out.extend((v as u8).to_ne_bytes()),
        DataType::Int8 => out.extend((v as i8).to_ne_bytes()),
        DataType::Uint16 => out.extend((v as u16).to_ne_bytes()),
        DataType::Int16 => out.extend((v as i16).to_ne_bytes()),
        DataType::Uint32 => out.extend((v as u32).to_ne_bytes()),
        DataType::Int32 => out.extend((v as i32).to_ne_bytes()),
        DataType::Uint64 => out.extend((v as u64).to_ne_bytes()),
        DataType::Int64 => out.extend((v as i64).to_ne_bytes()),
        DataType::Float32 => out.extend((v as f32).to_ne_bytes()),
        DataType::Float64 => out.extend(v.to_ne_bytes()),
    }
}
