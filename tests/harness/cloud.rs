//! Buckets and a queue with any number of ingestors and servers on them.

use std::time::Duration;

use crate::launch::Launch;
use crate::nats::NatsServer;
use crate::raster::Raster;
use crate::s3::{Promise, S3Server};
use crate::scene::Scene;
use crate::stack::Stack;

/// The bucket that rasters are put into.
pub const RASTERS: &str = "rasters";
/// The bucket of the store.
pub const TILES: &str = "tiles";
/// The store's URL.
pub const STORE: &str = "s3://tiles/kiln";

/// An S3 server with both buckets, maybe a nats-server, and places for everything else.
#[derive(Debug)]
pub struct Cloud {
    /// Folders for state and logs.
    pub scene: Scene,
    /// The buckets.
    pub s3: S3Server,
    /// The queue.
    pub nats: Option<NatsServer>,
}

impl Cloud {
    /// Buckets alone.
    pub fn without_nats() -> Self {
        Self { scene: Scene::new(), s3: S3Server::start(Promise::Kept, &[RASTERS, TILES]), nats: None }
    }

    /// Buckets that tell a queue of every change; None where there is no nats-server.
    pub fn start() -> Option<Self> {
        let nats = NatsServer::start()?;
        let cloud = Self { nats: Some(nats), ..Self::without_nats() };
        cloud.tell_queue();
        Some(cloud)
    }

    /// From now on, every change is told to the queue.
    pub fn tell_queue(&self) {
        let Some(nats) = &self.nats else { return };
        let (client, runtime) = nats.client();
        self.s3.notify(move |event| {
            let client = client.clone();
            runtime.spawn(async move {
                // As a store does that loses events while the queue is away.
                let _ = client.publish("kiln.events", event.to_string().into()).await;
            });
        });
    }

    /// Puts a raster into its bucket.
    pub fn put(&self, key: &str, raster: &Raster) {
        self.s3.put(RASTERS, key, raster.to_bytes());
    }

    /// `kiln watch` of the bucket, with what else is said.
    pub fn ingestor(&self, args: &[&str]) -> Launch {
        self.ingestor_of(&format!("s3://{RASTERS}"), args)
    }

    /// `kiln watch` of a source.
    pub fn ingestor_of(&self, source: &str, args: &[&str]) -> Launch {
        let launch =
            Launch::new(&self.scene, "kiln", ["watch", source, "--store", STORE, "--state"]).arg(self.scene.state());
        let launch = match &self.nats {
            Some(nats) => launch.args(["--nats", &nats.url()]),
            None => launch.args(["--poll-seconds", "1"]),
        };
        self.with_keys(launch.args(args.iter().copied()))
    }

    /// `kiln-server` of the store.
    pub fn server(&self) -> Launch {
        let launch = Launch::new(&self.scene, "kiln-server", ["--listen", "127.0.0.1:0", "--store", STORE]);
        let launch = match &self.nats {
            Some(nats) => launch.args(["--nats", &nats.url()]),
            None => launch,
        };
        self.with_keys(launch)
    }

    /// The environment a client of the buckets needs.
    pub fn with_keys(&self, launch: Launch) -> Launch {
        self.s3.environment().into_iter().fold(launch, |launch, (name, value)| launch.env(name, value))
    }

    /// A server that answers, whether there is something to serve or not.
    pub fn start_server(&self) -> Stack {
        let server = self.server().start();
        server.base();
        server
    }

    /// Commits of the store.
    pub fn commits(&self) -> Vec<String> {
        self.s3.keys(TILES, "kiln/commits/")
    }
}

/// How long what should take seconds may take.
pub const PATIENCE: Duration = Duration::from_mins(1);
