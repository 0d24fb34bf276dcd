//! Logging: structured tracing events on standard error. `KILN_LOG` filters them (default `info`), `KILN_LOG_FORMAT=json` makes them JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Starts logging for this process. A second call does nothing.
pub fn init() {
    init_with(std::io::stderr);
}

/// The same, through a writer that shares standard error with something else.
pub fn init_with<W: for<'w> MakeWriter<'w> + Send + Sync + 'static>(writer: W) {
    let filter = EnvFilter::try_from_env("KILN_LOG").unwrap_or_else(|_| EnvFilter::new("info,async_nats=warn"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal());
    let json = std::env::var("KILN_LOG_FORMAT").is_ok_and(|format| format == "json");
    // An error means that a subscriber is already set, as in tests.
    let _ = if json { builder.json().try_init() } else { builder.try_init() };
}
