//! The command line: one file per subcommand.

pub mod convert;
pub mod init;
pub mod rejected;
pub mod serve;
pub mod store;
mod urls;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Exit code of a command that was wrong: nothing was started.
const BAD_INPUT: u8 = 2;

#[derive(Debug, Parser)]
#[command(name = "kiln", version, about = "Turns rasters dropped into a folder or bucket into fast web-map tiles")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ingest what is in a folder or bucket and what is dropped into it, and serve its tiles
    Serve(serve::ServeArgs),
    /// The same without the server; `kiln-server --store …` serves what it publishes
    Watch(serve::IngestArgs),
    /// Convert one raster to COGs, print their metadata, and do nothing else
    Convert(convert::ConvertArgs),
    /// List what was rejected and why, or release it to be tried again
    Rejected(rejected::RejectedArgs),
    /// Look after a store
    Store(store::StoreArgs),
    /// Make the buckets, notifications and NATS streams that ingestors need
    Init(init::InitArgs),
    /// Convert jobs from standard input: what `kiln` starts for itself
    #[command(hide = true)]
    ConvertWorker,
}

/// Runs the command that was asked for.
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => async_main(serve::serve(args)),
        Command::Watch(args) => async_main(serve::watch(args)),
        Command::Convert(args) => convert::run(&args),
        Command::Rejected(args) => async_main(rejected::run(args)),
        Command::Store(args) => async_main(store::run(args)),
        Command::Init(args) => async_main(init::run(args)),
        Command::ConvertWorker => crate::convert::run_worker(),
    }
}

/// What a command ends with: an error is said on standard error.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong, where, what to do.
    pub message: String,
    /// Whether the command itself was wrong.
    pub bad_input: bool,
}

impl Failure {
    fn bad_input(message: impl std::fmt::Display) -> Self {
        Self { message: message.to_string(), bad_input: true }
    }

    fn other(message: impl std::fmt::Display) -> Self {
        Self { message: message.to_string(), bad_input: false }
    }
}

fn async_main(command: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match &runtime {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => Err(Failure::other(error)),
    };
    // Blocking work that was abandoned, such as hashing a large file, is not waited for.
    if let Ok(runtime) = runtime {
        runtime.shutdown_background();
    }
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say_error(&format!("kiln: {}", failure.message));
            if failure.bad_input { ExitCode::from(BAD_INPUT) } else { ExitCode::FAILURE }
        }
    }
}

/// Prints a line for people or programs: what the command was asked for.
#[expect(clippy::print_stdout, reason = "the answer of a command")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "the last words of a command")]
fn say_error(line: &str) {
    eprintln!("{line}");
}
