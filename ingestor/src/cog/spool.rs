//! Compressed blocks in the order they were made, until their final place is known: in memory, and past a bound in an unnamed temporary file
//! beside the output, which is gone with the process however that ends.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::CogError;

/// What is kept in memory before a file is used.
const MEMORY_BYTES_MAX: usize = 64 << 20;
/// The buffer before the file.
const BUFFER_BYTES: usize = 1 << 20;

/// Where a block lies in the spool. No bytes: a sparse block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stored {
    at: u64,
    /// Its size.
    pub(super) bytes: u32,
}

/// The blocks.
#[derive(Debug)]
pub(super) struct Spool {
    folder: PathBuf,
    memory: Vec<u8>,
    file: Option<BufWriter<File>>,
    bytes: u64,
}

impl Spool {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, memory: Vec::new(), file: None, bytes: 0 }
    }

    pub(super) fn append(&mut self, block: &[u8]) -> Result<Stored, CogError> {
        if self.file.is_none() && self.memory.len() + block.len() > MEMORY_BYTES_MAX {
            let file = tempfile::tempfile_in(&self.folder)
                .map_err(CogError::io("create a temporary file in", &self.folder))?;
            let mut file = BufWriter::with_capacity(BUFFER_BYTES, file);
            file.write_all(&self.memory).map_err(self.failed())?;
            self.file = Some(file);
            self.memory = Vec::new();
        }
        match &mut self.file {
            None => self.memory.extend_from_slice(block),
            Some(file) => file.write_all(block).map_err(CogError::io("write a temporary file in", &self.folder))?,
        }
        let stored = Stored { at: self.bytes, bytes: block.len() as u32 };
        self.bytes += block.len() as u64;
        Ok(stored)
    }

    /// Ends writing; to be called before `read`.
    pub(super) fn finish(&mut self) -> Result<(), CogError> {
        match &mut self.file {
            None => Ok(()),
            Some(file) => file.flush().map_err(CogError::io("write a temporary file in", &self.folder)),
        }
    }

    /// Appends a block to `out`.
    pub(super) fn read(&self, block: Stored, out: &mut Vec<u8>) -> Result<(), CogError> {
        let bytes = block.bytes as usize;
        if let Some(file) = &self.file {
            let end = out.len();
            out.resize(end + bytes, 0);
            return file.get_ref().read_exact_at(&mut out[end..], block.at).map_err(self.failed());
        }
        let start = block.at as usize;
        out.extend_from_slice(self.memory.get(start..start + bytes).unwrap_or_default());
        Ok(())
    }

    fn failed(&self) -> impl FnOnce(std::io::Error) -> CogError + '_ {
        CogError::io("use a temporary file in", &self.folder)
    }
}
