//! Name patterns: how a raster's path relative to its source gives key values.
//!
//! `{key}` is one or more letters, digits (Unicode), `-`, `.`, `+`; `{key:any}` everything but `/`; `{}` anything within a segment; a repeated `{key}` must be
//! equal; `{{` and `}}` are literal braces; `**/` is any depth. `#{key}` at the end takes the band, `#{variable}` before it or alone the variable. The whole
//! relative path must match.

use crate::collection::{KEYS_MAX, RESERVED_KEYS};

/// Bytes in a pattern.
pub const PATTERN_BYTES_MAX: usize = 1024;
/// The key that `#{…}` takes from the variable rather than from the band.
pub const VARIABLE: &str = "variable";
/// Steps one match may take: patterns that would take longer do not match. Linear in practice; this bounds hostile names.
const STEPS_MAX: usize = 200_000;

/// A parsed name pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
    keys: Vec<String>,
    band_key: Option<usize>,
    variable_key: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// Index in `keys`, and whether it may be anything within a segment.
    Key(usize, bool),
    /// `{}`
    Anything,
    /// `**/`
    AnyDepth,
}

/// What is wrong with a pattern, and where.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the pattern {pattern:?} is invalid at character {}: {fault}", .at + 1)]
pub struct PatternError {
    /// The pattern.
    pub pattern: String,
    /// Index of the character.
    pub at: usize,
    /// What is wrong there.
    pub fault: String,
}

impl Pattern {
    /// Whether a source's text is a pattern rather than a folder: it names a key, or a wildcard.
    pub fn is_one(text: &str) -> bool {
        text.contains('{') || text.contains("**/")
    }

    /// Parses a pattern relative to its folder.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        Parser {
            text,
            chars: text.chars().collect(),
            at: 0,
            parts: Vec::new(),
            keys: Vec::new(),
            band_key: None,
            variable_key: None,
        }
        .parse()
    }

    /// The longest literal folder of a pattern, and the rest: `data/{a}/x.tif` → (`data`, `{a}/x.tif`).
    pub fn split_folder(text: &str) -> (&str, &str) {
        let first =
            [text.find('{'), text.find("**/"), text.find('}')].into_iter().flatten().min().unwrap_or(text.len());
        match text[..first].rfind('/') {
            Some(0) => ("/", &text[1..]),
            Some(slash) => (&text[..slash], &text[slash + 1..]),
            None => (".", text),
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Key names, in order of appearance; the band's last.
    pub fn keys(&self) -> &[String] {
        &self.keys
    }

    /// Index of the key that takes the band's value.
    pub fn band_key(&self) -> Option<usize> {
        self.band_key
    }

    /// Index of the key that takes the variable's name: `#{variable}`.
    pub fn variable_key(&self) -> Option<usize> {
        self.variable_key
    }

    /// Key values of a relative path, None at the band's and the variable's key; or None if it does not match.
    pub fn matches(&self, path: &str) -> Option<Vec<Option<String>>> {
        let mut values = vec![None; self.keys.len()];
        let mut steps = STEPS_MAX;
        matches(&self.parts, path, &mut values, &mut steps).then_some(values)
    }
}

/// Matches greedily with backtracking, longest first.
fn matches(parts: &[Part], path: &str, values: &mut Vec<Option<String>>, steps: &mut usize) -> bool {
    let Some(left) = steps.checked_sub(1) else { return false };
    *steps = left;
    let Some((part, rest)) = parts.split_first() else { return path.is_empty() };
    match part {
        Part::Literal(literal) => {
            path.strip_prefix(literal.as_str()).is_some_and(|path| matches(rest, path, values, steps))
        }
        Part::AnyDepth => {
            let folders = path.match_indices('/').map(|(slash, _)| slash + 1);
            std::iter::once(0).chain(folders).any(|start| matches(rest, &path[start..], values, steps))
        }
        Part::Anything => ends(path, |c| c != '/', 0).any(|end| matches(rest, &path[end..], values, steps)),
        Part::Key(key, any) => {
            if let Some(known) = values[*key].clone() {
                return path.strip_prefix(known.as_str()).is_some_and(|path| matches(rest, path, values, steps));
            }
            let fits = |c: char| if *any { c != '/' } else { c.is_alphanumeric() || matches!(c, '-' | '.' | '+') };
            let found = ends(path, fits, 1).any(|end| {
                values[*key] = Some(path[..end].to_owned());
                matches(rest, &path[end..], values, steps)
            });
            if !found {
                values[*key] = None;
            }
            found
        }
    }
}

/// Where a run of fitting characters may end, longest first; at least `min` characters.
fn ends(path: &str, fits: impl Fn(char) -> bool, min: usize) -> impl Iterator<Item = usize> {
    let mut ends: Vec<usize> =
        path.char_indices().take_while(|(_, c)| fits(*c)).map(|(at, c)| at + c.len_utf8()).collect();
    if min == 0 {
        ends.insert(0, 0);
    }
    ends.into_iter().rev()
}

struct Parser<'t> {
    text: &'t str,
    chars: Vec<char>,
    at: usize,
    parts: Vec<Part>,
    keys: Vec<String>,
    band_key: Option<usize>,
    variable_key: Option<usize>,
}

