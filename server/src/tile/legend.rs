//! Legends drawn: as SVG with the reader's own fonts, and as PNG with a small font of 8×8 pixels.

use std::fmt::Write as _;

use font8x8::UnicodeFonts as _;

use super::encode::{EncodeError, png_rgba};
use super::place::Size;

/// Layout, in pixels.
const MARGIN: usize = 8;
const LINE: usize = 20;
const SWATCH: usize = 14;
const RAMP_WIDTH: usize = 256;
const RAMP_HEIGHT: usize = 16;
const GLYPH: usize = 8;
/// Characters of a label that are drawn.
const LABEL_CHARS_MAX: usize = 64;
/// Values named below a ramp.
const TICKS: usize = 3;

/// One class.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) value: f64,
    pub(crate) label: Option<String>,
    pub(crate) color: [u8; 4],
}

/// What colors mean.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Legend {
    Classes { entries: Vec<Entry>, unit: Option<String> },
    Ramp { colors: Vec<[u8; 4]>, low: f64, high: f64, unit: Option<String> },
}

impl Entry {
    fn text(&self) -> String {
        self.label.clone().unwrap_or_else(|| short(self.value)).chars().take(LABEL_CHARS_MAX).collect()
    }
}

impl Legend {
    fn unit(&self) -> Option<String> {
        let (Self::Classes { unit, .. } | Self::Ramp { unit, .. }) = self;
        unit.as_ref().map(|unit| unit.chars().take(LABEL_CHARS_MAX).collect())
    }

    /// The values below a ramp: its ends and its middle.
    fn ticks(low: f64, high: f64) -> Vec<(usize, String)> {
        let tick = |i: usize| {
            let part = i as f64 / (TICKS - 1) as f64;
            (MARGIN + (part * RAMP_WIDTH as f64) as usize, short(low + (high - low) * part))
        };
        (0..TICKS).map(tick).collect()
    }

    /// The size of the drawing.
    fn size(&self) -> (usize, usize) {
        let unit = usize::from(self.unit().is_some()) * LINE;
        let unit_width = self.unit().map_or(0, |unit| unit.chars().count() * GLYPH);
        match self {
            Self::Ramp { .. } => {
                ((2 * MARGIN + RAMP_WIDTH).max(2 * MARGIN + unit_width), 2 * MARGIN + unit + RAMP_HEIGHT + LINE)
            }
            Self::Classes { entries, .. } => {
                let widest = entries.iter().map(|entry| entry.text().chars().count()).max().unwrap_or(0);
                let width = (SWATCH + MARGIN + widest * GLYPH).max(unit_width);
                (2 * MARGIN + width, 2 * MARGIN + unit + entries.len().max(1) * LINE)
            }
        }
    }

    /// As SVG.
    pub(crate) fn svg(&self) -> String {
        let (width, height) = self.size();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"12\">\
             <rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
        );
        let mut y = MARGIN;
        if let Some(unit) = self.unit() {
            let _ = write!(svg, "<text x=\"{MARGIN}\" y=\"{}\">{}</text>", y + GLYPH + 4, escaped(&unit));
            y += LINE;
        }
        match self {
            Self::Ramp { colors, low, high, .. } => {
                svg += "<defs><linearGradient id=\"ramp\">";
                for (i, [r, g, b, a]) in
                    colors.iter().enumerate().step_by(8).chain(colors.iter().enumerate().next_back())
                {
                    let part = i as f64 / (colors.len().max(2) - 1) as f64;
                    let _ = write!(
                        svg,
                        "<stop offset=\"{part:.4}\" stop-color=\"rgb({r},{g},{b})\" stop-opacity=\"{:.3}\"/>",
                        f64::from(*a) / 255.0
                    );
                }
                let _ = write!(
                    svg,
                    "</linearGradient></defs><rect x=\"{MARGIN}\" y=\"{y}\" width=\"{RAMP_WIDTH}\" height=\"{RAMP_HEIGHT}\" fill=\"url(#ramp)\"/>"
                );
                for (i, (x, text)) in Self::ticks(*low, *high).into_iter().enumerate() {
                    let anchor = ["start", "middle", "end"][i.min(2)];
                    let y = y + RAMP_HEIGHT + GLYPH + 6;
                    let _ = write!(svg, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{text}</text>");
                }
            }
            Self::Classes { entries, .. } => {
                for entry in entries {
                    let [r, g, b, a] = entry.color;
                    let _ = write!(
                        svg,
                        "<rect x=\"{MARGIN}\" y=\"{y}\" width=\"{SWATCH}\" height=\"{SWATCH}\" fill=\"rgb({r},{g},{b})\" fill-opacity=\"{:.3}\" stroke=\"#999\"/>\
                         <text x=\"{}\" y=\"{}\">{}</text>",
                        f64::from(a) / 255.0,
                        2 * MARGIN + SWATCH,
                        y + SWATCH - 2,
                        escaped(&entry.text())
                    );
                    y += LINE;
                }
            }
        }
        svg + "</svg>\n"
    }

