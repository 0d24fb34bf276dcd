//! `<raster>.kiln.toml` beside a raster: its own style, and free metadata of its user.

use std::path::Path;

use serde_json::{Map, Value};
use shared::collection::Style;
use toml::Table;

use super::ConvertedCog;
use super::fault::Fault;

/// What is appended to the raster's name.
const SUFFIX: &str = ".kiln.toml";
/// Bytes of such a file.
const BYTES_MAX: u64 = 256 << 10;
/// The table of free metadata; all else is style.
const METADATA: &str = "metadata";

/// What was found beside a raster.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Beside {
    style: Option<Style>,
    user: Map<String, Value>,
}

impl Beside {
    /// Reads the file of a staged raster; without one, nothing is said.
    /// `own` are the collection's color maps.
    pub(super) fn of(raster: &Path, own: &[String]) -> Result<Self, Fault> {
        let mut name = raster.file_name().unwrap_or_default().to_owned();
        name.push(SUFFIX);
        let file = raster.with_file_name(&name);
        let wrong = |what: &dyn std::fmt::Display| {
            let what = what.to_string();
            Fault::Refused(format!("{} beside it is wrong: {}", name.to_string_lossy(), what.trim_end()))
        };
        match std::fs::metadata(&file) {
            Err(_) => return Ok(Self::default()),
            Ok(meta) if meta.len() > BYTES_MAX => return Err(wrong(&format!("it is larger than {BYTES_MAX} bytes"))),
            Ok(_) => {}
        }
        let text = std::fs::read_to_string(&file).map_err(|error| wrong(&error))?;
        let mut table: Table = text.parse().map_err(|error| wrong(&error))?;
        let user = match table.remove(METADATA) {
            None => Map::new(),
            Some(toml::Value::Table(metadata)) => {
                metadata.into_iter().map(|(name, value)| (name, json(value))).collect()
            }
            Some(_) => return Err(wrong(&"metadata is not a table; write [metadata] and names below it")),
        };
        if table.is_empty() {
            return Ok(Self { style: None, user });
        }
        let style: Style = table.try_into().map_err(|error| wrong(&error))?;
        let mut faults = style.faults();
        faults.extend(
            style
                .colormap
                .iter()
                .filter(|name| !server::is_colormap(name) && !own.contains(name))
                .map(|name| format!("there is no colormap {name:?}; GET /colormaps lists them")),
        );
        if faults.is_empty() { Ok(Self { style: Some(style), user }) } else { Err(wrong(&faults.join("; "))) }
    }

    /// Puts it into the records.
    pub(super) fn put_into(&self, cogs: &mut [ConvertedCog]) {
        for dataset in cogs.iter_mut().flat_map(|cog| &mut cog.datasets) {
            dataset.metadata.style.clone_from(&self.style);
            dataset.metadata.user.clone_from(&self.user);
        }
    }
}

/// TOML as JSON; dates and times as text.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => {
            serde_json::Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
        }
        toml::Value::Boolean(is) => is.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(list) => list.into_iter().map(json).collect(),
        toml::Value::Table(table) => {
            Value::Object(table.into_iter().map(|(name, value)| (name, json(value))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Beside, String> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("x.tif.kiln.toml"), text).unwrap();
        Beside::of(&dir.path().join("x.tif"), &["ours".to_owned()]).map_err(|fault| fault.to_string())
    }

    #[test]
    fn style_and_metadata_are_read() {
        let found = of("unit = \"m\"\nstretch = [0, \"p98\"]\n[[categories]]\nvalue = 1\ncolor = \"#ff0000\"\n[metadata]\nday = 2026-01-02\nn = [1, 2.5]").unwrap();
        let style = found.style.unwrap();
        assert_eq!((style.unit.as_deref(), style.categories.len()), (Some("m"), 1));
        assert_eq!(Value::Object(found.user), serde_json::json!({"day": "2026-01-02", "n": [1, 2.5]}));
        assert_eq!(of("[metadata]\na = 1").unwrap().style, None);
        assert!(of("colormap = \"ours\"").is_ok());
        assert_eq!(Beside::of(Path::new("/nowhere/x.tif"), &[]).unwrap(), Beside::default());
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, word) in [
            ("colour = 1", "colour"),
            ("colormap = \"nope\"", "nope"),
            ("stretch = [1, \"q\"]", "\"q\""),
            ("[[categories]]\nvalue = 1\ncolor = \"red\"", "red"),
            ("metadata = 1", "table"),
            ("= 1", "x.tif.kiln.toml"),
        ] {
            let fault = of(text).unwrap_err();
            assert!(fault.contains(word) && fault.contains("x.tif.kiln.toml"), "{text}: {fault}");
        }
    }
}
