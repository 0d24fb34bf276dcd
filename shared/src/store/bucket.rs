//! Buckets: a URL, the object store it names, and its listing as it is. Credentials and endpoints come from each cloud's standard environment.

use std::fmt;
use std::path::Path as FilePath;
use std::sync::{Arc, Once};
use std::time::Duration;

use bytes::Bytes;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::{HttpConnector as _, HttpRequestBody, ReqwestConnector};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt as _,
    RetryConfig,
};

use super::StoreError;
use super::transfer;
pub use super::transfer::DownloadError;

/// Tries of one request, beyond the first, and the time they may take together: callers have patience of their own.
const RETRIES_MAX: usize = 3;
const RETRY_TIMEOUT: Duration = Duration::from_secs(30);
/// Where requests go when nothing says where: what self-hosted stores expect.
const DEFAULT_REGION: &str = "us-east-1";
/// A large object takes as long as it takes; but no piece of it may be waited for longer than this.
const WHOLE: (ClientConfigKey, &str) = (ClientConfigKey::Timeout, "24 hours");
const READ: (ClientConfigKey, &str) = (ClientConfigKey::ReadTimeout, "30 seconds");
/// Objects in one answer of a listing.
const PAGE_OBJECTS: usize = 1000;

/// Which cloud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// S3, and everything that speaks like it.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
}

/// `s3://bucket/prefix` and its like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketUrl {
    /// Which cloud.
    pub cloud: Cloud,
    /// The bucket or container.
    pub bucket: String,
    /// What names begin with: empty, or without a slash at either end.
    pub prefix: String,
}

impl BucketUrl {
    /// The URL in a text; None if it names no bucket but something else.
    pub fn parse(text: &str) -> Result<Option<Self>, StoreError> {
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(None) };
        let cloud = match scheme {
            "s3" | "s3a" => Cloud::S3,
            "gs" => Cloud::Gcs,
            "az" | "azure" | "abfs" => Cloud::Azure,
            _ => return Ok(None),
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_matches('/').to_owned();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '$');
        if bucket.is_empty() || !bucket.chars().all(allowed) || prefix.split('/').any(|part| matches!(part, "." | ".."))
        {
            return Err(StoreError::Unusable {
                store: text.to_owned(),
                reason: format!("not a valid URL; write {scheme}://bucket or {scheme}://bucket/prefix"),
            });
        }
        Ok(Some(Self { cloud, bucket: bucket.to_owned(), prefix }))
    }
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.cloud {
            Cloud::S3 => "s3",
            Cloud::Gcs => "gs",
            Cloud::Azure => "az",
        };
        write!(f, "{scheme}://{}", self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

/// An open bucket, with the keys it really has.
#[derive(Clone)]
pub struct Bucket {
    pub(super) objects: Arc<dyn ObjectStore>,
    pages: Arc<dyn PaginatedListStore>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("objects", &self.objects).finish_non_exhaustive()
    }
}

/// A part of a listing.
#[derive(Debug, Default)]
pub struct Page {
    /// Objects, in order of their keys' bytes.
    pub objects: Vec<ObjectMeta>,
    /// A key that cannot be read at all, such as `a//b`: passed over.
    pub unreadable: Option<String>,
    /// Where the next part starts; None at the end.
    pub next: Option<Cursor>,
}

/// Where a part of a listing starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cursor {
    /// After this key.
    After(String),
    /// As the store said itself.
    Token(String),
}

impl Bucket {
    /// Opens a bucket. Nothing is asked of it yet.
    pub fn open(url: &BucketUrl) -> Result<Self, StoreError> {
        use_ring();
        let failed = |error: object_store::Error| StoreError::Unusable {
            store: url.to_string(),
            reason: format!(
                "{error}; set the environment of the cloud's own tools, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL"
            ),
        };
        let backoff = BackoffConfig { max_backoff: Duration::from_secs(3), ..BackoffConfig::default() };
        let retry = RetryConfig { backoff, max_retries: RETRIES_MAX, retry_timeout: RETRY_TIMEOUT };
        let name = &url.bucket;
        // Plain http is for stores in one's own house; whoever names such an endpoint means it.
        Ok(match url.cloud {
            Cloud::S3 => {
                let mut builder = AmazonS3Builder::from_env()
                    .with_bucket_name(name)
                    .with_retry(retry)
                    .with_allow_http(true)
                    .with_config(AmazonS3ConfigKey::Client(WHOLE.0), WHOLE.1)
                    .with_config(AmazonS3ConfigKey::Client(READ.0), READ.1);
                if builder.get_config_value(&AmazonS3ConfigKey::Region).is_none() {
                    builder = builder.with_region(DEFAULT_REGION);
                }
                Self::of(builder.build().map_err(failed)?)
            }
            Cloud::Gcs => Self::of(
                GoogleCloudStorageBuilder::from_env()
                    .with_bucket_name(name)
                    .with_retry(retry)
                    .with_config(GoogleConfigKey::Client(ClientConfigKey::AllowHttp), "true")
                    .with_config(GoogleConfigKey::Client(WHOLE.0), WHOLE.1)
                    .with_config(GoogleConfigKey::Client(READ.0), READ.1)
                    .build()
                    .map_err(failed)?,
            ),
            Cloud::Azure => Self::of(
                MicrosoftAzureBuilder::from_env()
                    .with_container_name(name)
                    .with_retry(retry)
                    .with_allow_http(true)
                    .with_config(AzureConfigKey::Client(WHOLE.0), WHOLE.1)
                    .with_config(AzureConfigKey::Client(READ.0), READ.1)
                    .build()
                    .map_err(failed)?,
            ),
        })
    }