    /// As PNG.
    pub(crate) fn png(&self) -> Result<Vec<u8>, EncodeError> {
        let (width, height) = self.size();
        let mut canvas = Canvas { pixels: vec![255; width * height * 4], width, height };
        let mut y = MARGIN;
        if let Some(unit) = self.unit() {
            canvas.text(MARGIN, y + 2, &unit);
            y += LINE;
        }
        match self {
            Self::Ramp { colors, low, high, .. } => {
                for x in 0..RAMP_WIDTH {
                    let at = x * colors.len().max(1) / RAMP_WIDTH;
                    let color = colors.get(at).copied().unwrap_or_default();
                    canvas.fill(MARGIN + x, y, 1, RAMP_HEIGHT, color);
                }
                for (i, (x, text)) in Self::ticks(*low, *high).into_iter().enumerate() {
                    let wide = text.chars().count() * GLYPH;
                    let x = x.saturating_sub(wide * i.min(2) / 2);
                    canvas.text(x, y + RAMP_HEIGHT + 4, &text);
                }
            }
            Self::Classes { entries, .. } => {
                for entry in entries {
                    canvas.fill(MARGIN, y, SWATCH, SWATCH, entry.color);
                    canvas.text(2 * MARGIN + SWATCH, y + (SWATCH - GLYPH) / 2, &entry.text());
                    y += LINE;
                }
            }
        }
        png_rgba(&canvas.pixels, Size { height: height as u32, width: width as u32 })
    }
}

/// White paper.
struct Canvas {
    pixels: Vec<u8>,
    width: usize,
    height: usize,
}

impl Canvas {
    fn dot(&mut self, x: usize, y: usize, [r, g, b, a]: [u8; 4]) {
        if x >= self.width || y >= self.height {
            return;
        }
        let pixel = &mut self.pixels[(y * self.width + x) * 4..][..3];
        for (under, over) in pixel.iter_mut().zip([r, g, b]) {
            let (under_part, over_part) = (u32::from(*under) * (255 - u32::from(a)), u32::from(over) * u32::from(a));
            *under = ((under_part + over_part) / 255) as u8;
        }
    }

    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, color: [u8; 4]) {
        (y..y + height).for_each(|row| (x..x + width).for_each(|col| self.dot(col, row, color)));
    }

    /// What the font does not have is a question mark.
    fn text(&mut self, x: usize, y: usize, text: &str) {
        for (i, c) in text.chars().enumerate() {
            let fonts = [font8x8::BASIC_FONTS.get(c), font8x8::LATIN_FONTS.get(c), font8x8::GREEK_FONTS.get(c)];
            let glyph =
                fonts.into_iter().flatten().next().or_else(|| font8x8::BASIC_FONTS.get('?')).unwrap_or_default();
            for (row, bits) in glyph.iter().enumerate() {
                (0..GLYPH).filter(|col| bits >> col & 1 == 1).for_each(|col| {
                    self.dot(x + i * GLYPH + col, y + row, [32, 32, 32, 255]);
                });
            }
        }
    }
}

/// A value in few digits.
fn short(value: f64) -> String {
    if value != 0.0 && !(1e-3..1e7).contains(&value.abs()) {
        return format!("{value:.2e}");
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Text in XML.
pub(crate) fn escaped(text: &str) -> String {
    let allowed = text.chars().filter(|c| !c.is_control());
    allowed.fold(String::new(), |mut out, c| {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_short() {
        let texts = [0.0, 1.0, -12.5, 0.1234, 1e9, 2e-5, 1234.5678].map(short);
        assert_eq!(texts, ["0", "1", "-12.5", "0.123", "1.00e9", "2.00e-5", "1234.568"]);
    }

    #[test]
    fn labels_are_escaped_and_drawn() {
        let entry = Entry { value: 1.0, label: Some("a <b> & c\u{7}".to_owned()), color: [255, 0, 0, 255] };
        let legend = Legend::Classes { entries: vec![entry], unit: None };
        assert!(legend.svg().contains(">a &lt;b&gt; &amp; c<"), "{}", legend.svg());
        let picture = image::load_from_memory(&legend.png().unwrap()).unwrap().to_rgba8();
        assert_eq!(picture.get_pixel(10, 10).0, [255, 0, 0, 255]);
        assert!(picture.pixels().any(|p| p.0 == [32, 32, 32, 255]));
    }
}
