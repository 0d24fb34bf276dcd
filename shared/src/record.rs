//! The envelope of every JSON record in a store: a format number, the version that can read it, and a checksum of the body's exact bytes.
//!
//! ```json
//! {"format":1,"kind":"commit","needs":"0.1.0","sha256":"…","body":{…}}
//! ```
//! The envelope's five members are for ever; everything else may change with `format`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

/// The format this version writes, and the highest it reads.
pub const FORMAT: u32 = 1;
/// The oldest version of Kiln that reads what this version writes.
const NEEDS: &str = "0.1.0";

#[derive(Serialize, Deserialize)]
struct Envelope {
    format: u32,
    kind: String,
    needs: String,
    sha256: String,
    body: Box<RawValue>,
}

/// Why a record cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RecordError {
    /// Cut short, altered, or not a record of this kind.
    #[error("does not verify: {0}")]
    Damaged(String),
    /// Sound, but written by a newer Kiln.
    #[error("was written in format {format} and needs Kiln {needs} or newer; this is {}", env!("CARGO_PKG_VERSION"))]
    Newer {
        /// Its format.
        format: u32,
        /// The version that can read it.
        needs: String,
    },
}

/// Wraps a body.
pub fn seal<T: Serialize>(kind: &str, body: &T) -> Result<Vec<u8>, RecordError> {
    let damaged = |error: serde_json::Error| RecordError::Damaged(error.to_string());
    let body = serde_json::value::to_raw_value(body).map_err(damaged)?;
    let sha256 = sha256_hex(body.get().as_bytes());
    let envelope = Envelope { format: FORMAT, kind: kind.to_owned(), needs: NEEDS.to_owned(), sha256, body };
    serde_json::to_vec(&envelope).map_err(damaged)
}

/// Verifies a record and returns its body.
pub fn open<T: DeserializeOwned>(kind: &str, bytes: &[u8]) -> Result<T, RecordError> {
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(|e| RecordError::Damaged(e.to_string()))?;
    if sha256_hex(envelope.body.get().as_bytes()) != envelope.sha256 {
        return Err(RecordError::Damaged("its checksum does not match".to_owned()));
    }
    if envelope.kind != kind {
        return Err(RecordError::Damaged(format!("it is a {:?}, not a {kind:?}", envelope.kind)));
    }
    let newer = || RecordError::Newer { format: envelope.format, needs: envelope.needs.clone() };
    if envelope.format > FORMAT {
        return Err(newer());
    }
    // A sound body that does not parse holds what this version does not know, such as a new kind of change.
    serde_json::from_str(envelope.body.get()).map_err(|_| newer())
}

/// The SHA-256 of bytes, in hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let bytes = seal("thing", &vec![1, 2, 3]).unwrap();
        assert_eq!(open::<Vec<u8>>("thing", &bytes).unwrap(), [1, 2, 3]);
    }

    #[test]
    fn a_cut_or_altered_record_does_not_verify() {
        let bytes = seal("thing", &vec![1, 2, 3]).unwrap();
        for end in 0..bytes.len() {
            assert!(matches!(open::<Vec<u8>>("thing", &bytes[..end]), Err(RecordError::Damaged(_))));
        }
        let altered = String::from_utf8(bytes.clone()).unwrap().replace("[1,2,3]", "[1,2,4]");
        assert!(matches!(open::<Vec<u8>>("thing", altered.as_bytes()), Err(RecordError::Damaged(_))));
        assert!(matches!(open::<Vec<u8>>("other", &bytes), Err(RecordError::Damaged(_))));
    }

    #[test]
    fn what_a_newer_version_wrote_says_what_it_needs() {
        let bytes = String::from_utf8(seal("thing", &"x").unwrap()).unwrap().replace("\"format\":1", "\"format\":2");
        let bytes = bytes.replace("0.1.0", "9.9.0");
        let error = open::<String>("thing", bytes.as_bytes()).unwrap_err();
        assert_eq!(error, RecordError::Newer { format: 2, needs: "9.9.0".to_owned() });
        assert!(matches!(open::<Vec<u8>>("thing", &seal("thing", &"x").unwrap()), Err(RecordError::Newer { .. })));
    }
}
