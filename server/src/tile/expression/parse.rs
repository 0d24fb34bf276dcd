//! Text to tree, by Python's grammar and precedence: comparison, `|`, `&`, `+ -`, `* / %`, unary `- ~`, `**`.

use std::fmt;

use super::{Comparison, FUNCTIONS, Fault, OPERANDS, Op, TEXT_BYTES_MAX};

/// How deep parentheses, calls and signs may be nested.
const DEPTH_MAX: usize = 64;

/// Values and operations of an expression.
const NODES_MAX: usize = 400;

/// An operation with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree {
    pub(super) op: Op,
    pub(super) args: Vec<Tree>,
    /// The character it stands at, from 1.
    pub(super) at: usize,
}

impl Tree {
    /// Visits it and all below.
    pub(super) fn each(&self, visit: &mut impl FnMut(&Self)) {
        visit(self);
        self.args.iter().for_each(|arg| arg.each(visit));
    }
}

/// In Polish notation: unambiguous without parentheses, and blind to spaces.
impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.op)?;
        self.args.iter().try_for_each(|arg| write!(f, " {arg}"))
    }
}

/// Reads an expression. One without any operand is a fault: it has no pixels.
pub(super) fn parse(text: &str) -> Result<Tree, Fault> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Fault::new(1, format!("the expression is longer than {TEXT_BYTES_MAX} bytes")));
    }
    let mut parser = Parser { chars: text.chars().collect(), at: 0, depth: 0, open: 0 };
    let tree = parser.comparison()?;
    parser.skip_all_space();
    if let Some(found) = parser.peek() {
        return Err(parser.unexpected(found));
    }
    let (mut has_operand, mut nodes) = (false, 0);
    tree.each(&mut |tree| {
        has_operand |= matches!(tree.op, Op::Operand(_));
        nodes += 1;
    });
    if nodes > NODES_MAX {
        return Err(Fault::new(1, format!("the expression has {nodes} values and operations, more than {NODES_MAX}")));
    }
    if has_operand { Ok(tree) } else { Err(Fault::new(1, "the expression uses none of v1 to v5")) }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    depth: usize,
    /// Parentheses open: newlines are space inside them.
    open: usize,
}

impl Parser {
    fn comparison(&mut self) -> Result<Tree, Fault> {
        let left = self.or()?;
        let Some((at, comparison)) = self.take_comparison() else { return Ok(left) };
        let tree = Tree { op: Op::Compare(comparison), args: vec![left, self.or()?], at };
        match self.take_comparison() {
            Some((at, _)) => Err(Fault::new(at, "chained comparisons are not supported; write (a < b) & (b < c)")),
            None => Ok(tree),
        }
    }

    fn or(&mut self) -> Result<Tree, Fault> {
        self.chain(&[("|", Op::Or)], Self::and)
    }

    fn and(&mut self) -> Result<Tree, Fault> {
        self.chain(&[("&", Op::And)], Self::sum)
    }

    fn sum(&mut self) -> Result<Tree, Fault> {
        self.chain(&[("+", Op::Add), ("-", Op::Sub)], Self::product)
    }

    fn product(&mut self) -> Result<Tree, Fault> {
        self.chain(&[("*", Op::Mul), ("/", Op::Div), ("%", Op::Mod)], Self::unary)
    }

    /// Operators of one precedence, from left to right.
    fn chain(
        &mut self,
        operators: &[(&str, Op)],
        operand: fn(&mut Self) -> Result<Tree, Fault>,
    ) -> Result<Tree, Fault> {
        let mut left = operand(self)?;
        loop {
            self.skip_space();
            let at = self.at;
            let Some((_, op)) = operators.iter().find(|(sign, _)| self.is_operator(sign)) else { return Ok(left) };
            self.at += 1;
            left = Tree { op: *op, args: vec![left, operand(self)?], at: at + 1 };
        }
    }

    fn unary(&mut self) -> Result<Tree, Fault> {
        self.skip_space();
        let at = self.at + 1;
        let op = match self.peek() {
            Some('-') => Op::Neg,
            Some('~') => Op::Invert,
            Some('+') => return Err(Fault::new(at, "unary + is not supported")),
            _ => return self.power(),
        };
        self.at += 1;
        let arg = self.deeper(Self::unary)?;
        Ok(Tree { op, args: vec![arg], at })
    }

