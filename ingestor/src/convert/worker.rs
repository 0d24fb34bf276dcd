//! The child process's loop: a job per line on standard input, answers per line on standard output, until the input ends.

use std::io::{BufRead, Read, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::{ConvertAnswer, ConvertJob, convert};

/// Bytes a job's line may have.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// Progress is told no more often.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

/// Works until standard input ends. Nothing but answers goes to standard output.
pub fn run_worker() -> ExitCode {
    shared::memory::keep_freed_memory();
    // GDAL prints nothing to standard output: its messages go to our handler, its drivers' debug output to standard error.
    let output = Mutex::new(std::io::stdout());
    let mut input = std::io::stdin().lock();
    if !send(&output, &ConvertAnswer::Ready) {
        return ExitCode::FAILURE;
    }
    loop {
        let mut line = Vec::new();
        match (&mut input).take(LINE_BYTES_MAX).read_until(b'\n', &mut line) {
            Ok(0) => return ExitCode::SUCCESS,
            Ok(_) => {}
            Err(_) => return ExitCode::FAILURE,
        }
        let Ok(job) = serde_json::from_slice::<ConvertJob>(&line) else { return ExitCode::FAILURE };
        let told = Mutex::new((Instant::now(), 0.0_f64));
        let progress = |done: f64| {
            let Ok(mut told) = told.try_lock() else { return };
            if told.0.elapsed() < PROGRESS_EVERY {
                return;
            }
            // Work that is done again, as after a guess that proved wrong, is work: the parent must hear of it, though the part done stays.
            *told = (Instant::now(), done.max(told.1).min(1.0));
            if !send(&output, &ConvertAnswer::Progress { id: job.id, done: told.1 }) {
                // The parent is gone, and with it whoever wants the result; what was written lies in a folder that the next one sweeps.
                std::process::exit(1);
            }
        };
        let answer = convert(&job, &progress);
        if !send(&output, &answer) {
            return ExitCode::FAILURE;
        }
    }
}

/// Writes an answer and flushes; false if nobody listens.
fn send(output: &Mutex<std::io::Stdout>, answer: &ConvertAnswer) -> bool {
    let Ok(mut line) = serde_json::to_vec(answer) else { return false };
    line.push(b'\n');
    output.lock().is_ok_and(|mut output| output.write_all(&line).and_then(|()| output.flush()).is_ok())
}
