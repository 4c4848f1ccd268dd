//! Charts rendered on the server, as sent to a page.

use serde::{Deserialize, Serialize};

/// A chart and a table with the same figures, as HTML.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedChart {
    pub bars: String,
    pub table: String,
}

/// Waterfall rendered on the server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Drawing {
    pub has_failed: bool,
    /// HTML; empty without uploads.
    pub picture: String,
    /// HTML table with the same figures.
    pub table: String,
}
