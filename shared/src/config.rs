//! Settings: flag over `KILN_<NAME>` over `kiln.toml` over default. Raw values go through one conversion that reports every fault at once.
//!
//! The environment is read here and nowhere else.

use std::path::Path;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

/// Every fault of a configuration, one per line.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigFaults(pub Vec<String>);

/// Raw settings, taken one by one; what is left over is a fault.
#[derive(Debug)]
pub struct Options {
    place: String,
    table: Table,
    known: Vec<&'static str>,
    faults: Vec<String>,
}

impl Options {
    /// Merges a file, the environment and flags. `names` are the settings that exist at the top level.
    pub fn load(file: Option<&Path>, flags: Table, names: &[&str]) -> Self {
        let mut faults = Vec::new();
        let mut table = Table::new();
        if let Some(file) = file {
            match std::fs::read_to_string(file) {
                Err(error) => faults.push(format!("cannot read the configuration {}: {error}", file.display())),
                Ok(text) => match text.parse::<Table>() {
                    Ok(parsed) => table = parsed,
                    Err(error) => {
                        faults.push(format!("{} is not TOML: {}", file.display(), error.to_string().trim_end()));
                    }
                },
            }
        }
        let place = file.map(|f| f.display().to_string()).unwrap_or_default();
        for name in names {
            let variable = format!("KILN_{}", name.to_uppercase());
            if let Some(text) = std::env::var(&variable).ok().filter(|text| !text.is_empty()) {
                table.insert((*name).to_owned(), parse_variable(&text));
            }
        }
        table.extend(flags);
        Self { place, table, known: Vec::new(), faults }
    }

    /// Settings of a table within these.
    pub fn nested(place: String, table: Table) -> Self {
        Self { place, table, known: Vec::new(), faults: Vec::new() }
    }

    /// Takes one setting. A value of the wrong kind is a fault.
    pub fn take<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        self.known.push(name);
        let value = self.table.remove(name)?;
        // A variable `KILN_COLLECTION=2024` looks like a number, and is a text where one is asked for.
        let as_text = (value.is_integer() || value.is_bool()).then(|| Value::String(value.to_string()));
        let shown = if name.ends_with("secret") { "…".to_owned() } else { value.to_string() };
        match value.try_into().or_else(|error| as_text.and_then(|text| text.try_into().ok()).ok_or(error)) {
            Ok(value) => Some(value),
            Err(error) => {
                let error = error.to_string();
                self.fault(format!("{name} = {shown}: {}", error.lines().next().unwrap_or_default().trim_end()));
                None
            }
        }
    }

    /// Takes a number within bounds.
    pub fn take_within(&mut self, name: &'static str, bounds: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let value: u64 = self.take(name)?;
        if bounds.contains(&value) {
            return Some(value);
        }
        self.fault(format!("{name} = {value}: must be {} to {}", bounds.start(), bounds.end()));
        None
    }

    /// Notes a fault at this place.
    pub fn fault(&mut self, fault: impl std::fmt::Display) {
        let place = if self.place.is_empty() { String::new() } else { format!("{}: ", self.place) };
        self.faults.push(format!("{place}{fault}"));
    }

    /// Takes over the faults of nested settings.
    pub fn adopt(&mut self, nested: Vec<String>) {
        self.faults.extend(nested);
    }

    /// All faults, those left over among them.
    pub fn finish(mut self) -> Vec<String> {
        self.known.sort_unstable();
        let known = self.known.join(", ");
        for name in self.table.keys().cloned().collect::<Vec<_>>() {
            self.fault(format!("unknown option {name:?}; the options here are {known}"));
        }
        self.faults
    }
}

/// A variable's value: JSON for lists, tables, numbers and booleans; anything else is text.
fn parse_variable(text: &str) -> Value {
    let as_json = serde_json::from_str::<serde_json::Value>(text).ok().filter(|v| !v.is_string() && !v.is_null());
    as_json.and_then(|json| Value::try_from(json).ok()).unwrap_or_else(|| Value::String(text.to_owned()))
}

/// A folder of the XDG base directory specification: `$variable`, else `$HOME/fallback`, else a folder for temporary files.
pub fn xdg_folder(variable: &str, fallback: &str) -> std::path::PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(std::path::PathBuf::from);
    set(variable).or_else(|| set("HOME").map(|home| home.join(fallback))).unwrap_or_else(std::env::temp_dir)
}

/// Where the environment says that clouds are reached, if not where they are by themselves.
pub fn endpoints() -> String {
    const NAMES: [&str; 5] =
        ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "GOOGLE_BASE_URL", "AZURE_STORAGE_ENDPOINT"];
    NAMES.iter().filter_map(|name| std::env::var(name).ok()).collect::<Vec<_>>().join(" ")
}

/// Whether the environment has a variable at all.
pub fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// A setting that only tests use, from the environment.
pub fn test_setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_faults_are_reported_at_once() {
        let mut options = Options::nested(
            "kiln.toml".to_owned(),
            "threads = 'many'\nmemory = 4\ncolour = 1\nlisten = 'x'".parse().unwrap(),
        );
        assert_eq!(options.take::<u64>("threads"), None);
        assert_eq!(options.take_within("memory", 64..=1024), None);
        assert_eq!(options.take::<String>("listen").as_deref(), Some("x"));
        assert_eq!(
            Options::nested(String::new(), "name = 2024".parse().unwrap()).take("name"),
            Some("2024".to_owned())
        );
        let faults = options.finish();
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults[0].contains("threads") && faults[1].contains("64 to 1024"), "{faults:?}");
        assert!(
            faults[2].contains("unknown option \"colour\"") && faults[2].contains("listen, memory, threads"),
            "{faults:?}"
        );
    }

    #[test]
    fn variables_hold_json_or_text() {
        assert_eq!(parse_variable("3"), Value::Integer(3));
        assert_eq!(parse_variable("127.0.0.1:5000"), Value::String("127.0.0.1:5000".to_owned()));
        assert!(parse_variable(r#"["a"]"#).is_array());
        assert!(parse_variable(r#"{"a":{"b":true}}"#).is_table());
    }
}
