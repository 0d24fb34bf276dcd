//! Programs of others that judge Kiln: `tests/judges`. `make test` installs what they need and says where; without that, tests that need them are skipped.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// What a judge said.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Whether it found nothing wrong.
    pub passed: bool,
    /// All it said.
    pub said: String,
}

/// The folder of the judges' Python environment, if `KILN_JUDGES` names it.
pub fn environment() -> Option<PathBuf> {
    env::var_os("KILN_JUDGES").map(PathBuf::from)
}

/// A program of that environment, such as `python` or `schemathesis`.
pub fn program(environment: &Path, name: &str) -> PathBuf {
    environment.join("bin").join(name)
}

/// A script of `tests/judges`.
pub fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("judges").join(name)
}

/// Runs a judge to its end.
///
/// # Panics
/// If it does not start.
pub fn run(program: &Path, args: &[&str], folder: &Path) -> Verdict {
    fs::create_dir_all(folder).expect("a folder for what a judge writes");
    let output = Command::new(program).args(args).current_dir(folder).output();
    let output = output.unwrap_or_else(|e| panic!("{} does not start: {e}", program.display()));
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    Verdict { passed: output.status.success(), said }
}
