//! A real nats-server, and what a test asks of it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

use serde_json::Value;
use tempfile::TempDir;

use crate::{judges, wait};

const START_LIMIT: Duration = Duration::from_secs(20);

/// A running server with `JetStream`; killed when dropped.
#[derive(Debug)]
pub struct NatsServer {
    program: PathBuf,
    folder: TempDir,
    child: Child,
    port: u16,
    runtime: tokio::runtime::Runtime,
}

impl NatsServer {
    /// Starts one on a free port. None, after saying so, where there is no nats-server: `make test` installs it.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start() -> Option<Self> {
        let installed = judges::environment().map(|environment| judges::program(&environment, "nats-server"));
        let on_path = || {
            let path = env::var_os("PATH")?;
            env::split_paths(&path).map(|folder| folder.join("nats-server")).find(|program| program.is_file())
        };
        let Some(program) = installed.filter(|program| program.is_file()).or_else(on_path) else {
            eprintln!("skipped: no nats-server; `make test` installs it");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("kiln-nats-").tempdir().expect("a scratch folder");
        let child = spawn(&program, &folder, -1);
        let ports = wait::wait_for("nats-server says where it listens", START_LIMIT, || {
            let entries = fs::read_dir(folder.path()).ok()?;
            let file = entries.flatten().find(|entry| entry.path().extension().is_some_and(|e| e == "ports"))?;
            serde_json::from_slice::<Value>(&fs::read(file.path()).ok()?).ok()
        });
        let url = ports["nats"][0].as_str().expect("a URL of nats-server").to_owned();
        let port = url.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).expect("a port");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let server = Self { program, folder, child, port, runtime: runtime.expect("a runtime") };
        server.wait_until_up();
        Some(server)
    }

    /// `nats://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Kills it, as a power cut would.
    pub fn kill(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }

    /// Starts it again at the same port; with `wipe`, with nothing stored.
    pub fn restart(&mut self, wipe: bool) {
        self.kill();
        if wipe {
            fs::remove_dir_all(self.folder.path().join("data")).expect("its storage is wiped");
        }
        self.child = spawn(&self.program, &self.folder, i32::from(self.port));
        self.wait_until_up();
    }

    /// A client's connection, and what runs it.
    ///
    /// # Panics
    /// If it cannot be had.
    pub fn client(&self) -> (async_nats::Client, tokio::runtime::Handle) {
        let client = self.runtime.block_on(async_nats::connect(self.url())).expect("a connection to nats-server");
        (client, self.runtime.handle().clone())
    }

    /// Publishes to a subject, and waits until the server has it.
    ///
    /// # Panics
    /// If that fails.
    pub fn publish(&self, subject: &str, payload: &[u8]) {
        let (client, runtime) = self.client();
        let (subject, payload) = (subject.to_owned(), payload.to_vec());
        runtime.block_on(async move {
            client.publish(subject, payload.into()).await.expect("published");
            client.flush().await.expect("flushed");
        });
    }

    /// Messages that a stream holds; 0 if there is no such stream.
    pub fn messages(&self, stream: &str) -> u64 {
        let (client, runtime) = self.client();
        let stream = stream.to_owned();
        runtime.block_on(async move {
            match async_nats::jetstream::new(client).get_stream(stream).await {
                Ok(stream) => stream.cached_info().state.messages,
                Err(_) => 0,
            }
        })
    }

    fn wait_until_up(&self) {
        wait::wait_for("nats-server answers", START_LIMIT, || {
            std::net::TcpStream::connect(("127.0.0.1", self.port)).ok().map(drop)
        });
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(program: &PathBuf, folder: &TempDir, port: i32) -> Child {
    let log = fs::File::options().create(true).append(true).open(folder.path().join("log")).expect("a log");
    Command::new(program)
        .args(["-a", "127.0.0.1", "-p", &port.to_string(), "-js", "-sd"])
        .arg(folder.path().join("data"))
        .arg("--ports_file_dir")
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|e| panic!("{} does not start: {e}", program.display()))
}
