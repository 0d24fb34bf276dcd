//! A store in a temporary folder: COGs by formula, a catalogue of them, published.

use std::path::PathBuf;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use shared::bbox::Bbox;
use shared::catalog::{apply, schema};
use shared::collection::{Collection, Style};
use shared::commit::Commit;
use shared::dataset::{CogLayout, Compression, DataType, Dataset, Level, MaskTables, Predictor, Validity};
use shared::grid::{Placement, TILE_PIXELS, TILE_SIZE, from_mercator};
use shared::layout::SnapshotName;
use shared::snapshot::delta::{self, Pages};
use shared::snapshot::{self, Draft, Fetcher, Published};
use shared::store::Store;
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::page::{EMBEDDED, Page};
use crate::reload::Reloader;
use crate::state::AppState;
use crate::{Settings, router};

/// Bytes before a block and after it.
const GAP: u64 = 4;

/// A store and the folder of the server's notes.
pub(super) struct Scene {
    pub(super) dir: TempDir,
    pub(super) store: Store,
    datasets: Vec<Dataset>,
    pub(super) style: Style,
    n: u64,
}

/// How a COG of the scene is written.
pub(super) struct Cog {
    pub(super) data_type: DataType,
    pub(super) samples: u16,
    pub(super) validity: Validity,
    pub(super) predictor: Predictor,
    pub(super) placement: Placement,
    /// Bytes of an offset and of a size in its tables.
    pub(super) entry_bytes: (u8, u8),
    /// Bytes of the samples of a pixel; None is invalid.
    pub(super) pixel: Box<dyn Fn(u8, u32, u32) -> Option<Vec<u8>>>,
}

/// Two by two tiles of zoom 10 near 0° E 48° N.
pub(super) const PLACE: Placement = Placement { maxzoom: 10, minzoom: 9, col: 512, row: 352, cols: 2, rows: 2 };

impl Cog {
    /// A single-sample COG at `PLACE`.
    pub(super) fn of<T: bytemuck::NoUninit>(
        data_type: DataType,
        validity: Validity,
        value: fn(u8, u32, u32) -> Option<T>,
    ) -> Self {
        let pixel = move |z, x, y| value(z, x, y).map(|v| bytemuck::bytes_of(&v).to_vec());
        let predictor = Predictor::None;
        Self {
            data_type,
            samples: 1,
            validity,
            predictor,
            placement: PLACE,
            entry_bytes: (8, 4),
            pixel: Box::new(pixel),
        }
    }
}

