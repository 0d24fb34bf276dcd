//! A door for benchmarks to both passes of the statistics; no part of the API.

use std::hint::black_box;

use super::super::bench::value;
use super::super::sample::{Judge, Sample};
use super::super::source::{Area, View};
use super::{First, Plan, Second};

/// Pixels along a side: a chunk of a scan.
const SIDE: usize = 1024;

/// Measures 1024² pixels: uint16, which are counted, or float32, which take two passes.
pub fn statistics(floats: bool) -> Box<dyn Fn()> {
    if floats { Box::new(of::<f32>(|i| f32::from(value(i)) * 0.37)) } else { Box::new(of::<u16>(value)) }
}

#[expect(clippy::expect_used, reason = "only 64-bit counts fail, and not here")]
fn of<T: Sample>(value: impl Fn(usize) -> T) -> impl Fn() {
    let samples: Vec<T> = (0..SIDE * SIDE).map(value).collect();
    let judge = Judge::new(Some(0.0));
    move || {
        let area = Area { x: 0, y: 0, width: SIDE, height: SIDE };
        let view = View { area, bands: vec![samples.as_slice()], mask: None };
        let mut first = First::new::<T>((SIDE, SIDE));
        first.add_rows(&view, &samples, &judge).expect("a first pass");
        if T::VALUES.is_some() {
            black_box(first.finish_counted::<T>());
            return;
        }
        let plan = Plan::new(&first);
        let mut second = Second::new::<T>(&plan);
        second.add_rows(&view, &samples, &judge, &plan);
        black_box(first.finish_refined::<T>(&plan, &second));
    }
}
