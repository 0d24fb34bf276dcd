//! The progress of a first ingest: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Counts what is settled.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    total: usize,
    done: usize,
    started: Instant,
}

impl Progress {
    /// Progress towards `total` inputs.
    pub fn new(total: usize, bar: Option<ProgressBar>) -> Self {
        let bar = bar.filter(|_| total > 0);
        if let Some(bar) = &bar {
            bar.set_length(total as u64);
            bar.enable_steady_tick(Duration::from_millis(500));
        }
        Self { bar, total, done: 0, started: Instant::now() }
    }

    /// One more is settled; `left` are not.
    pub fn done(&mut self, left: usize) {
        self.done += 1;
        if let Some(bar) = &self.bar {
            bar.set_length((self.done + left) as u64);
            bar.set_position(self.done as u64);
        }
        if left == 0 && self.total > 0 {
            if let Some(bar) = self.bar.take() {
                bar.finish_and_clear();
            }
            let duration_s = self.started.elapsed().as_secs_f32();
            tracing::info!(
                inputs = self.done,
                duration_s,
                "everything found at the start is settled; waiting for more"
            );
            self.total = 0;
        }
    }
}

/// A bar, if somebody is looking.
pub fn bar() -> Option<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos} of {len} rasters, {elapsed} {eta_precise} left") {
        bar.set_style(style);
    }
    Some(bar)
}

/// Where log lines go: standard error, above the bar.
#[derive(Clone, Debug)]
pub struct LogWriter(pub Option<ProgressBar>);

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        match &self.0 {
            Some(bar) => bar.suspend(|| std::io::stderr().write(line)),
            None => std::io::stderr().write(line),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