impl Scene {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("store").to_str().unwrap(), true).unwrap();
        Self { dir, store, datasets: Vec::new(), style: Style::default(), n: 0 }
    }

    /// Writes a COG and catalogues its samples as bands of `name`.
    pub(super) fn add(&mut self, name: &str, bands: &[&str], cog: &Cog) -> &mut Self {
        let path = format!("cogs/default/20260101/{name}-{}.tif", self.n);
        let layout = self.write(&path, cog);
        for (sample, band) in bands.iter().enumerate() {
            let metadata = metadata(cog, bands);
            let keys = vec![name.to_owned(), (*band).to_owned()];
            let dataset = Dataset { keys, path: path.clone(), sample: sample as u16, cog: layout.clone(), metadata };
            self.datasets.retain(|d| d.keys != dataset.keys);
            self.datasets.push(dataset);
        }
        self
    }

    /// Changes a dataset's record.
    pub(super) fn change(&mut self, name: &str, change: impl Fn(&mut Dataset)) -> &mut Self {
        self.datasets.iter_mut().filter(|d| d.keys[0] == name).for_each(change);
        self
    }

    /// Where an object lies.
    pub(super) fn file(&self, path: &str) -> PathBuf {
        self.dir.path().join("store").join(path)
    }

    /// Publishes what was added so far as the next snapshot.
    pub(super) async fn publish(&mut self) -> u64 {
        let clean = self.file_of_next();
        let datasets = self.datasets.len() as u64;
        assert!(snapshot::publish(&self.store, &clean, self.n, schema::newest_format(), datasets, 0).await.unwrap());
        self.n
    }

    /// The same, as the pages that differ from the snapshot before.
    pub(super) async fn publish_step(&mut self) -> u64 {
        let clean = self.file_of_next();
        let reader = self.store.read_only();
        let before = snapshot::manifest(&reader, self.n - 1).await.unwrap();
        let cache = self.dir.path().join("of the publisher");
        let pages = Pages::of(&Fetcher::new(reader, cache).fetch(&before).await.unwrap()).unwrap();
        let delta = self.dir.path().join(format!("delta-{}", self.n));
        let name = SnapshotName::new(self.n);
        let compared = delta::make(&clean, Some((&pages, before.name)), name, &delta).unwrap();
        let draft = Draft {
            name,
            format: schema::newest_format(),
            datasets: self.datasets.len() as u64,
            at_ms: 0,
            bytes: compared.bytes,
            sha256: compared.sha256,
            whole: None,
            step: Some((before, delta, compared.delta_bytes)),
            seen: self.n - 1,
        };
        assert!(matches!(snapshot::publish_draft(&self.store, draft).await.unwrap(), Published::Won(_)));
        self.n
    }

    /// The catalogue of what was added so far, after the next commit.
    pub(super) fn file_of_next(&mut self) -> PathBuf {
        self.n += 1;
        let file = self.dir.path().join(format!("replica-{}", self.n));
        let mut conn = schema::open_replica(&file).unwrap();
        let collection = Collection {
            name: "default".to_owned(),
            title: "Default".to_owned(),
            default: true,
            keys: ["name", "band"]
                .map(|name| shared::collection::Key { name: name.to_owned(), description: None })
                .to_vec(),
            pattern: None,
            on_conflict: shared::collection::OnConflict::Newest,
            style: self.style.clone(),
            colormaps: [("mine", 255), ("short", 254), ("long", 256)]
                .map(|(name, count)| (name.to_owned(), vec![[9, 8, 7, 255]; count]))
                .into(),
        };
        for n in 1..=self.n {
            let mut changes = Vec::new();
            if n == 1 {
                changes.push(json!({"change": "put_collection", "prev": 0, "collection": collection}));
            }
            if n == self.n {
                changes.push(json!({
                    "change": "put", "source": "default", "input": "all", "prev": 0, "version": "1", "source_time_ms": 0,
                    "collection": "default", "content": "", "datasets": self.datasets,
                }));
            }
            let uuid = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
            let commit = json!({"n": n, "uuid": uuid, "at_ms": 0, "author": "test", "changes": changes});
            let commit: Commit = serde_json::from_value(commit).unwrap();
            apply::apply(&mut conn, &commit).unwrap();
        }
        let clean = self.dir.path().join(format!("clean-{}", self.n));
        schema::write_clean(&conn, &clean).unwrap();
        clean
    }

    /// A server's state over the store, with what looks for newer snapshots.
    pub(super) fn state(&self) -> (AppState, Reloader) {
        self.state_of(Settings::default(), EMBEDDED)
    }

    /// The same with other settings, and another page.
    pub(super) fn state_of(&self, settings: Settings, page: Page) -> (AppState, Reloader) {
        let state = AppState::with_page(self.store.read_only(), settings, true, page);
        let reloader = Reloader {
            state: state.clone(),
            fetcher: Fetcher::new(self.store.read_only(), self.dir.path().join("cache")),
            hint: std::sync::Arc::default(),
            every: None,
        };
        (state, reloader)
    }

    /// Publishes, and serves that.
    pub(super) async fn serve(&mut self) -> Served {
        self.publish().await;
        let (state, reloader) = self.state();
        reloader.look().await;
        Served { state, reloader }
    }

    fn write(&self, path: &str, cog: &Cog) -> CogLayout {
        let place = &cog.placement;
        let masked = cog.validity == Validity::Mask;
        let (offset_bytes, count_bytes) = cog.entry_bytes;
        let blocks = |level: usize| {
            let (cols, rows) = place.blocks(level);
            u64::from(cols) * u64::from(rows)
        };
        let (mut at, mut levels) = (64, Vec::new());
        for level in 0..place.levels() {
            let mut tables = || {
                let tables = (at, at + u64::from(offset_bytes) * blocks(level));
                at = tables.1 + u64::from(count_bytes) * blocks(level);
                tables
            };
            let (offsets_at, counts_at) = tables();
            let mask = masked.then(&mut tables).map(|(offsets_at, counts_at)| MaskTables { offsets_at, counts_at });
            levels.push(Level { offsets_at, counts_at, mask });
        }
        let mut file = vec![0; at as usize];
        for (level, tables) in levels.iter().enumerate() {
            for index in 0..blocks(level) {
                let Some((image, mask)) = encode(cog, level, index) else { continue };
                append(&mut file, &image, cog.entry_bytes, (tables.offsets_at, tables.counts_at), index);
                if let Some(places) = &tables.mask {
                    append(&mut file, &mask, cog.entry_bytes, (places.offsets_at, places.counts_at), index);
                }
            }
        }
        let place_of_file = self.file(path);
        std::fs::create_dir_all(place_of_file.parent().unwrap()).unwrap();
        std::fs::write(place_of_file, &file).unwrap();
        CogLayout {
            data_type: cog.data_type,
            samples: cog.samples,
            compression: Compression::Zstd,
            predictor: cog.predictor,
            validity: cog.validity,
            placement: *place,
            header_bytes: at,
            entry_bytes: cog.entry_bytes,
            levels,
        }
    }
}

