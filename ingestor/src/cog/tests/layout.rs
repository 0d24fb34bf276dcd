//! Where things lie in the file: what other readers of COGs rely on.

use std::fs::File;

use shared::dataset::{Compression, DataType, Predictor, Validity};
use shared::grid::Placement;

use super::read::entry;
use super::scene::{Scene, noise, place};
use crate::cog::header::{Header, Sizes};
use crate::cog::ifd::{Directory, Kind, number};
use crate::cog::{CogError, CogSpec, Window, WindowSource, open, write};

#[test]
fn blocks_without_a_valid_pixel_are_not_in_the_file() {
    let scene =
        Scene::new(place(4, 16, 8), DataType::Int16, |_, x, y| (x > 1900 && x < 2100 && y < 300).then_some(4.0));
    let (written, images) = scene.written();
    for (level, image) in images.iter().enumerate() {
        let cols = image.width / 256;
        for (i, present) in image.present.iter().enumerate() {
            let (x, y, side) = ((i % cols) << level, (i / cols) << level, 1 << level);
            assert_eq!(*present, x <= 8 && x + side > 7 && y < 2, "block {i} of level {level}");
        }
    }
    assert!(written.bytes < 20_000);
}

#[test]
fn nothing_valid_makes_a_file_of_tables() {
    for (data_type, validity) in [(DataType::Uint16, Validity::Mask), (DataType::Float32, Validity::Nodata(f64::NAN))] {
        let (written, _) = Scene::new(place(3, 4, 4), data_type, |_, _, _| None).written();
        assert_eq!(written.bytes, written.layout.header_bytes);
        assert_eq!(written.layout.validity, validity);
    }
}

#[test]
fn tables_of_one_block_lie_in_their_directory() {
    let scene = Scene::new(place(1, 1, 1), DataType::Uint8, |_, x, _| (x > 3).then_some(x as f64));
    let (written, images) = scene.written();
    assert_eq!(images[0].samples[0][200], Some(200.0));
    let tables = &written.layout.levels[0];
    // Offsets and counts are neighbours in the directory: entries of 20 bytes.
    assert_eq!(tables.counts_at, tables.offsets_at + 20);
    assert!(written.layout.header_bytes < 2500);
}

#[test]
fn entries_of_tables_are_as_wide_as_they_must_be() {
    let header = Header {
        data_type: DataType::Uint8,
        samples: 1,
        compression: Compression::Zstd,
        predictor: Predictor::Horizontal,
        validity: Validity::None,
        placement: Placement { maxzoom: 2, minzoom: 2, col: 0, row: 0, cols: 2, rows: 1 },
        color_map: Vec::new(),
        categorical: false,
        profile: String::new(),
        describe: String::new(),
    };
    // Two blocks of what size, and how many bytes an offset and a size then take.
    for (size, widths) in [(65_535, (4, 2)), (65_536, (4, 4)), (2_147_480_000, (4, 4)), (2_147_483_648, (8, 4))] {
        let laid_out = header.lay_out(&[Sizes { image: vec![size; 2], mask: Vec::new() }]);
        assert_eq!(laid_out.layout.entry_bytes, widths, "blocks of {size} bytes");
        let at = laid_out.layout.levels[0].offsets_at as usize + usize::from(widths.0);
        let second = number(&laid_out.header[at..at + usize::from(widths.0)]);
        assert_eq!(second, laid_out.header.len() as u64 + u64::from(size) + 12);
    }
}

#[test]
fn the_file_begins_as_gdal_has_it() {
    for masked in [false, true] {
        let scene =
            Scene::new(place(2, 2, 2), DataType::Uint16, move |_, x, y| (!masked || x > 5).then(|| noise(x, y, 999)));
        scene.written();
        let bytes = std::fs::read(scene.path()).unwrap();
        assert_eq!(bytes[..8], *b"II\x2b\0\x08\0\0\0");
        let text = String::from_utf8_lossy(&bytes[16..300]).into_owned();
        let (first, rest) = text.split_once('\n').unwrap();
        let size: usize = first
            .strip_prefix("GDAL_STRUCTURAL_METADATA_SIZE=")
            .unwrap()
            .strip_suffix(" bytes")
            .unwrap()
            .parse()
            .unwrap();
        assert_eq!(first.len() + 1, 43);
        assert!(rest.starts_with("LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\nBLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n "));
        assert_eq!(rest[..size].ends_with(" MASK_INTERLEAVED_WITH_IMAGERY=YES\n"), masked);
        let ghost_end = (16 + 43 + size as u64).next_multiple_of(2);
        assert_eq!(number(&bytes[8..16]), ghost_end);
    }
}

