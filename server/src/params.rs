//! Query parameters: the first of a repeated one wins, `+` is a space, lists and dicts are JSON text. Faults say which parameter and what it takes.

use std::ops::RangeInclusive;

use percent_encoding::percent_decode;
use serde_json::Value;
use shared::bbox::Bbox;
use shared::metadata::BandStatistics;

use crate::error::ApiError;
use crate::tile::colormap::COLORS;
use crate::tile::place::Size;
use crate::tile::transform::{self, Operation};

/// The query of a request, decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(Vec<(String, String)>);

/// One end of a stretch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    Number(f64),
    /// 0 to 100.
    Percentile(f64),
    /// The dataset's own.
    Own,
}

/// Values and the colors they are shown in, in the order of the request.
pub(crate) type ExplicitMap = Vec<(f64, [u8; 4])>;

impl Params {
    /// Decodes a query. Bytes that are not UTF-8 become U+FFFD, which matches nothing.
    pub(crate) fn parse(query: &str) -> Self {
        let mut found: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name);
            if !found.iter().any(|(known, _)| *known == name) {
                found.push((name, decode(value)));
            }
        }
        Self(found)
    }

    /// A parameter's text.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Adds a parameter.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.0.push((name.to_owned(), value.to_owned()));
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// A whole number from 0 up.
    pub(crate) fn count(&self, name: &str, default: usize) -> Result<usize, ApiError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        text.trim().parse().map_err(|_| ApiError::bad(format!("{name}={text} is not a whole number from 0 up")))
    }

    /// True or false, in any of the usual words.
    pub(crate) fn boolean(&self, name: &str, default: bool) -> Result<bool, ApiError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Ok(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Ok(false),
            _ => Err(ApiError::bad(format!("{name}={text} is not true or false"))),
        }
    }

    /// A number that must be there, within bounds.
    pub(crate) fn number(&self, name: &str, bounds: RangeInclusive<f64>) -> Result<f64, ApiError> {
        let (low, high) = (bounds.start(), bounds.end());
        let wrong = |found: &str| ApiError::bad(format!("{name}{found}: a number from {low} to {high} is needed"));
        let text = self.get(name).ok_or_else(|| wrong(" is missing"))?;
        text.trim().parse().ok().filter(|n| bounds.contains(n)).ok_or_else(|| wrong(&format!("={text}")))
    }

    /// A box in degrees, `west,south,east,north`; west > east crosses the antimeridian.
    pub(crate) fn bbox(&self, name: &str) -> Result<Option<Bbox>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        let sides: Option<Vec<f64>> = inner.split(',').map(|part| part.trim().parse().ok()).collect();
        let sound = |w: f64, s: f64, e: f64, n: f64| {
            let (lon, lat) = (-180.0..=180.0, -90.0..=90.0);
            lon.contains(&w) && lon.contains(&e) && lat.contains(&s) && lat.contains(&n) && s <= n
        };
        match sides.as_deref() {
            Some([w, s, e, n]) if sound(*w, *s, *e, *n) => Ok(Some(Bbox { west: *w, south: *s, east: *e, north: *n })),
            _ => Err(ApiError::bad(format!(
                "{name}={text} is not west,south,east,north in degrees, within ±180 and ±90, south not above north"
            ))),
        }
    }

    /// A JSON value; None if absent or `null`.
    fn json(&self, name: &str, example: &str) -> Result<Option<Value>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let parsed: Result<Value, _> = serde_json::from_str(text);
        let value =
            parsed.map_err(|e| ApiError::bad(format!("{name}={text} is not JSON ({e}); write {name}={example}")))?;
        Ok((!value.is_null()).then_some(value))
    }

    /// A stretch: `[a, b]`, each a number, `"pN"` or null.
    pub(crate) fn stretch(&self, name: &str) -> Result<Option<[Bound; 2]>, ApiError> {
        let Some(value) = self.json(name, "[0,1] or [\"p2\",\"p98\"]")? else { return Ok(None) };
        let wrong = || ApiError::bad(format!("{name} takes two values, such as [0,1], [\"p2\",\"p98\"] or [null,1]"));
        let Some([low, high]) = value.as_array().and_then(|list| <&[Value; 2]>::try_from(list.as_slice()).ok()) else {
            return Err(wrong());
        };
        Ok(Some([bound(name, low)?, bound(name, high)?]))
    }

    /// `color_transform` of a picture of so many bands; none is no operation.
    pub(crate) fn operations(&self, bands: usize) -> Result<Vec<Operation>, ApiError> {
        let Some(text) = self.get("color_transform") else { return Ok(Vec::new()) };
        transform::parse(text, bands).map_err(|fault| ApiError::bad(format!("color_transform: {fault}")))
    }

    /// A picture's size, `[height, width]`.
    pub(crate) fn size(&self, max: u32) -> Result<Size, ApiError> {
        let Some(value) = self.json("tile_size", "[256,256]")? else { return Ok(Size { height: 256, width: 256 }) };
        let wrong = || ApiError::bad(format!("tile_size takes [height,width], each a whole number from 1 to {max}"));
        let sides: Option<Vec<u64>> = value.as_array().and_then(|list| list.iter().map(Value::as_u64).collect());
        match sides.as_deref() {
            Some([height, width]) if [height, width].iter().all(|s| (1..=u64::from(max)).contains(*s)) => {
                Ok(Size { height: *height as u32, width: *width as u32 })
            }
            _ => Err(wrong()),
        }
    }

    /// `explicit_color_map`.
    pub(crate) fn explicit_map(&self) -> Result<Option<ExplicitMap>, ApiError> {
        const NAME: &str = "explicit_color_map";
        let Some(value) = self.json(NAME, r#"{"0":"99d594","1":[255,255,191]}"#)? else { return Ok(None) };
        let Value::Object(entries) = value else {
            return Err(ApiError::bad(format!(
                "{NAME} takes an object of values and colors, such as {{\"0\":\"99d594\"}}"
            )));
        };
        if entries.len() > COLORS {
            return Err(ApiError::bad(format!("{NAME} has {} values; {COLORS} are the most", entries.len())));
        }
        let mut map = ExplicitMap::new();
        for (key, color) in entries {
            let value = key.trim().parse::<f64>().ok().filter(|v| v.is_finite());
            let value = value.ok_or_else(|| ApiError::bad(format!("{NAME}: {key:?} is not a number")))?;
            let color = parse_color(&color).ok_or_else(|| {
                ApiError::bad(format!(
                    "{NAME}: {color} is not a color; write \"RRGGBB\", [r,g,b] or [r,g,b,a], each 0 to 255"
                ))
            })?;
            map.push((value, color));
        }
        Ok((!map.is_empty()).then_some(map))
    }
}

