//! Sample types: what statistics and kernels ask of them.

#![expect(clippy::inline_always, reason = "see kernel.rs")]

use bytemuck::Pod;
use gdal::raster::GdalType;
use shared::dataset::DataType;

/// The largest integer that f64 holds with all its neighbours.
pub(super) const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// 1.5 · 2²³ and 1.5 · 2⁵². Adding them rounds to the nearest whole number, half to even, and leaves it in the low bits, which compiles to vector
/// instructions where a cast does not.
pub(super) const ROUNDER: f32 = 12_582_912.0;
const WIDE_ROUNDER: f64 = 6_755_399_441_055_744.0;

/// Arithmetic of a kernel: f32 for samples of up to 16 bits, else f64.
pub(super) trait Real:
    Copy
    + Send
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
{
    /// From f32, exactly.
    fn of_f32(value: f32) -> Self;
}

impl Real for f32 {
    #[inline(always)]
    fn of_f32(value: f32) -> Self {
        value
    }
}

impl Real for f64 {
    #[inline(always)]
    fn of_f32(value: f32) -> Self {
        f64::from(value)
    }
}

/// A sample of a raster.
pub(super) trait Sample: GdalType + Pod + PartialEq + PartialOrd + Send + Sync {
    /// Its name in records.
    const DATA_TYPE: DataType;
    /// Whether it is an integer.
    const INTEGER: bool;
    /// Values it can take if they are few enough to count each: 2⁸ or 2¹⁶.
    const VALUES: Option<usize>;
    /// Arithmetic of kernels.
    type Real: Real;
    /// As f64. Exact, but for 64-bit integers beyond 2⁵³, which are refused.
    fn wide(self) -> f64;
    /// For kernels.
    fn real(self) -> Self::Real;
    /// Rounds what a mean of valid samples gave; it lies between them. Half to even, but for 64-bit integers.
    fn round(value: Self::Real) -> Self;
    /// Rounds and clamps.
    fn clamp_from(value: f64) -> Self;
    /// The value, if the type holds it exactly (floats: nearly); None for NaN.
    fn exactly(value: f64) -> Option<Self>;
    /// The next larger value, or the next smaller at the end of the range.
    fn neighbor(self, up: bool) -> Self;
    /// Whether it is a number: neither NaN nor infinite.
    fn is_finite(self) -> bool;
    /// Index among `VALUES`, in order of value.
    fn index(self) -> usize;
    /// 32 bits that sort as the values do; 64-bit samples lose their lowest bits.
    fn key(self) -> u32;
    /// The smallest value with this key.
    fn of_key(key: u32) -> f64;
}

fn key32(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

fn key64(value: f64) -> u32 {
    let bits = value.to_bits();
    ((if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }) >> 32) as u32
}

fn of_key64(key: u32) -> f64 {
    let key = u64::from(key) << 32;
    // Negative values are inverted: of those that share the upper bits, all low bits set is nearest to zero, so that whole numbers come back.
    f64::from_bits(if key >> 63 == 1 { key ^ 1 << 63 } else { !(key | 0xFFFF_FFFF) })
}

