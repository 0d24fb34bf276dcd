//! The web page's files, as `build.rs` embedded them. Nothing is made of them at start: what is asked for is found and sent as it lies in the binary.

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_ENCODING, IF_NONE_MATCH};

/// The entry of the page.
pub(crate) const INDEX: &str = "index.html";
/// Files below it carry the hash of their content in their names.
const HASHED: &str = "assets/";

/// A file of the page.
#[derive(Debug)]
pub(crate) struct File {
    /// Its path below `/`.
    pub(crate) name: &'static str,
    /// Of its content.
    pub(crate) sum: &'static str,
    pub(crate) plain: &'static [u8],
    pub(crate) gzip: Option<&'static [u8]>,
    pub(crate) brotli: Option<&'static [u8]>,
}

/// The page; without files where it was not built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Page(pub(crate) &'static [File]);

/// The one in this binary, in the order of names.
pub(crate) const EMBEDDED: Page = Page(include!(concat!(env!("OUT_DIR"), "/page.rs")));

impl Page {
    /// A file by its path.
    pub(crate) fn find(self, name: &str) -> Option<&'static File> {
        self.0.binary_search_by(|file| file.name.cmp(name)).ok().and_then(|index| self.0.get(index))
    }
}

impl File {
    /// The smallest form the client takes, and its name as an encoding.
    pub(crate) fn encoded(&self, headers: &HeaderMap) -> (&'static [u8], Option<&'static str>) {
        let takes = |wanted: &str| headers.get_all(ACCEPT_ENCODING).iter().any(|list| accepts(list.as_bytes(), wanted));
        match (self.brotli, self.gzip) {
            (Some(bytes), _) if takes("br") => (bytes, Some("br")),
            (_, Some(bytes)) if takes("gzip") => (bytes, Some("gzip")),
            _ => (self.plain, None),
        }
    }

    /// Its tag in an encoding.
    pub(crate) fn etag(&self, encoding: Option<&str>) -> String {
        encoding.map_or_else(|| format!("\"{}\"", self.sum), |encoding| format!("\"{}-{encoding}\"", self.sum))
    }

    /// Whether the client has it, in whatever encoding.
    pub(crate) fn is_known(&self, headers: &HeaderMap) -> bool {
        let told = headers.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
        told.flat_map(|list| list.split(',')).map(str::trim).any(|tag| {
            let tag = tag.trim_start_matches("W/").trim_matches('"');
            tag == "*" || tag.split_once('-').map_or(tag, |(sum, _)| sum) == self.sum
        })
    }

    /// Whether its content never changes under its name.
    pub(crate) fn is_hashed(&self) -> bool {
        self.name.starts_with(HASHED)
    }

    /// Its type, by the end of its name.
    pub(crate) fn media(&self) -> &'static str {
        match self.name.rsplit('.').next().unwrap_or_default() {
            "html" => "text/html; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "json" => "application/json",
            "geojson" => "application/geo+json",
            "webmanifest" => "application/manifest+json",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "webp" => "image/webp",
            "ico" => "image/x-icon",
            "woff2" => "font/woff2",
            "txt" => "text/plain; charset=utf-8",
            _ => "application/octet-stream",
        }
    }
}

/// Whether an `Accept-Encoding` takes an encoding: by its name or by `*`, and not with the weight 0.
fn accepts(list: &[u8], wanted: &str) -> bool {
    let list = String::from_utf8_lossy(list);
    let mut by_star = false;
    for part in list.split(',') {
        let mut parameters = part.split(';').map(str::trim);
        let name = parameters.next().unwrap_or_default();
        let is_refused =
            parameters.filter_map(|p| p.strip_prefix("q=")).any(|q| q.parse::<f32>().is_ok_and(|q| q <= 0.0));
        if name.eq_ignore_ascii_case(wanted) {
            return !is_refused;
        }
        by_star |= name == "*" && !is_refused;
    }
    by_star
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_taken_by_name_or_star_unless_its_weight_is_zero() {
        for (list, wanted) in [
            ("br", true),
            ("gzip, deflate, BR;q=0.5", true),
            ("*", true),
            ("gzip", false),
            ("", false),
            ("br;q=0", false),
            ("*, br; q=0.0", false),
            ("*;q=0", false),
        ] {
            assert_eq!(accepts(list.as_bytes(), "br"), wanted, "{list}");
        }
    }

    #[test]
    fn what_is_embedded_is_in_order() {
        assert!(EMBEDDED.0.is_sorted_by_key(|file| file.name));
    }
}
