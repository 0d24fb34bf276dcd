//! Kiln's ingestor: events in; COGs, commits and snapshots out.

pub mod admin;
pub mod board;
pub mod cli;
pub mod cog;
pub mod committer;
pub mod convert;
mod dispatch;
pub mod event;
pub mod hook;
pub mod ingest;
pub mod lock;
pub mod naming;
pub mod nats;
pub mod pipeline;
mod probed;
pub mod progress;
pub mod publisher;
pub mod queue;
pub mod reconcile;
pub mod repair;
pub mod replica;
pub mod retention;
pub mod scratch;
pub mod settings;
pub mod source;
pub mod stage;
pub mod worker;
