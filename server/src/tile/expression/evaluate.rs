//! Values, a chunk of pixels at a time, so that all of an expression's steps find their numbers in the fastest cache.
//!
//! Integers within 2^53 and floats are doubles; wider integers are 64-bit, and become doubles where they overflow.

use super::super::image::{Band, wide};
use super::typed::{Kind, Node};
use super::{Comparison, Math, Op};

/// Pixels in a chunk.
const LANES: usize = 1024;
/// 2^63: the first double beyond 64-bit integers.
const LONG_END: f64 = 9_223_372_036_854_775_808.0;

/// Values of a chunk.
enum Values {
    /// The same for all.
    One(f64),
    OneLong(i64),
    Floats(Vec<f64>),
    Longs(Vec<i64>),
    Bools(Vec<u8>),
}

/// Per pixel 1 where valid; None where all are.
type Valid = Option<Vec<u8>>;

struct Lanes {
    values: Values,
    valid: Valid,
}

/// A part of the picture.
struct Chunk<'a> {
    bands: &'a [&'a Band<'a>],
    from: usize,
    len: usize,
}

/// The value and validity of every pixel.
pub(super) fn evaluate(root: &Node, bands: &[&Band<'_>], pixels: usize) -> (Vec<f64>, Vec<u8>) {
    let (mut values, mut valid) = (Vec::with_capacity(pixels), Vec::with_capacity(pixels));
    for from in (0..pixels).step_by(LANES) {
        let chunk = Chunk { bands, from, len: LANES.min(pixels - from) };
        let lanes = chunk.lanes(root);
        let floats = lanes.values.into_floats(chunk.len);
        valid.extend(united(lanes.valid, Some(tested(&floats, f64::is_finite))).unwrap_or_default());
        values.extend(floats);
    }
    (values, valid)
}

impl Chunk<'_> {
    fn lanes(&self, node: &Node) -> Lanes {
        let arg = |i: usize| self.lanes(&node.args[i]);
        match node.op {
            Op::Operand(index) => self.operand(index, node.kind),
            Op::Int(value) if node.kind.is_long() => Lanes { values: Values::OneLong(value), valid: None },
            Op::Int(value) => Lanes { values: Values::One(value as f64), valid: None },
            Op::Float(value) => Lanes { values: Values::One(value), valid: None },
            Op::Neg => self.arithmetic1(node, |a| -a, i64::checked_neg),
            Op::Abs => self.arithmetic1(node, f64::abs, i64::checked_abs),
            Op::Add => self.arithmetic2(node, |a, b| a + b, i64::checked_add),
            Op::Sub => self.arithmetic2(node, |a, b| a - b, i64::checked_sub),
            Op::Mul => self.arithmetic2(node, |a, b| a * b, i64::checked_mul),
            Op::Minimum => {
                self.arithmetic2(node, |a, b| if a < b || a.is_nan() { a } else { b }, |a, b| Some(a.min(b)))
            }
            Op::Maximum => {
                self.arithmetic2(node, |a, b| if a > b || a.is_nan() { a } else { b }, |a, b| Some(a.max(b)))
            }
            Op::Div => self.divided(node, |a, b| a / b, None),
            Op::Mod => self.divided(node, modulo, Some(|a, b| Some(long_modulo(a, b)))),
            Op::Pow => self.power(node),
            Op::Math(math) => self.math(arg(0), math),
            Op::Invert if node.kind == Kind::Bool => {
                let a = arg(0);
                Lanes {
                    values: Values::Bools(a.values.into_bools(self.len).iter().map(|v| v ^ 1).collect()),
                    valid: a.valid,
                }
            }
            Op::Invert => self.bitwise(node, |a, _| !a),
            Op::And | Op::Or if node.kind == Kind::Bool => {
                let (a, b) = (arg(0), arg(1));
                let both = node.op == Op::And;
                let mut values = a.values.into_bools(self.len);
                let of = b.values.into_bools(self.len);
                values.iter_mut().zip(of).for_each(|(a, b)| *a = if both { *a & b } else { *a | b });
                Lanes { values: Values::Bools(values), valid: united(a.valid, b.valid) }
            }
            Op::And => self.bitwise(node, |a, b| a & b),
            Op::Or => self.bitwise(node, |a, b| a | b),
            Op::Compare(comparison) => {
                let (a, b) = (arg(0), arg(1));
                let values = Values::Bools(compare(comparison, a.values, b.values, self.len));
                Lanes { values, valid: united(a.valid, b.valid) }
            }
            Op::Where => self.choose(node),
            Op::GetMask => {
                let valid = arg(0).valid;
                let masked = valid.map_or_else(|| vec![0; self.len], |of| of.iter().map(|v| v ^ 1).collect());
                Lanes { values: Values::Bools(masked), valid: None }
            }
            Op::SetMask => self.masked(arg(0), arg(1)),
            Op::MaskedWhere => self.masked(arg(1), arg(0)),
            Op::MaskedInvalid => {
                let a = arg(0);
                let finite = match &a.values {
                    Values::Floats(floats) => Some(floats.iter().map(|f| u8::from(f.is_finite())).collect()),
                    Values::One(value) if !value.is_finite() => Some(vec![0; self.len]),
                    _ => None,
                };
                Lanes { values: a.values, valid: united(a.valid, finite) }
            }
            Op::Masked(comparison) => self.masked_by(arg(0), comparison, &arg(1)),
            Op::MaskedInside | Op::MaskedOutside => self.masked_range(node),
        }
    }

    fn operand(&self, index: usize, kind: Kind) -> Lanes {
        let Some(band) = self.bands.get(index) else { return Lanes { values: Values::One(f64::NAN), valid: None } };
        let range = self.from..self.from + self.len;
        let mut valid = Vec::new();
        let values = if kind.is_long() {
            Values::Longs(band.longs(range, &mut valid))
        } else {
            let mut floats = band.floats(range, &mut valid);
            if matches!(kind, Kind::Int(..)) && band.is_resampled() {
                for value in &mut floats {
                    *value = value.round_ties_even();
                }
            }
            Values::Floats(floats)
        };
        Lanes { values, valid: Some(valid) }
    }

    fn arithmetic1(&self, node: &Node, float: impl Fn(f64) -> f64, long: impl Fn(i64) -> Option<i64>) -> Lanes {
        let a = self.lanes(&node.args[0]);
        if node.kind.is_long()
            && let Some(longs) = a.values.longs(self.len)
            && let Some(done) = longs.iter().map(|v| long(*v)).collect()
        {
            return Lanes { values: Values::Longs(done), valid: a.valid };
        }
        Lanes { values: map(a.values, self.len, float), valid: a.valid }
    }

    fn arithmetic2(
        &self,
        node: &Node,
        float: impl Fn(f64, f64) -> f64 + Copy,
        long: impl Fn(i64, i64) -> Option<i64>,
    ) -> Lanes {
        let (a, b) = (self.lanes(&node.args[0]), self.lanes(&node.args[1]));
        let values = self.both(node, a.values, b.values, float, long);
        Lanes { values, valid: united(a.valid, b.valid) }
    }

    fn both(
        &self,
        node: &Node,
        a: Values,
        b: Values,
        float: impl Fn(f64, f64) -> f64 + Copy,
        long: impl Fn(i64, i64) -> Option<i64>,
    ) -> Values {
        let wide = node.args.iter().any(|arg| arg.kind.is_long()) || node.kind.is_long();
        if wide
            && node.kind != Kind::Float
            && let (Some(x), Some(y)) = (a.longs(self.len), b.longs(self.len))
            && let Some(done) = x.iter().zip(&y).map(|(x, y)| long(*x, *y)).collect()
        {
            return Values::Longs(done);
        }
        map2(a, b, self.len, float)
    }

    /// Division and its rest: where the divisor is 0, nothing is valid.
    fn divided(
        &self,
        node: &Node,
        float: impl Fn(f64, f64) -> f64 + Copy,
        long: Option<fn(i64, i64) -> Option<i64>>,
    ) -> Lanes {
        let (a, b) = (self.lanes(&node.args[0]), self.lanes(&node.args[1]));
        let divides = match &b.values {
            Values::One(v) => (*v == 0.0).then(|| vec![0; self.len]),
            Values::OneLong(v) => (*v == 0).then(|| vec![0; self.len]),
            Values::Floats(of) => Some(tested(of, |v| v != 0.0)),
            Values::Longs(of) => Some(of.iter().map(|v| u8::from(*v != 0)).collect()),
            Values::Bools(of) => Some(of.clone()),
        };
        let values = self.both(node, a.values, b.values, float, long.unwrap_or(|_, _| None));
        Lanes { values, valid: united(united(a.valid, b.valid), divides) }
    }

    fn power(&self, node: &Node) -> Lanes {
        let (a, b) = (self.lanes(&node.args[0]), self.lanes(&node.args[1]));
        let values = match b.values {
            Values::One(2.0) => map(a.values, self.len, |v| v * v),
            Values::One(0.5) => map(a.values, self.len, f64::sqrt),
            exponents => map2(a.values, exponents, self.len, f64::powf),
        };
        let Values::Floats(floats) = &values else { return Lanes { values, valid: united(a.valid, b.valid) } };
        let finite = floats.iter().map(|v| u8::from(v.is_finite())).collect();
        Lanes { values, valid: united(united(a.valid, b.valid), Some(finite)) }
    }

    /// A function; outside its domain nothing is valid.
    fn math(&self, a: Lanes, math: Math) -> Lanes {
        let domain: Option<fn(f64) -> bool> = match math {
            Math::Sqrt => Some(|v| v >= 0.0),
            Math::Log | Math::Log10 => Some(|v| v > 0.0),
            Math::Arcsin | Math::Arccos => Some(|v| v.abs() <= 1.0),
            Math::Arccosh => Some(|v| v >= 1.0),
            Math::Arctanh => Some(|v| v.abs() < 1.0),
            _ => None,
        };
        let floats = a.values.into_floats(self.len);
        let within = domain.map(|domain| floats.iter().map(|v| u8::from(domain(*v))).collect());
        Lanes { values: map(Values::Floats(floats), self.len, math.function()), valid: united(a.valid, within) }
    }

    /// Bits of integers; a float that came of an overflow has none.
    fn bitwise(&self, node: &Node, of: impl Fn(i64, i64) -> i64) -> Lanes {
        let a = self.lanes(&node.args[0]);
        let b = node.args.get(1).map_or(Lanes { values: Values::OneLong(0), valid: None }, |arg| self.lanes(arg));
        let wide = node.args.iter().any(|arg| arg.kind.is_long());
        let (x, y) = (a.values.saturated(self.len, wide), b.values.saturated(self.len, wide));
        let valid = united(united(a.valid, x.1), united(b.valid, y.1));
        let done = x.0.iter().zip(&y.0).map(|(x, y)| of(*x, *y));
        let values = if node.kind.is_long() {
            Values::Longs(done.collect())
        } else {
            Values::Floats(done.map(|v| v as f64).collect())
        };
        Lanes { values, valid }
    }

    /// `where`: value and validity of the branch that was chosen, as numpy's has it; nothing where the condition is masked.
    fn choose(&self, node: &Node) -> Lanes {
        let [condition, yes, no] = [0, 1, 2].map(|i| self.lanes(&node.args[i]));
        let chosen = condition.values.into_bools(self.len);
        let pick = |yes: u8, no: u8, chosen: u8| if chosen != 0 { yes } else { no };
        let valid = match (&yes.valid, &no.valid) {
            (None, None) => None,
            (yes, no) => {
                let of = |valid: &Valid, i: usize| valid.as_ref().map_or(1, |v| v[i]);
                Some(chosen.iter().enumerate().map(|(i, c)| pick(of(yes, i), of(no, i), *c)).collect())
            }
        };
        let valid = united(condition.valid, valid);
        let values = if node.kind == Kind::Bool {
            let (yes, no) = (yes.values.into_bools(self.len), no.values.into_bools(self.len));
            Values::Bools(chosen.iter().zip(yes.iter().zip(&no)).map(|(c, (y, n))| pick(*y, *n, *c)).collect())
        } else if let (true, Some(yes), Some(no)) =
            (node.kind.is_long(), yes.values.longs(self.len), no.values.longs(self.len))
        {
            Values::Longs(
                chosen.iter().zip(yes.iter().zip(&no)).map(|(c, (y, n))| if *c != 0 { *y } else { *n }).collect(),
            )
        } else {
            let (yes, no) = (yes.values.into_floats(self.len), no.values.into_floats(self.len));
            Values::Floats(
                chosen.iter().zip(yes.iter().zip(&no)).map(|(c, (y, n))| if *c != 0 { *y } else { *n }).collect(),
            )
        };
        Lanes { values, valid }
    }

    /// The first, without the pixels where the second is true or itself masked.
    fn masked(&self, a: Lanes, mask: Lanes) -> Lanes {
        let keep = mask.values.into_bools(self.len).iter().map(|v| v ^ 1).collect();
        Lanes { values: a.values, valid: united(united(a.valid, mask.valid), Some(keep)) }
    }

    fn masked_by(&self, a: Lanes, comparison: Comparison, with: &Lanes) -> Lanes {
        let keep = compare(comparison, a.values.copy(), with.values.copy(), self.len).iter().map(|v| v ^ 1).collect();
        Lanes { values: a.values, valid: united(united(a.valid, with.valid.clone()), Some(keep)) }
    }

    fn masked_range(&self, node: &Node) -> Lanes {
        let [a, low, high] = [0, 1, 2].map(|i| self.lanes(&node.args[i]));
        let inside = node.op == Op::MaskedInside;
        let (x, low_values, high_values) = (
            a.values.copy().into_floats(self.len),
            low.values.into_floats(self.len),
            high.values.into_floats(self.len),
        );
        let keep = (x.iter().zip(low_values.iter().zip(&high_values)))
            .map(|(v, (low, high))| {
                let (low, high) = if high < low { (high, low) } else { (low, high) };
                let is_inside = low <= v && v <= high;
                u8::from(if inside { !is_inside } else { !(v < low || v > high) })
            })
            .collect();
        Lanes { values: a.values, valid: united(united(a.valid, united(low.valid, high.valid)), Some(keep)) }
    }
}

