//! Text for a refusal whose code is in the page's address.
//!
//! Anybody can write an address and send it to others, so no text of it is shown as the server's. It has only the code.
//! The server sends the message beside it, for the single document that the form led to ([`FormRefusal`]); otherwise
//! the text is from the table here. An unknown code shows nothing.

use crate::error::ApiError;
use lakeshore::ErrorCode;
use lakeshore::model::error::Refusal;
use lakeshore::model::fault::FaultKind;
use leptos::prelude::{provide_context, use_context};
use leptos::server::SharedValue;
use leptos_router::params::ParamsMap;
use std::fmt;
use std::str::FromStr;

/// Query parameter of the code.
pub const PARAMETER: &str = "refused";

/// Text for a code, if it has one.
pub fn words(code: u32) -> Option<&'static str> {
    WORDS.iter().find(|(known, _)| known.number() == code).map(|(_, words)| *words)
}

/// Refusal of the form that led to this document, from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormRefusal {
    pub code: u32,
    pub msg: String,
}

/// Text form for the cookie.
impl fmt::Display for FormRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.code, self.msg)
    }
}

impl FromStr for FormRefusal {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (code, msg) = text.split_once(' ').ok_or(())?;
        Ok(Self { code: code.parse().map_err(drop)?, msg: msg.to_owned() })
    }
}

/// Passes the refusal from the server to the browser, which cannot read its cookie. Called by pages with forms before
/// they await anything; the refusal lasts as long as the page.
pub fn provide() {
    let here = || use_context::<FormRefusal>().map(|refusal| refusal.to_string()).unwrap_or_default();
    if let Ok(refusal) = SharedValue::new_str(here).into_inner().parse::<FormRefusal>() {
        provide_context(refusal);
    }
}

/// Message for the refusal of a form: the server's, or the table's.
pub fn message_of(code: u32) -> Option<String> {
    let exact = use_context::<FormRefusal>().filter(|refusal| refusal.code == code);
    exact.map(|refusal| refusal.msg).or_else(|| words(code).map(str::to_owned))
}

/// Refusal of the form that led to this address.
pub fn of_address(map: &ParamsMap) -> Option<ApiError> {
    let code = map.get(PARAMETER)?.parse().ok()?;
    Some(ApiError(Refusal { code, msg: message_of(code)?, data: None }))
}

/// Refusal of the page itself. Its address and title name the subject, so the message does not repeat it.
pub fn of_page(error: ApiError) -> ApiError {
    let names_the_address = [
        ErrorCode::Invalid,
        ErrorCode::InvalidPath,
        ErrorCode::Prefix,
        ErrorCode::NoSuchSync,
        ErrorCode::NoSuchTrash,
        ErrorCode::NoSuchFile,
        ErrorCode::NoSuchDataset,
        ErrorCode::NoSuchVersion,
    ];
    match words(error.0.code) {
        Some(words) if names_the_address.iter().any(|code| error.is(*code)) => {
            ApiError(Refusal { msg: words.to_owned(), ..error.0 })
        }
        _ => error,
    }
}

/// Message of a refusal on a page. Messages are a cause, then a remedy; if the remedy names fields or addresses of the
/// API, the page has its own.
pub fn on_page(refusal: Refusal) -> String {
    let remedy = REMEDIES.iter().find(|(code, _)| code.number() == refusal.code).map(|(_, remedy)| *remedy);
    match (remedy, refusal.msg.split_once("; ")) {
        (Some(remedy), Some((cause, _))) => format!("{cause}; {remedy}"),
        _ => refusal.msg,
    }
}

const REMEDIES: [(ErrorCode, &str); 15] = [
    (ErrorCode::NoKey, "sign in with one"),
    (ErrorCode::BadKey, "sign in with another"),
    (ErrorCode::ExpiredKey, "sign in with another"),
    (ErrorCode::NoSuchFile, "it may have been moved or deleted"),
    (ErrorCode::NoSuchDataset, "it may have been moved or deleted"),
    (ErrorCode::UploadsInFlight, "wait for them, or discard them"),
    (ErrorCode::EmptyFullSync, "add files or abort it, or confirm that the dataset is to be emptied"),
    (ErrorCode::NotAsExpected, "upload the missing files, then end it again"),
    (ErrorCode::Held, "add files or abort it, or publish it anyway"),
    (ErrorCode::NoSuchVersion, "see the list of versions"),
    (ErrorCode::VersionGone, "choose another version"),
    (ErrorCode::Pinned, "unpin the version first"),
    (ErrorCode::SchemaHeld, "upload these files again or abort it, or publish it anyway"),
    (ErrorCode::ColumnsUnread, "end it again in a minute"),
    (ErrorCode::DiskFull, "empty the trash or free up space, then try again"),
];

