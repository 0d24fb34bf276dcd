//! Servers to set beside ours: axum that answers the same bytes to everybody, and, where it is given, the floor.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::routing::get;
use server::bench::pictures::Pictures;

use super::cases::Tile;
use super::data;

/// Bytes of the bare answer: those of a common tile.
const BODY_BYTES: usize = 30_000;
/// Blocks that the floor answers from.
const FLOOR_BLOCKS: usize = 64;
/// How long a server may take to listen.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A process of another server, killed on drop.
#[derive(Debug)]
pub(crate) struct Other {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Other {
    /// This program again, as a server without work.
    pub(crate) fn bare() -> Self {
        let own = std::env::current_exe().unwrap();
        let mut child = Command::new(own).arg("bare-server").stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: line.trim().parse().unwrap() }
    }

    /// The floor: `binary serve PORT blocks0.u16`, on blocks of the scene's own three bands.
    pub(crate) fn floor(binary: &Path, pictures: &Pictures, tiles: &[Tile]) -> Self {
        let folder = data::folder().join("floor");
        // Where it writes.
        fs::create_dir_all(folder.join("scratch/floor")).unwrap();
        let mut files = [Vec::new(), Vec::new(), Vec::new()];
        let whole = tiles.iter().map(|(z, x, y)| pictures.blocks_u16(*z, *x, *y));
        let whole = whole.filter(|blocks| blocks.len() == 3 && blocks.iter().all(|block| !block.is_empty()));
        for blocks in whole.take(FLOOR_BLOCKS) {
            files.iter_mut().zip(blocks).for_each(|(file, block)| file.extend(block));
        }
        for (i, file) in files.iter().enumerate() {
            fs::write(folder.join(format!("blocks{i}.u16")), file).unwrap();
        }
        // A port that was free a moment ago.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let args = ["serve", &address.port().to_string(), "blocks0.u16"];
        let child = Command::new(binary).args(args).current_dir(&folder).spawn().unwrap();
        harness::wait_for("the floor listens", START_LIMIT, || TcpStream::connect(address).ok());
        Self { child, address }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Answers `/body` with as many bytes as a tile has, `/empty` with none, until killed.
pub(crate) fn serve_bare() {
    let body = Bytes::from((0..BODY_BYTES).map(|i| ((i * 31) >> 3) as u8).collect::<Vec<_>>());
    let answer = async move || ([(header::CONTENT_TYPE, "image/png")], body.clone());
    let routes = Router::new().route("/body", get(answer)).route("/empty", get(async || StatusCode::NOT_MODIFIED));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "{}", listener.local_addr().unwrap()).unwrap();
        out.flush().unwrap();
        axum::serve(listener, routes).await.unwrap();
    });
}
