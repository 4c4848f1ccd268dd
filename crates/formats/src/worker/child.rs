//! Reader process: `lakeshore inspect-worker`, started by the server alone.

use super::confinement::Confined;
use super::protocol::{self, ANSWER_BYTES_MAX, Answer, FrameError, Hello, LENGTH_BYTES, REQUEST_BYTES_MAX, Request};
use crate::joined;
use crate::reading::{self, Reading};
use crate::serving::ServedFile;
use crate::source::Source;
use lakeshore::model::preview::PROBLEM_CHARACTERS_MAX;
use lakeshore::model::text::truncate;
use lakeshore_delta::footer::{FileDescription, LEAVES_MAX};
use lakeshore_delta::unfit::Unfit;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use std::fs::File;
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Socket to the server, passed as standard input.
struct Socket<'a>(BorrowedFd<'a>);

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::read(self.0, &mut *buffer))?)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::retry_on_intr(|| rustix::io::write(self.0, bytes))?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads files until the server closes the socket, or this process has to be replaced.
pub fn run() -> Result<(), FrameError> {
    let stdin = io::stdin();
    let mut socket = Socket(stdin.as_fd());
    let confined = Confined::new()?;
    let hello = Hello { unfiltered: confined.unfiltered.clone() };
    socket.write_all(&protocol::encode(&hello, REQUEST_BYTES_MAX)?)?;
    while let Some((request, file)) = next(&mut socket)? {
        confined.allow_processor_seconds(request.processor_seconds_max)?;
        let reading = read(&request, file);
        let is_last = confined.has_grown();
        socket.write_all(&encode(reading, is_last, ANSWER_BYTES_MAX)?)?;
        if is_last {
            break;
        }
    }
    Ok(())
}

fn read(request: &Request, file: OwnedFd) -> Reading {
    #[cfg(feature = "failpoints")]
    misbehave(&request.name);
    let file = File::from(file);
    let source = match request.is_served {
        true => Source::new(ServedFile::new(file), request.size_bytes),
        false => Source::new(file, request.size_bytes),
    };
    reading::read(source, &request.name, request.depth)
}

/// Encodes an answer, shortened as often as needed.
fn encode(mut reading: Reading, is_last: bool, bytes_max: usize) -> Result<Vec<u8>, FrameError> {
    let problem = match &reading {
        Reading::Preview(preview) => preview.problem.clone(),
        Reading::Unreadable { .. } | Reading::Described(_) | Reading::Disk { .. } => None,
    };
    loop {
        let answer = Answer { reading, is_last };
        match protocol::encode(&answer, bytes_max) {
            Err(FrameError::TooLong(_)) => reading = shortened(answer.reading, problem.as_deref()),
            encoded => return encoded,
        }
    }
}

/// Drops half of the rows of an answer that is too long. `problem` is that of the file itself, and stays.
fn shortened(reading: Reading, problem: Option<&str>) -> Reading {
    match reading {
        Reading::Preview(mut preview) if !preview.rows.is_empty() => {
            let kept = preview.rows.len() / 2;
            preview.rows.truncate(kept);
            let cause = format!("only {kept} rows are shown, because their values are long");
            preview.problem = Some(with_cause(problem, &cause));
            Reading::Preview(preview)
        }
        Reading::Preview(preview) => {
            let problem = with_cause(problem, "its metadata is too large");
            Reading::Unreadable { format: preview.format, problem, bytes_read: preview.bytes_read }
        }
        Reading::Described(_) => {
            let reason = Unfit::TooManyColumns { max: LEAVES_MAX as u64 };
            Reading::Described(Some(Box::new(FileDescription::unfit(reason))))
        }
        other => other,
    }
}

/// Adds a cause to the problem of a file, within the longest text of both.
fn with_cause(problem: Option<&str>, cause: &str) -> String {
    let left = PROBLEM_CHARACTERS_MAX.saturating_sub(cause.chars().count() + "; ".len());
    joined([problem.map(|problem| truncate(problem, left)), Some(cause.to_owned())]).unwrap_or_default()
}

/// Receives the next request with its file. `None` when the server has closed the socket.
fn next(socket: &mut Socket<'_>) -> Result<Option<(Request, OwnedFd)>, FrameError> {
    let mut length = [0; LENGTH_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(&mut length)];
    let received = recvmsg(socket.0, &mut into, &mut control, RecvFlags::CMSG_CLOEXEC).map_err(io::Error::from)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut file = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            file = descriptors.last();
        }
    }
    socket.read_exact(&mut length[received.bytes..])?;
    let request = protocol::decode_rest(socket, length, REQUEST_BYTES_MAX)?;
    let file = file.ok_or_else(|| io::Error::other("a request has no file"))?;
    Ok(Some((request, file)))
}

/// Misbehaves for files of certain names, in tests.
#[cfg(feature = "failpoints")]
fn misbehave(name: &str) {
    match name {
        "waits.failpoint" => loop {
            std::thread::park();
        },
        "hangs.failpoint" => loop {
            std::hint::spin_loop();
        },
        "aborts.failpoint" => std::process::abort(),
        "grows.failpoint" => {
            let mut kept = Vec::new();
            loop {
                kept.push(vec![0_u8; 16 << 20]);
            }
        }
        "babbles.failpoint" => {
            let _ = Socket(io::stdin().as_fd()).write_all(&[b'x'; 4096]);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lakeshore::model::dataset::schema::Format;
    use lakeshore::model::preview::{PROBLEM_BYTES_MAX, Preview};

    fn answer(preview: Preview, bytes_max: usize) -> Reading {
        let encoded = encode(Reading::Preview(Box::new(preview)), false, bytes_max).unwrap();
        protocol::decode::<Answer>(&mut &encoded[..], bytes_max).unwrap().reading
    }

    #[test]
    fn an_answer_that_is_shortened_keeps_the_damage_of_the_file() {
        let rows = vec![vec![Some("x".repeat(100))]; 16];
        let damaged = |problem: Option<&str>| Preview {
            rows: rows.clone(),
            problem: problem.map(str::to_owned),
            ..Preview::nothing(Format::Delimited)
        };
        let problem_of = |preview| match answer(preview, 1000) {
            Reading::Preview(preview) => (preview.rows.len(), preview.problem.unwrap()),
            other => panic!("{other:?}"),
        };
        let (kept, problem) = problem_of(damaged(Some("it is damaged")));
        assert!((1..8).contains(&kept), "{kept}");
        assert_eq!(problem, format!("it is damaged; only {kept} rows are shown, because their values are long"));
        let (kept, problem) = problem_of(damaged(None));
        assert_eq!(problem, format!("only {kept} rows are shown, because their values are long"));
        let long = "ü".repeat(PROBLEM_CHARACTERS_MAX);
        let Reading::Preview(preview) = answer(damaged(Some(&long)), 5000) else { panic!("unreadable") };
        let problem = preview.problem.unwrap();
        assert!(problem.len() <= PROBLEM_BYTES_MAX && problem.ends_with("because their values are long"));
        let Reading::Unreadable { problem, .. } = answer(damaged(Some("it is damaged")), 150) else { panic!("shown") };
        assert_eq!(problem, "it is damaged; its metadata is too large");
    }
}
