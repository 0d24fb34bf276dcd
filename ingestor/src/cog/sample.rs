//! The ten sample types, as the arithmetic of this writer needs them: sums, rounding, nodata and predictors.

use bytemuck::Pod;
use shared::dataset::DataType;

/// 1.5 · 2⁵². Adding it to an `f64` below 2⁵¹ rounds it half to even and leaves the integer in the low bits, which compiles to vector
/// instructions where calls to a rounding function do not.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// How far beyond the largest `f32` a nodata value may lie and still mean it: such values come out of decimal texts.
const F32_MAX_SLACK: f64 = 1.000_001;

/// A type of samples.
pub(super) trait Sample: Pod + PartialOrd + Send + Sync + std::fmt::Debug {
    const TYPE: DataType;
    const ZERO: Self;

    /// The value as `f64`; exact but for 64-bit integers beyond 2⁵³.
    fn to_f64(self) -> f64;
    /// The sum of four values.
    fn sum4(a: Self, b: Self, c: Self, d: Self) -> f64;
    /// The nearest value to a mean of values of this type, half to even.
    fn from_mean(mean: f64) -> Self;
    /// The value a nodata setting means, if the type can hold it.
    fn from_nodata(value: f64) -> Option<Self>;
    /// The neighbour of `self` on the side where `mean` lies.
    fn nudged(self, mean: f64) -> Self;
    /// An 8-bit alpha value; only asked of 8-bit samples.
    fn from_alpha(alpha: u8) -> Self;
    /// `self − previous` in integers that wrap: the horizontal predictor. Floats are left alone.
    fn difference(self, previous: Self) -> Self;
    /// The value with the bytes of a little-endian machine.
    fn little_endian(self) -> Self;
    /// The `n`-th most significant byte, for the floating-point predictor.
    fn byte_from_top(self, n: usize) -> u8;
    /// Whether it is NaN.
    fn is_nan(self) -> bool;
}

macro_rules! integer {
    ($type:ty, $name:ident, $wide:ty, $round:ident) => {
        impl Sample for $type {
            const TYPE: DataType = DataType::$name;
            const ZERO: Self = 0;

            fn to_f64(self) -> f64 {
                self as f64
            }
            fn sum4(a: Self, b: Self, c: Self, d: Self) -> f64 {
                (a as $wide + b as $wide + (c as $wide + d as $wide)) as f64
            }
            fn from_mean(mean: f64) -> Self {
                $round(mean) as $type
            }
            fn from_nodata(value: f64) -> Option<Self> {
                let held = value as $type;
                (held as f64 == value).then_some(held)
            }
            fn nudged(self, mean: f64) -> Self {
                if (mean < self.to_f64() && self != Self::MIN) || self == Self::MAX { self - 1 } else { self + 1 }
            }
            fn from_alpha(alpha: u8) -> Self {
                alpha as $type
            }
            fn difference(self, previous: Self) -> Self {
                self.wrapping_sub(previous)
            }
            fn little_endian(self) -> Self {
                self.to_le()
            }
            fn byte_from_top(self, n: usize) -> u8 {
                (self >> (8 * (size_of::<Self>() - 1 - n))) as u8
            }
            fn is_nan(self) -> bool {
                false
            }
        }
    };
}

/// Rounds what is below 2⁵¹.
fn round_small(mean: f64) -> i64 {
    (mean + ROUNDER).to_bits() as i64
}

/// Rounds anything; the cast that follows saturates.
fn round_large(mean: f64) -> f64 {
    mean.round_ties_even()
}

integer!(u8, Uint8, i32, round_small);
integer!(i8, Int8, i32, round_small);
integer!(u16, Uint16, i32, round_small);
integer!(i16, Int16, i32, round_small);
integer!(u32, Uint32, f64, round_small);
integer!(i32, Int32, f64, round_small);
integer!(u64, Uint64, f64, round_large);
integer!(i64, Int64, f64, round_large);

macro_rules! float {
    ($type:ty, $name:ident, $nodata:expr) => {
        impl Sample for $type {
            const TYPE: DataType = DataType::$name;
            const ZERO: Self = 0.0;

            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn sum4(a: Self, b: Self, c: Self, d: Self) -> f64 {
                f64::from(a) + f64::from(b) + (f64::from(c) + f64::from(d))
            }
            fn from_mean(mean: f64) -> Self {
                mean as $type
            }
            fn from_nodata(value: f64) -> Option<Self> {
                let held: fn(f64) -> Option<$type> = $nodata;
                held(value)
            }
            fn nudged(self, mean: f64) -> Self {
                if mean < f64::from(self) { self.next_down() } else { self.next_up() }
            }
            fn from_alpha(alpha: u8) -> Self {
                alpha.into()
            }
            fn difference(self, _previous: Self) -> Self {
                self
            }
            fn little_endian(self) -> Self {
                Self::from_bits(self.to_bits().to_le())
            }
            fn byte_from_top(self, n: usize) -> u8 {
                (self.to_bits() >> (8 * (size_of::<Self>() - 1 - n))) as u8
            }
            fn is_nan(self) -> bool {
                self.is_nan()
            }
        }
    };
}

float!(f32, Float32, |value| {
    let held = value as f32;
    if held.is_finite() || !value.is_finite() {
        return Some(held);
    }
    (value.abs() <= f64::from(f32::MAX) * F32_MAX_SLACK).then_some(f32::MAX.copysign(held))
});
float!(f64, Float64, Some);
