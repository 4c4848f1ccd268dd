//! Pages of the navigation: one table for the layout, the palette and the shortcuts.

use crate::components::icon::Icon;
use crate::routes;

pub struct Destination {
    pub href: &'static str,
    pub icon: Icon,
    pub label: &'static str,
    /// Letter of its shortcut, after `g`.
    pub letter: &'static str,
}

const fn destination(href: &'static str, icon: Icon, label: &'static str, letter: &'static str) -> Destination {
    Destination { href, icon, label, letter }
}

pub static DESTINATIONS: [Destination; 9] = [
    destination(routes::OVERVIEW, Icon::Overview, "Overview", "o"),
    destination(routes::DATASETS, Icon::Dataset, "Datasets", "d"),
    destination(routes::SYNCS, Icon::Syncs, "Syncs", "s"),
    destination(routes::UPLOAD, Icon::Upload, "Upload files", "u"),
    destination(routes::LAKE, Icon::Folder, "Lake", "l"),
    destination(routes::HISTORY, Icon::History, "Uploads", "h"),
    destination(routes::TRASH, Icon::Trash, "Trash", "t"),
    destination(routes::ACTIVITY, Icon::Activity, "Activity", "a"),
    destination(routes::KEYS, Icon::Keys, "Keys", "k"),
];
