//! Refuses bodies that are not the whole file as it is: header fields announce a range, an encoding or a wrapping (RFC
//! 9110, RFC 7578). Lakeshore stores bytes as they arrive, so such a body would become a wrong file.

use http::HeaderMap;
use lakeshore::Error;
use lakeshore::model::text::truncate;

const TUS: &str = "send the whole file, or send it in chunks with tus to /api/lake/files";
/// Characters of a field's value that a refusal quotes.
const VALUE_CHARACTERS_MAX: usize = 100;
/// Fields that announce a digest. They are refused behind a body, where they are not read: a digest that is announced
/// but not checked would be trusted.
const DIGESTS: [&str; 5] = ["content-digest", "repr-digest", "digest", "content-md5", "upload-checksum"];

/// Kind of head in which a field stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadOf {
    /// A request whose body is a form.
    Form,
    /// A part of a form that is a file.
    Part,
    /// A request whose body is the whole file.
    File,
    /// A request that begins a resumable upload, perhaps with its first bytes.
    Creation,
    /// A request whose body is a chunk of a resumable upload.
    Chunk,
}

/// Refuses a request whose body the route would not store as it is.
pub fn refuse_altered(headers: &HeaderMap, head: HeadOf) -> Result<(), Error> {
    headers.iter().try_for_each(|(name, value)| refuse_field(name.as_str(), value.as_bytes(), head))
}

/// The first field of a trailer that announces a digest.
pub fn digest_in_trailer(trailer: &HeaderMap) -> Option<&'static str> {
    DIGESTS.into_iter().find(|name| trailer.contains_key(*name))
}

/// Refuses a field that announces a body other than the stored bytes.
pub fn refuse_field(name: &str, value: &[u8], head: HeadOf) -> Result<(), Error> {
    let value = String::from_utf8_lossy(value);
    let value = value.trim();
    let lower = value.to_ascii_lowercase();
    let encoded = |field| Err(Error::Encoded { field, value: truncate(value, VALUE_CHARACTERS_MAX) });
    let partial = |field: &str| {
        Err(Error::PartOfFile(format!(
            "{field} ({}) marks this as a part of a file; {TUS}",
            truncate(value, VALUE_CHARACTERS_MAX)
        )))
    };
    let is_whole = !matches!(head, HeadOf::Creation | HeadOf::Chunk);
    match name.to_ascii_lowercase().as_str() {
        "content-range" | "x-content-range" => partial("Content-Range"),
        "content-encoding" if !all_of(&lower, &["identity"]) => encoded("Content-Encoding"),
        "content-transfer-encoding" if !all_of(&lower, &["7bit", "8bit", "binary", "identity"]) => {
            encoded("Content-Transfer-Encoding")
        }
        // In a request, this field frames the body; it was checked with the head.
        "transfer-encoding" if head == HeadOf::Part && !all_of(&lower, &["identity"]) => encoded("Transfer-Encoding"),
        "upload-offset" if head != HeadOf::Chunk && lower != "0" => partial("Upload-Offset"),
        "upload-complete" if head == HeadOf::Form && lower.starts_with("?0") => partial("Upload-Complete"),
        "upload-incomplete" if head == HeadOf::Form && lower.starts_with("?1") => partial("Upload-Incomplete"),
        "content-type" => match media_type(&lower) {
            "application/partial-upload" | "application/offset+octet-stream" if is_whole => partial("Content-Type"),
            "message/partial" | "multipart/byteranges" => partial("Content-Type"),
            "message/external-body" => encoded("Content-Type"),
            // A saved web page is multipart too, but names no boundary.
            kind if head != HeadOf::Form && kind.starts_with("multipart/") && lower.contains("boundary=") => {
                encoded("Content-Type")
            }
            _ => Ok(()),
        },
        // Uploads ignore conditions, so `If-None-Match: *`, which forbids replacing a file, has to be refused.
        "if-match" | "if-none-match" | "if-unmodified-since" if head != HeadOf::Part => Err(Error::Invalid(format!(
            "{name} makes this request conditional, and uploads are not: a file of the same name is replaced, and kept in the \
             trash; send it without {name}"
        ))),
        "x-http-method-override" | "x-method-override" | "x-http-method"
            if head != HeadOf::Part && head != HeadOf::Chunk && !matches!(lower.as_str(), "" | "post" | "put") =>
        {
            Err(Error::Invalid(format!(
                "{name} is {}, which this address does not support; send the request without it",
                truncate(value, VALUE_CHARACTERS_MAX)
            )))
        }
        // Clients of S3 sign each chunk, so the body is not the file.
        "x-amz-content-sha256" if lower.starts_with("streaming-") => encoded("x-amz-content-sha256"),
        "trailer" if lower.split(',').any(|field| DIGESTS.contains(&field.trim())) => Err(Error::Invalid(format!(
            "Trailer announces {} after the body, where digests are not read; send it in the header of the request",
            truncate(value, VALUE_CHARACTERS_MAX)
        ))),
        _ => Ok(()),
    }
}

