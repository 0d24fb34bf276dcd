//! The map under the page's own layers, where an operator names one: a template of raster tiles, or a style of MapLibre's.

use serde_json::{Value, json};

/// Bytes of a URL, and of an attribution.
const TEXT_BYTES_MAX: usize = 2000;
/// What MapLibre puts into a template.
const PLACEHOLDERS: [&str; 7] = ["z", "x", "y", "quadkey", "bbox-epsg-3857", "ratio", "prefix"];

/// A base map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Basemap {
    url: String,
    is_style: bool,
    attribution: Option<String>,
    /// Scheme and host.
    origin: String,
}

impl Basemap {
    /// Reads the settings, or says what is wrong.
    pub(crate) fn parse(url: &str, attribution: Option<&str>) -> Result<Self, String> {
        let wrong = |what: &str| {
            Err(format!(
                "basemap: {url:?} {what}; write https://tiles.example.org/{{z}}/{{x}}/{{y}}.png, or the URL of a style"
            ))
        };
        let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
        else {
            return wrong("is not a URL");
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let is_host = host.bytes().any(|b| b.is_ascii_alphanumeric())
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b));
        if !is_host {
            return wrong("names no host: letters, digits, dots and a port");
        }
        if url.len() > TEXT_BYTES_MAX || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return wrong("is too long, or has spaces in it");
        }
        let names = placeholders(url);
        if let Some(name) = names.iter().find(|name| !PLACEHOLDERS.contains(name)) {
            return wrong(&format!("has {{{name}}}, which no map fills in"));
        }
        let has = |name: &str| names.contains(&name);
        let is_placed = has("quadkey") || has("bbox-epsg-3857") || (has("z") && has("x") && has("y"));
        if !names.is_empty() && !is_placed {
            return wrong("does not say which tile: {z}, {x} and {y} are needed");
        }
        if attribution.is_some_and(|text| text.len() > TEXT_BYTES_MAX) {
            return Err(format!("basemap_attribution: it is longer than {TEXT_BYTES_MAX} bytes"));
        }
        Ok(Self {
            url: url.to_owned(),
            is_style: names.is_empty(),
            attribution: attribution.map(str::to_owned),
            origin: format!("{scheme}://{host}"),
        })
    }

    /// As the page is told of it.
    pub(crate) fn json(&self) -> Value {
        if self.is_style {
            return json!({ "kind": "style", "url": self.url, "attribution": self.attribution });
        }
        json!({ "kind": "raster", "tiles": [self.url], "attribution": self.attribution })
    }

    /// Where the page must be let ask: a style names tiles, letters and signs that may lie anywhere.
    pub(crate) fn origins(&self) -> String {
        if self.is_style { format!("https: {}", self.origin) } else { self.origin.clone() }
    }
}

/// What stands between braces.
fn placeholders(url: &str) -> Vec<&str> {
    url.split('{').skip(1).map(|rest| rest.split('}').next().unwrap_or_default()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_map_is_a_template_or_a_style() {
        let tiles = Basemap::parse("https://a.example.org:8443/{z}/{x}/{y}.png?key=1", Some("© who")).unwrap();
        assert_eq!(tiles.origins(), "https://a.example.org:8443");
        assert_eq!(tiles.json()["tiles"][0], "https://a.example.org:8443/{z}/{x}/{y}.png?key=1");
        assert_eq!((&tiles.json()["kind"], &tiles.json()["attribution"]), (&json!("raster"), &json!("© who")));
        let style = Basemap::parse("http://example.org/style.json", None).unwrap();
        assert_eq!((&style.json()["kind"], style.origins().as_str()), (&json!("style"), "https: http://example.org"));
        Basemap::parse("https://example.org/{quadkey}", None).unwrap();
    }

    #[test]
    fn what_no_map_could_use_is_said() {
        for (url, said) in [
            ("osm", "is not a URL"),
            ("ftp://example.org/{z}/{x}/{y}", "is not a URL"),
            ("https:///style.json", "names no host"),
            ("https://me:secret@example.org/style.json", "names no host"),
            ("https://example.org; script-src */x.json", "names no host"),
            ("https://example.org/{z}/{x}.png", "does not say which tile"),
            ("https://example.org/{s}/{z}/{x}/{y}.png", "{s}"),
            ("https://example.org/a b.json", "spaces"),
        ] {
            let fault = Basemap::parse(url, None).unwrap_err();
            assert!(fault.starts_with("basemap: ") && fault.contains(said), "{url}: {fault}");
        }
    }
}