impl Values {
    fn copy(&self) -> Self {
        match self {
            Self::One(v) => Self::One(*v),
            Self::OneLong(v) => Self::OneLong(*v),
            Self::Floats(v) => Self::Floats(v.clone()),
            Self::Longs(v) => Self::Longs(v.clone()),
            Self::Bools(v) => Self::Bools(v.clone()),
        }
    }

    fn into_floats(self, len: usize) -> Vec<f64> {
        match self {
            Self::One(v) => vec![v; len],
            Self::OneLong(v) => vec![v as f64; len],
            Self::Floats(v) => v,
            Self::Longs(v) => v.iter().map(|v| *v as f64).collect(),
            Self::Bools(v) => v.iter().map(|v| f64::from(*v)).collect(),
        }
    }

    /// Whether each is true: not 0.
    fn into_bools(self, len: usize) -> Vec<u8> {
        match self {
            Self::One(v) => vec![u8::from(v != 0.0); len],
            Self::OneLong(v) => vec![u8::from(v != 0); len],
            Self::Floats(v) => v.iter().map(|v| u8::from(*v != 0.0)).collect(),
            Self::Longs(v) => v.iter().map(|v| u8::from(*v != 0)).collect(),
            Self::Bools(v) => v,
        }
    }

    /// As 64-bit integers; None if any is not one.
    fn longs(&self, len: usize) -> Option<Vec<i64>> {
        let long = |v: f64| (v.fract() == 0.0 && (-LONG_END..LONG_END).contains(&v)).then_some(v as i64);
        match self {
            Self::One(v) => long(*v).map(|v| vec![v; len]),
            Self::OneLong(v) => Some(vec![*v; len]),
            Self::Floats(v) => v.iter().map(|v| long(*v)).collect(),
            Self::Longs(v) => Some(v.clone()),
            Self::Bools(v) => Some(v.iter().map(|v| i64::from(*v)).collect()),
        }
    }