fn media_type(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// Whether every element of a list is one of `known`. An empty list passes; parameters of an element are ignored.
fn all_of(list: &str, known: &[&str]) -> bool {
    list.split(',').map(media_type).all(|element| element.is_empty() || known.contains(&element))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str, value: &str, head: HeadOf) -> Option<u32> {
        refuse_field(name, value.as_bytes(), head).err().map(|error| error.code().number())
    }

    #[test]
    fn a_part_of_a_file_is_told_from_the_whole() {
        use HeadOf::{Chunk, File, Form, Part};
        for head in [Form, Part, File, Chunk] {
            for value in ["bytes 0-3/10", "bytes 0-9/10", "bytes */10", ""] {
                assert_eq!(refused("Content-Range", value, head), Some(40005), "{value} {head:?}");
            }
            assert_eq!(refused("content-type", "message/partial; id=1", head), Some(40005));
        }
        for (name, value) in [("Upload-Offset", "5"), ("content-type", "application/partial-upload")] {
            assert_eq!(refused(name, value, File), Some(40005));
            assert_eq!(refused(name, value, Form), Some(40005));
            assert_eq!(refused(name, value, Chunk), None);
        }
        assert_eq!(refused("Upload-Offset", "0", File), None);
        assert_eq!(refused("Upload-Offset", "5", HeadOf::Creation), Some(40005));
        assert_eq!(refused("Upload-Complete", "?0", Form), Some(40005));
        assert_eq!(refused("Upload-Complete", "?0", File), None);
        assert_eq!(refused("Upload-Incomplete", "?1", Form), Some(40005));
    }

    #[test]
    fn an_encoded_body_is_told_from_a_plain_one() {
        use HeadOf::{Chunk, File, Form, Part};
        for head in [Form, Part, File, Chunk] {
            for coding in ["gzip", "br", "zstd", "deflate", "x-gzip", "aws-chunked", "aes128gcm", "identity, GZIP"] {
                assert_eq!(refused("Content-Encoding", coding, head), Some(41502), "{coding}");
            }
            for coding in ["base64", "Quoted-Printable", "x-uuencode", "BASE64 ; x=1"] {
                assert_eq!(refused("Content-Transfer-Encoding", coding, head), Some(41502), "{coding}");
            }
            for (name, value) in [
                ("Content-Encoding", "identity"),
                ("Content-Encoding", ""),
                ("Content-Transfer-Encoding", "binary"),
                ("content-transfer-encoding", "7BIT"),
                ("Content-Type", "application/gzip"),
                ("Content-Type", "multipart/related"),
                ("Trailer", "X-Time"),
            ] {
                assert_eq!(refused(name, value, head), None, "{name}: {value}");
            }
            assert_eq!(refused("Trailer", "X-Time, Content-MD5", head), Some(40000));
        }
        assert_eq!(refused("Content-Type", "multipart/form-data; boundary=x", Form), None);
        assert_eq!(refused("Content-Type", "multipart/form-data; boundary=x", File), Some(41502));
        assert_eq!(refused("Content-Type", "multipart/mixed; boundary=x", Part), Some(41502));
        assert_eq!(refused("Transfer-Encoding", "gzip", Part), Some(41502));
        assert_eq!(refused("Transfer-Encoding", "chunked", File), None);
    }
}
