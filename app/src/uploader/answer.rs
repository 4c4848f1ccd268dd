//! Classifies answers of the server to an upload.

use super::item::Failure;
use lakeshore::ErrorCode;

/// Reason why a file did not arrive, by what follows from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// No answer, or the server is unavailable: all files wait and are retried.
    Broken,
    /// Temporary fault: this file is retried, a bounded number of times.
    Fault(Failure),
    /// The session has ended: everything waits until the person has signed in.
    SignedOut,
    /// A retry would fail again, unless the person changes something.
    Final(Failure),
}

impl Refused {
    pub fn here(message: &str) -> Self {
        Self::Final(Failure::here(message))
    }
}

/// Answer to an upload or a chunk of one. Successful answers of tus have no body.
#[derive(serde::Deserialize)]
struct Body {
    code: u32,
    msg: Option<String>,
}

/// `status` is 0 without an answer.
pub fn judge(status: u16, text: &str) -> Result<(), Refused> {
    let body = crate::json::read::<Body>(text).ok();
    match (status, body) {
        // Too many requests, or statuses of a proxy whose server is away or too slow.
        (0 | 408 | 429 | 502 | 503 | 504, _) => Err(Refused::Broken),
        (200..300, None | Some(Body { code: 0, .. })) => Ok(()),
        (401, _) => Err(Refused::SignedOut),
        (_, Some(Body { code, msg: Some(message) })) if code != 0 => {
            let failure = Failure { code, message };
            Err(if is_passing(code) { Refused::Fault(failure) } else { Refused::Final(failure) })
        }
        // Answers to HEAD have no body: 423 says that another request has the upload, and 5xx are those of a server.
        (423 | 500.., _) => Err(Refused::Fault(unexpected(status))),
        _ => Err(Refused::Final(unexpected(status))),
    }
}

fn unexpected(status: u16) -> Failure {
    Failure::here(&format!("the server, or a proxy in front of it, answered with status {status}; retry"))
}

/// Whether a retry may succeed without a change.
fn is_passing(code: u32) -> bool {
    use ErrorCode::{
        FailingDisk, IncompleteUpload, Internal, NoDescriptors, NoSuchResumable, ResumableEnded, TakenOver, WrongOffset,
    };
    [IncompleteUpload, Internal, NoDescriptors, FailingDisk, NoSuchResumable, ResumableEnded, TakenOver, WrongOffset]
        .iter()
        .any(|passing| passing.number() == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, code: u32) -> Refused {
        judge(status, &format!(r#"{{"code": {code}, "msg": "why"}}"#)).unwrap_err()
    }

    #[test]
    fn success_is_said_by_the_documented_answer_or_by_an_empty_one() {
        assert_eq!(judge(200, r#"{"code": 0, "msg": null}"#), Ok(()));
        assert_eq!(judge(204, ""), Ok(()));
    }

    #[test]
    fn a_server_that_is_away_is_waited_for() {
        for status in [0, 502, 503, 504, 429] {
            assert_eq!(judge(status, "<html>"), Err(Refused::Broken), "{status}");
        }
        assert_eq!(refusal(503, 50300), Refused::Broken);
    }

    #[test]
    fn an_ended_session_is_no_failure_of_the_file() {
        for code in [ErrorCode::NoKey, ErrorCode::BadKey, ErrorCode::ExpiredKey] {
            assert_eq!(refusal(code.http_status(), code.number()), Refused::SignedOut, "{code:?}");
        }
        // As answers to HEAD, which have no body.
        assert_eq!(judge(401, ""), Err(Refused::SignedOut));
        assert!(matches!(refusal(403, ErrorCode::Role.number()), Refused::Final(_)));
    }

    #[test]
    fn temporary_faults_are_retried_and_refusals_are_final() {
        let failure = |code| Failure { code, message: "why".into() };
        assert_eq!(refusal(423, 42300), Refused::Fault(failure(42300)));
        assert!(matches!(judge(423, ""), Err(Refused::Fault(_))));
        assert_eq!(refusal(409, 40907), Refused::Fault(failure(40907)));
        assert_eq!(refusal(500, 50000), Refused::Fault(failure(50000)));
        assert_eq!(refusal(400, 40003), Refused::Final(failure(40003)));
        assert_eq!(refusal(507, 50700), Refused::Final(failure(50700)));
        assert!(matches!(judge(413, "<html>"), Err(Refused::Final(Failure { code: 0, .. }))));
        assert!(matches!(judge(200, r#"{"code": 40000, "msg": "why"}"#), Err(Refused::Final(_))));
    }
}
