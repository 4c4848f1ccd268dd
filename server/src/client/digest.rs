//! SHA-256 of the files of this machine.

use super::error::ClientError;
use super::walk::Stamp;
use lakeshore::upload::hexadecimal;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// Bytes read at once.
pub const PIECE_BYTES: usize = 256 * 1024;

/// What stands against a file: it is reported with its path.
pub const CHANGED: &str = "it changed while it was read; run it again when nobody writes to it";

/// Why a file has no digest.
#[derive(Debug)]
pub enum Unread {
    Stopped,
    Problem(String),
}

impl From<std::io::Error> for Unread {
    fn from(error: std::io::Error) -> Self {
        Self::Problem(error.to_string())
    }
}

/// The digest of a file that is, and stays, as the walk has seen it. Blocks; `read` is told how far it comes.
pub fn digest(path: &Path, stamp: &Stamp, stop: &CancellationToken, read: &dyn Fn(u64)) -> Result<String, Unread> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES.min(usize::try_from(stamp.size_bytes).unwrap_or(PIECE_BYTES) + 1)];
    loop {
        if stop.is_cancelled() {
            return Err(Unread::Stopped);
        }
        match file.read(&mut piece)? {
            0 => break,
            count => {
                hasher.update(&piece[..count]);
                read(count as u64);
            }
        }
    }
    if Stamp::of(&file.metadata()?) != *stamp {
        return Err(Unread::Problem(CHANGED.to_owned()));
    }
    Ok(hexadecimal(&hasher.finalize()))
}

/// 32 bytes from their 64 hexadecimal digits.
pub fn parse_sha256(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte =
            u8::from_str_radix(std::str::from_utf8(digits).ok().filter(|digits| !digits.contains('+'))?, 16).ok()?;
    }
    Some(bytes)
}

/// The SHA-256 of a file, whatever it is at the moment.
pub fn digest_now(path: &Path, stop: &CancellationToken) -> Result<String, ClientError> {
    let stamp = std::fs::metadata(path).map(|metadata| Stamp::of(&metadata));
    let stamp = stamp.map_err(|error| ClientError::local(path.display(), error))?;
    digest(path, &stamp, stop, &|_| ()).map_err(|unread| match unread {
        Unread::Stopped => ClientError::Interrupted,
        Unread::Problem(why) => ClientError::local(path.display(), why),
    })
}