macro_rules! integer {
    ($type:ty, $name:ident, $real:ty, $values:expr, $round:expr, $key:expr, $of_key:expr) => {
        impl Sample for $type {
            const DATA_TYPE: DataType = DataType::$name;
            const INTEGER: bool = true;
            const VALUES: Option<usize> = $values;
            type Real = $real;
            fn wide(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn real(self) -> $real {
                self as $real
            }
            #[inline(always)]
            fn round(value: $real) -> Self {
                let round: fn($real) -> Self = $round;
                round(value)
            }
            fn clamp_from(value: f64) -> Self {
                (value + 0.5).floor() as Self
            }
            fn exactly(value: f64) -> Option<Self> {
                let converted = value as Self;
                (converted as f64 == value).then_some(converted)
            }
            fn neighbor(self, up: bool) -> Self {
                if up && self < Self::MAX || self == Self::MIN { self + 1 } else { self - 1 }
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                true
            }
            fn index(self) -> usize {
                (self as i64).wrapping_sub(Self::MIN as i64) as usize
            }
            fn key(self) -> u32 {
                let key: fn(Self) -> u32 = $key;
                key(self)
            }
            fn of_key(key: u32) -> f64 {
                let of_key: fn(u32) -> f64 = $of_key;
                of_key(key)
            }
        }
    };
}

macro_rules! float {
    ($type:ty, $name:ident, $key:expr, $of_key:expr) => {
        impl Sample for $type {
            const DATA_TYPE: DataType = DataType::$name;
            const INTEGER: bool = false;
            const VALUES: Option<usize> = None;
            type Real = f64;
            fn wide(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn real(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn round(value: f64) -> Self {
                value as Self
            }
            fn clamp_from(value: f64) -> Self {
                value.clamp(f64::from(<$type>::MIN), f64::from(<$type>::MAX)) as Self
            }
            fn exactly(value: f64) -> Option<Self> {
                if value.is_nan() {
                    return None;
                }
                // −3.4028235e38 written with a digit too few lies beyond the type; it means the end of its range.
                let narrow = value as Self;
                Some(if value.is_finite() && !narrow.is_finite() { <$type>::MAX.copysign(narrow) } else { narrow })
            }
            fn neighbor(self, up: bool) -> Self {
                if up && self < <$type>::MAX || self == <$type>::MIN { self.next_up() } else { self.next_down() }
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                self.is_finite()
            }
            fn index(self) -> usize {
                0
            }
            fn key(self) -> u32 {
                let key: fn(Self) -> u32 = $key;
                key(self)
            }
            fn of_key(key: u32) -> f64 {
                let of_key: fn(u32) -> f64 = $of_key;
                of_key(key)
            }
        }
    };
}

integer!(u8, Uint8, f32, Some(256), |v| (v + ROUNDER).to_bits() as u8, u32::from, f64::from);
integer!(u16, Uint16, f32, Some(65_536), |v| (v + ROUNDER).to_bits() as u16, u32::from, f64::from);
integer!(i16, Int16, f32, Some(65_536), |v| (v + ROUNDER).to_bits() as i16, |v| (i32::from(v) + 32_768) as u32, |k| {
    f64::from(k) - 32_768.0
});
integer!(u32, Uint32, f64, None, |v| (v + WIDE_ROUNDER).to_bits() as u32, |v| v, f64::from);
integer!(
    i32,
    Int32,
    f64,
    None,
    |v| (v + WIDE_ROUNDER).to_bits() as i32,
    |v| (i64::from(v) + 2_147_483_648) as u32,
    |k| f64::from(k) - 2_147_483_648.0
);
integer!(u64, Uint64, f64, None, |v| (v + 0.5) as u64, |v| key64(v as f64), of_key64);
integer!(i64, Int64, f64, None, |v| (v + 0.5).floor() as i64, |v| key64(v as f64), of_key64);
float!(f32, Float32, key32, |key| f64::from(f32::from_bits(if key >> 31 == 1 { key ^ 1 << 31 } else { !key })));
float!(f64, Float64, key64, of_key64);

/// Calls a generic function with the sample type of a `DataType`. `$none` is the value for types GDAL 3.6 does not read.
macro_rules! with_sample {
    ($data_type:expr, $sample:ident => $call:expr, $none:expr) => {
        match $data_type {
            shared::dataset::DataType::Uint8 => {
                type $sample = u8;
                $call
            }
            shared::dataset::DataType::Uint16 => {
                type $sample = u16;
                $call
            }
            shared::dataset::DataType::Int16 => {
                type $sample = i16;
                $call
            }
            shared::dataset::DataType::Uint32 => {
                type $sample = u32;
                $call
            }
            shared::dataset::DataType::Int32 => {
                type $sample = i32;
                $call
            }
            shared::dataset::DataType::Uint64 => {
                type $sample = u64;
                $call
            }
            shared::dataset::DataType::Int64 => {
                type $sample = i64;
                $call
            }
            shared::dataset::DataType::Float32 => {
                type $sample = f32;
                $call
            }
            shared::dataset::DataType::Float64 => {
                type $sample = f64;
                $call
            }
            shared::dataset::DataType::Int8 => $none,
        }
    };
}
pub(super) use with_sample;

/// Tells invalid samples by their value: nodata, NaN and infinities. One infinite sample would make every mean and range infinite.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge<T> {
    nodata: Option<T>,
}

impl<T: Sample> Judge<T> {
    /// By this nodata value; one the type cannot hold counts as none.
    pub(super) fn new(nodata: Option<f64>) -> Self {
        Self { nodata: nodata.and_then(T::exactly) }
    }

    /// The nodata value.
    pub(super) fn nodata(&self) -> Option<T> {
        self.nodata
    }

    /// Whether every value is valid.
    pub(super) fn accepts_all(&self) -> bool {
        T::INTEGER && self.nodata.is_none()
    }

    /// Whether a value is valid.
    #[inline(always)]
    pub(super) fn accepts(&self, value: T) -> bool {
        self.nodata != Some(value) && (T::INTEGER || value.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_values_do_and_whole_numbers_come_back() {
        for pair in [-1e30, -1000.0, -1.0, -0.5, 0.0, 1e-20, 0.5, 1.0, 2.0, 1e30].windows(2) {
            assert!((pair[0] as f32).key() < (pair[1] as f32).key());
            assert!(pair[0].key() < pair[1].key());
        }
        for value in [-70_000.0, -3.0, 0.0, 5.0, 70_000.0] {
            assert_eq!(f64::of_key(value.key()), value);
            assert_eq!(f32::of_key((value as f32).key()), value);
            assert_eq!(i32::of_key((value as i32).key()), value);
            assert_eq!(i64::of_key((value as i64).key()), value);
        }
    }

    #[test]
    fn means_round_to_nearest() {
        assert_eq!(i16::round(-0.6), -1);
        assert_eq!(i16::round(-0.4), 0);
        assert_eq!((u8::round(254.5), u8::round(254.6)), (254, 255));
        assert_eq!(
            (u16::round(65_535.0), i16::round(-32_768.0), u32::round(4_294_967_294.6)),
            (65_535, -32_768, u32::MAX)
        );
        assert_eq!(i32::round(-1_000_000.6), -1_000_001);
        assert_eq!(u8::clamp_from(-3.0), 0);
        assert_eq!(u16::clamp_from(70_000.0), 65_535);
    }

    #[test]
    fn nodata_the_type_cannot_hold_counts_as_none() {
        assert!(Judge::<u8>::new(Some(-9999.0)).accepts_all());
        assert!(!Judge::<u8>::new(Some(255.0)).accepts(255));
        assert!(!Judge::<f32>::new(Some(-3.402_823_466_385_288_6e38)).accepts(f32::MIN));
        let strange = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
        assert!(strange.iter().all(|value| !Judge::<f32>::new(None).accepts(*value)));
    }
}
