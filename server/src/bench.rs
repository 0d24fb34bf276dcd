//! Doors for benchmarks to what is inside; no part of the API.

use std::hint::black_box;

use crate::tile::expression::{OperandKind, Parsed};
use crate::tile::image::{Band, SamplesOf};
use crate::tile::pixels::Samples;

/// Evaluates an expression over two uint16 bands of `side`² pixels that look like reflectance.
///
/// # Panics
/// If the expression is not one of `v1` and `v2`.
#[expect(clippy::expect_used, reason = "a benchmark of a wrong expression is a mistake of its author")]
pub fn expression(text: &str, side: usize) -> impl Fn() + use<> {
    let pixels = side * side;
    let band = |seed: usize| Samples::U16((0..pixels).map(|i| (300 + (i * seed) % 5000) as u16).collect());
    let (v1, v2) = (band(7919), band(104_729));
    let parsed = Parsed::parse(text).expect("an expression");
    let kinds = vec![OperandKind::Int(0, 65_535); parsed.operands().len()];
    let expression = parsed.check(&kinds).expect("an expression of two bands");
    move || {
        let of =
            |samples| Band { samples: SamplesOf::Block(samples), stride: 1, sample: 0, valid: None, nodata: Some(0.0) };
        let bands = [of(&v1), of(&v2)];
        let used: Vec<&Band<'_>> = parsed.operands().iter().filter_map(|i| bands.get(*i)).collect();
        black_box(expression.evaluate(&used, pixels));
    }
}