/// One end of a stretch from JSON.
pub(crate) fn bound(name: &str, value: &Value) -> Result<Bound, ApiError> {
    let percentile = |text: &str| text.strip_prefix('p')?.parse::<f64>().ok().filter(|p| (0.0..=100.0).contains(p));
    match value {
        Value::Null => Ok(Bound::Own),
        Value::Number(number) => Ok(Bound::Number(number.as_f64().unwrap_or(f64::NAN))),
        Value::String(text) => percentile(text)
            .map(Bound::Percentile)
            .ok_or_else(|| ApiError::bad(format!("{name}: {text:?} is not a percentile \"p0\" to \"p100\""))),
        _ => Err(ApiError::bad(format!("{name}: {value} is not a number, a percentile such as \"p2\", or null"))),
    }
}

/// A stretch in numbers. Without statistics there is nothing to show, and any will do.
pub(crate) fn resolve(stretch: Option<[Bound; 2]>, statistics: Option<&BandStatistics>) -> (f64, f64) {
    let [low, high] = stretch.unwrap_or([Bound::Own, Bound::Own]);
    let value = |bound: Bound, own: fn(&BandStatistics) -> f64, fallback: f64| match (bound, statistics) {
        (Bound::Number(number), _) => number,
        (Bound::Own, Some(statistics)) => own(statistics),
        (Bound::Percentile(p), Some(statistics)) => percentile(statistics, p),
        (_, None) => fallback,
    };
    (value(low, |s| s.min, 0.0), value(high, |s| s.max, 1.0))
}

