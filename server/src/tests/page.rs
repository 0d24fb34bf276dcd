//! The web page is served as it was built, from wherever it is mounted.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use tower::ServiceExt as _;

use super::scene::{Scene, body};
use crate::page::{File, Page};
use crate::{Settings, router};

const SCRIPT: &str = "assets/index-1a2b.js";

/// What Vite makes, in little. The compressed forms only have to be told apart.
static FILES: [File; 3] = [
    File { name: SCRIPT, sum: "00aa", plain: b"let long", gzip: Some(b"gz"), brotli: Some(b"br") },
    File { name: "favicon.svg", sum: "00bb", plain: b"<svg/>", gzip: None, brotli: None },
    File { name: "index.html", sum: "00cc", plain: b"<html>", gzip: Some(b"gz"), brotli: None },
];

async fn asked(
    settings: Settings,
    page: &'static [File],
    url: &str,
    headers: &[(header::HeaderName, &str)],
) -> Response {
    let (state, _) = Scene::new().state_of(settings, Page(page));
    let request = headers.iter().fold(Request::get(url), |request, (name, value)| request.header(name, *value));
    router(state, None).oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn get(url: &str, headers: &[(header::HeaderName, &str)]) -> Response {
    asked(Settings::default(), &FILES, url, headers).await
}

fn header_of(response: &Response, name: header::HeaderName) -> &str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn hashed_files_are_kept_for_ever_and_the_page_is_asked_for_each_time() {
    let page = get("/", &[]).await;
    assert_eq!(page.status(), StatusCode::OK);
    assert_eq!(header_of(&page, header::CACHE_CONTROL), "no-cache");
    assert_eq!(header_of(&page, header::CONTENT_TYPE), "text/html; charset=utf-8");
    assert!(header_of(&page, header::CONTENT_SECURITY_POLICY).contains("worker-src 'self' blob:"));
    let script = get("/assets/index-1a2b.js", &[]).await;
    assert_eq!(script.status(), StatusCode::OK);
    assert_eq!(header_of(&script, header::CACHE_CONTROL), "public, max-age=31536000, immutable");
    assert_eq!(header_of(&script, header::CONTENT_TYPE), "text/javascript; charset=utf-8");
    assert_eq!(header_of(&script, header::X_CONTENT_TYPE_OPTIONS), "nosniff");
    let icon = get("/favicon.svg", &[]).await;
    assert_eq!((icon.status(), header_of(&icon, header::CACHE_CONTROL)), (StatusCode::OK, "no-cache"));
    for url in ["/assets/index-0000.js", "/index.html", "/assets/../index.html", "/nothing"] {
        assert_eq!(get(url, &[]).await.status(), StatusCode::NOT_FOUND, "{url}");
    }
}

#[tokio::test]
async fn a_file_comes_in_the_smallest_form_the_client_takes() {
    for (accepted, encoding, bytes) in [
        ("gzip, br", "br", &b"br"[..]),
        ("gzip", "gzip", b"gz"),
        ("br;q=0, gzip", "gzip", b"gz"),
        ("", "", b"let long"),
    ] {
        let script = get("/assets/index-1a2b.js", &[(header::ACCEPT_ENCODING, accepted)]).await;
        assert_eq!(header_of(&script, header::CONTENT_ENCODING), encoding, "{accepted}");
        assert_eq!(header_of(&script, header::VARY), "accept-encoding");
        assert_eq!(body(script).await, bytes, "{accepted}");
    }
}

#[tokio::test]
async fn what_a_client_has_is_not_sent_again() {
    let page = get("/", &[(header::ACCEPT_ENCODING, "gzip")]).await;
    let etag = header_of(&page, header::ETAG).to_owned();
    assert_ne!(etag, header_of(&get("/", &[]).await, header::ETAG), "each encoding has a tag of its own");
    for tag in [etag.as_str(), "\"zz\", W/\"00cc\"", "*"] {
        let again = get("/", &[(header::IF_NONE_MATCH, tag)]).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{tag}");
        assert!(body(again).await.is_empty());
    }
    assert_eq!(get("/", &[(header::IF_NONE_MATCH, "\"00aa\"")]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn below_a_base_path_the_page_is_a_folder() {
    let settings = || Settings { base_path: "/deep/maps".to_owned(), ..Settings::default() };
    let moved = asked(settings(), &FILES, "/deep/maps?a=b", &[]).await;
    assert_eq!(moved.status(), StatusCode::PERMANENT_REDIRECT);
    // Relative: a proxy may have taken off what stood before.
    assert_eq!(header_of(&moved, header::LOCATION), "maps/?a=b");
    for url in ["/deep/maps/", "/deep/maps/assets/index-1a2b.js", "/deep/maps/favicon.svg", "/deep/maps/ui.json"] {
        let found = asked(settings(), &FILES, url, &[]).await;
        assert_eq!(found.status(), StatusCode::OK, "{url}");
    }
    for url in ["/", "/assets/index-1a2b.js"] {
        assert_eq!(asked(settings(), &FILES, url, &[]).await.status(), StatusCode::NOT_FOUND, "{url}");
    }
}

#[tokio::test]
async fn programs_are_told_where_to_begin() {
    let json = get("/", &[(header::ACCEPT, "application/json")]).await;
    assert_eq!(header_of(&json, header::CONTENT_TYPE), "application/json");
    let browser = "text/html,application/xhtml+xml,application/json;q=0.9,*/*;q=0.8";
    let html = get("/", &[(header::ACCEPT, browser)]).await;
    assert_eq!(body(html).await, b"<html>");
}

#[tokio::test]
async fn a_binary_without_the_page_says_how_to_build_it() {
    let page = asked(Settings::default(), &[], "/", &[(header::ACCEPT, "text/html")]).await;
    assert_eq!(page.status(), StatusCode::OK);
    let text = String::from_utf8(body(page).await).unwrap();
    assert!(text.contains("make ui") && text.contains("./apidoc") && text.contains("./datasets"));
    assert_eq!(asked(Settings::default(), &[], "/assets/a.js", &[]).await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_page_may_ask_a_base_map_where_one_is_set() {
    let basemap = Some("https://tiles.example.org/{z}/{x}/{y}.png".to_owned());
    let settings = Settings { basemap, basemap_attribution: Some("© somebody".to_owned()), ..Settings::default() };
    assert!(settings.faults().is_empty());
    let page = asked(settings.clone(), &FILES, "/", &[]).await;
    let policy = header_of(&page, header::CONTENT_SECURITY_POLICY);
    assert!(policy.contains("img-src 'self' data: blob: https://tiles.example.org;"), "{policy}");
    let told = body(asked(settings, &FILES, "/ui.json", &[]).await).await;
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
    let tiles = ["https://tiles.example.org/{z}/{x}/{y}.png"];
    assert_eq!(told["basemap"], serde_json::json!({ "kind": "raster", "tiles": tiles, "attribution": "© somebody" }));
}
