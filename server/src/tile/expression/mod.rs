//! The expressions of `/compute`: text → tree (`parse`) → types and bounds (`typed`) → values, a chunk of pixels at a time (`evaluate`).
//!
//! The language is Python's syntax with numpy's masked arrays as its meaning, without what Terracotta's does not have. Every fault says what and where.

mod evaluate;
mod parse;
#[cfg(test)]
mod tests;
mod typed;

use std::fmt;

use super::image::Band;
use typed::Node;

/// Operands an expression may have, `v1` to `v5`.
pub(crate) const OPERANDS: usize = 5;
/// Bytes of an expression.
pub(crate) const TEXT_BYTES_MAX: usize = 2048;
/// Operations, each by its weight, times pixels that one picture may cost: about a quarter of a second.
const COST_MAX: usize = 200_000_000;
/// How many times as much a mosaic may cost.
const MOSAIC_COST_TIMES: usize = 4;

/// What is wrong with an expression, and at which character, counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) reason: String,
    pub(crate) at: usize,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at character {}", self.reason, self.at)
    }
}

impl Fault {
    fn new(at: usize, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), at }
    }
}

/// What an operand holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum OperandKind {
    /// Integers between two bounds.
    Int(i128, i128),
    Float,
}

/// An expression that was read, its operands not yet known.
#[derive(Clone, Debug)]
pub(crate) struct Parsed(parse::Tree);

/// An expression that can be evaluated.
#[derive(Clone, Debug)]
pub(crate) struct Expression {
    root: Node,
    text: String,
    operands: Vec<usize>,
    /// Operations a pixel, by weight.
    cost: usize,
}

impl Parsed {
    /// Reads an expression.
    pub(crate) fn parse(text: &str) -> Result<Self, Fault> {
        parse::parse(text).map(Self)
    }

    /// The operands it uses, ascending, from 0.
    pub(crate) fn operands(&self) -> Vec<usize> {
        let mut found = Vec::new();
        self.0.each(&mut |tree| {
            if let Op::Operand(index) = tree.op {
                found.push(index);
            }
        });
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Checks types; `kinds` are those of [`Self::operands`], in order.
    pub(crate) fn check(&self, kinds: &[OperandKind]) -> Result<Expression, Fault> {
        let operands = self.operands();
        let mut cost = 0;
        self.0.each(&mut |tree| cost += tree.op.weight());
        let kind =
            |index: usize| operands.iter().position(|known| *known == index).and_then(|at| kinds.get(at)).copied();
        let root =
            typed::check(&self.0, &|index| kind(index).map(|kind| (kind, operands.partition_point(|o| *o < index))))?;
        Ok(Expression { root, text: self.0.to_string(), operands, cost })
    }
}

impl Expression {
    /// Names the expression: equal texts give equal values from equal operands.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Refuses what would take too long for a picture of so many pixels and scenes.
    pub(crate) fn check_cost(&self, pixels: usize, scenes: usize) -> Result<(), Fault> {
        // A mosaic is given more time than one scene, but not as many times more as it has scenes.
        let budget = if scenes > 1 { COST_MAX * MOSAIC_COST_TIMES } else { COST_MAX };
        let max = budget / pixels.max(1) / scenes.max(1);
        if self.cost <= max {
            return Ok(());
        }
        let cost = self.cost;
        let reason = format!(
            "the expression costs {cost} operations a pixel, more than the {max} that a picture of this size and of {scenes} scenes may"
        );
        Err(Fault::new(1, reason))
    }

    /// How many bands [`Self::evaluate`] takes.
    pub(crate) fn operand_count(&self) -> usize {
        self.operands.len()
    }

    /// The value and validity of every pixel; `bands` are the operands, in order.
    pub(crate) fn evaluate(&self, bands: &[&Band<'_>], pixels: usize) -> (Vec<f64>, Vec<u8>) {
        evaluate::evaluate(&self.root, bands, pixels)
    }
}

/// What a node of an expression does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Operand(usize),
    Int(i64),
    Float(f64),
    Neg,
    Invert,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    And,
    Or,
    Compare(Comparison),
    Abs,
    Minimum,
    Maximum,
    Where,
    GetMask,
    SetMask,
    MaskedInvalid,
    MaskedWhere,
    MaskedInside,
    MaskedOutside,
    Masked(Comparison),
    Math(Math),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Math {
    Sqrt,
    Log,
    Log10,
    Exp,
    Sin,
    Cos,
    Tan,
    Sinh,
    Cosh,
    Tanh,
    Arcsin,
    Arccos,
    Arctan,
    Arcsinh,
    Arccosh,
    Arctanh,
}

/// The functions by name, with how many arguments they take.
const FUNCTIONS: [(&str, Op, usize); 33] = [
    ("where", Op::Where, 3),
    ("masked_inside", Op::MaskedInside, 3),
    ("masked_outside", Op::MaskedOutside, 3),
    ("setmask", Op::SetMask, 2),
    ("masked_equal", Op::Masked(Comparison::Equal), 2),
    ("masked_not_equal", Op::Masked(Comparison::NotEqual), 2),
    ("masked_greater", Op::Masked(Comparison::Greater), 2),
    ("masked_greater_equal", Op::Masked(Comparison::GreaterEqual), 2),
    ("masked_less", Op::Masked(Comparison::Less), 2),
    ("masked_less_equal", Op::Masked(Comparison::LessEqual), 2),
    ("masked_where", Op::MaskedWhere, 2),
    ("minimum", Op::Minimum, 2),
    ("maximum", Op::Maximum, 2),
    ("mod", Op::Mod, 2),
    ("getmask", Op::GetMask, 1),
    ("masked_invalid", Op::MaskedInvalid, 1),
    ("abs", Op::Abs, 1),
    ("sqrt", Op::Math(Math::Sqrt), 1),
    ("log", Op::Math(Math::Log), 1),
    ("log10", Op::Math(Math::Log10), 1),
    ("exp", Op::Math(Math::Exp), 1),
    ("sin", Op::Math(Math::Sin), 1),
    ("cos", Op::Math(Math::Cos), 1),
    ("tan", Op::Math(Math::Tan), 1),
    ("sinh", Op::Math(Math::Sinh), 1),
    ("cosh", Op::Math(Math::Cosh), 1),
    ("tanh", Op::Math(Math::Tanh), 1),
    ("arcsin", Op::Math(Math::Arcsin), 1),
    ("arccos", Op::Math(Math::Arccos), 1),
    ("arctan", Op::Math(Math::Arctan), 1),
    ("arcsinh", Op::Math(Math::Arcsinh), 1),
    ("arccosh", Op::Math(Math::Arccosh), 1),
    ("arctanh", Op::Math(Math::Arctanh), 1),
];

impl Op {
    /// Its part of the cost of an expression, in about nanoseconds a pixel.
    fn weight(self) -> usize {
        match self {
            Self::Int(_) | Self::Float(_) => 0,
            Self::Pow | Self::Math(_) => 20,
            Self::Mod => 10,
            _ => 2,
        }
    }
}