/// The directories of a file and where each lies, in the order in which they name one another.
fn directories(file: &File) -> Vec<(u64, Directory)> {
    let mut start = [0; 16];
    std::os::unix::fs::FileExt::read_exact_at(file, &mut start, 0).unwrap();
    let (mut at, mut found) = (number(&start[8..]), Vec::new());
    while at != 0 {
        let (directory, next) = Directory::read(file, at).unwrap();
        found.push((at, directory));
        at = next;
    }
    found
}

#[test]
fn directories_ascend_and_say_what_they_are() {
    let scene = Scene::new(place(3, 4, 4), DataType::Int16, |_, x, y| (x > 5).then(|| noise(x, y, 999)));
    let (written, _) = scene.written();
    let file = File::open(scene.path()).unwrap();
    let mut kinds = Vec::new();
    let mut before = 0;
    for (at, directory) in directories(&file) {
        assert!(at > before && at < written.layout.header_bytes);
        before = at;
        kinds.push((
            directory.number(&file, 254, Kind::Long, 1).unwrap(),
            directory.number(&file, 256, Kind::Long, 1).unwrap(),
        ));
    }
    assert_eq!(kinds, [(0, 1024), (4, 1024), (1, 512), (5, 512), (1, 256), (5, 256)]);
}

#[test]
fn a_rectangle_ends_with_its_raster_at_every_level() {
    for masked in [false, true] {
        let value = move |_, x, y| (x < 11 * 256 && y < 5 * 256 && !(masked && x == y)).then_some(5.0);
        let (written, images) = Scene::new(place(4, 11, 5), DataType::Uint16, value).written();
        let sides: Vec<_> = images.iter().map(|image| (image.width / 256, image.height / 256)).collect();
        assert_eq!(sides, [(11, 5), (6, 3), (3, 2), (2, 1)], "blocks");
        assert_eq!(written.layout.validity, Validity::Mask, "the last blocks of overviews reach beyond it");
        for (level, image) in images.iter().enumerate() {
            let (width, height) = ((11 * 256) >> level, (5 * 256) >> level);
            for (i, found) in image.samples[0].iter().enumerate() {
                let (x, y) = (i % image.width, i / image.width);
                let valid = x < width && y < height && !(masked && level == 0 && x == y);
                assert_eq!(*found, valid.then_some(5.0), "pixel {x}, {y} of level {level}");
            }
        }
    }
    let scene = Scene::new(place(4, 11, 5), DataType::Uint16, |_, x, y| (x < 2816 && y < 1280).then_some(5.0));
    scene.written();
    let file = File::open(scene.path()).unwrap();
    let side = |directory: &Directory, tag| directory.number(&file, tag, Kind::Long, 1).unwrap();
    let mut sides: Vec<_> =
        directories(&file).iter().map(|(_, found)| [256, 257].map(|tag| side(found, tag))).collect();
    sides.dedup();
    assert_eq!(sides, [[2816, 1280], [1408, 640], [704, 320], [352, 160]]);
}

#[test]
fn data_go_from_the_smallest_overview_to_full_resolution_without_gaps() {
    let scene = Scene::new(place(3, 8, 4), DataType::Uint16, |_, x, y| (x > 600).then(|| noise(x, y, 999)));
    let (written, images) = scene.written();
    let file = File::open(scene.path()).unwrap();
    let mut at = written.layout.header_bytes;
    for (tables, image) in written.layout.levels.iter().zip(&images).rev() {
        let mask = tables.mask.as_ref().unwrap();
        for i in 0..image.present.len() {
            for (offsets_at, counts_at) in [(tables.offsets_at, tables.counts_at), (mask.offsets_at, mask.counts_at)] {
                if let Some((offset, count)) = entry(&file, &written.layout, offsets_at, counts_at, i) {
                    assert_eq!(offset, at + 4);
                    at = offset + count as u64 + 4;
                }
            }
        }
    }
    assert_eq!(at, written.bytes);
}

