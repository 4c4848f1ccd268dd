//! What pages say of a refusal that stands in their address.
//!
//! Anybody can write an address, and send it to somebody else. So no text of it is shown as if the server said it: it holds the
//! number of the refusal, and the words are these. A number that is not among them says nothing.

use crate::error::ApiError;
use lakeshore::ErrorCode;
use lakeshore::error::Refusal;
use leptos_router::params::ParamsMap;

/// The parameter that holds the number.
pub const PARAMETER: &str = "refused";

/// The words for a code; `None` for one that has none.
pub fn words(code: u32) -> Option<&'static str> {
    WORDS.iter().find(|(known, _)| known.number() == code).map(|(_, words)| *words)
}

/// What the address says of the form that led to it.
pub fn of_address(map: &ParamsMap) -> Option<ApiError> {
    let code = map.get(PARAMETER)?.parse().ok()?;
    Some(ApiError(Refusal { code, msg: words(code)?.to_owned(), data: None }))
}

/// The refusal of the page itself. What it is about stands in the page's address and its title, so the text does not repeat it.
pub fn of_page(error: ApiError) -> ApiError {
    let names_the_address = [
        ErrorCode::Invalid,
        ErrorCode::InvalidPath,
        ErrorCode::Prefix,
        ErrorCode::NoSuchSync,
        ErrorCode::NoSuchTrash,
        ErrorCode::NoSuchFile,
        ErrorCode::NoSuchDataset,
    ];
    match words(error.0.code) {
        Some(words) if names_the_address.iter().any(|code| error.is(*code)) => {
            ApiError(Refusal { msg: words.to_owned(), ..error.0 })
        }
        _ => error,
    }
}

const WORDS: [(ErrorCode, &str); 17] = [
    (ErrorCode::Invalid, "nothing is chosen, or what was chosen or typed is not valid; check it and try again"),
    (
        ErrorCode::InvalidPath,
        "this is not a path of the lake: \"/\" between folders, plain names, none that begins with a dot",
    ),
    (ErrorCode::NoKey, "this needs a key; sign in with one"),
    (ErrorCode::BadKey, "this key is not known here, or was revoked; sign in with another"),
    (ErrorCode::ExpiredKey, "this key has expired; sign in with another"),
    (ErrorCode::Role, "your key does not allow this; sign in with one of a higher role"),
    (ErrorCode::Prefix, "your key is for another part of the lake; sign in with one for this path"),
    (ErrorCode::NoSuchSync, "there is no such sync; the list of syncs shows those that there are"),
    (ErrorCode::NoSuchTrash, "this is not in the trash any more, or never was; the list shows what is"),
    (ErrorCode::NoSuchFile, "there is no such file or folder in the lake; look into the folder above"),
    (ErrorCode::NoSuchDataset, "there is no such dataset; the list of datasets shows those that there are"),
    (ErrorCode::PathHeld, "an open sync or a restore holds the path; end or abort it, then try again"),
    (ErrorCode::DatasetsBelow, "other datasets lie below its path; restore piece by piece, or move them away first"),
    (ErrorCode::InTheWay, "a file, folder or link that was put there by hand is in the way; move it, then try again"),
    (ErrorCode::DiskFull, "the disk is full, or what is left of it is kept back; make room, then try again"),
    (ErrorCode::ShuttingDown, "the server is shutting down; try again in a moment"),
    (ErrorCode::Internal, "the server failed at this, and its log says why; try again"),
];

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_page_does_not_repeat_its_address() {
        let told = |code, msg: &str| of_page(ApiError(Refusal::new(code, msg.to_owned()))).0.msg;
        assert!(!told(ErrorCode::NoSuchDataset, "there is no dataset /call-this-number").contains("number"));
        assert_eq!(told(ErrorCode::DiskFull, "the disk is full"), "the disk is full");
    }
}
