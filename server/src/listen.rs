//! Where a server listens.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

/// Where a server listens unless told otherwise: on loopback, from this port on.
const DEFAULT_PORT: u16 = 5000;
/// How long what was sent may stay with a peer that does not take it.
const UNTAKEN_MS_MAX: u32 = 60_000;
/// Ports tried, the default one among them.
const PORTS_TRIED: u16 = 100;

/// Binds the address that was asked for, or 127.0.0.1:5000 or the next port that is free. The error says what to do.
pub async fn listen(asked: Option<&str>) -> Result<TcpListener, String> {
    let listener = bind(asked).await?;
    // What a peer does not take in is given up: else who vanished, or never reads, would hold its place among those who listen. Sockets that are accepted inherit it.
    let _ = rustix::net::sockopt::set_tcp_user_timeout(&listener, UNTAKEN_MS_MAX);
    Ok(listener)
}

async fn bind(asked: Option<&str>) -> Result<TcpListener, String> {
    if let Some(asked) = asked {
        let advice = "choose another address with --listen, or 127.0.0.1:0 for any free port";
        return TcpListener::bind(asked).await.map_err(|error| format!("cannot listen on {asked}: {error}; {advice}"));
    }
    for port in DEFAULT_PORT..DEFAULT_PORT + PORTS_TRIED {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if let Ok(listener) = TcpListener::bind(address).await {
            return Ok(listener);
        }
    }
    Err(format!("no free port from {DEFAULT_PORT} on; choose an address with --listen"))
}
