//! What the server has drawn, as it travels to a page.

use serde::{Deserialize, Serialize};

/// A chart, and the table with the same figures, as HTML.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedChart {
    pub bars: String,
    pub table: String,
}

/// A waterfall that the server has drawn.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Drawing {
    pub has_failed: bool,
    /// HTML; empty while there is no upload.
    pub picture: String,
    /// The same for those who do not see it, HTML too.
    pub table: String,
}