    /// As 64-bit integers, and where they were some: all of them unless they may be wide.
    fn saturated(&self, len: usize, wide: bool) -> (Vec<i64>, Valid) {
        if let (Self::Floats(floats), false) = (self, wide) {
            return (floats.iter().map(|v| *v as i64).collect(), None);
        }
        if let Some(longs) = self.longs(len) {
            return (longs, None);
        }
        let floats = self.copy().into_floats(len);
        let valid = floats.iter().map(|v| u8::from((-LONG_END..LONG_END).contains(v))).collect();
        (floats.iter().map(|v| *v as i64).collect(), Some(valid))
    }
}

/// Valid where both are.
fn united(a: Valid, b: Valid) -> Valid {
    match (a, b) {
        (Some(mut a), Some(b)) => {
            a.iter_mut().zip(b).for_each(|(a, b)| *a &= b);
            Some(a)
        }
        (a, b) => a.or(b),
    }
}

/// 1 where the test holds.
fn tested(floats: &[f64], test: impl Fn(f64) -> bool) -> Vec<u8> {
    let mut holds = vec![0; floats.len()];
    wide(
        #[inline(always)]
        || holds.iter_mut().zip(floats).for_each(|(holds, value)| *holds = u8::from(test(*value))),
    );
    holds
}