    fn power(&mut self) -> Result<Tree, Fault> {
        let base = self.primary()?;
        self.skip_space();
        if !self.starts_with("**") {
            return Ok(base);
        }
        let at = self.at + 1;
        self.at += 2;
        let exponent = self.deeper(Self::unary)?;
        Ok(Tree { op: Op::Pow, args: vec![base, exponent], at })
    }

    fn primary(&mut self) -> Result<Tree, Fault> {
        self.skip_space();
        let at = self.at + 1;
        let tree = match self.peek() {
            None => Err(Fault::new(at, "the expression ends where a value should be")),
            Some('(') => {
                self.at += 1;
                let inner = self.inside(|parser| parser.deeper(Self::comparison))?;
                self.close(at)?;
                Ok(inner)
            }
            Some(c) if c.is_ascii_digit() || (c == '.' && self.digit_after(1)) => self.number(),
            Some(c) if is_name(c) => self.name(),
            Some(c) => Err(self.unexpected(c)),
        }?;
        self.skip_space();
        match self.peek() {
            Some('.') => Err(Fault::new(self.at + 1, "attributes are not allowed")),
            Some('[') => Err(Fault::new(self.at + 1, "subscripts are not allowed")),
            Some('(') => Err(Fault::new(self.at + 1, "only functions can be called")),
            _ => Ok(tree),
        }
    }

    fn name(&mut self) -> Result<Tree, Fault> {
        let start = self.at;
        let name: String = self.chars[start..].iter().take_while(|c| is_name(**c) || c.is_ascii_digit()).collect();
        self.at += name.chars().count();
        let at = start + 1;
        let leaf = |op| Ok(Tree { op, args: Vec::new(), at });
        if let Some((_, op, arity)) = FUNCTIONS.iter().find(|(known, ..)| *known == name) {
            return self.call(&name, *op, *arity, at);
        }
        match name.as_str() {
            "pi" => leaf(Op::Float(std::f64::consts::PI)),
            "nan" => leaf(Op::Float(f64::NAN)),
            "inf" => leaf(Op::Float(f64::INFINITY)),
            "and" | "or" | "not" | "if" | "else" | "lambda" | "in" | "is" | "for" => {
                Err(Fault::new(at, format!("`{name}` is not supported; use & | ~ and where(…)")))
            }
            _ => match name.strip_prefix('v').and_then(|number| number.parse::<usize>().ok()) {
                Some(number) if (1..=OPERANDS).contains(&number) && name.len() == 2 => leaf(Op::Operand(number - 1)),
                _ => Err(Fault::new(at, format!("unknown name {name:?}; operands are v1 to v{OPERANDS}"))),
            },
        }
    }

    fn call(&mut self, name: &str, op: Op, arity: usize, at: usize) -> Result<Tree, Fault> {
        self.skip_space();
        let open = self.at + 1;
        if self.peek() != Some('(') {
            return Err(Fault::new(at, format!("{name} is a function: write {name}(…)")));
        }
        self.at += 1;
        let args = self.inside(|parser| parser.deeper(Self::arguments))?;
        self.close(open)?;
        if args.len() == arity {
            return Ok(Tree { op, args, at });
        }
        let found = args.len();
        Err(Fault::new(at, format!("{name} takes {arity} argument{}, not {found}", if arity == 1 { "" } else { "s" })))
    }

    fn arguments(&mut self) -> Result<Vec<Tree>, Fault> {
        let mut args = Vec::new();
        loop {
            self.skip_space();
            if self.peek() == Some(')') {
                return Ok(args);
            }
            args.push(self.comparison()?);
            self.skip_space();
            match self.peek() {
                Some(',') => self.at += 1,
                Some('=') => return Err(Fault::new(self.at + 1, "keyword arguments are not supported")),
                _ => return Ok(args),
            }
        }
    }