/// The p-th percentile; p0 is the minimum, p100 the maximum, those between whole ones are interpolated.
fn percentile(statistics: &BandStatistics, p: f64) -> f64 {
    let at = |n: usize| match n {
        0 => statistics.min,
        n => statistics.percentiles.get(n - 1).copied().unwrap_or(statistics.max),
    };
    let (below, part) = (p.floor() as usize, p.fract());
    if part == 0.0 { at(below) } else { at(below) + (at(below + 1) - at(below)) * part }
}

/// `RRGGBB` with or without `#`, or a list of three or four numbers.
pub(crate) fn parse_color(value: &Value) -> Option<[u8; 4]> {
    if let Value::String(text) = value {
        return parse_hex(text);
    }
    let parts: Option<Vec<u8>> = value
        .as_array()?
        .iter()
        .map(|part| part.as_f64().filter(|v| (0.0..=255.0).contains(v)).map(|v| v as u8))
        .collect();
    match parts?.as_slice() {
        [r, g, b] => Some([*r, *g, *b, 255]),
        [r, g, b, a] => Some([*r, *g, *b, *a]),
        _ => None,
    }
}

/// `RRGGBB` with or without `#`.
pub(crate) fn parse_hex(text: &str) -> Option<[u8; 4]> {
    let digits = text.strip_prefix('#').unwrap_or(text);
    if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let number = u32::from_str_radix(digits, 16).ok()?;
    let [_, r, g, b] = number.to_be_bytes();
    Some([r, g, b, 255])
}

fn decode(text: &str) -> String {
    let spaced = text.replace('+', " ");
    percent_decode(spaced.as_bytes()).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_a_repeated_parameter_wins_and_plus_is_a_space() {
        let params = Params::parse("a=1&a=2&b=x+y%2B&%63&&=");
        assert_eq!((params.get("a"), params.get("b"), params.get("c")), (Some("1"), Some("x y+"), Some("")));
    }

    #[test]
    fn stretches_take_numbers_percentiles_and_null() {
        let stretch = |text: &str| Params::parse(&format!("s={text}")).stretch("s");
        assert_eq!(stretch("[1,\"p98\"]"), Ok(Some([Bound::Number(1.0), Bound::Percentile(98.0)])));
        assert_eq!(stretch("[null,\"p2.5\"]"), Ok(Some([Bound::Own, Bound::Percentile(2.5)])));
        assert_eq!(stretch("null"), Ok(None));
        for bad in ["", "foo", "[1]", "[1,2,3]", "[1,\"p101\"]", "[1,\"p\"]", "[1,[2]]", "{}", "[1,\"pnan\"]"] {
            assert!(stretch(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn colors_come_as_hex_or_lists() {
        let map = |text: &str| Params::parse(&format!("explicit_color_map={text}")).explicit_map();
        let want = vec![(0.0, [0x99, 0xd5, 0x94, 255]), (1.5, [1, 2, 3, 4])];
        assert_eq!(map(r#"{"0":"%2399d594","1.5":[1,2,3,4]}"#), Ok(Some(want)));
        for bad in
            ["{\"a\":\"99d594\"}", "{\"0\":\"99d59\"}", "{\"0\":[1,2]}", "{\"0\":[1,2,256]}", "{\"0\":\"é1234\"}", "[]"]
        {
            assert!(map(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn percentiles_are_the_nth_and_between() {
        let statistics = BandStatistics {
            min: -1.0,
            max: 200.0,
            mean: 0.0,
            stdev: 0.0,
            percentiles: (1..100).map(f64::from).collect(),
            histogram: shared::metadata::Histogram { min: 0.0, max: 1.0, counts: vec![] },
            valid_pixels: 1,
        };
        let of = |p| percentile(&statistics, p);
        assert_eq!((of(0.0), of(1.0), of(98.0), of(99.0), of(100.0), of(0.5)), (-1.0, 1.0, 98.0, 99.0, 200.0, 0.0));
    }
}
