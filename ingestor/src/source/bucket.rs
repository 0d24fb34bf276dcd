//! A bucket as a source: its listing is the truth, notifications only hints. An object appears whole, so nothing has to settle; it is read at the version
//! that was seen, or not at all.

use std::collections::VecDeque;
use std::path::Path as FilePath;

use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use object_store::ObjectMeta;
use shared::store::StoreError;
use shared::store::bucket::{Bucket, BucketUrl, Cloud, Cursor, DownloadError};

use super::group::{self, Groups, Object, stem};
use super::sidecar::may_be_sidecar;
use super::{Listed, Range, Seen, SourceError, StageError};
use crate::event::Event;
use crate::naming::Naming;

/// Pages of objects that share a stem and are looked through for sidecars.
const SIBLING_PAGES_MAX: usize = 3;

/// A bucket that is ingested.
#[derive(Clone, Debug)]
pub struct BucketSource {
    /// The source's name: like its collection unless set.
    pub name: String,
    /// Bucket and prefix.
    pub url: BucketUrl,
    /// How its paths give key values.
    pub naming: Naming,
    bucket: Bucket,
}

impl BucketSource {
    /// A source by name, URL and naming. Nothing is asked of the bucket yet.
    pub fn open(name: String, url: BucketUrl, naming: Naming) -> Result<Self, StoreError> {
        let bucket = Bucket::open(&url)?;
        Ok(Self { name, url, naming, bucket })
    }

    /// Whether a part of a listing can be asked for, so that several may be read at once.
    pub fn has_ranges(&self) -> bool {
        self.url.cloud != Cloud::Azure
    }

    /// The path of an object relative to this source; None if it is not of it.
    pub fn path_of(&self, bucket: &str, key: &str) -> Option<String> {
        if bucket != self.url.bucket {
            return None;
        }
        let path =
            if self.url.prefix.is_empty() { key } else { key.strip_prefix(&self.url.prefix)?.strip_prefix('/')? };
        (!path.is_empty()).then(|| path.to_owned())
    }

    /// The path of the input that an event is about: the object itself, or the raster whose sidecar it is; a folder's ends with `/`. None if it is none of this
    /// source.
    pub async fn input_of(&self, event: &Event) -> Result<Option<String>, SourceError> {
        let Some(path) = self.path_of(&event.bucket, &event.key) else { return Ok(None) };
        let named = |path: String| self.naming.template(&path).is_some().then_some(path);
        if path.ends_with('/') {
            return Ok(Some(path));
        }
        // Most names cannot be a sidecar's: nothing has to be asked.
        if !may_be_sidecar(&path) {
            return Ok(named(path));
        }
        let siblings = self.siblings(&path).await?;
        Ok(group::raster_of(&path, &siblings).and_then(named))
    }

    /// An input as it is now; None if it is gone or no input.
    pub async fn look(&self, path: &str) -> Result<Option<Seen>, SourceError> {
        if self.naming.template(path).is_none() {
            return Ok(None);
        }
        let siblings = self.siblings(path).await?;
        let seen = group::inputs(siblings).into_iter().find(|seen| seen.path == path);
        // A folder that some tool made as an empty object is listed under the name it has without its slash.
        let is_empty = seen.as_ref().is_some_and(|seen| seen.bytes == 0);
        if is_empty && self.head(path).await?.is_none() { Ok(None) } else { Ok(seen) }
    }

    /// Objects that share the stem of a path, itself among them.
    async fn siblings(&self, path: &str) -> Result<Vec<Object>, SourceError> {
        let stem = stem(path);
        let bare = self.key_of(stem);
        // One request finds `x.tif` and all of `x.…`; a raster without an extension is asked for by itself.
        let dotted = format!("{bare}.");
        let (listed, alone) = futures::join!(self.page_all(&dotted), self.head(stem));
        let mut objects = listed.map_err(|error| SourceError::new(&self.url, error))?;
        objects.extend(alone?);
        let relative = |meta: ObjectMeta| Some((self.path_of(&self.url.bucket, meta.location.as_ref())?, meta));
        Ok(objects.into_iter().filter_map(relative).collect())
    }

