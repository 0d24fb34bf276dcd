//! Objects of a listing, put together to inputs as they come: a raster with its sidecars, which lie near it in the order of names.

use std::collections::{BTreeMap, BTreeSet};

use object_store::ObjectMeta;

use super::sidecar::{is_ignored, kin, owner};
use super::{Place, Seen, SeenFile};

/// Objects held while their group may go on. Only a name without an extension can hold up many, beside a large folder of the same name; its sidecars may then be missed.
const WINDOW_MAX: usize = 20_000;

/// An object by its path relative to the source.
pub(super) type Object = (String, ObjectMeta);

/// The objects whose group is not complete yet.
#[derive(Debug, Default)]
pub(super) struct Groups {
    window: BTreeMap<String, ObjectMeta>,
    /// Once a path reaches this, everything in the window is complete.
    closes_at: Option<String>,
}

impl Groups {
    /// Takes the next object; returns the inputs that are complete now, in order of path.
    pub(super) fn add(&mut self, path: String, meta: ObjectMeta) -> Vec<Seen> {
        let closed = self.closes_at.as_ref().is_some_and(|end| path >= *end) || self.window.len() >= WINDOW_MAX;
        let complete = if closed { self.finish() } else { Vec::new() };
        // `x` and all of `x.…` come before `x/`, whatever lies between.
        self.closes_at.get_or_insert_with(|| format!("{}/", stem(&path)));
        self.window.insert(path, meta);
        complete
    }

    /// The inputs left at the end.
    pub(super) fn finish(&mut self) -> Vec<Seen> {
        self.closes_at = None;
        inputs(std::mem::take(&mut self.window).into_iter().collect())
    }
}

/// What the paths of a raster and of all its sidecars begin with, followed by a dot.
pub(crate) fn stem(path: &str) -> &str {
    let name = path.rfind('/').map_or(0, |slash| slash + 1);
    &path[..name + kin(&path[name..]).len()]
}

/// The inputs among objects, in order of path.
pub(super) fn inputs(objects: Vec<Object>) -> Vec<Seen> {
    let mut folders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let objects: BTreeMap<String, ObjectMeta> =
        objects.into_iter().filter(|(path, meta)| is_looked_at(path, meta)).collect();
    for path in objects.keys() {
        let (folder, name) = split(path);
        folders.entry(folder.to_owned()).or_default().insert(name.to_owned());
    }
    let mut sidecars: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut rasters = Vec::new();
    for path in objects.keys() {
        let (folder, name) = split(path);
        let Some(names) = folders.get(folder) else { continue };
        match owner(name, names) {
            None => rasters.push(path),
            Some(Some(raster)) => sidecars.entry(join(folder, raster)).or_default().push(path),
            Some(None) => {}
        }
    }
    rasters.into_iter().filter_map(|path| seen(path, &objects, sidecars.get(path).map_or(&[], Vec::as_slice))).collect()
}

/// The input that an object belongs to, among its siblings: itself, or its raster.
pub(super) fn raster_of(path: &str, objects: &[Object]) -> Option<String> {
    let (folder, name) = split(path);
    let mut names: BTreeSet<String> = objects
        .iter()
        .filter(|(path, meta)| is_looked_at(path, meta) && split(path).0 == folder)
        .map(|(path, _)| split(path).1.to_owned())
        .collect();
    names.insert(name.to_owned());
    match owner(name, &names) {
        None => Some(path.to_owned()),
        Some(raster) => raster.map(|raster| join(folder, raster)),
    }
}

/// Folders that some tools make as empty objects are no inputs, nor is what is hidden or half written, nor RPC text files: they lie too far from their raster.
pub(super) fn is_looked_at(path: &str, meta: &ObjectMeta) -> bool {
    let name = split(path).1;
    let is_folder_marker = meta.size == 0 && !name.contains('.');
    let is_rpc = name.ends_with("_RPC.TXT") || name.ends_with("_rpc.txt");
    !path.split('/').any(|part| part.is_empty() || is_ignored(part) || part.contains(char::is_control))
        && !is_folder_marker
        && !is_rpc
}

