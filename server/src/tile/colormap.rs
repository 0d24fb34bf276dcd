//! Named color maps: matplotlib's, `cloud`, and cmocean's, 255 colors each, in one compressed table made by `colormaps/generate.py`.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::LazyLock;

/// Colors of a map.
pub(crate) const COLORS: usize = shared::collection::COLORMAP_COLORS;
/// What the table decompresses to at most.
const TABLE_BYTES_MAX: u64 = 1 << 20;

/// For each map: one byte of the name's length, the name, 255 × RGBA. Zstandard-compressed.
static TABLE: &[u8] = include_bytes!("../../colormaps/colormaps.bin.zst");

static MAPS: LazyLock<BTreeMap<String, Vec<[u8; 4]>>> = LazyLock::new(|| {
    let mut bytes = Vec::new();
    // A table that does not read leaves no maps; the test below keeps that from being shipped.
    let _ = zstd::Decoder::new(TABLE).and_then(|decoder| decoder.take(TABLE_BYTES_MAX).read_to_end(&mut bytes));
    let mut maps = BTreeMap::new();
    let mut rest = bytes.as_slice();
    while let Some((len, after)) = rest.split_first() {
        let Some((name, after)) = after.split_at_checked(usize::from(*len)) else { break };
        let Some((colors, after)) = after.split_at_checked(COLORS * 4) else { break };
        let colors = colors.chunks_exact(4).map(|c| [c[0], c[1], c[2], c[3]]).collect();
        maps.insert(String::from_utf8_lossy(name).into_owned(), colors);
        rest = after;
    }
    maps
});

/// A map by its lower-case name: colors of 1 … 255.
pub(crate) fn named(name: &str) -> Option<&'static [[u8; 4]]> {
    MAPS.get(name).map(Vec::as_slice)
}

/// All names, in order.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    MAPS.keys().map(String::as_str)
}

/// What no color map means: grey by index.
pub(crate) fn greyscale() -> Vec<[u8; 4]> {
    (1..=255).map(|v| [v, v, v, 255]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_map_of_terracotta_is_there_and_more() {
        assert!(MAPS.len() >= 171, "{}", MAPS.len());
        assert!(MAPS.values().all(|colors| colors.len() == COLORS));
        for name in ["viridis", "rdylgn_r", "greys", "turbo", "cloud", "thermal", "set3"] {
            assert!(named(name).is_some(), "{name}");
        }
        assert_eq!(named("viridis").unwrap()[0], [68, 1, 84, 255]);
        assert_eq!(named("Viridis"), None);
    }
}
