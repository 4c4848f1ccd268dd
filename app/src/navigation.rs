//! Pages of the navigation: one table for the layout, the palette and the shortcuts.

use crate::components::icon::Icon;

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
    destination("/", Icon::Overview, "Overview", "o"),
    destination("/datasets", Icon::Dataset, "Datasets", "d"),
    destination("/syncs", Icon::Syncs, "Syncs", "s"),
    destination("/upload", Icon::Upload, "Upload files", "u"),
    destination("/lake", Icon::Folder, "Lake", "l"),
    destination("/history", Icon::History, "Uploads", "h"),
    destination("/trash", Icon::Trash, "Trash", "t"),
    destination("/activity", Icon::Activity, "Activity", "a"),
    destination("/keys", Icon::Keys, "Keys", "k"),
];