const WORDS: [(ErrorCode, &str); 27] = [
    (ErrorCode::Invalid, "nothing is selected, or the input is not valid; check it and try again"),
    (
        ErrorCode::InvalidPath,
        "this is not a lake path; write names separated by \"/\", none of which begins with a dot",
    ),
    (ErrorCode::NoKey, "this requires a key; sign in with one"),
    (ErrorCode::BadKey, "this key is unknown or revoked; sign in with another"),
    (ErrorCode::ExpiredKey, "this key has expired; sign in with another"),
    (ErrorCode::Role, "the role of your key does not allow this; sign in with a key of a higher role"),
    (ErrorCode::Prefix, "your key is for another part of the lake; sign in with a key for this path"),
    (ErrorCode::NoSuchSync, "sync not found; see the list of syncs"),
    (ErrorCode::NoSuchTrash, "this item is not in the trash; it may have been restored or deleted"),
    (ErrorCode::NoSuchFile, "file or folder not found; see the parent folder"),
    (ErrorCode::NoSuchDataset, "dataset not found; see the list of datasets"),
    (ErrorCode::PathHeld, "an open sync or a restore holds the path; end or abort it, then try again"),
    (
        ErrorCode::DatasetsBelow,
        "there are other datasets below this path; restore single files, or move those datasets first",
    ),
    (ErrorCode::InTheWay, "a file, folder or link that was added by hand is in the way; move it, then try again"),
    (
        ErrorCode::Held,
        "this would shrink the dataset more than the shrink guard allows; check the figures, then confirm",
    ),
    (ErrorCode::NoSuchVersion, "version not found; see the list of versions"),
    (
        ErrorCode::VersionGone,
        "files of this version were permanently deleted, or changed by hand; choose another version",
    ),
    (
        ErrorCode::RestoringSync,
        "this sync restores a version; wait until it ends, or abort it as the person who began it or as an administrator",
    ),
    (ErrorCode::Pinned, "a pinned version needs these files; unpin the version first"),
    (ErrorCode::DiskFull, "storage is full, except for the reserve; free up space, then try again"),
    (ErrorCode::ShuttingDown, "the server is shutting down; try again in a moment"),
    (ErrorCode::Internal, "the server failed, and has logged the cause; try again"),
    (ErrorCode::DamagedDatabase, FaultKind::DamagedDatabase.message()),
    (ErrorCode::ReadOnlyDisk, FaultKind::ReadOnlyDisk.message()),
    (ErrorCode::NoRights, FaultKind::NoRights.message()),
    (ErrorCode::NoDescriptors, FaultKind::NoDescriptors.message()),
    (ErrorCode::FailingDisk, FaultKind::FailingDisk.message()),
];

#[cfg(test)]
mod tests {
    use super::*;
    use leptos::prelude::Owner;

    fn address(code: &str) -> Option<String> {
        let map: ParamsMap = [(PARAMETER.to_owned(), code.to_owned())].into_iter().collect();
        of_address(&map).map(|error| error.0.msg)
    }

    #[test]
    fn an_address_says_a_number_that_is_known_or_nothing() {
        assert_eq!(address("40901").as_deref(), words(ErrorCode::PathHeld.number()));
        for unknown in ["", "0", "1", "40900", "-1", "40901x", "Your key has expired", "99999999999999999999"] {
            assert_eq!(address(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn the_words_of_the_server_go_before_those_of_the_table_for_their_number_alone() {
        Owner::new().with(|| {
            let refusal = FormRefusal { code: 40901, msg: "the sync 7 holds  the path".to_owned() };
            provide_context(refusal.to_string().parse::<FormRefusal>().unwrap());
            assert_eq!(address("40901"), Some(refusal.msg));
            assert_eq!(address("50700").as_deref(), words(50700));
            assert_eq!(address("1"), None);
        });
        for unreadable in ["", "40901", "x y", " y"] {
            assert!(unreadable.parse::<FormRefusal>().is_err(), "{unreadable:?}");
        }
    }

    #[test]
    fn a_page_gives_the_cause_of_the_server_and_a_remedy_of_its_own() {
        let shown = |code, msg: &str| on_page(Refusal::new(code, msg.to_owned()));
        let held = shown(ErrorCode::Held, "sync 7 is held; send \"confirm\": true to publish it");
        assert_eq!(held, "sync 7 is held; add files or abort it, or publish it anyway");
        assert_eq!(shown(ErrorCode::Role, "this needs the role admin"), "this needs the role admin");
    }

    #[test]
    fn a_page_does_not_repeat_its_address() {
        let told = |code, msg: &str| of_page(ApiError(Refusal::new(code, msg.to_owned()))).0.msg;
        assert!(!told(ErrorCode::NoSuchDataset, "there is no dataset /call-this-number").contains("number"));
        assert_eq!(told(ErrorCode::DiskFull, "the disk is full"), "the disk is full");
    }
}