fn seen(path: &str, objects: &BTreeMap<String, ObjectMeta>, sidecars: &[&str]) -> Option<Seen> {
    let meta = objects.get(path)?;
    let mut seen = Seen {
        path: path.to_owned(),
        version: state(meta),
        time_ms: meta.last_modified.timestamp() * 1000,
        bytes: meta.size,
        files: vec![file(path, meta)],
    };
    let mut hasher = blake3::Hasher::new();
    for sidecar in sidecars {
        let meta = objects.get(*sidecar)?;
        hasher.update(format!("{} {}\n", split(sidecar).1, state(meta)).as_bytes());
        seen.bytes += meta.size;
        seen.files.push(file(sidecar, meta));
    }
    if seen.files.len() > 1 {
        seen.version.push('+');
        seen.version.push_str(&hasher.finalize().to_hex()[..16]);
    }
    Some(seen)
}

fn file(path: &str, meta: &ObjectMeta) -> SeenFile {
    SeenFile { name: split(path).1.to_owned(), place: Place::Object(Box::new(meta.clone())) }
}

/// What tells one state of an object from another, alike in a listing and in an answer to HEAD, whose times end at the second. (A listing has no version ids.)
fn state(meta: &ObjectMeta) -> String {
    let tag = meta.e_tag.as_deref().unwrap_or_default();
    let tag = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
    format!("{tag}-{}-{}", meta.size, meta.last_modified.timestamp())
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::*;

    fn object(path: &str, size: u64) -> Object {
        let time: std::time::SystemTime = std::time::UNIX_EPOCH + std::time::Duration::from_millis(1_767_225_600_123);
        let meta = ObjectMeta {
            location: Path::parse(path).unwrap(),
            last_modified: time.into(),
            size,
            e_tag: Some(format!("\"{size:x}\"")),
            version: None,
        };
        (path.to_owned(), meta)
    }

    /// By the stream, and all at once: the same.
    fn listed(paths: &[&str]) -> Vec<(String, usize)> {
        let mut sorted: Vec<Object> = paths.iter().map(|path| object(path, 7)).collect();
        sorted.sort_by(|a, b| a.0.cmp(&b.0));
        let mut groups = Groups::default();
        let mut found: Vec<Seen> = Vec::new();
        for (path, meta) in sorted.clone() {
            found.extend(groups.add(path, meta));
        }
        found.extend(groups.finish());
        assert_eq!(found, inputs(sorted));
        found.into_iter().map(|seen| (seen.path, seen.files.len())).collect()
    }

    #[test]
    fn sidecars_join_their_raster_as_the_listing_goes_by() {
        let found = listed(&[
            "a/x.tif",
            "a/x.tif.aux.xml",
            "a/x.tfw",
            "a/x-2.tif",
            "a/x/y.tif",
            "a/x0.tif",
            "raw",
            "raw-2.tif",
            "raw.hdr",
            "b.img",
            "b.ige",
            "x_RPC.TXT",
            ".hidden.tif",
            "c.tif.part",
            "a/.git/z.tif",
        ]);
        let found: Vec<(&str, usize)> = found.iter().map(|(path, files)| (path.as_str(), *files)).collect();
        assert_eq!(
            found,
            [
                ("a/x-2.tif", 1),
                ("a/x.tif", 3),
                ("a/x/y.tif", 1),
                ("a/x0.tif", 1),
                ("b.img", 2),
                ("raw", 2),
                ("raw-2.tif", 1)
            ]
        );
    }

    #[test]
    fn empty_objects_that_stand_for_folders_are_no_inputs() {
        assert_eq!(inputs(vec![object("a", 0), object("b.tif", 0)]).len(), 1);
    }

    #[test]
    fn the_version_is_of_whole_seconds_and_bare_tags() {
        let seen = inputs(vec![object("x.tif", 10)]);
        assert_eq!(seen[0].version, "a-10-1767225600");
        assert_eq!(raster_of("x.tfw", &[object("x.tif", 1)]).as_deref(), Some("x.tif"));
        assert_eq!(raster_of("x.tfw", &[]), None);
        assert_eq!(raster_of("x.tif", &[]).as_deref(), Some("x.tif"));
    }
}
