//! `kiln init`: buckets, notifications and streams, made once and left alone after.

use harness::cloud::{Cloud, STORE};
use harness::s3::{Promise, S3Server};
use harness::{Launch, Scene};

#[test]
fn init_makes_what_is_missing() {
    let Some(cloud) = Cloud::start() else { return };
    let s3 = S3Server::start(Promise::Kept, &[]);
    let init = || {
        let args = [
            "init",
            "s3://rasters/{date}.tif",
            "--store",
            STORE,
            "--notify",
            "arn:rustfs:sqs:us-east-1:primary:nats",
            "--nats",
        ];
        let launch = Launch::new(&cloud.scene, "kiln", args).arg(cloud.nats.as_ref().unwrap().url());
        s3.environment().into_iter().fold(launch, |launch, (name, value)| launch.env(name, value)).run()
    };
    let first = init();
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(s3.buckets(), ["rasters", "tiles"]);
    assert!(first.stdout.contains("was made") && first.stdout.contains("announces its changes"), "{first:?}");
    let second = init();
    assert_eq!((second.code, second.stdout.contains("is there")), (Some(0), true), "{second:?}");
}

#[test]
fn a_nats_that_is_too_old_or_none_is_named() {
    let scene = Scene::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        // As nats-server 2.9 greets; then it answers every PING.
        let info = r#"INFO {"server_id":"x","server_name":"x","version":"2.9.25","go":"go1","host":"127.0.0.1","port":4222,"headers":true,"max_payload":1048576,"proto":1,"jetstream":true}"#;
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let _ = stream.write_all(format!("{info}\r\n").as_bytes());
            let mut said = [0; 4096];
            while let Ok(n) = stream.read(&mut said) {
                if n == 0 || (said[..n].windows(4).any(|w| w == b"PING") && stream.write_all(b"PONG\r\n").is_err()) {
                    break;
                }
            }
        }
    });
    let watch = Launch::watch_of(&scene, &scene.source()).args(["--nats", &url]).run();
    assert_eq!(watch.code, Some(2), "{watch:?}");
    assert!(watch.stderr.contains("2.9.25") && watch.stderr.contains("2.10"), "{watch:?}");
}
