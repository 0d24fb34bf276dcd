//! `kiln convert FILE -o DIR`: makes the COGs of one raster and prints their records, nothing else: no store, no catalogue.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use jiff::Timestamp;
use serde::Serialize;
use shared::raster_settings::{RasterRules, RasterSettings};

use crate::convert::{ConvertAnswer, ConvertJob, ConvertedCog, DEFAULT_DRIVERS};

/// The hidden subcommand that is the child process.
const WORKER: &str = "convert-worker";
/// Memory the conversion may use.
const MEMORY_BYTES: u64 = 2 << 30;
/// The collection that records name; nothing is put into it.
const COLLECTION: &str = "default";

/// What `kiln convert` is told.
#[derive(Clone, Debug, clap::Args)]
pub struct ConvertArgs {
    /// The raster; its sidecars are found beside it.
    pub file: PathBuf,
    /// Folder for the COGs; made if it is not there.
    #[arg(short, long, value_name = "DIR")]
    pub out: PathBuf,
    /// CRS of a raster that has none, e.g. EPSG:32633.
    #[arg(long)]
    pub crs: Option<String>,
}

#[derive(Serialize)]
struct Printed<'a> {
    cogs: &'a [ConvertedCog],
    notes: &'a [String],
}

/// Converts one raster in a child process and prints its records as one JSON document.
pub fn run(args: &ConvertArgs) -> ExitCode {
    match convert(args) {
        Ok((cogs, notes)) => {
            let text = serde_json::to_string_pretty(&Printed { cogs: &cogs, notes: &notes }).unwrap_or_default();
            // A closed pipe is the reader's wish.
            let _ = writeln!(std::io::stdout(), "{text}");
            ExitCode::SUCCESS
        }
        Err(reason) => {
            let _ = writeln!(std::io::stderr(), "{}: {reason}", args.file.display());
            ExitCode::FAILURE
        }
    }
}

fn convert(args: &ConvertArgs) -> Result<(Vec<ConvertedCog>, Vec<String>), String> {
    let file = std::path::absolute(&args.file).map_err(|e| e.to_string())?;
    let metadata = std::fs::metadata(&file).map_err(|e| format!("cannot be read: {e}"))?;
    std::fs::create_dir_all(&args.out).map_err(|e| format!("cannot make the folder {}: {e}", args.out.display()))?;
    let job = ConvertJob {
        id: 1,
        out_dir: args.out.clone(),
        collection: COLLECTION.to_owned(),
        key_names: vec!["name".to_owned(), "band".to_owned()],
        key_values: vec![Some(name_of(&file)), None],
        variable_key: None,
        band_prefix: None,
        colormaps: Vec::new(),
        rules: RasterRules {
            base: RasterSettings { crs: args.crs.clone(), ..RasterSettings::default() },
            rules: Vec::new(),
        },
        input: file.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        version: metadata.len().to_string(),
        source_time_ms: metadata
            .modified()
            .ok()
            .and_then(|time| Timestamp::try_from(time).ok())
            .unwrap_or(Timestamp::UNIX_EPOCH)
            .as_millisecond(),
        drivers: DEFAULT_DRIVERS.map(str::to_owned).to_vec(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: MEMORY_BYTES,
        file,
    };
    match ask_child(&job)? {
        ConvertAnswer::Converted { cogs, notes, .. } => Ok((cogs, notes)),
        ConvertAnswer::Refused { reason, .. }
        | ConvertAnswer::Skipped { reason, .. }
        | ConvertAnswer::Failed { reason, .. } => Err(reason),
        ConvertAnswer::Ready | ConvertAnswer::Progress { .. } => Err("the conversion gave no answer".to_owned()),
    }
}

/// The file's name without `.tif`, as a folder's key `name` has it.
fn name_of(file: &Path) -> String {
    let tiff = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("tif") || e.eq_ignore_ascii_case("tiff"));
    let name = if tiff { file.file_stem() } else { file.file_name() };
    name.unwrap_or_default().to_string_lossy().into_owned()
}

/// Runs the job in a child process, so that what ends GDAL ends only that.
fn ask_child(job: &ConvertJob) -> Result<ConvertAnswer, String> {
    let this = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
    let mut child = Command::new(this)
        .arg(WORKER)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cannot start the conversion: {e}"))?;
    let mut line = serde_json::to_vec(job).map_err(|e| e.to_string())?;
    line.push(b'\n');
    // Dropping its standard input at the end of this statement lets the child end after the job.
    let sent = child.stdin.take().is_some_and(|mut input| input.write_all(&line).is_ok());
    let mut last = None;
    for line in child.stdout.take().into_iter().flat_map(|output| BufReader::new(output).lines()) {
        let Ok(line) = line else { break };
        match serde_json::from_str(&line) {
            Ok(ConvertAnswer::Ready | ConvertAnswer::Progress { .. }) => {}
            Ok(answer) => last = Some(answer),
            Err(_) => break,
        }
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    last.ok_or_else(|| {
        if sent { format!("GDAL ended on it ({status})") } else { format!("the conversion did not start ({status})") }
    })
}
