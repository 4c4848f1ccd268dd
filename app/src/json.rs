//! JSON in the browser: data embedded in the page, answers of server functions, and events.
//!
//! serde compiles the deserializer of a type once for each input type, so all of them are read from text.

#[cfg(any(feature = "hydrate", test))]
mod reader;

use leptos::prelude::Resource;
use leptos::serde_json;
use leptos::server::codee::{Decoder, Encoder};
use leptos::server_fn::codec::Post;
use leptos::server_fn::{Bytes, ContentType, Decodes, Encodes, Format, FormatType};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::str;

#[cfg(feature = "hydrate")]
pub use reader::{Unreadable, read};
#[cfg(not(feature = "hydrate"))]
pub use serde_json::{Error as Unreadable, from_str as read};

/// Encoding of resources in the page, and of server functions.
pub struct Json;

/// Request and response encoding of server functions.
pub type Call = Post<Json>;

/// Resource that a page fetches from the server.
pub type Asked<T> = Resource<T, Json>;

impl<T: Serialize> Encoder<T> for Json {
    type Error = serde_json::Error;
    type Encoded = String;

    fn encode(value: &T) -> Result<String, serde_json::Error> {
        serde_json::to_string(value)
    }
}

impl<T: DeserializeOwned> Decoder<T> for Json {
    type Error = Unreadable;
    type Encoded = str;

    fn decode(text: &str) -> Result<T, Unreadable> {
        read(text)
    }
}

impl ContentType for Json {
    const CONTENT_TYPE: &'static str = "application/json";
}

impl FormatType for Json {
    const FORMAT_TYPE: Format = Format::Text;
}

impl<T: Serialize> Encodes<T> for Json {
    type Error = serde_json::Error;

    fn encode(value: &T) -> Result<Bytes, serde_json::Error> {
        serde_json::to_vec(value).map(Bytes::from)
    }
}

impl<T: DeserializeOwned> Decodes<T> for Json {
    type Error = String;

    fn decode(bytes: Bytes) -> Result<T, String> {
        let text = str::from_utf8(&bytes).map_err(|error| error.to_string())?;
        read(text).map_err(|error| error.to_string())
    }
}

/// Fetches, and fetches again when `source` changes.
pub fn ask<S, T, F>(
    source: impl Fn() -> S + Send + Sync + 'static,
    fetch: impl Fn(S) -> F + Send + Sync + 'static,
) -> Asked<T>
where
    S: PartialEq + Clone + Send + Sync + 'static,
    T: Serialize + DeserializeOwned + Send + Sync + 'static,
    F: Future<Output = T> + Send + 'static,
{
    Resource::new_with_options(source, fetch, false)
}
