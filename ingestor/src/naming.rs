//! How the paths of a source give key values: by pattern, or for a plain folder as `name` and `band`.

use serde::{Deserialize, Serialize};
use shared::collection::Key;
use shared::pattern::Pattern;

/// A source's naming rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// Keys `name` and `band`; every file is an input.
    Folder,
    /// The pattern's keys; what matches is an input.
    Pattern(Pattern),
}

/// Key names and the values a path gives; None at the key that takes the band's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyTemplate {
    /// Key names in order.
    pub names: Vec<String>,
    /// Their values.
    pub values: Vec<Option<String>>,
    /// Index of the key that takes the variable's name; its value is empty until that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variable_key: Option<usize>,
}

impl Naming {
    /// Key names in order.
    pub fn key_names(&self) -> Vec<String> {
        match self {
            Self::Folder => vec!["name".to_owned(), "band".to_owned()],
            Self::Pattern(pattern) => pattern.keys().to_vec(),
        }
    }

    /// The keys for the collection's definition.
    pub fn keys(&self) -> Vec<Key> {
        self.key_names().into_iter().map(|name| Key { name, description: None }).collect()
    }

    /// The pattern's text.
    pub fn pattern_text(&self) -> Option<&str> {
        match self {
            Self::Folder => None,
            Self::Pattern(pattern) => Some(pattern.text()),
        }
    }

    /// What a path gives; None if it is no input.
    pub fn template(&self, path: &str) -> Option<KeyTemplate> {
        let (mut values, variable_key) = match self {
            Self::Folder => (vec![Some(folder_name(path)), None], None),
            Self::Pattern(pattern) => (pattern.matches(path)?, pattern.variable_key()),
        };
        if let Some(value) = variable_key.and_then(|key| values.get_mut(key)) {
            *value = Some(String::new());
        }
        Some(KeyTemplate { names: self.key_names(), values, variable_key })
    }
}

impl KeyTemplate {
    /// Index of the key that takes the band's value.
    pub fn band_key(&self) -> Option<usize> {
        self.values.iter().position(Option::is_none)
    }

    /// All key values, with the band's in its place.
    pub fn with_band(&self, band: &str) -> Vec<String> {
        self.values.iter().map(|value| value.clone().unwrap_or_else(|| band.to_owned())).collect()
    }
}

/// The path without `.tif` or `.tiff`, any other extension kept, `/` written `:`.
fn folder_name(path: &str) -> String {
    let lower = path.to_ascii_lowercase();
    let cut = [".tif", ".tiff"].iter().find(|ext| lower.ends_with(**ext)).map_or(0, |ext| ext.len());
    let stem = &path[..path.len() - cut];
    stem.replace('/', ":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_folder_names_by_path() {
        for (path, name) in [
            ("a.tif", "a"),
            ("x/y/b.TIFF", "x:y:b"),
            ("c.nc", "c.nc"),
            ("lcv_s0..0cm_v3.2.tif", "lcv_s0..0cm_v3.2"),
            ("plain", "plain"),
        ] {
            let template = Naming::Folder.template(path).unwrap();
            assert_eq!(template.with_band("1"), [name, "1"]);
            assert_eq!(template.band_key(), Some(1));
        }
    }
}
