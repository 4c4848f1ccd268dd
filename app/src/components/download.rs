//! Table cell with the download of a file.

use super::icon::{Icon, Picture};
use crate::routes;
use crate::visible::visible;
use lakeshore::model::path::LakePath;
use leptos::prelude::*;

/// Empty without a file, as for a folder.
#[component]
pub fn DownloadCell(file: Option<LakePath>) -> impl IntoView {
    view! {
        <td class="cell-actions">
            {file
                .map(|path| {
                    let label = visible(format!("Download {}", path.leaf()));
                    view! {
                        <a
                            class="button button-small button-quiet"
                            href=routes::download(&path)
                            rel="external"
                            download=""
                            aria-label=label.clone()
                            title=label
                        >
                            <Picture icon=Icon::Download/>
                        </a>
                    }
                })}
        </td>
    }
    .into_any()
}
