//! The landscape behind the demo: heights from noise, cover from heights, light from the north-west.

use harness::formula::octaves;

/// Everything below is a lake.
const LAKE_M: f64 = 520.0;

/// What covers the ground. The numbers are the pixel values of `landcover.tif`; 0 is nodata.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cover {
    Water = 1,
    Crops = 2,
    Forest = 3,
    Meadow = 4,
    Rock = 5,
    Snow = 6,
}

/// Colours of the classes, by pixel value.
pub(crate) const COVER_COLORS: [[u8; 3]; 7] =
    [[0, 0, 0], [62, 118, 168], [214, 190, 118], [58, 104, 62], [146, 176, 98], [148, 138, 128], [240, 244, 248]];

/// Height in metres at `x` metres east and `y` south of the corner.
pub(crate) fn elevation(x: f64, y: f64) -> f64 {
    let base = octaves(1, x / 14_000.0, y / 14_000.0);
    let ridge = 1.0 - (2.0 * octaves(5, x / 9_000.0, y / 9_000.0) - 1.0).abs();
    let detail = octaves(9, x / 1_100.0, y / 1_100.0);
    let height = 150.0 + 4200.0 * base.powf(1.8) * (0.25 + 0.75 * ridge * ridge) + 240.0 * detail * base;
    height.max(LAKE_M)
}

/// What covers the ground there.
pub(crate) fn cover(x: f64, y: f64) -> Cover {
    let height = elevation(x, y);
    let ragged = height + 500.0 * (octaves(13, x / 1_500.0, y / 1_500.0) - 0.5);
    match ragged {
        _ if height <= LAKE_M => Cover::Water,
        ragged if ragged > 2300.0 => Cover::Snow,
        ragged if ragged > 1850.0 => Cover::Rock,
        ragged if ragged > 1500.0 => Cover::Meadow,
        ragged if ragged > 900.0 => Cover::Forest,
        _ if octaves(19, x / 2_600.0, y / 2_600.0) > 0.5 => Cover::Crops,
        _ => Cover::Meadow,
    }
}

/// Brightness of the ground there: 1 where it is flat, lit from the north-west.
pub(crate) fn shade(x: f64, y: f64) -> f64 {
    const STEP_M: f64 = 40.0;
    let east = (elevation(x + STEP_M, y) - elevation(x - STEP_M, y)) / (2.0 * STEP_M);
    let south = (elevation(x, y + STEP_M) - elevation(x, y - STEP_M)) / (2.0 * STEP_M);
    // Slopes that rise to the south-east face the light.
    (1.0 + 0.9 * (east + south)).clamp(0.35, 1.5)
}
