//! The hash of a plan: fed unambiguously, texts by length and numbers by their bits.

use shared::dataset::{Dataset, Validity};

use super::place::Size;
use super::plan::{Layer, Paint, RENDERER_VERSION, Scale};

/// A hash being fed.
pub(super) struct Canon(blake3::Hasher);

impl Canon {
    /// Everything of a layer but its datasets.
    pub(super) fn new(layer: &Layer) -> Self {
        let mut canon = Self::sized(layer.format.extension(), layer.size);
        match &layer.paint {
            Paint::Grey => canon.text("grey"),
            Paint::Rgb => canon.text("rgb"),
            Paint::Palette(colors) => {
                canon.text("palette");
                canon.number(colors.len() as u64);
                canon.0.update(bytemuck::cast_slice(colors));
            }
        }
        canon.number(layer.transform.len() as u64);
        for operation in &layer.transform {
            canon.text(&operation.to_string());
        }
        layer.scales.iter().for_each(|scale| canon.scale(scale));
        canon.text(layer.formula.as_ref().map_or("", |formula| formula.text()));
        canon
    }

    /// A picture with nothing on it.
    pub(super) fn empty(layer: &Layer) -> Self {
        let mut canon = Self::sized(layer.format.extension(), layer.size);
        canon.text("empty");
        canon
    }

    fn sized(format: &str, size: Size) -> Self {
        let mut canon = Self(blake3::Hasher::new());
        canon.number(RENDERER_VERSION);
        canon.text(format);
        canon.number(u64::from(size.height));
        canon.number(u64::from(size.width));
        canon
    }

    /// What of a dataset decides pixels.
    pub(super) fn dataset(&mut self, dataset: &Dataset) {
        self.text(&dataset.path);
        self.number(u64::from(dataset.sample));
        self.text(dataset.cog.validity.name());
        if let Validity::Nodata(value) = dataset.cog.validity {
            self.float(value);
        }
        self.number(u64::from(dataset.metadata.categorical.is));
    }

    fn scale(&mut self, scale: &Scale) {
        match scale {
            Scale::Stretch { low, high } => {
                self.text("stretch");
                self.float(*low);
                self.float(*high);
            }
            Scale::Labels(values) => {
                self.text("labels");
                self.number(values.len() as u64);
                for value in values {
                    self.float(*value);
                }
            }
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.update(text.as_bytes());
    }

    pub(super) fn number(&mut self, number: u64) {
        self.0.update(&number.to_le_bytes());
    }

    pub(super) fn float(&mut self, number: f64) {
        self.0.update(&number.to_bits().to_le_bytes());
    }

    pub(super) fn finish(&self) -> blake3::Hash {
        self.0.finalize()
    }
}
