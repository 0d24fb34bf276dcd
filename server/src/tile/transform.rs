//! `color_transform`: operations on data scaled to [0, 1], in the language of Mapbox's rio-color (now `color-operations` 0.4), whose formulas these are.

use std::fmt;

/// Bytes of a `color_transform` parameter.
const TEXT_BYTES_MAX: usize = 1024;
/// Operations in one.
const OPERATIONS_MAX: usize = 32;
/// What a bias of 0 becomes: the spacing of doubles at 1, as in rio-color.
const EPSILON: f64 = f64::EPSILON;

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Operation {
    /// `x^(1/g)`.
    Gamma { bands: [bool; 3], g: f64 },
    /// Sigmoidal contrast; negative contrast is the inverse.
    Sigmoidal { bands: [bool; 3], contrast: f64, bias: f64 },
    /// Chroma times `proportion`, in `LCh` of CIE Lab under D65.
    Saturation { proportion: f64 },
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |bands: &[bool; 3]| -> String {
            ['1', '2', '3'].iter().zip(bands).filter(|(_, on)| **on).map(|(c, _)| *c).collect()
        };
        match self {
            Self::Gamma { bands, g } => write!(f, "gamma {} {g:?}", list(bands)),
            Self::Sigmoidal { bands, contrast, bias } => write!(f, "sigmoidal {} {contrast:?} {bias:?}", list(bands)),
            Self::Saturation { proportion } => write!(f, "saturation {proportion:?}"),
        }
    }
}

/// Parses a `color_transform` for a picture of so many bands. The error says what is wrong with it.
pub(crate) fn parse(text: &str, bands: usize) -> Result<Vec<Operation>, String> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(format!("it is longer than {TEXT_BYTES_MAX} bytes"));
    }
    let lower = text.to_lowercase();
    let mut tokens = lower.split([' ', ',', '\t', '\n']).filter(|t| !t.is_empty());
    let mut operations = Vec::new();
    while let Some(name) = tokens.next() {
        if operations.len() == OPERATIONS_MAX {
            return Err(format!("it has more than {OPERATIONS_MAX} operations"));
        }
        operations.push(operation(name, &mut tokens, bands)?);
    }
    if operations.is_empty() { Err("it is empty".to_owned()) } else { Ok(operations) }
}

fn operation<'a>(name: &str, tokens: &mut impl Iterator<Item = &'a str>, bands: usize) -> Result<Operation, String> {
    let mut next = |what: &str| tokens.next().ok_or_else(|| format!("{name} lacks its {what}"));
    match name {
        "gamma" => {
            let on = parse_bands(next("bands")?, bands)?;
            let g = number(next("value")?)?;
            if g > 0.0 { Ok(Operation::Gamma { bands: on, g }) } else { Err(format!("gamma {g} is not above 0")) }
        }
        "sigmoidal" => {
            let on = parse_bands(next("bands")?, bands)?;
            let (contrast, bias) = (number(next("contrast")?)?, number(next("bias")?)?);
            if !(0.0..=1.0).contains(&bias) {
                return Err(format!("the bias {bias} of sigmoidal is not between 0 and 1"));
            }
            Ok(Operation::Sigmoidal { bands: on, contrast, bias })
        }
        "saturation" if bands != 3 => Err("saturation needs three bands".to_owned()),
        "saturation" => Ok(Operation::Saturation { proportion: number(next("proportion")?)? }),
        _ => Err(format!("{name:?} is not gamma, sigmoidal or saturation")),
    }
}

fn parse_bands(text: &str, bands: usize) -> Result<[bool; 3], String> {
    let mut on = [false; 3];
    for c in text.chars() {
        let band = match c {
            'r' | '1' => 0,
            'g' | '2' => 1,
            'b' | '3' => 2,
            _ => return Err(format!("{text:?} names other bands than r g b 1 2 3")),
        };
        if band >= bands {
            return Err(format!("{text:?} names a band this picture does not have"));
        }
        on[band] = true;
    }
    Ok(on)
}

fn number(text: &str) -> Result<f64, String> {
    text.parse::<f64>().ok().filter(|n| n.is_finite()).ok_or_else(|| format!("{text:?} is not a number"))
}

/// Whether every operation works on each band alone, so that a lookup table can hold it.
pub(crate) fn is_per_band(operations: &[Operation]) -> bool {
    !operations.iter().any(|o| matches!(o, Operation::Saturation { .. }))
}

/// Applies the operations to one value of one band; those across bands are left out.
pub(crate) fn apply_to_band(operations: &[Operation], band: usize, value: f64) -> f64 {
    operations.iter().fold(value, |x, operation| match operation {
        Operation::Gamma { bands, g } if bands[band] => x.powf(1.0 / g),
        Operation::Sigmoidal { bands, contrast, bias } if bands[band] => sigmoidal(x, *contrast, *bias),
        _ => x,
    })
}

