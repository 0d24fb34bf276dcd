//! Whole files into a store and out of it: never more of one in memory than a few parts.

use std::path::Path as FilePath;

use bytes::Bytes;
use futures::{StreamExt as _, TryFutureExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{GetOptions, ObjectStore, ObjectStoreExt as _, PutPayload};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;

use super::{Store, StoreError};

/// Files up to this size are uploaded in one request.
const PART_BYTES: u64 = 16 << 20;
/// S3 takes at most 10,000 parts of one object.
const PARTS_MAX: u64 = 9_000;
/// Parts of one object on their way at once, and of all that this process uploads: what memory they take is bounded.
const PARTS_AT_ONCE: usize = 4;
static PARTS: Semaphore = Semaphore::const_new(8);

impl Store {
    /// Brings a finished local file into the store under a name nobody else can use, durable when this returns. May move the file. `moved` is told of every
    /// part that has arrived.
    pub async fn upload_file(&self, file: &FilePath, path: &Path, moved: impl Fn()) -> Result<(), StoreError> {
        let Some(target) = self.local_path(path) else { return self.upload(file, path, moved).await };
        let file = file.to_owned();
        let done = tokio::task::spawn_blocking(move || link_durably(&file, &target)).await;
        done.map_err(|e| self.io_failed("upload", path, e.into()))?.map_err(|e| self.io_failed("upload", path, e))
    }

    async fn upload(&self, file: &FilePath, path: &Path, moved: impl Fn()) -> Result<(), StoreError> {
        let io = |error| self.io_failed("upload", path, error);
        let mut open = tokio::fs::File::open(file).await.map_err(io)?;
        let bytes = open.metadata().await.map_err(io)?.len();
        let permit = || async { PARTS.acquire().await.map_err(|e| io(std::io::Error::other(e))) };
        if bytes <= PART_BYTES {
            let _permit = permit().await?;
            let content = tokio::fs::read(file).await.map_err(io)?;
            return match self.put_new(path, content.into()).await {
                Err(_) if self.has_arrived(path, bytes).await => Ok(()),
                other => other,
            };
        }
        let part_bytes = PART_BYTES.max(bytes.div_ceil(PARTS_MAX));
        let failed = |error| self.failed("upload", path, error);
        let mut upload = self.inner.put_multipart(path).await.map_err(failed)?;
        let sent = async {
            let mut parts = futures::stream::FuturesUnordered::new();
            loop {
                if parts.len() >= PARTS_AT_ONCE
                    && let Some(done) = parts.next().await
                {
                    done?;
                    moved();
                }
                // Whoever has parts under way lets them arrive before it waits for room for more.
                let permit = match PARTS.try_acquire() {
                    Ok(permit) => permit,
                    Err(_) => match parts.next().await {
                        Some(done) => {
                            done?;
                            moved();
                            continue;
                        }
                        None => permit().await?,
                    },
                };
                let part = read_part(&mut open, part_bytes).await.map_err(io)?;
                if part.is_empty() {
                    break;
                }
                let put = upload.put_part(PutPayload::from_bytes(part)).map_err(failed);
                parts.push(put.inspect_ok(move |()| drop(permit)));
            }
            while let Some(done) = parts.next().await {
                done?;
                moved();
            }
            Ok::<_, StoreError>(())
        }
        .await;
        if let Err(error) = sent {
            // What was sent would be kept, and paid for, unseen.
            let _ = upload.abort().await;
            return Err(error);
        }
        match upload.complete().await {
            Ok(_) => Ok(()),
            Err(_) if self.has_arrived(path, bytes).await => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    /// Whether an upload that failed is there all the same: its answer may have been lost, and nobody else uses its name.
    async fn has_arrived(&self, path: &Path, bytes: u64) -> bool {
        self.head(path).await.is_ok_and(|meta| meta.size == bytes)
    }

    /// Writes an object to a local file, which must not exist.
    pub async fn download(&self, path: &Path, file: &FilePath) -> Result<(), StoreError> {
        match download(self.inner.as_ref(), path, GetOptions::default(), file, || ()).await {
            Ok(_) => Ok(()),
            Err(DownloadError::Store(error)) => Err(self.failed("read", path, error)),
            Err(DownloadError::File(error)) => Err(self.io_failed("keep", path, error)),
        }
    }
}

/// Why an object could not be downloaded.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The store failed, or the object is not there, or not as asked.
    #[error(transparent)]
    Store(#[from] object_store::Error),
    /// The local file failed.
    #[error(transparent)]
    File(#[from] std::io::Error),
}

/// Writes an object to a new local file, piece by piece; `moved` is told of every piece. Returns how many bytes came.
pub(super) async fn download(
    objects: &dyn ObjectStore,
    path: &Path,
    options: GetOptions,
    file: &FilePath,
    moved: impl Fn(),
) -> Result<u64, DownloadError> {
    let mut pieces = objects.get_opts(path, options).await?.into_stream();
    let mut open = tokio::fs::File::create_new(file).await?;
    let mut bytes = 0;
    while let Some(piece) = pieces.try_next().await? {
        open.write_all(&piece).await?;
        bytes += piece.len() as u64;
        moved();
    }
    open.flush().await?;
    Ok(bytes)
}

async fn read_part(file: &mut tokio::fs::File, bytes: u64) -> std::io::Result<Bytes> {
    let mut part = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
    file.take(bytes).read_to_end(&mut part).await?;
    Ok(part.into())
}

/// Links a file under its final name, its bytes and its name on disk. From another file system it is copied first.
fn link_durably(file: &FilePath, target: &FilePath) -> std::io::Result<()> {
    let folder = target.parent().ok_or_else(|| std::io::Error::other("no folder"))?;
    if !folder.is_dir() {
        std::fs::create_dir_all(folder)?;
        // The new folders' own names must last as well, up to the store's root and beyond.
        folder.ancestors().take(3).try_for_each(sync_folder)?;
    }
    std::fs::File::open(file)?.sync_all()?;
    match std::fs::hard_link(file, target) {
        Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
            let part = folder.join(format!(".{}.part", ulid::Ulid::generate()));
            let copied = std::fs::copy(file, &part)
                .and_then(|_| std::fs::File::open(&part)?.sync_all())
                .and_then(|()| std::fs::hard_link(&part, target));
            std::fs::remove_file(&part)?;
            copied?;
        }
        other => other?,
    }
    sync_folder(folder)
}

fn sync_folder(folder: &FilePath) -> std::io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}