/// A block and its mask, compressed; None where nothing is valid.
fn encode(cog: &Cog, level: usize, index: u64) -> Option<(Vec<u8>, Vec<u8>)> {
    let place = &cog.placement;
    let z = place.maxzoom - level as u8;
    let (col, row, cols, _) = place.at(z);
    let tile = TILE_SIZE as u32;
    let (x0, y0) = ((col + (index % u64::from(cols)) as u32) * tile, (row + (index / u64::from(cols)) as u32) * tile);
    let width = usize::from(cog.samples) * cog.data_type.bytes();
    let (mut image, mut mask) = (vec![0; TILE_PIXELS * width], vec![0u8; TILE_PIXELS / 8]);
    let mut any = false;
    for i in 0..TILE_PIXELS as u32 {
        if let Some(bytes) = (cog.pixel)(z, x0 + i % tile, y0 + i / tile) {
            any = true;
            image[i as usize * width..][..width].copy_from_slice(&bytes);
            mask[i as usize / 8] |= 0x80 >> (i % 8);
        } else if let Validity::Nodata(value) = cog.validity {
            assert_eq!(value, 0.0, "the buffer holds zeros");
        }
    }
    if cog.predictor == Predictor::Horizontal {
        assert_eq!(cog.data_type, DataType::Uint16);
        let samples: &mut [u16] = bytemuck::cast_slice_mut(&mut image);
        for line in samples.chunks_exact_mut(TILE_SIZE) {
            (1..TILE_SIZE).rev().for_each(|i| line[i] = line[i].wrapping_sub(line[i - 1]));
        }
    }
    any.then(|| (zstd::bulk::compress(&image, 1).unwrap(), zstd::bulk::compress(&mask, 1).unwrap()))
}

fn append(file: &mut Vec<u8>, block: &[u8], widths: (u8, u8), (offsets_at, counts_at): (u64, u64), index: u64) {
    file.extend([0; GAP as usize]);
    let offset = file.len() as u64;
    for (value, width, table_at) in [(offset, widths.0, offsets_at), (block.len() as u64, widths.1, counts_at)] {
        let width = usize::from(width);
        let at = table_at as usize + width * index as usize;
        file[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    }
    file.extend(block);
    file.extend([0; GAP as usize]);
}

fn metadata(cog: &Cog, bands: &[&str]) -> shared::metadata::Metadata {
    let [west, south, east, north] = cog.placement.bounds_m();
    let ((west, south), (east, north)) = (from_mercator(west, south), from_mercator(east, north));
    let bounds = Bbox::from_unwrapped(west, south, east, north);
    let rgb = (bands.len() >= 3).then(|| [bands[0], bands[1], bands[2]]);
    let record = json!({
        "bounds": bounds, "convex_hull": [[west, south], [east, south], [east, north], [west, north], [west, south]],
        "valid_percentage": 100.0,
        "statistics": {
            "min": 0.0, "max": 255.0, "mean": 100.0, "stdev": 10.0, "percentiles": (1..100).map(f64::from).collect::<Vec<_>>(),
            "histogram": {"min": 0.0, "max": 255.0, "counts": [1, 2]}, "valid_pixels": 9,
        },
        "data_type": cog.data_type, "crs": "EPSG:3857", "size": [512, 512], "resolution": [1.0, 1.0], "nodata": null,
        "band": {"number": 1}, "categorical": {"is": false, "reason": "float"}, "rgb": rgb, "input": "secret/place.tif",
        "version": "1", "source_time_ms": 0, "ingested_at_ms": 0,
    });
    serde_json::from_value(record).unwrap()
}

/// A server without a socket.
pub(super) struct Served {
    pub(super) state: AppState,
    pub(super) reloader: Reloader,
}

impl Served {
    pub(super) async fn send(&self, request: Request<Body>) -> Response {
        router(self.state.clone(), None).oneshot(request).await.unwrap()
    }

    pub(super) async fn get(&self, url: &str) -> Response {
        self.send(Request::get(url).body(Body::empty()).unwrap()).await
    }

    /// Status and JSON.
    pub(super) async fn json(&self, url: &str) -> (StatusCode, Value) {
        let response = self.get(url).await;
        let status = response.status();
        (status, serde_json::from_slice(&body(response).await).unwrap())
    }

    /// The JSON of a success.
    pub(super) async fn ok(&self, url: &str) -> Value {
        let (status, value) = self.json(url).await;
        assert_eq!(status, StatusCode::OK, "{url}: {value}");
        value
    }

    /// The picture of a success.
    pub(super) async fn picture(&self, url: &str) -> image::RgbaImage {
        let response = self.get(url).await;
        assert_eq!(response.status(), StatusCode::OK, "{url}");
        assert_eq!(response.headers()[header::CONTENT_TYPE], "image/png");
        let bytes = body(response).await;
        image::load_from_memory(&bytes).unwrap().to_rgba8()
    }

    /// The `ETag` of a success.
    pub(super) async fn etag(&self, url: &str) -> String {
        self.get(url).await.headers()[header::ETAG].to_str().unwrap().to_owned()
    }
}

pub(super) async fn body(response: Response) -> Vec<u8> {
    to_bytes(response.into_body(), 1 << 24).await.unwrap().to_vec()
}
