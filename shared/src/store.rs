//! A store: the object store or folder that holds COGs, commits, snapshots and manifests. `Store` writes; `ReadStore` can only get and list.

pub mod bucket;
mod probe;
mod transfer;

use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt as _;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};

use crate::causes::causes;
use bucket::{Bucket, BucketUrl};
pub use probe::{Probe, ProbeLine};

/// How often one undecided create is tried before its caller is told.
const CREATE_ATTEMPTS_MAX: u32 = 8;
/// First pause between two tries; doubles.
const CREATE_PAUSE: Duration = Duration::from_millis(50);

/// What a caller can act on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The object is not there.
    #[error("{path} is not in the store {store}")]
    NotFound {
        /// The object.
        path: String,
        /// The store.
        store: String,
    },
    /// The store cannot be used as asked.
    #[error("cannot use {store} as a store: {reason}")]
    Unusable {
        /// The store.
        store: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The store failed; it may pass.
    #[error("cannot {action} {path} in the store {store}: {source}")]
    Failed {
        /// What was tried.
        action: &'static str,
        /// On which object.
        path: String,
        /// In which store.
        store: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// Whether the disk under a local store is full.
    pub fn is_disk_full(&self) -> bool {
        let io = causes(self).find_map(|error| error.downcast_ref::<std::io::Error>());
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::StorageFull)
    }
}

/// What became of `create_exact`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Created {
    /// Our bytes are the object.
    Won,
    /// Somebody else's are: these.
    Lost(Bytes),
}

/// A store that can be written.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    local: Option<PathBuf>,
    name: String,
}

impl Store {
    /// Opens a store by folder or URL: `s3://bucket/prefix`, `gs://…`, `az://…`, `file://…`. With `create`, a folder is made; a bucket never is. Nothing is asked
    /// of a bucket yet.
    pub fn open(url_or_folder: &str, create: bool) -> Result<Self, StoreError> {
        if let Some(url) = BucketUrl::parse(url_or_folder)? {
            let bucket = Bucket::open(&url)?;
            let inner: Arc<dyn ObjectStore> = if url.prefix.is_empty() {
                bucket.objects
            } else {
                Arc::new(PrefixStore::new(bucket.objects, Path::from(url.prefix.as_str())))
            };
            return Ok(Self { inner, local: None, name: url.to_string() });
        }
        let folder = local_folder(url_or_folder)?;
        let unusable = |reason: String| StoreError::Unusable { store: folder.display().to_string(), reason };
        if create {
            std::fs::create_dir_all(&folder).map_err(|e| unusable(format!("the folder cannot be made: {e}")))?;
        }
        if !folder.is_dir() {
            return Err(unusable("there is no such folder; `kiln serve` or `kiln watch` makes one".to_owned()));
        }
        let root = folder.canonicalize().map_err(|e| unusable(e.to_string()))?;
        let inner = LocalFileSystem::new_with_prefix(&root).map_err(|e| unusable(e.to_string()))?.with_fsync(true);
        Ok(Self { inner: Arc::new(inner), name: root.display().to_string(), local: Some(root) })
    }

    /// A store over any object store, for tests and for wrappers.
    pub fn from_object_store(inner: Arc<dyn ObjectStore>, name: &str) -> Self {
        Self { inner, local: None, name: name.to_owned() }
    }

    /// What people call it: a folder or URL.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same store, read only.
    pub fn read_only(&self) -> ReadStore {
        ReadStore(self.clone())
    }

    /// The folder of a local store.
    pub fn local_root(&self) -> Option<&FilePath> {
        self.local.as_deref()
    }

    /// Where an object of a local store lies.
    pub fn local_path(&self, path: &Path) -> Option<PathBuf> {
        self.local.as_ref().map(|root| root.join(path.as_ref()))
    }

    /// Free and total bytes of a local store's disk.
    pub fn space(&self) -> Option<(u64, u64)> {
        let stat = rustix::fs::statvfs(self.local.as_ref()?).ok()?;
        Some((stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize))
    }

    /// An object's bytes.
    pub async fn get(&self, path: &Path) -> Result<Bytes, StoreError> {
        let result =
            self.inner.get_opts(path, GetOptions::default()).await.map_err(|e| self.failed("read", path, e))?;
        result.bytes().await.map_err(|e| self.failed("read", path, e))
    }

