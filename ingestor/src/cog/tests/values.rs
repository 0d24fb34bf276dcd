//! What stands in the blocks: full resolution as it was given, overviews as brute force over full resolution has them.

use shared::dataset::{Compression, DataType, Validity};

use super::read::Image;
use super::scene::{Scene, noise, place};

const TYPES: [DataType; 10] = [
    DataType::Uint8,
    DataType::Int8,
    DataType::Uint16,
    DataType::Int16,
    DataType::Uint32,
    DataType::Int32,
    DataType::Uint64,
    DataType::Int64,
    DataType::Float32,
    DataType::Float64,
];

/// A slanted band of valid pixels with holes.
fn is_valid(x: usize, y: usize) -> bool {
    x + 2 * y > 300 && x + y < 1500 && noise(x / 3, y / 5, 10) != 0.0
}

fn assert_level(image: &Image, sample: usize, expected: impl Fn(usize, usize) -> Option<f64>) {
    for (i, found) in image.samples[sample].iter().enumerate() {
        let (x, y) = (i % image.width, i / image.width);
        assert_eq!(*found, expected(x, y), "pixel {x}, {y} of {} × {}", image.width, image.height);
    }
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[test]
fn every_type_keeps_its_values_and_overviews_are_means_of_valid_pixels() {
    for data_type in TYPES {
        let low = if data_type.name().starts_with('u') { 0.0 } else { -120.0 };
        let value = move |_: usize, x: usize, y: usize| is_valid(x, y).then(|| low + noise(x, y, 120));
        let scene = Scene::new(place(3, 4, 8), data_type, value);
        let (written, images) = scene.written();
        assert_eq!(
            written.layout.validity,
            if data_type.is_float() { Validity::Nodata(f64::NAN) } else { Validity::Mask }
        );
        for (level, image) in images.iter().enumerate() {
            assert_level(image, 0, |x, y| {
                let mean = mean(&scene.under(0, level, x, y))?;
                Some(match data_type {
                    DataType::Float32 => (mean as f32).into(),
                    DataType::Float64 => mean,
                    _ => mean.round_ties_even(),
                })
            });
        }
    }
}

#[test]
fn extreme_integers_survive() {
    let scene = Scene::new(place(2, 2, 2), DataType::Int64, |_, x, y| {
        Some(if (x / 2 + y / 2) % 2 == 0 { -9_007_199_254_740_992.0 } else { 9_007_199_254_740_991.0 })
    });
    let (written, images) = scene.written();
    assert_eq!(written.layout.validity, Validity::None);
    for (level, image) in images.iter().enumerate() {
        assert_level(image, 0, |x, y| Some(scene.under(0, level, x, y)[0]));
    }
    let scene = Scene::new(place(2, 2, 2), DataType::Uint32, |_, x, _| {
        Some(if x % 2 == 0 { 4_294_967_295.0 } else { 4_294_967_290.0 })
    });
    assert_level(&scene.written().1[1], 0, |_, _| Some(4_294_967_292.0));
}

#[test]
fn classes_take_the_mode_of_all_pixels_under_them_and_the_smallest_of_equals() {
    for data_type in [DataType::Uint8, DataType::Int16, DataType::Float32] {
        let value = |_: usize, x: usize, y: usize| is_valid(x, y).then(|| noise(x / 2, y / 3, 7) * 10.0);
        let mut scene = Scene::new(place(4, 8, 8), data_type, value);
        scene.spec.categorical = true;
        let (_, images) = scene.written();
        for (level, image) in images.iter().enumerate() {
            assert_level(image, 0, |x, y| {
                let values = scene.under(0, level, x, y);
                let count = |v: f64| values.iter().filter(|other| **other == v).count();
                (0..7)
                    .map(|v| f64::from(v) * 10.0)
                    .filter(|v| count(*v) > 0)
                    .reduce(|a, b| if count(b) > count(a) { b } else { a })
            });
        }
    }
}

#[test]
fn more_classes_than_are_counted_do_no_harm() {
    let mut scene = Scene::new(place(5, 16, 16), DataType::Uint16, |_, x, y| {
        Some(if x % 3 == 0 { 9.0 } else { noise(x, y, 60_000) })
    });
    scene.spec.categorical = true;
    let (_, images) = scene.written();
    assert_level(&images[4], 0, |_, _| Some(9.0));
}

#[test]
fn three_samples_are_interleaved() {
    for data_type in [DataType::Uint8, DataType::Uint16, DataType::Float32] {
        let value = |s: usize, x: usize, y: usize| is_valid(x, y).then(|| noise(x + 1000 * s, y, 200));
        let mut scene = Scene::new(place(3, 4, 4), data_type, value);
        scene.spec.samples = 3;
        let (written, images) = scene.written();
        assert_eq!(written.layout.samples, if data_type == DataType::Uint8 { 4 } else { 3 });
        for (level, image) in images.iter().enumerate() {
            for sample in 0..3 {
                assert_level(image, sample, |x, y| {
                    let mean = mean(&scene.under(sample, level, x, y))?;
                    Some(if data_type.is_float() { (mean as f32).into() } else { mean.round_ties_even() })
                });
            }
        }
    }
}

#[test]
fn blocks_may_stay_uncompressed() {
    for data_type in [DataType::Int16, DataType::Float64] {
        let mut scene = Scene::new(place(2, 2, 2), data_type, |_, x, y| is_valid(x, y).then(|| noise(x, y, 500)));
        scene.spec.compression = Compression::None;
        let (_, images) = scene.written();
        assert_level(&images[0], 0, |x, y| scene.under(0, 0, x, y).first().copied());
    }
}

#[test]
fn threads_do_not_change_a_byte() {
    let value = |_: usize, x: usize, y: usize| is_valid(x, y).then(|| noise(x, y, 500) / 3.0);
    let files = [1, 2, 5].map(|threads| {
        let mut scene = Scene::new(place(4, 16, 8), DataType::Float32, value);
        scene.spec.threads = threads;
        scene.write().unwrap();
        std::fs::read(scene.path()).unwrap()
    });
    assert!(files[0] == files[1] && files[0] == files[2]);
}

#[test]
fn pictures_keep_their_mask_exactly_and_their_colors_nearly() {
    let color = |s: usize, x: usize, y: usize| {
        let wave = ((x + 40 * s) as f64 / 60.0).sin() * (y as f64 / 45.0).cos();
        is_valid(x, y).then(|| (128.0 + 90.0 * wave).round())
    };
    for nodata in [None, Some(0.0)] {
        let mut scene = Scene::new(place(3, 4, 8), DataType::Uint8, color);
        (scene.spec.samples, scene.spec.compression, scene.spec.nodata) = (3, Compression::Webp, nodata);
        let (written, images) = scene.written();
        assert_eq!((written.layout.validity, written.layout.samples), (Validity::Alpha, 4));
        for (level, image) in images.iter().enumerate() {
            for (i, found) in image.samples[1].iter().enumerate() {
                let (x, y) = (i % image.width, i / image.width);
                let expected = mean(&scene.under(1, level, x, y));
                assert_eq!(found.is_some(), expected.is_some(), "pixel {x}, {y} of level {level}");
            }
            let errors = (0..image.raw[1].len()).filter_map(|i| {
                let expected = mean(&scene.under(1, level, i % image.width, i / image.width))?;
                Some((image.raw[1][i] - expected).powi(2))
            });
            let errors: Vec<f64> = errors.collect();
            let rms = mean(&errors).unwrap_or(0.0).sqrt();
            assert!(rms < 3.0, "{rms} at level {level}");
        }
    }
}

#[test]
fn a_picture_without_gaps_has_no_alpha() {
    let mut scene = Scene::new(place(2, 2, 2), DataType::Uint8, |s, x, y| Some(((x + y) / 8 % 200 + s * 20) as f64));
    (scene.spec.samples, scene.spec.compression, scene.spec.expect_valid) = (3, Compression::Webp, true);
    let (written, _) = scene.written();
    assert_eq!((written.layout.validity, written.layout.samples), (Validity::None, 3));
}