    fn of(store: impl ObjectStore + PaginatedListStore + Clone) -> Self {
        Self { objects: Arc::new(store.clone()), pages: Arc::new(store) }
    }

    /// What an object is now; None if it is not there, or its key cannot be asked for.
    pub async fn head(&self, key: &str) -> object_store::Result<Option<ObjectMeta>> {
        let Ok(path) = exact(key) else { return Ok(None) };
        match self.objects.head(&path).await {
            Ok(meta) => Ok(Some(meta)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A part of the listing of all keys that begin with `prefix`; with `in_folder`, not of those below folders of that. A key that cannot be read ends the part, and is
    /// passed over with all that lies beside it in a folder without a name.
    pub async fn page(&self, prefix: &str, in_folder: bool, from: Option<Cursor>) -> object_store::Result<Page> {
        let (offset, page_token) = match from {
            None => (None, None),
            Some(Cursor::After(key)) => (Some(key), None),
            Some(Cursor::Token(token)) => (None, Some(token)),
        };
        let mut max_keys = PAGE_OBJECTS;
        loop {
            let options = PaginatedListOptions {
                offset: offset.clone(),
                page_token: page_token.clone(),
                delimiter: in_folder.then_some("/".into()),
                max_keys: Some(max_keys),
                ..PaginatedListOptions::default()
            };
            match self.pages.list_paginated(Some(prefix), options).await {
                Ok(part) => {
                    let next = part.page_token.map(Cursor::Token);
                    return Ok(Page { objects: part.result.objects, unreadable: None, next });
                }
                // One key that cannot be read spoils its whole part: ask for fewer, until it stands alone.
                Err(error) => match unreadable(&error) {
                    Some(_) if max_keys > 1 => max_keys = (max_keys / 4).max(1),
                    Some(key) => {
                        let next = Some(Cursor::After(behind(&key)));
                        return Ok(Page { objects: Vec::new(), unreadable: Some(key), next });
                    }
                    None => return Err(error),
                },
            }
        }
    }

    /// Writes an object to a new local file, only if it is still as `meta` says.
    pub async fn download(&self, meta: &ObjectMeta, file: &FilePath, moved: impl Fn()) -> Result<(), DownloadError> {
        // Azure lists tags without the quotes that a condition must have.
        let quoted = |tag: &String| if tag.contains('"') { tag.clone() } else { format!("\"{tag}\"") };
        let options = GetOptions { if_match: meta.e_tag.as_ref().map(quoted), ..GetOptions::default() };
        let bytes = transfer::download(self.objects.as_ref(), &meta.location, options, file, moved).await?;
        if bytes == meta.size {
            return Ok(());
        }
        let told = format!("{} bytes came of {} that were listed", bytes, meta.size);
        Err(DownloadError::File(std::io::Error::other(told)))
    }
}

/// Makes a bucket. False if it is there already.
pub async fn create(url: &BucketUrl) -> Result<bool, StoreError> {
    let (status, answer) = ask_s3(http::Method::PUT, url, "", Bytes::new()).await?;
    match status.as_u16() {
        200..300 => Ok(true),
        409 if ["BucketAlreadyOwnedByYou", "BucketAlreadyExists"].iter().any(|code| answer.contains(code)) => Ok(false),
        _ => Err(refused(url, "the bucket cannot be made", status, &answer)),
    }
}

/// Has a bucket announce what is created and removed in it to a target that the store knows by this name. What it announces to others is left alone.
pub async fn announce_to(url: &BucketUrl, target: &str) -> Result<(), StoreError> {
    let (status, now) = ask_s3(http::Method::GET, url, "?notification=", Bytes::new()).await?;
    if status.is_success() && now.contains(target) {
        return Ok(());
    }
    if status.is_success() && now.contains("<Event>") {
        let reason =
            format!("it announces its changes to others; add {target} beside them with the tools of the store");
        return Err(StoreError::Unusable { store: url.to_string(), reason });
    }
    let target = target.replace('&', "&amp;").replace('<', "&lt;");
    let body = format!(
        "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><QueueConfiguration><Id>kiln</Id><Queue>{target}</Queue>\
         <Event>s3:ObjectCreated:*</Event><Event>s3:ObjectRemoved:*</Event></QueueConfiguration></NotificationConfiguration>"
    );
    let (status, answer) = ask_s3(http::Method::PUT, url, "?notification=", body.into()).await?;
    if status.is_success() {
        Ok(())
    } else {
        Err(refused(url, "it cannot be told to announce its changes", status, &answer))
    }
}

/// What the S3 API has beside objects: requests about the bucket itself. Only for stores whose endpoint is named; the clouds have tools of their own.
async fn ask_s3(
    method: http::Method,
    url: &BucketUrl,
    query: &str,
    body: Bytes,
) -> Result<(http::StatusCode, String), StoreError> {
    use_ring();
    let unusable = |reason: String| StoreError::Unusable { store: url.to_string(), reason };
    let builder = AmazonS3Builder::from_env().with_bucket_name(&url.bucket).with_allow_http(true);
    let Some(endpoint) = builder.get_config_value(&AmazonS3ConfigKey::Endpoint).filter(|_| url.cloud == Cloud::S3)
    else {
        return Err(unusable("make its buckets and notifications with the cloud's own tools; here only those of an AWS_ENDPOINT_URL are made".to_owned()));
    };
    let region = builder.get_config_value(&AmazonS3ConfigKey::Region).unwrap_or_else(|| DEFAULT_REGION.to_owned());
    let failed = |error: &dyn fmt::Display| unusable(format!("{endpoint} cannot be asked: {error}"));
    let s3 = builder.with_region(&region).build().map_err(|e| failed(&e))?;
    let credential = s3.credentials().get_credential().await.map_err(|e| failed(&e))?;
    let target = format!("{}/{}{query}", endpoint.trim_end_matches('/'), url.bucket);
    let request = http::Request::builder().method(method).uri(target);
    let mut request = request.body(HttpRequestBody::from(body)).map_err(|e| failed(&e))?;
    AwsAuthorizer::new(&credential, "s3", &region).try_authorize(&mut request, None).map_err(|e| failed(&e))?;
    let options = ClientOptions::new().with_allow_http(true).with_timeout(RETRY_TIMEOUT);
    let client = ReqwestConnector::default().connect(&options).map_err(|e| failed(&e))?;
    let answer = client.execute(request).await.map_err(|e| failed(&e))?;
    let status = answer.status();
    let text = answer.into_body().bytes().await.map_err(|e| failed(&e))?;
    Ok((status, String::from_utf8_lossy(&text).into_owned()))
}

fn refused(url: &BucketUrl, what: &str, status: http::StatusCode, answer: &str) -> StoreError {
    StoreError::Unusable { store: url.to_string(), reason: format!("{what}: {status} {}", answer.trim()) }
}

/// A key as it is, nothing encoded; an error if no request can name it.
fn exact(key: &str) -> Result<Path, object_store::path::Error> {
    let path = Path::parse(key)?;
    // What begins or ends with a slash would lose it.
    if path.as_ref() == key { Ok(path) } else { Err(object_store::path::Error::EmptySegment { path: key.to_owned() }) }
}

/// What a listing goes on after, to pass over a key: all of `a//…` at once.
fn behind(key: &str) -> String {
    match key.find("//") {
        Some(at) => format!("{}\u{10ffff}", &key[..at + 2]),
        None => key.to_owned(),
    }
}

/// The key that made a listing fail.
fn unreadable(error: &object_store::Error) -> Option<String> {
    use object_store::path::Error as PathError;
    match error {
        object_store::Error::InvalidPath {
            source: PathError::EmptySegment { path } | PathError::BadSegment { path, .. },
        } => Some(path.clone()),
        _ => None,
    }
}

/// Connections are encrypted by ring, in this house and in its libraries. Another choice made earlier in the process stands.
fn use_ring() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_clouds_buckets_and_prefixes() {
        for (text, wanted) in [
            ("s3://b", ("s3://b", "b", "")),
            ("s3://b/x/y/", ("s3://b/x/y", "b", "x/y")),
            ("gs://my.bucket/a", ("gs://my.bucket/a", "my.bucket", "a")),
            ("az://c", ("az://c", "c", "")),
        ] {
            let url = BucketUrl::parse(text).unwrap().unwrap();
            assert_eq!((url.to_string().as_str(), url.bucket.as_str(), url.prefix.as_str()), wanted);
        }
        assert_eq!(BucketUrl::parse("folder").unwrap(), None);
        assert_eq!(BucketUrl::parse("file:///x").unwrap(), None);
        for bad in ["s3://", "s3:///x", "s3://a b/", "s3://b/../x"] {
            assert!(BucketUrl::parse(bad).unwrap_err().to_string().contains("s3://bucket"), "{bad}");
        }
    }

    #[test]
    fn a_listing_goes_on_behind_what_cannot_be_read() {
        assert_eq!(behind("a//b/c"), "a//\u{10ffff}");
        assert_eq!(behind("a/\u{1}b"), "a/\u{1}b");
    }

    #[test]
    fn keys_are_asked_for_as_they_are() {
        for key in ["a b/ü%20+.tif", "x/y#z?.tif", "~[a].tif"] {
            assert_eq!(exact(key).unwrap().as_ref(), key);
        }
        for key in ["a//b.tif", "/a.tif", "a/", "a/../b"] {
            assert!(exact(key).is_err(), "{key}");
        }
    }
}