fn map(a: Values, len: usize, of: impl Fn(f64) -> f64) -> Values {
    if let Values::One(v) = a {
        return Values::One(of(v));
    }
    let mut floats = a.into_floats(len);
    wide(
        #[inline(always)]
        || floats.iter_mut().for_each(|value| *value = of(*value)),
    );
    Values::Floats(floats)
}

fn map2(a: Values, b: Values, len: usize, of: impl Fn(f64, f64) -> f64 + Copy) -> Values {
    match (a, b) {
        (Values::One(a), Values::One(b)) => Values::One(of(a, b)),
        (a, Values::One(b)) => map(a, len, |a| of(a, b)),
        (Values::One(a), b) => map(b, len, |b| of(a, b)),
        (a, b) => {
            let (mut floats, others) = (a.into_floats(len), b.into_floats(len));
            wide(
                #[inline(always)]
                || floats.iter_mut().zip(&others).for_each(|(a, b)| *a = of(*a, *b)),
            );
            Values::Floats(floats)
        }
    }
}

fn compare(comparison: Comparison, a: Values, b: Values, len: usize) -> Vec<u8> {
    let is_long = |v: &Values| matches!(v, Values::Longs(_) | Values::OneLong(_));
    if (is_long(&a) || is_long(&b))
        && let (Some(a), Some(b)) = (a.longs(len), b.longs(len))
    {
        return a.iter().zip(&b).map(|(a, b)| u8::from(comparison.holds(a, b))).collect();
    }
    if let Values::One(b) = b {
        return a.into_floats(len).iter().map(|a| u8::from(comparison.holds(a, &b))).collect();
    }
    let (a, b) = (a.into_floats(len), b.into_floats(len));
    a.iter().zip(&b).map(|(a, b)| u8::from(comparison.holds(a, b))).collect()
}

/// Python's: the sign is the divisor's.
fn modulo(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest != 0.0 && (rest < 0.0) != (b < 0.0) { rest + b } else { rest }
}

/// The same of integers; 0 where there is none, for what is not valid anyway.
fn long_modulo(a: i64, b: i64) -> i64 {
    let rest = a.checked_rem(b).unwrap_or(0);
    if rest != 0 && (rest < 0) != (b < 0) { rest + b } else { rest }
}

impl Math {
    fn function(self) -> fn(f64) -> f64 {
        match self {
            Self::Sqrt => f64::sqrt,
            Self::Log => f64::ln,
            Self::Log10 => f64::log10,
            Self::Exp => f64::exp,
            Self::Sin => f64::sin,
            Self::Cos => f64::cos,
            Self::Tan => f64::tan,
            Self::Sinh => f64::sinh,
            Self::Cosh => f64::cosh,
            Self::Tanh => f64::tanh,
            Self::Arcsin => f64::asin,
            Self::Arccos => f64::acos,
            Self::Arctan => f64::atan,
            Self::Arcsinh => f64::asinh,
            Self::Arccosh => f64::acosh,
            Self::Arctanh => f64::atanh,
        }
    }
}