    /// A Python number, without a sign: `12`, `1_000`, `0x1F`, `1.5e-3`, `.5`. Integers beyond 64 bits become floats.
    fn number(&mut self) -> Result<Tree, Fault> {
        let start = self.at;
        let at = start + 1;
        let mut text = String::new();
        let mut exponent = false;
        while let Some(c) = self.peek() {
            let sign = (c == '+' || c == '-') && exponent && text.ends_with(['e', 'E']);
            if !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign) {
                break;
            }
            exponent |= (c == 'e' || c == 'E') && !text.starts_with("0x") && !text.starts_with("0X");
            text.push(c);
            self.at += 1;
        }
        let wrong = || Fault::new(at, format!("{text:?} is not a number"));
        if text.starts_with('_') || text.ends_with('_') || text.contains("__") {
            return Err(wrong());
        }
        let digits = text.replace('_', "").to_ascii_lowercase();
        let radix = [("0x", 16), ("0o", 8), ("0b", 2)].into_iter().find(|(prefix, _)| digits.starts_with(prefix));
        let op = if let Some((prefix, radix)) = radix {
            Op::Int(i64::from_str_radix(digits.trim_start_matches(prefix), radix).map_err(|_| wrong())?)
        } else if digits.bytes().all(|b| b.is_ascii_digit()) {
            digits.parse().map(Op::Int).or_else(|_| digits.parse().map(Op::Float)).map_err(|_| wrong())?
        } else if digits.bytes().all(|b| b.is_ascii_digit() || b".e+-".contains(&b)) {
            Op::Float(digits.parse().map_err(|_| wrong())?)
        } else {
            return Err(wrong());
        };
        Ok(Tree { op, args: Vec::new(), at })
    }

    fn take_comparison(&mut self) -> Option<(usize, Comparison)> {
        const SIGNS: [(&str, Comparison); 6] = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessEqual),
            (">=", Comparison::GreaterEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        self.skip_space();
        if self.starts_with("<<") || self.starts_with(">>") {
            return None;
        }
        let (sign, comparison) = SIGNS.into_iter().find(|(sign, _)| self.starts_with(sign))?;
        let at = self.at + 1;
        self.at += sign.len();
        Some((at, comparison))
    }

    /// Whether this sign stands here, and not as the beginning of one that is not supported.
    fn is_operator(&self, sign: &str) -> bool {
        self.starts_with(sign)
            && !["**", "//"].iter().any(|longer| longer.starts_with(sign) && self.starts_with(longer))
    }

    /// Runs a step one level deeper.
    fn deeper<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth == DEPTH_MAX {
            return Err(Fault::new(self.at + 1, format!("nested more than {DEPTH_MAX} deep")));
        }
        self.depth += 1;
        let result = step(self);
        self.depth -= 1;
        result
    }

    /// Runs a step within parentheses.
    fn inside<T>(&mut self, step: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.open += 1;
        let result = step(self);
        self.skip_space();
        self.open -= 1;
        result
    }

    fn close(&mut self, opened: usize) -> Result<(), Fault> {
        match self.peek() {
            Some(')') => {
                self.at += 1;
                Ok(())
            }
            Some(found) => Err(self.unexpected(found)),
            None => Err(Fault::new(opened, "this parenthesis is never closed")),
        }
    }

    fn unexpected(&self, found: char) -> Fault {
        let at = self.at + 1;
        let two: String = self.chars[self.at..].iter().take(2).collect();
        let reason = match found {
            '"' | '\'' => "strings are not allowed".to_owned(),
            '[' | '{' => "lists and dicts are not allowed".to_owned(),
            ':' => "slices, lambda and := are not allowed".to_owned(),
            '\n' => "the expression goes on after its end; newlines are allowed inside parentheses only".to_owned(),
            '=' => "`=` is not an operator; compare with ==".to_owned(),
            _ if ["//", "<<", ">>"].contains(&two.as_str()) => format!("`{two}` is not supported"),
            '^' | '@' => format!("`{found}` is not supported"),
            _ if is_name(found) => {
                let word: String = self.chars[self.at..].iter().take_while(|c| is_name(**c)).collect();
                return match word.as_str() {
                    "and" | "or" | "not" | "if" | "else" | "in" | "is" => {
                        Fault::new(at, format!("`{word}` is not supported; use & | ~ and where(…)"))
                    }
                    _ => Fault::new(at, format!("{word:?} is not expected here")),
                };
            }
            _ => format!("{found:?} is not expected here"),
        };
        Fault::new(at, reason)
    }

    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn digit_after(&self, ahead: usize) -> bool {
        self.chars.get(self.at + ahead).is_some_and(char::is_ascii_digit)
    }

    fn starts_with(&self, text: &str) -> bool {
        let here = self.chars[self.at.min(self.chars.len())..].iter();
        text.chars().count() <= self.chars.len() - self.at.min(self.chars.len())
            && text.chars().zip(here).all(|(a, b)| a == *b)
    }

    fn skip_space(&mut self) {
        let newlines = self.open > 0;
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\t') || (newlines && matches!(c, '\n' | '\r'))) {
            self.at += 1;
        }
    }

    fn skip_all_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }
}

fn is_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}
