//! Where rasters come from: a folder or a bucket. Either is asked the same questions; what its events say are only hints.

pub mod bucket;
pub mod folder;
mod group;
pub mod sidecar;
pub mod watch;

use std::path::{Path, PathBuf};

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use object_store::ObjectMeta;

use crate::naming::{KeyTemplate, Naming};
use bucket::BucketSource;
use folder::FolderSource;
pub(crate) use group::stem;

/// An input as its source has it now.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Path relative to the source, `/`-separated.
    pub path: String,
    /// Its version: size and mtime, for an object its `ETag` too; sidecars included.
    pub version: String,
    /// When the source says it last changed: milliseconds since 1970.
    pub time_ms: i64,
    /// Bytes of the raster and its sidecars.
    pub bytes: u64,
    /// Its files: the raster first.
    pub files: Vec<SeenFile>,
}

/// One file of an input.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenFile {
    /// Its name, without folders.
    pub name: String,
    /// Where it lies.
    pub place: Place,
}

/// Where a file of an input lies.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    /// In a folder of this machine.
    File(PathBuf),
    /// In a bucket, at this version.
    Object(Box<ObjectMeta>),
}

/// A part of a listing.
#[derive(Clone, Debug, PartialEq)]
pub enum Listed {
    /// An input.
    Input(Seen),
    /// Something that could not be read: while there is such, nothing may be called gone.
    Unreadable(String),
}

/// Why a source cannot be asked: nothing may be concluded from it.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {place}: {source}")]
pub struct SourceError {
    /// What could not be read.
    pub place: String,
    /// Why.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl SourceError {
    /// An error about a place.
    pub fn new(place: impl std::fmt::Display, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { place: place.to_string(), source: source.into() }
    }
}

/// A part of the paths of a source: those after `after`, up to and with `upto`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Empty: from the first.
    pub after: String,
    /// None: to the last.
    pub upto: Option<String>,
}

impl Range {
    /// Whether a path lies within it.
    pub fn holds(&self, path: &str) -> bool {
        path > self.after.as_str() && !self.is_past(path)
    }

    /// Whether a path lies behind its end.
    pub fn is_past(&self, path: &str) -> bool {
        self.upto.as_ref().is_some_and(|upto| path > upto.as_str())
    }
}

/// A folder or bucket.
#[derive(Clone, Debug)]
pub enum Source {
    /// A folder of this machine.
    Folder(FolderSource),
    /// A bucket, or what of it begins with a prefix.
    Bucket(BucketSource),
}

impl Source {
    /// Its name: like its collection unless set.
    pub fn name(&self) -> &str {
        match self {
            Self::Folder(folder) => &folder.name,
            Self::Bucket(bucket) => &bucket.name,
        }
    }

    /// Where it lies, for people.
    pub fn place(&self) -> String {
        match self {
            Self::Folder(folder) => folder.root.display().to_string(),
            Self::Bucket(bucket) => bucket.url.to_string(),
        }
    }

    /// The same with its pattern, if it has one: where rasters are to be put.
    pub fn text(&self) -> String {
        match self.naming().pattern_text() {
            Some(pattern) => format!("{}/{pattern}", self.place().trim_end_matches('/')),
            None => self.place(),
        }
    }

    /// Its folder, if it is one.
    pub fn folder(&self) -> Option<&FolderSource> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Bucket(_) => None,
        }
    }

    /// Its bucket, if it is one.
    pub fn bucket(&self) -> Option<&BucketSource> {
        match self {
            Self::Folder(_) => None,
            Self::Bucket(bucket) => Some(bucket),
        }
    }

    /// Key names and values of an input; None if the path is none.
    pub fn template(&self, path: &str) -> Option<KeyTemplate> {
        self.naming().template(path)
    }

    fn naming(&self) -> &Naming {
        match self {
            Self::Folder(folder) => &folder.naming,
            Self::Bucket(bucket) => &bucket.naming,
        }
    }

    /// An input as it is now; None if it is gone or no input.
    pub async fn look(&self, path: &str) -> Result<Option<Seen>, SourceError> {
        match self {
            Self::Folder(folder) => {
                let (folder, path, place) = (folder.clone(), path.to_owned(), self.place());
                let looked = tokio::task::spawn_blocking(move || folder.look(&path)).await;
                looked.map_err(|error| SourceError::new(place, error))?
            }
            Self::Bucket(bucket) => bucket.look(path).await,
        }
    }

    /// Every input of a range, in order of path (bytes). An error is the end.
    pub fn list(&self, range: Range) -> BoxStream<'static, Result<Listed, SourceError>> {
        match self {
            Self::Folder(folder) => {
                let (folder, place) = (folder.clone(), self.place());
                let listing = async move {
                    let listed = tokio::task::spawn_blocking(move || folder.list()).await;
                    listed.map_err(|error| SourceError::new(place, error)).and_then(|listing| listing)
                };
                let parts = stream::once(listing).flat_map(move |listing| {
                    let parts: Vec<_> = match listing {
                        Err(error) => vec![Err(error)],
                        Ok(listing) => {
                            let inputs =
                                listing.inputs.into_iter().filter(|seen| range.holds(&seen.path)).map(Listed::Input);
                            let faults = listing.faults.iter().map(|fault| Listed::Unreadable(fault.to_string()));
                            inputs.chain(faults).map(Ok).collect()
                        }
                    };
                    stream::iter(parts)
                });
                parts.boxed()
            }
            Self::Bucket(bucket) => bucket.clone().list(range),
        }
    }

    /// What tells this folder from another in its place: device and inode.
    pub fn identity(&self) -> Option<(u64, u64)> {
        self.folder().and_then(FolderSource::identity)
    }
}

/// Brings an input into `folder`, so that GDAL sees its files and no others; returns them, the raster first. Files of a folder are linked and stay where they are: their
/// state is compared again after the conversion. Objects are downloaded as they were seen, or not at all. `moved` is told of every piece.
pub async fn stage(source: &Source, seen: &Seen, folder: &Path, moved: impl Fn()) -> Result<Vec<PathBuf>, StageError> {
    let mut staged = Vec::new();
    for file in &seen.files {
        let here = folder.join(&file.name);
        match (&file.place, source) {
            (Place::File(file), _) => {
                let (file, link) = (file.clone(), here.clone());
                let linked =
                    tokio::task::spawn_blocking(move || std::os::unix::fs::symlink(file.canonicalize()?, link));
                linked.await.map_err(std::io::Error::from)??;
            }
            (Place::Object(meta), Source::Bucket(source)) => source.download(meta, &here, &moved).await?,
            (Place::Object(_), Source::Folder(_)) => return Err(StageError::Changed),
        }
        staged.push(here);
    }
    Ok(staged)
}

/// Why an input could not be staged.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// It is no longer as it was seen.
    #[error("it changed while it was read")]
    Changed,
    /// The bucket failed; it may pass.
    #[error(transparent)]
    Bucket(object_store::Error),
    /// A local file failed.
    #[error(transparent)]
    File(#[from] std::io::Error),
}
