//! The hash of what a staged input, its sidecars and our settings are.

use std::fs::File;
use std::path::{Path, PathBuf};

use shared::raster_settings::RasterRules;

use crate::naming::KeyTemplate;

/// Hash of content, sidecars, settings and profile: equal hashes give equal COGs. The sidecars' names count without the raster's own, so that a renamed raster is known again.
pub fn content_hash(
    files: &[PathBuf],
    rules: &RasterRules,
    template: &KeyTemplate,
    profile: &str,
) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    let stem = |file: &Path| file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let own = files.first().map(|file| stem(file)).unwrap_or_default();
    let own_stem = own.split('.').next().unwrap_or_default().to_owned();
    for file in files {
        let mut one = blake3::Hasher::new();
        one.update_reader(File::open(file)?)?;
        let name = stem(file);
        let suffix = if name == own { "" } else { name.strip_prefix(&own_stem).unwrap_or(&name) };
        hasher.update(suffix.as_bytes()).update(&[0]).update(one.finalize().as_bytes());
    }
    let settings = serde_json::to_vec(rules)?;
    // Rules look at key values, so they are part of what was asked for; so is whether bands have a key.
    let keys = if rules.rules.is_empty() { Vec::new() } else { serde_json::to_vec(template)? };
    let extension = own.rsplit_once('.').map_or("", |(_, extension)| extension);
    let by_band = [u8::from(template.band_key().is_some()), u8::from(template.variable_key.is_some())];
    for part in [settings.as_slice(), &keys, &by_band, extension.as_bytes(), profile.as_bytes()] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    Ok(hasher.finalize().to_hex().to_string())
}
