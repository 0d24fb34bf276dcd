//! How invalid pixels stand in the file.

use shared::dataset::{DataType, Validity};

use super::scene::{Scene, noise, place};
use crate::cog::CogError;

#[test]
fn without_an_invalid_pixel_there_is_no_mask_and_no_nodata() {
    for data_type in [DataType::Uint8, DataType::Uint16, DataType::Float32] {
        let scene = Scene::new(place(2, 2, 4), data_type, |_, x, y| Some(noise(x, y, 90)));
        let (written, images) = scene.written();
        assert_eq!(written.layout.validity, Validity::None);
        assert!(written.layout.levels.iter().all(|level| level.mask.is_none()));
        assert!(images.iter().all(|image| image.present.iter().all(|present| *present)));
    }
}

#[test]
fn one_invalid_pixel_makes_a_mask_at_every_level_and_zero_stays_valid() {
    let scene = Scene::new(place(2, 2, 2), DataType::Uint16, |_, x, y| ((x, y) != (5, 300)).then_some(0.0));
    let (written, images) = scene.written();
    assert_eq!(written.layout.validity, Validity::Mask);
    assert_eq!(images[0].samples[0].iter().filter(|v| v.is_none()).count(), 1);
    assert_eq!(images[0].samples[0][300 * images[0].width + 5], None);
    assert_eq!(images[0].raw[0][300 * images[0].width + 5], 0.0);
    assert!(images[1].samples[0].iter().all(|v| *v == Some(0.0)));
}

#[test]
fn nodata_fills_invalid_pixels_and_no_mean_becomes_it() {
    for (data_type, nodata) in
        [(DataType::Uint8, 0.0), (DataType::Int16, -3.0), (DataType::Uint16, 65_535.0), (DataType::Float32, 1.5)]
    {
        // Means of neighbours hit the nodata value, which no valid pixel has.
        let (below, above) = match data_type {
            DataType::Uint8 => (1.0, 1.0),
            DataType::Uint16 => (65_534.0, 65_534.0),
            _ => (nodata - 1.0, nodata + 1.0),
        };
        let value = move |_: usize, x: usize, y: usize| {
            (x >= 100 || y >= 256).then_some(if x.is_multiple_of(2) { below } else { above })
        };
        let mut scene = Scene::new(place(2, 2, 2), data_type, value);
        scene.spec.nodata = Some(nodata);
        let (written, images) = scene.written();
        assert_eq!(written.layout.validity, Validity::Nodata(nodata));
        for (level, image) in images.iter().enumerate() {
            for (i, found) in image.samples[0].iter().enumerate() {
                let under = scene.under(0, level, i % image.width, i / image.width);
                assert_eq!(found.is_some(), !under.is_empty());
                assert!(found.is_none_or(|v| (v - nodata).abs() <= 1.0));
                assert!(found.is_some() || image.raw[0][i] == nodata);
            }
        }
    }
}

#[test]
fn nodata_the_type_cannot_hold_is_none() {
    let mut scene = Scene::new(place(1, 1, 1), DataType::Uint8, |_, x, _| (x > 9).then_some(5.0));
    scene.spec.nodata = Some(-9999.0);
    assert_eq!(scene.written().0.layout.validity, Validity::Mask);
    let mut scene = Scene::new(place(1, 1, 1), DataType::Float32, |_, x, _| (x > 9).then_some(5.0));
    scene.spec.nodata = Some(-3.402_823_466_385_29e38);
    assert_eq!(scene.written().0.layout.validity, Validity::Nodata(f64::from(f32::MIN)));
}

#[test]
fn the_largest_and_smallest_nodata_values_are_read_back() {
    let cases = [
        (DataType::Int64, i64::MIN as f64),
        (DataType::Uint64, u64::MAX as f64),
        (DataType::Float64, f64::MIN),
        (DataType::Float32, f64::NEG_INFINITY),
        (DataType::Float64, 1e-300),
        (DataType::Int32, -0.0),
    ];
    for (data_type, nodata) in cases {
        let mut scene = Scene::new(place(1, 1, 1), data_type, |_, x, _| (x > 9).then_some(5.0));
        scene.spec.nodata = Some(nodata);
        assert!(matches!(scene.written().0.layout.validity, Validity::Nodata(found) if found == nodata));
    }
}

#[test]
fn nan_is_invalid_whatever_the_window_says() {
    for nodata in [None, Some(-1.0), Some(f64::NAN)] {
        let mut scene =
            Scene::new(place(2, 2, 2), DataType::Float64, |_, x, _| Some(if x % 2 == 0 { f64::NAN } else { x as f64 }));
        scene.spec.nodata = nodata;
        let (written, images) = scene.written();
        let expected = Validity::Nodata(nodata.unwrap_or(f64::NAN));
        assert_eq!(written.layout.validity, expected);
        assert_eq!(images[0].samples[0][0], None);
        assert!(images[1].samples[0].iter().enumerate().all(|(i, v)| *v == Some((2 * (i % 256) + 1) as f64)));
    }
}

