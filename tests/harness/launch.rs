//! Starting the real binaries, each in its own process group, its output in files.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::scene::Scene;
use crate::stack::Stack;
use crate::{binaries, wait};

/// How long a command that should end may take.
const END_LIMIT: Duration = Duration::from_mins(1);

/// A command line to be started or run.
#[derive(Clone, Debug)]
pub struct Launch {
    program: PathBuf,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    output: PathBuf,
}

/// How a command ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Exit code; None if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Launch {
    /// A binary with these arguments.
    pub fn new<A: Into<OsString>>(scene: &Scene, program: &str, args: impl IntoIterator<Item = A>) -> Self {
        Self {
            program: binaries::path(program),
            args: args.into_iter().map(Into::into).collect(),
            envs: vec![("NO_COLOR".into(), "1".into()), ("XDG_CACHE_HOME".into(), scene.root().join("cache").into())],
            output: scene.output_folder(),
        }
    }

    /// `kiln serve` of the scene's folder on a free port.
    pub fn serve(scene: &Scene) -> Self {
        Self::serve_of(scene, &scene.source())
    }

    /// `kiln serve` of a folder or pattern on a free port.
    pub fn serve_of(scene: &Scene, source: &Path) -> Self {
        Self::serve_at(scene, source, "127.0.0.1:0")
    }

    /// `kiln serve` of a folder or pattern at an address.
    pub fn serve_at(scene: &Scene, source: &Path, listen: &str) -> Self {
        Self::serve_with(scene, source, listen, &scene.store())
    }

    /// `kiln serve` with all its places named.
    pub fn serve_with(scene: &Scene, source: &Path, listen: &str, store: &Path) -> Self {
        let launch = Self::new(scene, "kiln", ["serve".into(), source.as_os_str().to_owned()]);
        launch.args(["--listen", listen, "--store"]).arg(store).arg("--state").arg(scene.state())
    }

    /// `kiln watch` of a folder or pattern.
    pub fn watch_of(scene: &Scene, source: &Path) -> Self {
        Self::new(scene, "kiln", ["watch".into(), source.as_os_str().to_owned()])
            .arg("--store")
            .arg(scene.store())
            .arg("--state")
            .arg(scene.state())
    }

    /// `kiln-server` of the scene's store on a free port.
    pub fn server(scene: &Scene) -> Self {
        Self::new(scene, "kiln-server", ["--listen", "127.0.0.1:0", "--store"]).arg(scene.store())
    }

    /// `kiln rejected` of the scene's store.
    pub fn rejected(scene: &Scene) -> Self {
        Self::new(scene, "kiln", ["rejected", "--store"]).arg(scene.store())
    }

    /// `kiln store repair` of the scene's store.
    pub fn repair(scene: &Scene) -> Self {
        Self::new(scene, "kiln", ["store", "repair", "--store"]).arg(scene.store())
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// One more environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.envs.push((name.into(), value.into()));
        self
    }

    /// Starts it and leaves it running.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(self) -> Stack {
        let (stdout, stderr) = (self.output.join("stdout"), self.output.join("stderr"));
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.envs.iter().map(|(name, value)| (name, value))).process_group(0);
        command.stdin(Stdio::null()).stdout(create(&stdout)).stderr(create(&stderr));
        let child = command.spawn().unwrap_or_else(|e| panic!("{} does not start: {e}", self.program.display()));
        Stack::new(child, self.described(), stdout, stderr)
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// If it does not end within a minute.
    pub fn run(self) -> Finished {
        let (stdout, stderr) = (self.output.join("stdout"), self.output.join("stderr"));
        let mut stack = self.start();
        let status = wait::holds_within(END_LIMIT, || stack.exit_status());
        let status = status.unwrap_or_else(|| panic!("does not end within {END_LIMIT:?}: {}", stack.report()));
        Finished { code: status.code(), stdout: read(&stdout), stderr: read(&stderr) }
    }

    fn described(&self) -> String {
        let args: Vec<_> = self.args.iter().map(|arg| arg.to_string_lossy()).collect();
        format!("{} {}", self.program.display(), args.join(" "))
    }
}

fn create(path: &Path) -> File {
    File::create(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}
