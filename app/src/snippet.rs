//! Code to copy: words of a command line and strings of languages, quoted, and the documented upload by curl.

/// Quotes one word of a command line.
pub fn shell_word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A string of Python and Scala.
pub fn python_string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A string of SQL.
pub fn sql_string(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The documented upload by curl.
pub fn upload_command(origin: &str, sync_id: &str, file: &str, with_key: bool) -> String {
    let header = if with_key { " \\\n  --header \"Authorization: Bearer $KEY\"" } else { "" };
    format!(
        "curl --fail --request POST \\\n  --url '{origin}/api/lake/file/upload?sync_id={sync_id}'{header} \\\n  --form file=@{file}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_of_a_command_line() {
        assert_eq!(shell_word("it's a $file"), r"'it'\''s a $file'");
    }

    #[test]
    fn a_name_cannot_end_its_own_quotes() {
        assert_eq!(python_string(r#"it's "x"\"#), r#""it's \"x\"\\""#);
        assert_eq!(sql_string(r#"it's "x""#), r#"'it''s "x"'"#);
    }
}