impl Parser<'_> {
    fn parse(mut self) -> Result<Pattern, PatternError> {
        if self.text.is_empty() || self.text.len() > PATTERN_BYTES_MAX {
            return Err(self.fault(0, format!("a pattern has 1 to {PATTERN_BYTES_MAX} bytes")));
        }
        while self.at < self.chars.len() {
            if self.band_key.is_some() || (self.variable_key.is_some() && !self.text_from(self.at).starts_with("#{")) {
                return Err(self.fault(self.at, "nothing may follow the band's `#{key}`".to_owned()));
            }
            match (self.chars[self.at], self.chars.get(self.at + 1)) {
                ('{', Some('{')) | ('}', Some('}')) => {
                    self.literal(self.chars[self.at]);
                    self.at += 2;
                }
                ('{', _) => self.braces(false)?,
                ('#', Some('{')) => {
                    self.at += 1;
                    self.braces(true)?;
                }
                ('}', _) => {
                    return Err(self.fault(self.at, "`}` without `{`; a literal one is written `}}`".to_owned()));
                }
                ('*', Some('*')) => self.any_depth()?,
                (c, _) => {
                    self.literal(c);
                    self.at += 1;
                }
            }
        }
        if self.keys.is_empty() {
            return Err(self.fault(0, "it names no key; write one as `{date}`".to_owned()));
        }
        Ok(Pattern {
            text: self.text.to_owned(),
            parts: self.parts,
            keys: self.keys,
            band_key: self.band_key,
            variable_key: self.variable_key,
        })
    }

    fn text_from(&self, at: usize) -> String {
        self.chars[at..].iter().collect()
    }

    fn literal(&mut self, c: char) {
        if let Some(Part::Literal(text)) = self.parts.last_mut() {
            text.push(c);
        } else {
            self.parts.push(Part::Literal(c.to_string()));
        }
    }

    fn any_depth(&mut self) -> Result<(), PatternError> {
        let at_segment_start = self.at == 0 || self.chars[self.at - 1] == '/';
        if !at_segment_start || self.chars.get(self.at + 2) != Some(&'/') {
            return Err(self.fault(self.at, "`**` must be a whole path segment followed by `/`".to_owned()));
        }
        self.parts.push(Part::AnyDepth);
        self.at += 3;
        Ok(())
    }

    fn braces(&mut self, band: bool) -> Result<(), PatternError> {
        let start = self.at;
        let Some(length) = self.chars[start..].iter().position(|c| *c == '}') else {
            return Err(self.fault(start, "`{` is not closed by `}`; a literal one is written `{{`".to_owned()));
        };
        let inner: String = self.chars[start + 1..start + length].iter().collect();
        self.at = start + length + 1;
        if inner.is_empty() && !band {
            self.parts.push(Part::Anything);
            return Ok(());
        }
        let (name, kind) = inner.split_once(':').map_or((inner.as_str(), None), |(name, kind)| (name, Some(kind)));
        let any = match kind {
            None => false,
            Some("any") if !band => true,
            Some(kind) => {
                return Err(self.fault(start, format!("{kind:?} is not a kind of key; the only one is `{{key:any}}`")));
            }
        };
        let key = self.key(name, start, band)?;
        if band && name == VARIABLE {
            self.variable_key = Some(key);
        } else if band {
            self.band_key = Some(key);
        } else {
            self.parts.push(Part::Key(key, any));
        }
        Ok(())
    }

    fn key(&mut self, name: &str, start: usize, band: bool) -> Result<usize, PatternError> {
        let valid = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
        if !valid {
            return Err(self.fault(start, format!("{name:?} is not a key name: letters, digits, `_` and `-`")));
        }
        if RESERVED_KEYS.contains(&name) {
            let list = RESERVED_KEYS.join(", ");
            return Err(self.fault(start, format!("the key name {name:?} is reserved, as are {list}; use another")));
        }
        match self.keys.iter().position(|key| key == name) {
            Some(_) if band => {
                Err(self.fault(start, format!("the band's key {name:?} is already taken from the name")))
            }
            Some(index) => Ok(index),
            None if self.keys.len() == KEYS_MAX => Err(self.fault(start, format!("more than {KEYS_MAX} keys"))),
            None => {
                self.keys.push(name.to_owned());
                Ok(self.keys.len() - 1)
            }
        }
    }

    fn fault(&self, at: usize, fault: String) -> PatternError {
        PatternError { pattern: self.text.to_owned(), at, fault }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(pattern: &str, path: &str) -> Option<Vec<String>> {
        let values = Pattern::parse(pattern).unwrap().matches(path)?;
        Some(values.into_iter().map(|v| v.unwrap_or_else(|| "(band)".to_owned())).collect())
    }

    #[test]
    fn keys_are_taken_from_the_whole_relative_path() {
        let of = |p, s| values(p, s).map(|v| v.join("|"));
        assert_eq!(of("{sensor}_{date}_{band}.tif", "S2_20260101_B02.tif").as_deref(), Some("S2|20260101|B02"));
        assert_eq!(of("{sensor}_{date}_{band}.tif", "x/S2_20260101_B02.tif"), None);
        assert_eq!(of("{sensor}_{date}_{band}.tif", "S2_a_20260101_B02.tif"), None);
        assert_eq!(of("**/{a}_{b}.tif", "x/y/1_2.tif").as_deref(), Some("1|2"));
        assert_eq!(of("**/{a}_{b}.tif", "1_2.tif").as_deref(), Some("1|2"));
        assert_eq!(of("{date}.tif#{band}", "2026-01-01.tif").as_deref(), Some("2026-01-01|(band)"));
        assert_eq!(of("{date}.nc#{variable}#{b}", "20260101.nc").as_deref(), Some("20260101|(band)|(band)"));
        assert_eq!(Pattern::parse("{date}.nc#{variable}#{b}").unwrap().variable_key(), Some(1));
        assert_eq!(of("{a}/{a}_{b:any}.tif", "x/x_y_z.tif").as_deref(), Some("x|y_z"));
        assert_eq!(of("{a}/{a}_{b}.tif", "x/w_y.tif"), None);
        assert_eq!(of("{}/{{{a}}}.tif", "any thing/{é1}.tif").as_deref(), Some("é1"));
        assert_eq!(of("{a}.{b}", "v1.2.tif").as_deref(), Some("v1.2|tif"));
    }

    #[test]
    fn a_pattern_knows_its_folder() {
        assert_eq!(Pattern::split_folder("data/2026/{a}_x/{b}.tif"), ("data/2026", "{a}_x/{b}.tif"));
        assert_eq!(Pattern::split_folder("{b}.tif"), (".", "{b}.tif"));
        assert_eq!(Pattern::split_folder("/{b}.tif"), ("/", "{b}.tif"));
        assert_eq!(Pattern::split_folder("data/**/{b}.tif"), ("data", "**/{b}.tif"));
    }

    #[test]
    fn an_invalid_pattern_says_what_and_where() {
        for (pattern, at, word) in [
            ("{a", 0, "not closed"),
            ("x}y{a}", 1, "without"),
            ("{a b}", 0, "not a key name"),
            ("{a:int}", 0, "any"),
            ("{limit}", 0, "reserved"),
            ("x.tif", 0, "names no key"),
            ("{a}/x**/", 5, "whole path segment"),
            ("{a}#{b}.tif", 7, "follow"),
            ("{a}#{a}", 4, "already"),
            ("{a}#{variable}x", 14, "follow"),
            ("{a}#{b}#{variable}", 7, "follow"),
        ] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert_eq!(error.at, at, "{error}");
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn a_hostile_name_ends_soon() {
        let pattern = Pattern::parse("{a}{b}{c}{d}{e}{f}{g}{h}!").unwrap();
        assert_eq!(pattern.matches(&"a".repeat(4000)), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(pattern in ".{0,40}", path in ".{0,60}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                let _ = pattern.matches(&path);
            }
        }

        #[test]
        fn what_was_put_in_comes_out(a in "[a-zA-Z0-9.+-]{1,8}", b in "[a-zA-Z0-9]{1,8}") {
            let pattern = Pattern::parse("p/{a}_{b}.tif").unwrap();
            prop_assert_eq!(pattern.matches(&format!("p/{a}_{b}.tif")), Some(vec![Some(a), Some(b)]));
        }
    }
}
