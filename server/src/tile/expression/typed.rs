//! Types, found before any pixel is read: bool, int and float, and for integers the bounds of what they can be.
//!
//! Bounds decide how integers are held: within 2^53 as doubles, which are exact there and fast; beyond as 64-bit integers.

use super::parse::Tree;
use super::{Comparison, Fault, Op, OperandKind};

/// Up to here every integer is a double.
const EXACT: i128 = 1 << 53;

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Bool,
    /// Integers between two bounds.
    Int(i128, i128),
    Float,
}

/// An operation whose type is known.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) op: Op,
    pub(super) kind: Kind,
    pub(super) args: Vec<Node>,
}

impl Kind {
    /// Whether its values are held as 64-bit integers.
    pub(super) fn is_long(self) -> bool {
        matches!(self, Self::Int(low, high) if low < -EXACT || high > EXACT)
    }

    /// Bounds as an integer; a bool counts 0 or 1.
    fn bounds(self) -> Option<(i128, i128)> {
        match self {
            Self::Bool => Some((0, 1)),
            Self::Int(low, high) => Some((low, high)),
            Self::Float => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int(..) => "int",
            Self::Float => "float",
        }
    }
}

/// Gives every node its type. `operand` tells an operand's kind, and which of those that are read it is.
pub(super) fn check(tree: &Tree, operand: &dyn Fn(usize) -> Option<(OperandKind, usize)>) -> Result<Node, Fault> {
    if let Op::Operand(index) = tree.op {
        let (kind, at) =
            operand(index).ok_or_else(|| Fault::new(tree.at, format!("v{} is used but not given", index + 1)))?;
        let kind = match kind {
            OperandKind::Int(low, high) => Kind::Int(low, high),
            OperandKind::Float => Kind::Float,
        };
        return Ok(Node { op: Op::Operand(at), kind, args: Vec::new() });
    }
    let args = tree.args.iter().map(|arg| check(arg, operand)).collect::<Result<Vec<_>, _>>()?;
    let kind = kind(tree, &args)?;
    Ok(Node { op: tree.op, kind, args })
}

fn kind(tree: &Tree, args: &[Node]) -> Result<Kind, Fault> {
    let of = |i: usize| args.get(i).map_or(Kind::Float, |node| node.kind);
    let bounds = || of(0).bounds().zip(of(1).bounds());
    let int = |found: Option<(i128, i128)>| found.map_or(Kind::Float, |(low, high)| clamped(low, high));
    Ok(match tree.op {
        Op::Operand(_) | Op::Float(_) | Op::Div | Op::Pow | Op::Math(_) => Kind::Float,
        Op::Int(value) => Kind::Int(value.into(), value.into()),
        Op::Neg => int(of(0).bounds().map(|(low, high)| (-high, -low))),
        Op::Abs => int(of(0).bounds().map(|(low, high)| {
            (if low <= 0 && high >= 0 { 0 } else { low.abs().min(high.abs()) }, low.abs().max(high.abs()))
        })),
        Op::Add => int(bounds().map(|((a, b), (c, d))| (a + c, b + d))),
        Op::Sub => int(bounds().map(|((a, b), (c, d))| (a - d, b - c))),
        Op::Mul => int(bounds().map(|((a, b), (c, d))| {
            let corners = [a * c, a * d, b * c, b * d];
            (corners.into_iter().min().unwrap_or(0), corners.into_iter().max().unwrap_or(0))
        })),
        Op::Mod => int(bounds().map(|(_, (c, d))| (c.min(0), d.max(0)))),
        Op::Minimum => int(bounds().map(|((a, b), (c, d))| (a.min(c), b.min(d)))),
        Op::Maximum => int(bounds().map(|((a, b), (c, d))| (a.max(c), b.max(d)))),
        Op::Invert => match of(0) {
            Kind::Bool => Kind::Bool,
            Kind::Int(low, high) => clamped(-1 - high, -1 - low),
            Kind::Float => return Err(Fault::new(tree.at, "~ takes a bool or an int, not a float")),
        },
        Op::And | Op::Or => match (of(0), of(1)) {
            (Kind::Bool, Kind::Bool) => Kind::Bool,
            (Kind::Int(a, b), Kind::Int(c, d)) => bitwise(a.min(c), b.max(d)),
            (a, b) => {
                let sign = if tree.op == Op::And { '&' } else { '|' };
                let reason = format!(
                    "{sign} takes two bools or two ints, not {} and {}; put comparisons into parentheses",
                    a.name(),
                    b.name()
                );
                return Err(Fault::new(tree.at, reason));
            }
        },
        Op::Compare(_) | Op::GetMask => Kind::Bool,
        Op::Where => match (of(1), of(2)) {
            (Kind::Bool, Kind::Bool) => Kind::Bool,
            (a, b) => int(a.bounds().zip(b.bounds()).map(|((a, b), (c, d))| (a.min(c), b.max(d)))),
        },
        Op::MaskedWhere => of(1),
        Op::SetMask | Op::MaskedInvalid | Op::MaskedInside | Op::MaskedOutside | Op::Masked(_) => of(0),
    })
}

/// What two's complement makes of integers between these bounds.
fn bitwise(low: i128, high: i128) -> Kind {
    let most = low.unsigned_abs().max(high.unsigned_abs());
    let ceiling = (most + 1).next_power_of_two() as i128;
    clamped(if low < 0 { -ceiling } else { 0 }, ceiling - 1)
}

/// Beyond 64 bits values become floats as they come; bounds need go no further.
fn clamped(low: i128, high: i128) -> Kind {
    Kind::Int(low.clamp(i64::MIN.into(), i64::MAX.into()), high.clamp(i64::MIN.into(), i64::MAX.into()))
}

impl Comparison {
    /// Of two values; NaN is unequal to all.
    pub(super) fn holds<T: PartialOrd>(self, a: &T, b: &T) -> bool {
        match self {
            Self::Equal => a == b,
            Self::NotEqual => a != b,
            Self::Less => a < b,
            Self::LessEqual => a <= b,
            Self::Greater => a > b,
            Self::GreaterEqual => a >= b,
        }
    }
}
