//! Collections: datasets that share one ordered list of key names and one name pattern.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Key names a query string already uses for something else.
pub const RESERVED_KEYS: [&str; 12] =
    ["limit", "page", "order_by", "ascending", "bbox", "bounds", "snapshot", "prefix", "total", "after", "v", "method"];
/// Keys a collection may have.
pub const KEYS_MAX: usize = 16;
/// Bytes in a collection's name.
pub const NAME_BYTES_MAX: usize = 64;
/// Colors of a colour map: one for each value that a valid pixel of a picture can have, 1 to 255.
pub const COLORMAP_COLORS: usize = 255;
/// Bytes in one key value.
pub const KEY_VALUE_BYTES_MAX: usize = 1024;

/// Datasets that share key names. What of it is served travels to every server with the snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Collection {
    /// `[a-z0-9_-]{1,64}`.
    pub name: String,
    /// For people.
    pub title: String,
    /// Whether root routes serve this one.
    pub default: bool,
    /// Key names, in order.
    pub keys: Vec<Key>,
    /// The name pattern, for people; None for a plain folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Who wins when two inputs have the same key values.
    pub on_conflict: OnConflict,
    /// How it is shown when a request does not say.
    pub style: Style,
    /// Custom colour maps: `COLORMAP_COLORS` colours each, by lower-case name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub colormaps: BTreeMap<String, Vec<[u8; 4]>>,
}

/// One key of a collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its name.
    pub name: String,
    /// What it means, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// What happens when two inputs have the same key values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnConflict {
    /// The newest by source time, then by path.
    #[default]
    Newest,
    /// Whoever came first; the newcomer is rejected.
    First,
}

/// Defaults of the pictures of a collection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Style {
    /// Colour map of `/singleband`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colormap: Option<String>,
    /// Stretch: `[a, b]`, each a number, `"pN"` or null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stretch: Option<[serde_json::Value; 2]>,
    /// Classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Category>,
    /// Unit of the values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Attribution for maps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<String>,
}

impl Style {
    /// What is wrong with it, as far as it says so itself.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for end in self.stretch.iter().flatten() {
            let percentile =
                |text: &str| text.strip_prefix('p')?.parse::<f64>().ok().filter(|p| (0.0..=100.0).contains(p));
            let sound = match end {
                serde_json::Value::Null | serde_json::Value::Number(_) => true,
                serde_json::Value::String(text) => percentile(text).is_some(),
                _ => false,
            };
            if !sound {
                faults.push(format!("stretch: {end} is not a number nor a percentile \"p0\" to \"p100\""));
            }
        }
        for color in self.categories.iter().filter_map(|category| category.color.as_ref()) {
            let digits = color.strip_prefix('#').unwrap_or(color);
            if digits.len() != 6 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                faults.push(format!("categories: {color:?} is not a color; write \"RRGGBB\""));
            }
        }
        if self.categories.len() > COLORMAP_COLORS {
            faults.push(format!("categories: {} are more than {COLORMAP_COLORS}", self.categories.len()));
        }
        faults
    }

    /// This style, and where it is silent another.
    #[must_use]
    pub fn over(self, base: &Self) -> Self {
        // Classes and a ramp exclude each other: who sets one does not inherit the other.
        let (colormap, categories) = if self.colormap.is_some() || !self.categories.is_empty() {
            (self.colormap, self.categories)
        } else {
            (base.colormap.clone(), base.categories.clone())
        };
        Self {
            colormap,
            categories,
            stretch: self.stretch.or_else(|| base.stretch.clone()),
            unit: self.unit.or_else(|| base.unit.clone()),
            attribution: self.attribution.or_else(|| base.attribution.clone()),
        }
    }
}

/// One class of a categorical collection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Category {
    /// Pixel value.
    pub value: i64,
    /// For the legend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// `RRGGBB` or `#RRGGBB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
}

/// What is wrong with a collection's definition.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CollectionError {
    /// The name.
    #[error("collection name {0:?} is not 1 to 64 of the characters a-z 0-9 _ -")]
    Name(String),
    /// A key with a name that means something else in a query.
    #[error(
        "key name {0:?} is reserved: a key may not contain a dot nor be one of limit, page, order_by, ascending, bbox, bounds, snapshot, prefix, total, \
         after, v, method; use another name in the pattern"
    )]
    ReservedKey(String),
    /// The same key twice.
    #[error("key {0:?} is named twice")]
    DuplicateKey(String),
    /// Too few or too many keys.
    #[error("{0} keys; a collection has 1 to 16")]
    KeyCount(usize),
    /// A colour map too short or too long.
    #[error("colormap {name:?} has {count} colors, not 255; give one [r, g, b, a] for each of the values 1 to 255")]
    ColormapColors {
        /// The map.
        name: String,
        /// How many it has.
        count: usize,
    },
}

/// Whether a name may be a collection's.
pub fn is_collection_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-')
}

impl Collection {
    /// Every fault of the definition.
    pub fn faults(&self) -> Vec<CollectionError> {
        let mut faults = Vec::new();
        if !is_collection_name(&self.name) {
            faults.push(CollectionError::Name(self.name.clone()));
        }
        if self.keys.is_empty() || self.keys.len() > KEYS_MAX {
            faults.push(CollectionError::KeyCount(self.keys.len()));
        }
        for (index, key) in self.keys.iter().enumerate() {
            if key.name.contains('.') || RESERVED_KEYS.contains(&key.name.as_str()) {
                faults.push(CollectionError::ReservedKey(key.name.clone()));
            }
            if self.keys[..index].iter().any(|other| other.name == key.name) {
                faults.push(CollectionError::DuplicateKey(key.name.clone()));
            }
        }
        let misfits = self.colormaps.iter().filter(|(_, colors)| colors.len() != COLORMAP_COLORS);
        faults.extend(
            misfits.map(|(name, colors)| CollectionError::ColormapColors { name: name.clone(), count: colors.len() }),
        );
        faults
    }

    /// Key names in order.
    pub fn key_names(&self) -> Vec<&str> {
        self.keys.iter().map(|key| key.name.as_str()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colormap_of_another_length_is_a_fault() {
        let map = |count: usize| (format!("of{count}"), vec![[0, 0, 0, 255]; count]);
        let collection = Collection {
            name: "default".to_owned(),
            title: String::new(),
            default: true,
            keys: vec![Key { name: "name".to_owned(), description: None }],
            pattern: None,
            on_conflict: OnConflict::Newest,
            style: Style::default(),
            colormaps: [0, 254, 255, 256].map(map).into(),
        };
        let faults = [0, 254, 256].map(|count| CollectionError::ColormapColors { name: format!("of{count}"), count });
        assert_eq!(collection.faults(), faults);
    }
}
