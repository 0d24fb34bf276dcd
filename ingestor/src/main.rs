//! `kiln`: drop rasters into a folder, see their tiles.

use std::process::ExitCode;

fn main() -> ExitCode {
    ingestor::cli::run()
}