    async fn head(&self, path: &str) -> Result<Option<ObjectMeta>, SourceError> {
        match self.bucket.head(&self.key_of(path)).await {
            // What S3 answers of a missing key to those who may not list everything.
            Err(object_store::Error::PermissionDenied { .. }) => Ok(None),
            other => other.map_err(|error| SourceError::new(&self.url, error)),
        }
    }

    async fn page_all(&self, prefix: &str) -> object_store::Result<Vec<ObjectMeta>> {
        let (mut objects, mut from) = (Vec::new(), None);
        for _ in 0..SIBLING_PAGES_MAX {
            let page = self.bucket.page(prefix, true, from).await?;
            objects.extend(page.objects);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        Ok(objects)
    }

    /// Every input of a range, in order of path (bytes), a page in memory at a time.
    pub fn list(self, range: Range) -> BoxStream<'static, Result<Listed, SourceError>> {
        let from = (!range.after.is_empty()).then(|| Cursor::After(self.key_of(&range.after)));
        let state =
            Listing { source: self, range, from, groups: Groups::default(), ready: VecDeque::new(), ended: false };
        stream::unfold(state, |mut state| async move {
            let next = state.next().await?;
            state.ended |= next.is_err();
            Some((next, state))
        })
        .boxed()
    }

    /// Downloads an object as it was seen.
    pub async fn download(&self, meta: &ObjectMeta, file: &FilePath, moved: impl Fn()) -> Result<(), StageError> {
        match self.bucket.download(meta, file, moved).await {
            Ok(()) => Ok(()),
            Err(DownloadError::Store(
                object_store::Error::Precondition { .. }
                | object_store::Error::NotFound { .. }
                | object_store::Error::NotModified { .. },
            )) => Err(StageError::Changed),
            Err(DownloadError::Store(error)) => Err(StageError::Bucket(error)),
            Err(DownloadError::File(error)) => Err(error.into()),
        }
    }

    fn key_of(&self, path: &str) -> String {
        if self.url.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.url.prefix) }
    }

    fn is_input(&self, seen: &Seen) -> bool {
        self.naming.template(&seen.path).is_some()
    }
}

/// A listing under way.
struct Listing {
    source: BucketSource,
    range: Range,
    /// Where to go on; None at the start.
    from: Option<Cursor>,
    groups: Groups,
    ready: VecDeque<Listed>,
    ended: bool,
}

impl Listing {
    async fn next(&mut self) -> Option<Result<Listed, SourceError>> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(Ok(ready));
            }
            if self.ended {
                return None;
            }
            if let Err(error) = self.read_page().await {
                return Some(Err(SourceError::new(&self.source.url, error)));
            }
        }
    }

    async fn read_page(&mut self) -> object_store::Result<()> {
        let source = &self.source;
        let page = source.bucket.page(&source.key_of(""), false, self.from.take()).await?;
        if let Some(key) = page.unreadable {
            // No request can name it, so it was never an input, and nothing is gone because of it.
            tracing::debug!(key, source = source.name, "a key that cannot be read is passed over");
        }
        for meta in page.objects {
            let Some(path) = source.path_of(&source.url.bucket, meta.location.as_ref()) else { continue };
            if self.range.is_past(&path) {
                self.ended = true;
                break;
            }
            let complete = self.groups.add(path, meta).into_iter().filter(|seen| source.is_input(seen));
            self.ready.extend(complete.map(Listed::Input));
        }
        self.from = page.next;
        self.ended |= self.from.is_none();
        if self.ended {
            let last = self.groups.finish().into_iter().filter(|seen| source.is_input(seen));
            self.ready.extend(last.map(Listed::Input));
        }
        Ok(())
    }
}