#[test]
fn a_rectangle_across_the_antimeridian_and_a_colour_table_are_read_back() {
    let placement = Placement { maxzoom: 9, minzoom: 7, col: 508, row: 160, cols: 8, rows: 4 };
    for data_type in [DataType::Uint8, DataType::Uint16] {
        let mut scene = Scene::new(placement, data_type, |_, x, y| Some(noise(x / 9, y / 9, 5)));
        scene.spec.categorical = true;
        scene.spec.color_table = vec![(0, [1, 2, 3, 255]), (4, [200, 100, 50, 0]), (-1, [9; 4]), (1 << 20, [9; 4])];
        let (written, _) = scene.written();
        assert_eq!(written.layout.placement, placement);
        let file = File::open(scene.path()).unwrap();
        let (main, _) = Directory::read(&file, 200).unwrap();
        let map = main.numbers(&file, 320, Kind::Short, 3 << 16).unwrap();
        let colors = map.len() / 3;
        assert_eq!([map[4], map[colors + 4], map[2 * colors + 4]], [200, 100, 50].map(|c| c * 257));
    }
}

#[test]
fn many_compressed_bytes_pass_through_a_temporary_file() {
    // Noise that does not compress: 32 MiB a level-0 chunk row of uncompressed doubles, past the 64 MiB kept in memory.
    let mut scene = Scene::new(place(4, 16, 8), DataType::Float64, |_, x, y| Some((x * 31 + y * 17) as f64));
    scene.spec.compression = Compression::None;
    let written = scene.write().unwrap();
    assert!(written.bytes > 80 << 20);
    assert_eq!(open(&scene.path()).unwrap().0, written.layout);
    crate::cog::verify(&scene.path(), &written.layout).unwrap();
    let top = super::read::read_level(&scene.path(), &written.layout, 3);
    assert_eq!(top.raw[0][0], (0..8).map(|i| f64::from(i * 48)).sum::<f64>() / 8.0);
    assert_eq!(std::fs::read_dir(scene.folder.path()).unwrap().count(), 1);
}

#[test]
fn a_failing_source_leaves_no_file_and_is_quoted() {
    struct Failing;
    impl WindowSource for Failing {
        fn window(&self, col: u32, _row: u32, _tiles: u32) -> Result<Option<Window>, String> {
            if col == 0 { Ok(None) } else { Err("decode error at row 7".to_owned()) }
        }
    }
    struct Panicking;
    impl WindowSource for Panicking {
        fn window(&self, _col: u32, _row: u32, _tiles: u32) -> Result<Option<Window>, String> {
            Ok(Some(Window { samples: vec![vec![0; 7]], valid: vec![] }))
        }
    }
    let scene = Scene::new(place(4, 16, 16), DataType::Uint16, |_, _, _| None);
    let error = write(&scene.spec, &Failing, &|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "decode error at row 7");
    assert!(matches!(write(&scene.spec, &Panicking, &|_| ()), Err(CogError::Spec(_))));
    assert_eq!(std::fs::read_dir(scene.folder.path()).unwrap().count(), 0);
}

#[test]
fn what_cannot_be_written_is_refused() {
    let scene = Scene::new(place(2, 2, 2), DataType::Uint16, |_, _, _| Some(1.0));
    let refused = |change: fn(&mut CogSpec)| {
        let mut spec = scene.spec.clone();
        change(&mut spec);
        matches!(write(&spec, &scene, &|_| ()), Err(CogError::Spec(_)))
    };
    assert!(refused(|spec| spec.placement.col += 1));
    assert!(refused(
        |spec| spec.placement = Placement { maxzoom: 28, minzoom: 28, col: 0, row: 0, cols: 1 << 23, rows: 1 }
    ));
    assert!(refused(
        |spec| spec.placement = Placement { maxzoom: 14, minzoom: 14, col: 0, row: 0, cols: 8192, rows: 8192 }
    ));
    assert!(refused(
        |spec| spec.placement = Placement { maxzoom: 20, minzoom: 0, col: 0, row: 0, cols: 1 << 20, rows: 1 << 20 }
    ));
    assert!(refused(|spec| spec.samples = 2));
    assert!(refused(|spec| (spec.samples, spec.categorical) = (3, true)));
    assert!(refused(|spec| spec.describe = "a\0b".to_owned()));
    assert!(refused(|spec| spec.describe = "x".repeat(5 << 20)));
    assert_eq!(scene.windows(), 0);
}

#[test]
fn an_existing_file_is_not_overwritten() {
    let scene = Scene::new(place(1, 1, 1), DataType::Uint8, |_, _, _| Some(1.0));
    std::fs::write(scene.path(), "mine").unwrap();
    assert!(matches!(scene.write(), Err(CogError::Io { .. })));
    assert_eq!(std::fs::read(scene.path()).unwrap(), b"mine");
}
