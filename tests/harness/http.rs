//! A plain HTTP client that takes every status as an answer.

use std::time::Duration;

use image::RgbaImage;
use serde_json::Value;

/// No answer takes this long unless something hangs.
const REQUEST_LIMIT: Duration = Duration::from_mins(1);
/// More than any answer holds.
const BODY_BYTES_MAX: u64 = 64 << 20;

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// HTTP status.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body as it came.
    pub body: Vec<u8>,
}

impl Response {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The `ETag`.
    ///
    /// # Panics
    /// Without one.
    pub fn etag(&self) -> &str {
        self.header("etag").unwrap_or_else(|| panic!("an answer without an ETag: {self:?}"))
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e} in {:?}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as a picture.
    ///
    /// # Panics
    /// If it is none.
    pub fn picture(&self) -> RgbaImage {
        let picture = image::load_from_memory_with_format(&self.body, image::ImageFormat::Png);
        picture.unwrap_or_else(|e| panic!("{e} in an answer {} {:?}", self.status, self.text())).into_rgba8()
    }
}

/// A client with its own connections.
#[derive(Clone, Debug)]
pub struct Client {
    agent: ureq::Agent,
}

impl Default for Client {
    fn default() -> Self {
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).proxy(None).timeout_global(Some(REQUEST_LIMIT));
        Self { agent: config.build().new_agent() }
    }
}

impl Client {
    /// GET with extra headers. An error is a failed connection, never a status.
    pub fn get(&self, url: &str, headers: &[(&str, &str)]) -> Result<Response, ureq::Error> {
        let request = headers.iter().fold(self.agent.get(url), |request, (name, value)| request.header(*name, *value));
        read(request.call()?)
    }

    /// POST of JSON.
    pub fn post(&self, url: &str, body: &Value) -> Result<Response, ureq::Error> {
        self.post_with(url, &[], &body.to_string())
    }

    /// POST of JSON text with extra headers.
    pub fn post_with(&self, url: &str, headers: &[(&str, &str)], body: &str) -> Result<Response, ureq::Error> {
        let request = self.agent.post(url).header("content-type", "application/json");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        read(request.send(body)?)
    }
}

fn read(response: ureq::http::Response<ureq::Body>) -> Result<Response, ureq::Error> {
    let (parts, body) = response.into_parts();
    let text = |value: &ureq::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Ok(Response {
        status: parts.status.as_u16(),
        headers: parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect(),
        body: body.into_with_config().limit(BODY_BYTES_MAX).read_to_vec()?,
    })
}
