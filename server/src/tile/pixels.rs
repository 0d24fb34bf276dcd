//! Samples of any data type, and one dispatch over them.

use bytemuck::{AnyBitPattern, NoUninit, Zeroable};
use shared::dataset::DataType;

/// A sample type: what the rest of the tile path needs of it.
pub(crate) trait Sample: Copy + PartialEq + AnyBitPattern + NoUninit + Zeroable {
    /// Whether samples may be fractions or NaN.
    const IS_FLOAT: bool;
    /// The value; integers beyond 2^53 are rounded.
    fn to_f64(self) -> f64;
    /// The value, without its fraction and within 64 bits.
    fn to_i64(self) -> i64;
    /// The nearest sample of this type, half to even.
    fn from_f64(value: f64) -> Self;
    /// The sample that a nodata value in a record stands for; None if no sample can have it.
    fn from_nodata(value: f64) -> Option<Self>;
    /// Whether the sample is NaN.
    fn is_nan(self) -> bool;
    /// The buffer, if it is of this type.
    fn of(samples: &Samples) -> Option<&[Self]>;
}

macro_rules! integer_sample {
    ($($kind:ty => $variant:ident),*) => {$(
        impl Sample for $kind {
            const IS_FLOAT: bool = false;
            fn to_f64(self) -> f64 {
                self as f64
            }
            fn to_i64(self) -> i64 {
                i64::try_from(self).unwrap_or(i64::MAX)
            }
            fn from_f64(value: f64) -> Self {
                value.round_ties_even() as $kind
            }
            fn from_nodata(value: f64) -> Option<Self> {
                let sample = value as $kind;
                (sample as f64 == value).then_some(sample)
            }
            fn is_nan(self) -> bool {
                false
            }
            fn of(samples: &Samples) -> Option<&[Self]> {
                if let Samples::$variant(v) = samples { Some(v) } else { None }
            }
        }
        impl From<Vec<$kind>> for Samples {
            fn from(v: Vec<$kind>) -> Self {
                Self::$variant(v)
            }
        }
    )*};
}
integer_sample!(u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, u64 => U64, i64 => I64);

macro_rules! float_sample {
    ($($kind:ty => $variant:ident),*) => {$(
        impl Sample for $kind {
            const IS_FLOAT: bool = true;
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn to_i64(self) -> i64 {
                self as i64
            }
            fn from_f64(value: f64) -> Self {
                value as $kind
            }
            fn from_nodata(value: f64) -> Option<Self> {
                Some(value as $kind)
            }
            fn is_nan(self) -> bool {
                <$kind>::is_nan(self)
            }
            fn of(samples: &Samples) -> Option<&[Self]> {
                if let Samples::$variant(v) = samples { Some(v) } else { None }
            }
        }
        impl From<Vec<$kind>> for Samples {
            fn from(v: Vec<$kind>) -> Self {
                Self::$variant(v)
            }
        }
    )*};
}
float_sample!(f32 => F32, f64 => F64);

/// A buffer of samples of one type.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Samples {
    U8(Vec<u8>),
    I8(Vec<i8>),
    U16(Vec<u16>),
    I16(Vec<i16>),
    U32(Vec<u32>),
    I32(Vec<i32>),
    U64(Vec<u64>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
}

/// Runs an expression with the typed vector of a [`Samples`].
macro_rules! with_samples {
    ($samples:expr, $v:ident => $body:expr) => {
        match $samples {
            $crate::tile::pixels::Samples::U8($v) => $body,
            $crate::tile::pixels::Samples::I8($v) => $body,
            $crate::tile::pixels::Samples::U16($v) => $body,
            $crate::tile::pixels::Samples::I16($v) => $body,
            $crate::tile::pixels::Samples::U32($v) => $body,
            $crate::tile::pixels::Samples::I32($v) => $body,
            $crate::tile::pixels::Samples::U64($v) => $body,
            $crate::tile::pixels::Samples::I64($v) => $body,
            $crate::tile::pixels::Samples::F32($v) => $body,
            $crate::tile::pixels::Samples::F64($v) => $body,
        }
    };
}
pub(crate) use with_samples;

impl Samples {
    /// Zeros.
    pub(crate) fn zeros(data_type: DataType, len: usize) -> Self {
        match data_type {
            DataType::Uint8 => Self::U8(vec![0; len]),
            DataType::Int8 => Self::I8(vec![0; len]),
            DataType::Uint16 => Self::U16(vec![0; len]),
            DataType::Int16 => Self::I16(vec![0; len]),
            DataType::Uint32 => Self::U32(vec![0; len]),
            DataType::Int32 => Self::I32(vec![0; len]),
            DataType::Uint64 => Self::U64(vec![0; len]),
            DataType::Int64 => Self::I64(vec![0; len]),
            DataType::Float32 => Self::F32(vec![0.0; len]),
            DataType::Float64 => Self::F64(vec![0.0; len]),
        }
    }

    /// Bytes of the samples.
    pub(crate) fn bytes(&self) -> usize {
        with_samples!(self, v => size_of_val(v.as_slice()))
    }

    /// The buffer as native-endian bytes.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        with_samples!(self, v => bytemuck::cast_slice_mut(v))
    }
}
