//! Which files belong to a raster, and which names are never inputs.

use std::collections::BTreeSet;

/// Appended to a raster's whole name.
const APPENDED: [&str; 6] = [".aux.xml", ".ovr", ".msk", ".xml", ".kiln.toml", ".ovr.tmp"];
/// In place of a raster's extension.
const REPLACED: [&str; 22] = [
    "tfw", "tifw", "tiffw", "wld", "prj", "pgw", "pngw", "jgw", "jpgw", "jpegw", "j2w", "jp2w", "gfw", "bpw", "hdr",
    "rpb", "ige", "rrd", "rde", "tab", "aux", "clr",
];
/// Of those, what is never a raster of its own, even alone.
const NEVER_ALONE: [&str; 15] =
    ["tfw", "tifw", "tiffw", "wld", "prj", "pgw", "pngw", "jgw", "jpgw", "jpegw", "j2w", "jp2w", "gfw", "bpw", "rpb"];
/// Extensions of rasters; the empty one is ENVI's.
const RASTERS: [&str; 22] = [
    "", "tif", "tiff", "jp2", "img", "asc", "hgt", "dt0", "dt1", "dt2", "grib", "grb", "grib2", "grb2", "nc", "png",
    "jpg", "jpeg", "webp", "bil", "dat", "bsq",
];
/// In place of a raster's extension, with what stands before it.
const RPC_ENDINGS: [&str; 2] = ["_RPC.TXT", "_rpc.txt"];
/// Endings of files that are still being written.
const PARTIAL: [&str; 8] = [".part", ".partial", ".tmp", ".temp", ".filepart", ".crdownload", ".swp", ".download"];

/// Whether a file or folder name is never looked at: hidden, or still being written.
pub fn is_ignored(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    name.starts_with('.') || name.ends_with('~') || PARTIAL.iter().any(|ending| lower.ends_with(ending))
}

/// Whether a name can be a sidecar's, if there is a raster for it.
pub fn may_be_sidecar(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    APPENDED.iter().any(|ending| lower.ends_with(ending))
        || RPC_ENDINGS.iter().any(|ending| name.ends_with(ending))
        || lower.rsplit_once('.').is_some_and(|(_, extension)| REPLACED.contains(&extension))
}

/// What the names of a raster and of all its sidecars begin with, followed by a dot: `x` for `x.tif`, `x.tfw` and `x.tif.msk.ovr`.
pub fn kin(name: &str) -> &str {
    let mut raster = name;
    while let Some(ending) = APPENDED.iter().find(|ending| {
        raster.len() > ending.len()
            && raster.is_char_boundary(raster.len() - ending.len())
            && raster.to_ascii_lowercase().ends_with(**ending)
    }) {
        raster = &raster[..raster.len() - ending.len()];
    }
    raster.rsplit_once('.').map_or(raster, |(stem, _)| stem)
}

/// The raster among `siblings` that a file belongs to. `Some(None)`: a sidecar without a raster. None: a raster of its own.
pub fn owner<'s>(name: &str, siblings: &'s BTreeSet<String>) -> Option<Option<&'s str>> {
    let lower = name.to_ascii_lowercase();
    for ending in APPENDED {
        if lower.ends_with(ending) {
            let base = &name[..name.len() - ending.len()];
            if let Some(raster) = siblings.get(base) {
                // `x.tif.msk.ovr` belongs to `x.tif.msk`, which belongs to `x.tif`.
                return Some(owner(raster, siblings).unwrap_or(Some(raster)));
            }
            if matches!(ending, ".aux.xml" | ".ovr" | ".msk" | ".kiln.toml") {
                return Some(None);
            }
        }
    }
    for ending in RPC_ENDINGS {
        if let Some(stem) = name.strip_suffix(ending) {
            return Some(raster_with_stem(stem, name, siblings));
        }
    }
    let (stem, extension) = name.rsplit_once('.')?;
    let extension = extension.to_ascii_lowercase();
    if !REPLACED.contains(&extension.as_str()) {
        return None;
    }
    match raster_with_stem(stem, name, siblings) {
        Some(raster) => Some(Some(raster)),
        None if NEVER_ALONE.contains(&extension.as_str()) => Some(None),
        None => None,
    }
}

/// The sibling `stem` or `stem.*` that is a raster: one with a raster's extension before any other that is no sidecar.
fn raster_with_stem<'s>(stem: &str, not: &str, siblings: &'s BTreeSet<String>) -> Option<&'s str> {
    let extension = |sibling: &str| sibling[stem.len()..].trim_start_matches('.').to_ascii_lowercase();
    let kin = || {
        siblings.range(stem.to_owned()..).take_while(|sibling| sibling.starts_with(stem)).map(String::as_str).filter(
            |sibling| {
                let rest = &sibling[stem.len()..];
                let plain_extension = rest.is_empty() || (rest.starts_with('.') && !rest[1..].contains('.'));
                let sidecar = REPLACED.contains(&extension(sibling).as_str()) || APPENDED.contains(&rest);
                *sibling != not && plain_extension && !sidecar
            },
        )
    };
    kin().find(|sibling| RASTERS.contains(&extension(sibling).as_str())).or_else(|| kin().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sidecars_find_their_raster() {
        let siblings: BTreeSet<String> = [
            "x.tif",
            "x.tif.msk",
            "x.tif.msk.ovr",
            "x.tfw",
            "x.tif.aux.xml",
            "raw",
            "raw.hdr",
            "b.img",
            "b.ige",
            "x_RPC.TXT",
            "n.dt0",
        ]
        .map(str::to_owned)
        .into();
        for (name, wanted) in [
            ("x.tif", None),
            ("x.tif.msk", Some(Some("x.tif"))),
            ("x.tif.msk.ovr", Some(Some("x.tif"))),
            ("x.tfw", Some(Some("x.tif"))),
            ("x.tif.aux.xml", Some(Some("x.tif"))),
            ("raw", None),
            ("raw.hdr", Some(Some("raw"))),
            ("b.ige", Some(Some("b.img"))),
            ("x_RPC.TXT", Some(Some("x.tif"))),
            ("y.tif.ovr", Some(None)),
            ("y.tfw", Some(None)),
            ("notes.xml", None),
            ("alone.hdr", None),
            ("text.vrt", None),
        ] {
            assert_eq!(owner(name, &siblings), wanted, "{name}");
        }
    }

    #[test]
    fn a_raster_and_its_sidecars_share_the_beginning() {
        for name in ["a.b.tif", "a.b.tfw", "a.b.tif.aux.xml", "a.b.tif.msk.ovr", "a.b.TIF.OVR", "a.b.tif.kiln.toml"] {
            assert_eq!(kin(name), "a.b", "{name}");
        }
        assert_eq!(["raw", "raw.hdr", ".ovr"].map(kin), ["raw", "raw", ""]);
    }

    #[test]
    fn hidden_and_half_written_names_are_ignored() {
        for name in [".x.tif", "x.tif.part", "x.tif~", ".nfs0001", ".x.tif.Ab12Cd", "x.crdownload", "x.TMP"] {
            assert!(is_ignored(name), "{name}");
        }
        assert!(!is_ignored("x.tif"));
    }
}
