//! Where the real binaries lie.

use std::env;
use std::path::PathBuf;

/// The path of `kiln`, `kiln-server` or `demo`: in `KILN_BIN_DIR`, else where Cargo put them.
///
/// # Panics
/// If it is not there, saying how to build it.
pub fn path(name: &str) -> PathBuf {
    let folder = env::var_os("KILN_BIN_DIR").map_or_else(beside_the_test, PathBuf::from);
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is not there: end-to-end tests run the real binaries; build them first with `cargo build --workspace --bins` (`make test` does), or name \
         their folder in KILN_BIN_DIR",
        path.display()
    );
    path
}

/// Cargo puts binaries into `target/<profile>` and test binaries into `deps` below it.
fn beside_the_test() -> PathBuf {
    let own = env::current_exe().expect("a program knows its own path");
    let folder = own.parent().expect("a program lies in a folder");
    if folder.ends_with("deps") { folder.join("..") } else { folder.to_owned() }
}
