//! What every request is resolved to first: one snapshot, one collection, decoded path segments and parameters.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use shared::catalog::query::DatasetQuery;
use shared::collection::Collection;
use shared::dataset::Dataset;

use super::subject::KeyPattern;
use crate::error::ApiError;
use crate::lenient::Peer;
use crate::links::{self, Links};
use crate::params::Params;
use crate::state::{AppState, Snapshot};

/// A request to a collection.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) state: AppState,
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) collection: Arc<Collection>,
    /// What follows the resource's name in the path, each segment decoded on its own, empty ones dropped.
    pub(crate) segments: Vec<String>,
    /// For each of them whether it is a bare `*`: any value. An encoded one is a value like others.
    pub(crate) wild: Vec<bool>,
    /// Whether the last of them begins with a bare `*`.
    pub(crate) bare_star: bool,
    pub(crate) params: Params,
    /// The resource, such as `singleband`.
    pub(crate) resource: String,
    /// Whether the path named the collection.
    pub(crate) in_collection: bool,
    /// Absolute URLs.
    pub(crate) links: Links,
    /// When the request came.
    pub(crate) started: Instant,
}

/// Who asks, where that is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peered(pub(crate) Option<Peer>);

impl<S: Send + Sync> FromRequestParts<S> for Peered {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get::<ConnectInfo<Peer>>().map(|info| info.0)))
    }
}

impl FromRequestParts<AppState> for Ask {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let started = Instant::now();
        let snapshot = state.snapshot()?;
        let mut raw = parts.uri.path().split('/').filter(|s| !s.is_empty());
        let mut resource = raw.next();
        let in_collection = resource == Some("collections");
        let collection = if in_collection {
            let name = raw.next().map(decode).unwrap_or_default();
            resource = raw.next();
            snapshot.catalog.collection(&name).ok_or_else(|| {
                ApiError::not_found(format!("there is no collection {name:?}; GET /collections lists them"))
            })?
        } else {
            let none =
                || ApiError::unavailable("no collection is defined yet; `kiln serve` or `kiln watch` defines one");
            snapshot.catalog.default_collection().ok_or_else(none)?
        };
        let collection = Arc::clone(&collection.collection);
        let resource = resource.map(decode).unwrap_or_default();
        let links = state.links(&parts.headers, parts.extensions.get::<ConnectInfo<Peer>>().map(|info| info.0));
        let params = Params::parse(parts.uri.query().unwrap_or_default());
        let raw: Vec<&str> = raw.collect();
        let bare_star = raw.last().is_some_and(|last| last.starts_with('*'));
        let (segments, wild) = raw.into_iter().map(|segment| (decode(segment), segment == "*")).unzip();
        Ok(Self {
            state: state.clone(),
            snapshot,
            collection,
            segments,
            wild,
            bare_star,
            params,
            resource,
            in_collection,
            links,
            started,
        })
    }
}

impl Ask {
    /// A dataset by its key values, or what is wrong with them.
    pub(crate) async fn dataset(&self, keys: &[String]) -> Result<Arc<Dataset>, ApiError> {
        self.check_count(keys.len())?;
        let found = self.snapshot.dataset(&self.state, &self.collection.name, keys).await?;
        found.ok_or_else(|| {
            ApiError::not_found(format!("there is no dataset {}; GET /datasets lists them", keys.join("/")))
        })
    }

    /// The first segments as key values, `*` as any. They must be as many as there are keys.
    pub(crate) fn pattern(&self, keys: usize) -> Result<KeyPattern, ApiError> {
        self.check_count(keys)?;
        Ok(self.first(keys))
    }

    /// The same for routes that take all keys but the last.
    pub(crate) fn pattern_but_last(&self, keys: usize) -> Result<KeyPattern, ApiError> {
        let names = self.collection.key_names();
        if keys + 1 != names.len() {
            let wanted = names[..names.len().saturating_sub(1)].join(", ");
            return Err(ApiError::bad(format!(
                "got {keys} key values; this route takes all keys but the last: {wanted}"
            )));
        }
        Ok(self.first(keys))
    }