    /// An object's bytes, or None if it is not there.
    pub async fn get_if_exists(&self, path: &Path) -> Result<Option<Bytes>, StoreError> {
        match self.get(path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A range of an object's bytes.
    pub async fn get_range(&self, path: &Path, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.inner.get_range(path, range).await.map_err(|e| self.failed("read", path, e))
    }

    /// An object's size and times.
    pub async fn head(&self, path: &Path) -> Result<ObjectMeta, StoreError> {
        self.inner.head(path).await.map_err(|e| self.failed("look up", path, e))
    }

    /// What lies under a folder, in order of names; only names after `after`.
    pub async fn list(&self, folder: &Path, after: Option<&Path>) -> Result<Vec<ObjectMeta>, StoreError> {
        let stream = match after {
            Some(after) => self.inner.list_with_offset(Some(folder), after),
            None => self.inner.list(Some(folder)),
        };
        let mut found: Vec<ObjectMeta> = stream.try_collect().await.map_err(|e| self.failed("list", folder, e))?;
        found.sort_by(|a, b| a.location.cmp(&b.location));
        Ok(found)
    }

    /// Writes an object whose name nobody else can use.
    pub async fn put_new(&self, path: &Path, bytes: Bytes) -> Result<(), StoreError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let result = self.inner.put_opts(path, PutPayload::from_bytes(bytes), options).await;
        result.map(|_| ()).map_err(|e| self.failed("write", path, e))
    }

    /// Plainly overwrites an object: only for `latest.json`, which decides nothing, and for repairs.
    pub async fn overwrite(&self, path: &Path, bytes: Bytes) -> Result<(), StoreError> {
        let result = self.inner.put_opts(path, PutPayload::from_bytes(bytes), PutOptions::default()).await;
        result.map(|_| ()).map_err(|e| self.failed("write", path, e))
    }

    /// Removes an object; one that is not there is fine.
    pub async fn delete(&self, path: &Path) -> Result<(), StoreError> {
        match self.inner.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", path, error)),
        }
    }

    /// Creates an object that must not exist, and decides who made it. `bytes` hold a UUID of this attempt, so that reading back the very same
    /// bytes means that an earlier try of ours arrived although its answer was lost.
    ///
    /// An error means undecided: try the same bytes under the same name again.
    pub async fn create_exact(&self, path: &Path, bytes: &Bytes) -> Result<Created, StoreError> {
        let mut pause = CREATE_PAUSE;
        let mut attempt = 1;
        loop {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let put = self.inner.put_opts(path, PutPayload::from_bytes(bytes.clone()), options).await;
            let Err(refused) = put else { return Ok(Created::Won) };
            // Whatever the refusal says, only the object itself tells whether we lost, or won without hearing of it.
            match self.get_if_exists(path).await {
                Ok(Some(existing)) if existing == *bytes => return Ok(Created::Won),
                Ok(Some(existing)) => return Ok(Created::Lost(existing)),
                Ok(None) | Err(_) if attempt >= CREATE_ATTEMPTS_MAX => return Err(self.failed("create", path, refused)),
                Ok(None) | Err(_) => {}
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
            attempt += 1;
        }
    }

    fn failed(&self, action: &'static str, path: &Path, error: object_store::Error) -> StoreError {
        match error {
            object_store::Error::NotFound { .. } => {
                StoreError::NotFound { path: path.to_string(), store: self.name.clone() }
            }
            error => {
                StoreError::Failed { action, path: path.to_string(), store: self.name.clone(), source: Box::new(error) }
            }
        }
    }

    fn io_failed(&self, action: &'static str, path: &Path, error: std::io::Error) -> StoreError {
        StoreError::Failed { action, path: path.to_string(), store: self.name.clone(), source: Box::new(error) }
    }
}

/// A store that can only be read: what the server holds.
#[derive(Clone, Debug)]
pub struct ReadStore(Store);

impl ReadStore {
    /// Opens a store by folder or URL.
    pub fn open(url_or_folder: &str) -> Result<Self, StoreError> {
        Store::open(url_or_folder, false).map(Self)
    }

    /// What people call it: a folder or URL.
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// See [`Store::get`].
    pub async fn get(&self, path: &Path) -> Result<Bytes, StoreError> {
        self.0.get(path).await
    }

    /// See [`Store::get_if_exists`].
    pub async fn get_if_exists(&self, path: &Path) -> Result<Option<Bytes>, StoreError> {
        self.0.get_if_exists(path).await
    }

    /// See [`Store::get_range`].
    pub async fn get_range(&self, path: &Path, range: Range<u64>) -> Result<Bytes, StoreError> {
        self.0.get_range(path, range).await
    }

    /// See [`Store::download`].
    pub async fn download(&self, path: &Path, file: &FilePath) -> Result<(), StoreError> {
        self.0.download(path, file).await
    }

    /// See [`Store::list`].
    pub async fn list(&self, folder: &Path, after: Option<&Path>) -> Result<Vec<ObjectMeta>, StoreError> {
        self.0.list(folder, after).await
    }

    /// See [`Store::local_path`].
    pub fn local_path(&self, path: &Path) -> Option<PathBuf> {
        self.0.local_path(path)
    }
}

/// The folder that a folder name or `file://` URL names.
fn local_folder(url_or_folder: &str) -> Result<PathBuf, StoreError> {
    let unusable = |reason: &str| StoreError::Unusable { store: url_or_folder.to_owned(), reason: reason.to_owned() };
    match url_or_folder.split_once("://") {
        Some(("file", _)) => url::Url::parse(url_or_folder)
            .ok()
            .and_then(|url| url.to_file_path().ok())
            .ok_or_else(|| unusable("not a valid file:// URL; write file:///absolute/folder")),
        Some((scheme, _)) => {
            Err(unusable(&format!("{scheme}:// is not known; use s3://, gs://, az://, file:// or a folder")))
        }
        None => Ok(PathBuf::from(url_or_folder)),
    }
}

#[cfg(test)]
mod tests;
