//! A whole server without a socket, on a catalogue of one dataset.

use std::path::Path;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use serde_json::json;
use shared::catalog::reader::Catalog;
use shared::catalog::{apply, schema};
use shared::collection::{Collection, Key, OnConflict, Style};
use shared::commit::Commit;
use shared::dataset::{Compression, DataType, Predictor};
use shared::layout::SnapshotName;
use shared::snapshot::Manifest;
use shared::store::ReadStore;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

use super::block;
use crate::Settings;
use crate::routes::router;
use crate::state::{AppState, Snapshot};

/// The commit that makes the dataset.
const N: u64 = 1;

/// A server, and what drives it.
#[derive(Debug)]
pub struct Site {
    router: Router,
    runtime: Runtime,
}

impl Site {
    /// A server of one uint16 dataset `a/1`, in an empty folder.
    ///
    /// # Panics
    /// If the folder cannot be written.
    #[expect(clippy::expect_used, reason = "a benchmark without its folder is a mistake of its author")]
    pub fn new(folder: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let cog = block::layout(DataType::Uint16, 1, Compression::Zstd, Predictor::Horizontal);
        let (path, bytes) = ("cogs/default/20260101/a.tif", block::file(&cog));
        let store = folder.join("store");
        std::fs::create_dir_all(store.join("cogs/default/20260101")).expect("a folder");
        std::fs::write(store.join(path), bytes).expect("a file");
        let catalog = catalog(folder, &json!([block::dataset(path, cog, false)]));
        let store = ReadStore::open(store.to_str().expect("a name")).expect("a store");
        let manifest = Manifest {
            n: N,
            format: schema::newest_format(),
            name: SnapshotName::new(N),
            bytes: 0,
            sha256: String::new(),
            datasets: 1,
            at_ms: 0,
            whole: None,
            steps: Vec::new(),
        };
        let state = AppState::new(store, Settings { cache_mb: 0, ..Settings::default() }, true);
        state.served.store(Some(Snapshot::new(catalog, manifest, &state.caches).into()));
        Self { router: router(state, None), runtime }
    }

    /// The path of a tile of the dataset.
    pub fn tile(&self) -> String {
        let place = block::PLACE;
        format!(
            "/singleband/a/1/{}/{}/{}.png?colormap=viridis&stretch_range=[300,2000]",
            place.maxzoom, place.col, place.row
        )
    }

    /// GET, with what it is compared with if it is known; the status, and the `ETag`.
    ///
    /// # Panics
    /// If there is no answer.
    #[expect(clippy::expect_used, reason = "a server without a socket always answers")]
    pub fn get(&self, path: &str, known: Option<&str>) -> (StatusCode, String) {
        let request = known.iter().fold(Request::get(path), |request, tag| request.header(header::IF_NONE_MATCH, *tag));
        let request = request.body(Body::empty()).expect("a request");
        let response = self.runtime.block_on(self.router.clone().oneshot(request)).expect("an answer");
        let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default();
        (response.status(), tag.to_owned())
    }
}

#[expect(clippy::expect_used, reason = "a benchmark without its folder is a mistake of its author")]
fn catalog(folder: &Path, datasets: &serde_json::Value) -> Catalog {
    let key = |name: &str| Key { name: name.to_owned(), description: None };
    let collection = Collection {
        name: "default".to_owned(),
        title: "Default".to_owned(),
        default: true,
        keys: vec![key("name"), key("band")],
        pattern: None,
        on_conflict: OnConflict::Newest,
        style: Style::default(),
        colormaps: std::collections::BTreeMap::new(),
    };
    let commit = json!({"n": N, "uuid": "01ARZ3NDEKTSV4RRFFQ69G5FAV", "at_ms": 0, "author": "bench", "changes": [
        {"change": "put_collection", "prev": 0, "collection": collection},
        {"change": "put", "source": "default", "input": "all", "prev": 0, "version": "1", "source_time_ms": 0,
         "collection": "default", "content": "", "datasets": datasets},
    ]});
    let commit: Commit = serde_json::from_value(commit).expect("a commit");
    let mut replica = schema::open_replica(&folder.join("replica")).expect("a replica");
    apply::apply(&mut replica, &commit).expect("the commit applies");
    let clean = folder.join("snapshot");
    schema::write_clean(&replica, &clean).expect("a snapshot");
    Catalog::open(&clean).expect("a catalogue")
}
