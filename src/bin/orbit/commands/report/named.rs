//! What a line is about.

use serde_json::Value;

/// A path as a log has it.
#[derive(Clone, Debug, Default)]
pub(super) struct Named {
    pub(super) path: String,
    /// In Base64, where it is not UTF-8.
    pub(super) bytes: Option<String>,
}

impl Named {
    pub(super) fn of(line: &Value) -> Named {
        /// More than any path that a call of Linux takes (PATH_MAX), in bytes.
        const LONGEST: usize = 16 * 1024;
        let kept = |text: &&str| text.len() <= LONGEST;
        let path = text(line, "path");
        Named {
            path: if kept(&path) { path } else { "(a very long path)" }.to_owned(),
            bytes: line.get("path_bytes").and_then(Value::as_str).filter(kept).map(str::to_owned),
        }
    }
}

/// A text of a line, as far as it has it.
pub(super) fn text<'a>(line: &'a Value, key: &str) -> &'a str {
    line.get(key).and_then(Value::as_str).unwrap_or_default()
}
