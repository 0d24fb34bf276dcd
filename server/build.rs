//! Embeds the web page, where it was built: every file of `ui/dist`, or of the folder that `KILN_UI_DIST` names, also compressed. Without one the binary holds none,
//! and says at `/` how to build it. Nothing here needs Node.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::Hasher as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// A page that is larger was built wrong.
const BYTES_MAX: u64 = 32 << 20;
/// Types that compress; others are compressed already.
const TEXTS: [&str; 8] = ["css", "geojson", "html", "js", "json", "svg", "txt", "webmanifest"];
const BROTLI_QUALITY: i32 = 11;
const BROTLI_WINDOW: i32 = 22;

fn main() -> io::Result<()> {
    let folder = env::var_os("KILN_UI_DIST").map_or_else(|| PathBuf::from("ui/dist"), PathBuf::from);
    // Cargo builds anew each time while what it watches is not there.
    if Path::new("ui").is_dir() {
        let _ = fs::create_dir(&folder);
    }
    println!("cargo:rerun-if-env-changed=KILN_UI_DIST");
    println!("cargo:rerun-if-changed=build.rs");
    if folder.is_dir() {
        println!("cargo:rerun-if-changed={}", folder.display());
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let mut files = Vec::new();
    if folder.join("index.html").is_file() {
        list(&folder.canonicalize()?, "", &mut files)?;
    }
    files.sort();
    let (mut source, mut bytes) = ("&[".to_owned(), 0);
    for (index, (name, path)) in files.iter().enumerate() {
        let plain = fs::read(path)?;
        bytes += plain.len() as u64;
        let mut hash = DefaultHasher::new();
        hash.write(&plain);
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let (mut gzip, mut brotli) = ("None".to_owned(), "None".to_owned());
        if TEXTS.contains(&extension) {
            gzip = smaller(&gzipped(&plain)?, &plain, &out.join(format!("{index}.gz")))?;
            brotli = smaller(&brotlied(&plain)?, &plain, &out.join(format!("{index}.br")))?;
        }
        let _ = write!(
            source,
            "File {{ name: {name:?}, sum: \"{:016x}\", plain: {}, gzip: {gzip}, brotli: {brotli} }},",
            hash.finish(),
            included(path)
        );
    }
    if bytes > BYTES_MAX {
        return Err(io::Error::other(format!("{}: {bytes} bytes are no web page", folder.display())));
    }
    fs::write(out.join("page.rs"), source + "]")
}

/// Files below a folder by their paths in it, but for hidden ones and what only debuggers read.
fn list(folder: &Path, below: &str, files: &mut Vec<(String, PathBuf)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') || Path::new(&name).extension().is_some_and(|extension| extension == "map") {
            continue;
        }
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{below}{name}/"), files)?;
        } else {
            files.push((format!("{below}{name}"), entry.path()));
        }
    }
    Ok(())
}

/// What the generated source says of a compressed file.
fn smaller(compressed: &[u8], plain: &[u8], path: &Path) -> io::Result<String> {
    if compressed.len() >= plain.len() {
        return Ok("None".to_owned());
    }
    fs::write(path, compressed)?;
    Ok(format!("Some({})", included(path)))
}

fn included(path: &Path) -> String {
    format!("include_bytes!({:?})", path.to_string_lossy())
}

fn gzipped(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain)?;
    encoder.finish()
}

fn brotlied(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut compressed = Vec::new();
    let parameters =
        brotli::enc::BrotliEncoderParams { quality: BROTLI_QUALITY, lgwin: BROTLI_WINDOW, ..Default::default() };
    brotli::BrotliCompress(&mut &plain[..], &mut compressed, &parameters)?;
    Ok(compressed)
}