/// Applies all operations to the three bands of a pixel.
pub(crate) fn apply_to_pixel(operations: &[Operation], mut rgb: [f64; 3]) -> [f64; 3] {
    for operation in operations {
        if let Operation::Saturation { proportion } = operation {
            rgb = saturate(rgb, *proportion);
        } else {
            let one = std::slice::from_ref(operation);
            for (band, value) in rgb.iter_mut().enumerate() {
                *value = apply_to_band(one, band, *value);
            }
        }
    }
    rgb
}

fn sigmoidal(x: f64, beta: f64, bias: f64) -> f64 {
    let alpha = if bias == 0.0 { EPSILON } else { bias };
    if beta == 0.0 {
        return x;
    }
    let logistic = |exponent: f64| 1.0 / (1.0 + exponent.exp());
    if beta > 0.0 {
        let least = logistic(beta * alpha);
        (logistic(beta * (alpha - x)) - least) / (logistic(beta * (alpha - 1.0)) - least)
    } else {
        let least = logistic(beta * alpha);
        let span = x * logistic(beta * alpha - beta) - x * least + least;
        (beta * alpha - (1.0 / span - 1.0).ln()) / beta
    }
}

/// White point D65 on the scale of the matrices below.
const WHITE: [f64; 3] = [0.95047, 1.0, 1.08883];
const LAB_DELTA: f64 = 6.0 / 29.0;
const LAB_INTERCEPT: f64 = 4.0 / 29.0;

/// sRGB (IEC 61966-2-1) → XYZ → Lab → `LCh`, C·proportion, and back, clamped.
fn saturate(rgb: [f64; 3], proportion: f64) -> [f64; 3] {
    let [r, g, b] = rgb.map(|v| if v <= 0.04045 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) });
    let x = (r * 0.412_456_4 + g * 0.357_576_1 + b * 0.180_437_5) / WHITE[0];
    let y = (r * 0.212_672_9 + g * 0.715_152_2 + b * 0.072_175_0) / WHITE[1];
    let z = (r * 0.019_333_9 + g * 0.119_192_0 + b * 0.950_304_1) / WHITE[2];
    let f = |v: f64| {
        if v > LAB_DELTA.powi(3) { v.cbrt() } else { v / (3.0 * LAB_DELTA * LAB_DELTA) + LAB_INTERCEPT }
    };
    let (fx, fy, fz) = (f(x), f(y), f(z));
    // Scaling C leaves the hue alone, so a and b scale alike; a negative C turns the hue, as they do.
    let (a, b) = ((fx - fy) * proportion, (fy - fz) * proportion);
    let back = |t: f64| {
        if t > LAB_DELTA { t.powi(3) } else { 3.0 * LAB_DELTA * LAB_DELTA * (t - LAB_INTERCEPT) }
    };
    let (x, y, z) = (back(fy + a) * WHITE[0], back(fy) * WHITE[1], back(fy - b) * WHITE[2]);
    let linear = [
        x * 3.240_454_2 - y * 1.537_138_5 - z * 0.498_531_4,
        -x * 0.969_266_0 + y * 1.876_010_8 + z * 0.041_556_0,
        x * 0.055_643_4 - y * 0.204_025_9 + z * 1.057_225_2,
    ];
    linear.map(|v| {
        let v = if v <= 0.003_130_8 { 12.92 * v } else { 1.055 * v.powf(1.0 / 2.4) - 0.055 };
        v.clamp(0.0, 1.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_are_read_with_spaces_or_commas() {
        let want = vec![
            Operation::Gamma { bands: [true, true, true], g: 1.8 },
            Operation::Sigmoidal { bands: [false, true, true], contrast: 10.0, bias: 0.4 },
            Operation::Saturation { proportion: 1.3 },
        ];
        assert_eq!(parse("gamma rgb 1.8, sigmoidal 23,10,0.4 Saturation 1.3", 3), Ok(want));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for text in ["", " ,", "gamma", "gamma 1", "gamma 1 0", "gamma 1 nan", "gamma 4 1", "gamma 1 1 1", "blur 1 2"] {
            assert!(parse(text, 3).is_err(), "{text:?}");
        }
        assert!(parse("sigmoidal r 3 1.5", 3).is_err());
        assert!(parse("gamma g 2", 1).is_err() && parse("saturation 2", 1).is_err());
        assert!(parse(&"gamma 1 1 ".repeat(40), 1).is_err());
    }

    #[test]
    fn ends_stay_and_inverses_undo() {
        for beta in [3.0, -3.0, 20.0] {
            assert!(sigmoidal(0.0, beta, 0.4).abs() < 1e-9 && (sigmoidal(1.0, beta, 0.4) - 1.0).abs() < 1e-9);
        }
        let there = sigmoidal(0.3, 5.0, 0.5);
        assert!((sigmoidal(there, -5.0, 0.5) - 0.3).abs() < 1e-9);
        let same = saturate([0.2, 0.5, 0.7], 1.0);
        assert!(same.iter().zip([0.2, 0.5, 0.7]).all(|(a, b)| (a - b).abs() < 1e-4));
        let [r, g, b] = saturate([0.2, 0.5, 0.7], 0.0);
        assert!((r - g).abs() < 1e-3 && (g - b).abs() < 1e-3);
    }
}