    /// The first segments, a bare `*` as none.
    fn first(&self, count: usize) -> KeyPattern {
        let part = |(value, wild): (&String, &bool)| (!wild).then(|| value.clone());
        self.segments.iter().zip(&self.wild).take(count).map(part).collect()
    }

    /// What is wrong with so many key values, if that is not how many keys there are.
    fn check_count(&self, found: usize) -> Result<(), ApiError> {
        let names = self.collection.key_names();
        if found == names.len() {
            return Ok(());
        }
        let wanted = names.len();
        Err(ApiError::bad(format!(
            "got {found} key values where this collection has {wanted} keys: {}",
            names.join(", ")
        )))
    }

    /// The datasets of a query: from memory, or if any is not there, all in one look-up.
    pub(crate) async fn datasets(&self, query: DatasetQuery) -> Result<Vec<Arc<Dataset>>, ApiError> {
        let collection = self.collection.name.clone();
        self.with_snapshot(move |snapshot| {
            let keys = snapshot.catalog.dataset_keys(&collection, &query)?;
            if let Some(known) = keys.iter().map(|keys| snapshot.known(&collection, keys)).collect::<Option<Vec<_>>>() {
                return Ok(known);
            }
            let found = snapshot.catalog.datasets_of(&collection, &keys)?;
            Ok(found.into_iter().map(|dataset| snapshot.keep(&collection, dataset)).collect())
        })
        .await
    }

    /// A channel's pattern: its value of the last key, and `<channel>.<key>=value` in place of other keys.
    pub(crate) fn channel_pattern(
        &self,
        pattern: &KeyPattern,
        channel: &str,
        last: String,
    ) -> Result<KeyPattern, ApiError> {
        let names = self.collection.key_names();
        let mut pattern: KeyPattern = pattern.iter().cloned().chain([Some(last)]).collect();
        for (name, value) in self.params.iter() {
            let Some(key) = name.strip_prefix(channel).and_then(|rest| rest.strip_prefix('.')) else { continue };
            let at = names.iter().position(|known| *known == key).ok_or_else(|| {
                ApiError::bad(format!(
                    "{name}: {key:?} is not a key of this collection; its keys are {}",
                    names.join(", ")
                ))
            })?;
            pattern[at] = Some(value.to_owned());
        }
        Ok(pattern)
    }

    /// Key values with their names.
    pub(crate) fn named(&self, keys: &[String]) -> Value {
        let named = self.collection.key_names().into_iter().zip(keys);
        Value::Object(named.map(|(name, value)| (name.to_owned(), value.as_str().into())).collect())
    }

    /// The path of the request but for its last segment, encoded, without a slash at its ends.
    pub(crate) fn path_without_last(&self) -> String {
        let values = self.segments.iter().zip(&self.wild).take(self.segments.len().saturating_sub(1));
        let values = values.map(|(value, wild)| if *wild { "*".to_owned() } else { links::segment(value) });
        std::iter::once(self.resource(&self.resource)).chain(values).collect::<Vec<_>>().join("/")
    }

    /// The path of a resource of the collection, as the request named that.
    pub(crate) fn resource(&self, resource: &str) -> String {
        if self.in_collection {
            format!("collections/{}/{resource}", links::segment(&self.collection.name))
        } else {
            resource.to_owned()
        }
    }

    /// Runs blocking work against the snapshot.
    pub(crate) async fn with_snapshot<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Snapshot) -> Result<T, shared::catalog::CatalogError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let snapshot = Arc::clone(&self.snapshot);
        let done = self.state.pool.run(move || work(&snapshot)).await?;
        done.map_err(|error| self.state.catalog_failed(&error))
    }
}

/// An answer in JSON.
pub(crate) fn json(body: &Value) -> Response {
    let mut response = (StatusCode::OK, body.to_string()).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A segment or a part of one, percent-decoded.
pub(crate) fn decode(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// JSON has no NaN nor infinity: those are strings, as in records.
pub(crate) fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| Value::String(value.to_string()), Value::Number)
}