#[test]
fn samples_may_differ_in_validity_under_nodata() {
    let value = |s: usize, x: usize, y: usize| (x >= 200 * s).then(|| 1.0 + noise(x, y, 200));
    let mut scene = Scene::new(place(2, 2, 2), DataType::Uint8, value);
    (scene.spec.samples, scene.spec.nodata, scene.planes) = (3, Some(0.0), 3);
    let (written, images) = scene.written();
    assert_eq!((written.layout.samples, written.layout.validity), (3, Validity::Nodata(0.0)));
    for (level, image) in images.iter().enumerate() {
        for sample in 0..3 {
            for (i, found) in image.samples[sample].iter().enumerate() {
                let under = scene.under(sample, level, i % image.width, i / image.width);
                let mean = under.iter().sum::<f64>() / under.len() as f64;
                assert_eq!(*found, (!under.is_empty()).then(|| mean.round_ties_even()));
            }
        }
    }
}

#[test]
fn samples_that_differ_without_nodata_are_valid_where_any_is() {
    let mut scene = Scene::new(place(1, 1, 1), DataType::Uint16, |s, x, _| (x >= 50 * s + 10).then_some(3.0));
    (scene.spec.samples, scene.planes) = (3, 3);
    let (written, images) = scene.written();
    assert_eq!(written.layout.validity, Validity::Mask);
    assert!((0..256).all(|x| images[0].samples[2][x].is_some() == (x >= 10)));
}

#[test]
fn alpha_is_kept_and_its_overviews_are_its_mean() {
    let value = |s: usize, x: usize, y: usize| (x >= 101).then(|| noise(x + s, y, 250));
    let mut scene = Scene::new(place(3, 8, 4), DataType::Uint8, value);
    scene.spec.samples = 3;
    scene.alpha = |x, y| if x < 900 { 1 + noise(x, y, 255) as u8 } else { 255 };
    let (written, images) = scene.written();
    assert_eq!((written.layout.samples, written.layout.validity), (4, Validity::Alpha));
    for (level, image) in images.iter().enumerate() {
        let side = 1 << level;
        for (i, found) in image.raw[3].iter().enumerate() {
            let (x0, y0) = (i % image.width * side, i / image.width * side);
            let pixels = (0..side * side).map(|i| (x0 + i % side, y0 + i / side));
            let alphas: Vec<_> =
                pixels.map(|(x, y)| if x >= 101 { f64::from((scene.alpha)(x, y)) } else { 0.0 }).collect();
            let mean = (alphas.iter().sum::<f64>() / alphas.len() as f64).round_ties_even();
            assert_eq!(*found, if alphas.iter().any(|a| *a > 0.0) { mean.max(1.0) } else { 0.0 });
        }
    }
}

#[test]
fn an_empty_quarter_makes_the_alpha_of_an_opaque_one_partial() {
    // Four chunks of 4×4 tiles meet in the smallest overview: opaque, partial, empty, empty.
    let value = |_: usize, x: usize, y: usize| (y < 1024 && (x < 1024 || y < 64)).then_some(9.0);
    let mut scene = Scene::new(place(4, 8, 8), DataType::Uint8, value);
    scene.spec.samples = 3;
    let (_, images) = scene.written();
    let top = &images[3];
    let at = |x: usize, y: usize| [top.raw[0][x + 256 * y], top.raw[3][x + 256 * y]];
    assert_eq!([at(0, 0), at(127, 127), at(128, 7)], [[9.0, 255.0]; 3]);
    assert_eq!([at(128, 8), at(0, 128), at(255, 255)], [[0.0, 0.0]; 3]);
}

#[test]
fn opaque_imagery_expected_to_be_so_has_no_alpha() {
    let mut scene = Scene::new(place(2, 2, 2), DataType::Uint8, |s, x, y| Some(noise(x + s, y, 250)));
    (scene.spec.samples, scene.spec.expect_valid) = (3, true);
    let (written, _) = scene.written();
    assert_eq!((written.layout.samples, written.layout.validity), (3, Validity::None));
}

#[test]
fn an_expectation_that_proves_false_leaves_no_file() {
    let faults: [fn(usize) -> Option<f64>; 2] = [|x| (x > 0).then_some(1.0), |x| (x < 2048).then_some(1.0)];
    for fault in faults {
        let mut scene = Scene::new(place(5, 16, 16), DataType::Uint8, move |_, x, _| fault(x));
        (scene.spec.samples, scene.spec.expect_valid) = (3, true);
        assert!(matches!(scene.write(), Err(CogError::NotAllValid)));
        assert_eq!(std::fs::read_dir(scene.folder.path()).unwrap().count(), 0);
    }
    let mut scene = Scene::new(place(1, 1, 1), DataType::Uint8, |_, _, _| Some(1.0));
    (scene.spec.samples, scene.spec.expect_valid) = (3, true);
    scene.alpha = |x, _| if x == 17 { 254 } else { 255 };
    assert!(matches!(scene.write(), Err(CogError::NotAllValid)));
}
