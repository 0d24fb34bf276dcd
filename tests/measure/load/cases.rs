//! What is asked of the server: lists of tiles in an order that is the same on every run.

use std::net::SocketAddr;

use harness::formula::scramble;
use harness::picture::Hull;
use harness::stack::Stack;
use server::bench::pictures::Look;

use super::client::{Connection, get};

/// Zooms of a dataset, from its finest, whose tiles are asked for.
const ZOOMS: u8 = 3;
/// Tiles that are asked for again with what is known of them.
const KNOWN_TILES: usize = 64;
/// Columns by which a tile lies beside the dataset.
const BESIDE: u32 = 40;
/// Makes the order of tiles.
const SEED: u64 = 20_261_126;

/// A tile: zoom, column, row.
pub(crate) type Tile = (u8, u32, u32);

/// A kind of request.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Whole requests.
    pub(crate) requests: Vec<Vec<u8>>,
    pub(crate) status: u16,
    /// How the same is made in this process.
    pub(crate) made: Option<(Look, Vec<Tile>)>,
    /// Whether it is answered from the plan alone, without a body.
    pub(crate) plan_only: bool,
}

/// All of them.
pub(crate) fn all(server: &Stack, address: SocketAddr) -> Vec<Case> {
    let scene = tiles(server, "scene/R");
    let beside: Vec<Tile> = scene.iter().map(|(z, x, y)| (*z, x + BESIDE, *y)).collect();
    let closer: Vec<Tile> = scene.iter().filter(|tile| tile.0 == scene_maxzoom(&scene)).map(in_one_zoom).collect();
    let band = Look {
        channels: keys(&["scene/R"]),
        stretches: vec![[300.0, 2000.0]],
        colormap: Some("viridis".to_owned()),
        ..Look::default()
    };
    let band_url = "/singleband/scene/R/{}?colormap=viridis&stretch_range=[300,2000]";
    let rgb = Look {
        channels: keys(&["scene/R", "scene/G", "scene/B"]),
        stretches: vec![[300.0, 2000.0], [300.0, 1800.0], [200.0, 1400.0]],
        ..Look::default()
    };
    let ndvi = Look {
        channels: keys(&["scene/R", "scene/G"]),
        expression: Some("(v1-v2)/(v1+v2)".to_owned()),
        stretches: vec![[-0.3, 0.3]],
        colormap: Some("rdylgn".to_owned()),
    };
    let photo = Look {
        channels: keys(&["photo/1", "photo/2", "photo/3"]),
        stretches: vec![[1.0, 255.0]; 3],
        ..Look::default()
    };
    let landcover = Look { channels: keys(&["landcover/1"]), ..Look::default() };
    let dem = Look {
        channels: keys(&["dem/1"]),
        stretches: vec![[200.0, 2800.0]],
        colormap: Some("terrain".to_owned()),
        ..Look::default()
    };
    vec![
        case("one band, color map and stretch", band_url, band.clone(), scene.clone()),
        case(
            "RGB of three COGs",
            "/rgb/scene/{}?r=R&g=G&b=B&r_range=[300,2000]&g_range=[300,1800]&b_range=[200,1400]",
            rgb,
            scene.clone(),
        ),
        case(
            "RGB of one 8-bit COG",
            "/rgb/photo/{}?r_range=[1,255]&g_range=[1,255]&b_range=[1,255]",
            photo,
            tiles(server, "photo/1"),
        ),
        case("classes", "/singleband/landcover/1/{}", landcover, tiles(server, "landcover/1")),
        case(
            "elevation, color map and stretch",
            "/singleband/dem/1/{}?colormap=terrain&stretch_range=[200,2800]",
            dem,
            tiles(server, "dem/1"),
        ),
        case(
            "NDVI of two bands",
            "/compute/scene/{}?expression=(v1-v2)/(v1%2Bv2)&v1=R&v2=G&stretch_range=[-0.3,0.3]&colormap=rdylgn",
            ndvi,
            scene.clone(),
        ),
        case("one band, a zoom closer than it has", band_url, band.clone(), closer),
        case("beside the raster: transparent", band_url, band.clone(), beside),
        not_modified(address, band_url, band, scene),
        metadata(),
    ]
}

fn metadata() -> Case {
    let requests = vec![get("/metadata/scene/R", "")];
    Case { name: "/metadata of a dataset", requests, status: 200, made: None, plan_only: false }
}

/// The same tiles at a server of another kind: `{}` stands for the tile.
pub(crate) fn elsewhere(name: &'static str, url: &str, tiles: &[Tile]) -> Case {
    let requests = tiles.iter().map(|(z, x, y)| get(&url.replace("{}", &format!("{z}/{x}/{y}")), "")).collect();
    Case { name, requests, status: 200, made: None, plan_only: false }
}

fn case(name: &'static str, url: &str, look: Look, tiles: Vec<Tile>) -> Case {
    let requests = tiles.iter().map(|tile| get(&path(url, *tile), "")).collect();
    Case { name, requests, status: 200, made: Some((look, tiles)), plan_only: false }
}

/// Tiles that the client has: it sends their `ETag`.
fn not_modified(address: SocketAddr, url: &str, look: Look, mut tiles: Vec<Tile>) -> Case {
    tiles.truncate(KNOWN_TILES);
    let mut connection = Connection::open(address);
    let request = |tile: &Tile| {
        let path = path(url, *tile);
        let answer = connection.ask_whole(&get(&path, ""));
        assert_eq!(answer.status, 200, "{path}: {}", answer.head);
        let tag = answer.head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap();
        get(&path, &format!("if-none-match: {tag}\r\n"))
    };
    let requests = tiles.iter().map(request).collect();
    Case { name: "304: the client has it", requests, status: 304, made: Some((look, tiles)), plan_only: true }
}

fn path(url: &str, (z, x, y): Tile) -> String {
    url.replace("{}", &format!("{z}/{x}/{y}.png"))
}

/// Tiles whose middle lies where the dataset is valid, shuffled.
fn tiles(server: &Stack, keys: &str) -> Vec<Tile> {
    let metadata = server.metadata(keys);
    let hull = Hull::parse(&metadata["convex_hull"]);
    let maxzoom = metadata["maxzoom"].as_u64().unwrap() as u8;
    let inside = |(z, x, y): &Tile| {
        let (lon, lat) = harness::picture::pixel_center(*z, (*x, *y), 128, 128);
        hull.contains(lon, lat)
    };
    let of = |z: u8| hull.tiles(z).into_iter().map(move |(x, y)| (z, x, y));
    let mut tiles: Vec<Tile> = (maxzoom + 1 - ZOOMS..=maxzoom).flat_map(of).filter(inside).collect();
    tiles.sort_by_key(|(z, x, y)| scramble(SEED ^ u64::from(*z) << 58 ^ u64::from(*x) << 29 ^ u64::from(*y)));
    tiles
}

fn scene_maxzoom(tiles: &[Tile]) -> u8 {
    tiles.iter().map(|tile| tile.0).max().unwrap()
}

/// One of the four below a tile.
fn in_one_zoom((z, x, y): &Tile) -> Tile {
    (z + 1, x * 2 + x % 2, y * 2 + y % 2)
}

fn keys(datasets: &[&str]) -> Vec<Vec<String>> {
    datasets.iter().map(|keys| keys.split('/').map(str::to_owned).collect()).collect()
}
