//! The notice of what has come of a form of the trash.

use crate::components::error_box::sentence;
use crate::components::icon::{Icon, Picture};
use crate::format;
use crate::refusal;
use crate::trash_outcome::Said;
use leptos::prelude::*;

fn words(said: &Said) -> String {
    match said {
        Said::Restored { pieces: 0, failed: 0, .. } => "There was nothing to restore.".to_owned(),
        Said::Restored { pieces, failed: 0, .. } => {
            let are = if *pieces == 1 { "is" } else { "are" };
            format!(
                "{} {are} back in the lake. What was in their place is here now.",
                format::counted(*pieces, "piece")
            )
        }
        Said::Restored { pieces, failed, why } => {
            let counted = format::counted(*failed, "piece");
            let why = refusal::said(*why).map(|said| format!(" {}", sentence(&said))).unwrap_or_default();
            format!("{counted} could not be restored, {} could.{why}", format::count(*pieces))
        }
        Said::Emptied { pieces: 0, .. } => "There was nothing to delete.".to_owned(),
        Said::Emptied { pieces, bytes } => format!(
            "{}, {}, gone from the trash for good. The disk has the space again in a moment.",
            format::counted(*pieces, "piece"),
            format::bytes(*bytes)
        ),
    }
}

#[component]
pub fn SaidNotice(said: Said) -> impl IntoView {
    let is_bad = matches!(said, Said::Restored { failed, .. } if failed > 0);
    let (class, icon) =
        if is_bad { ("notice notice-held", Icon::Warning) } else { ("notice notice-good", Icon::Check) };
    view! {
        <div class=class role="status">
            <Picture icon/>
            <p>{words(&said)}</p>
        </div>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_in_words() {
        let restored = Said::Restored { pieces: 2, failed: 1, why: 40901 };
        let text = words(&restored);
        assert!(text.starts_with("1 piece could not be restored, 2 could. An open sync or a restore"), "{text}");
        let unknown = Said::Restored { pieces: 2, failed: 1, why: 1 };
        assert_eq!(words(&unknown), "1 piece could not be restored, 2 could.");
        assert!(words(&Said::Emptied { pieces: 2, bytes: 1_000_000_000 }).starts_with("2 pieces, 1.0 GB, gone"));
    }
}
