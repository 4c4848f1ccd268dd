//! Icons, drawn with strokes in the text colour. Text beside them has the same meaning.

use leptos::prelude::*;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Icon {
    Overview,
    Dataset,
    Syncs,
    Upload,
    History,
    Trash,
    Activity,
    Keys,
    Check,
    Cross,
    Running,
    Warning,
    Copy,
    Folder,
    File,
    Retry,
    Restore,
    Left,
    Right,
    Plus,
    Pause,
    Play,
    Search,
    Download,
    Pin,
}

impl Icon {
    /// Path on a grid of 16 by 16.
    fn path(self) -> &'static str {
        match self {
            Self::Overview => {
                "M2.5 2.5h4.500v5h-4.500zM9 2.5h4.500v3h-4.500zM9 8h4.500v5.500h-4.500zM2.5 10h4.500v3.500h-4.500z"
            }
            Self::Dataset => {
                "M2.5 4c0-1 2.500-1.700 5.500-1.700s5.500.7 5.500 1.700-2.500 1.700-5.500 1.700-5.500-.7-5.500-1.700zM2.5 4v8c0 1 2.500 1.700 5.500 1.700s5.500-.7 5.500-1.700V4M2.5 8c0 1 2.500 1.700 5.500 1.700s5.500-.7 5.500-1.700"
            }
            Self::Syncs => "M2.5 6.5a5.6 5.6 0 0 1 10-1.9M13 2v3h-3M13.5 9.5a5.6 5.6 0 0 1-10 1.9M3 14v-3h3",
            Self::Upload => "M8 10.5v-8M4.8 5.4 8 2.2l3.2 3.2M2.5 10.5v3h11v-3",
            Self::History => "M2.5 3.5h11M2.5 8h11M2.5 12.5h7",
            Self::Trash => "M2.5 4h11M6 4V2.5h4V4M4 4l.7 9.5h6.6L12 4M6.7 6.8v4M9.3 6.8v4",
            Self::Activity => "M1.8 8.5h2.900l2-5.500 3 10 2-4.500h2.500",
            Self::Keys => "M8.2 7.8a3.2 3.2 0 1 0-1.1 1.1l5 5 1.7-1.7-1.3-1.3 1-1-1.4-1.4-1 1zM4.6 6.3h.01",
            Self::Check => "M3 8.5l3.2 3.2L13 5",
            Self::Cross => "M4 4l8 8M12 4l-8 8",
            Self::Running => "M8 2.2a5.8 5.8 0 1 1-5.8 5.8",
            Self::Warning => "M8 2.3 14.3 13.5H1.7zM8 6.5v3.2M8 11.7h.01",
            Self::Copy => "M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z",
            Self::Folder => "M1.8 12.8V3.2h4.4l1.6 2h6.4v7.6z",
            Self::File => "M3.5 1.8h5.8l3.2 3.2v9.2h-9zM9 2v3.4h3.4",
            Self::Retry => "M13.2 8a5.2 5.2 0 1 1-1.6-3.8M13.4 2v3h-3",
            Self::Restore => "M3 7.5h7a3.2 3.2 0 0 1 0 6.4H6M5.8 4.2 2.6 7.5l3.2 3.3",
            Self::Left => "M10 3 5 8l5 5",
            Self::Right => "M6 3l5 5-5 5",
            Self::Plus => "M8 3v10M3 8h10",
            Self::Pause => "M5.5 3.5v9M10.5 3.5v9",
            Self::Play => "M4.5 3 12.5 8l-8 5z",
            Self::Download => "M8 2.2v8M4.8 7.4 8 10.6l3.2-3.2M2.5 10.5v3h11v-3",
            Self::Pin => "M5.500 2.500h5M6.300 2.500v4l-2 2.500h7.400l-2-2.500v-4M8 9v5",
            Self::Search => "M7 2.8a4.2 4.2 0 1 1 0 8.4 4.2 4.2 0 0 1 0-8.4M10.2 10.2 13.5 13.5",
        }
    }
}

#[component]
pub fn Picture(icon: Icon) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <path d=icon.path()/>
        </svg>
    }
    .into_any()
}

/// Logo of Lakeshore: a shore line above two waves.
#[component]
pub fn Mark() -> impl IntoView {
    view! {
        <svg class="mark" viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
            <rect class="mark-ground" width="32" height="32" rx="8"/>
            <path class="mark-shore" d="M5 14.5c4.5-6.5 9-8 13.500-5.200 3 1.900 5.500 2.500 8.500 1.200"/>
            <path class="mark-wave" d="M5 20c2.750-2.400 4.600-2.400 7.330 0s4.600 2.400 7.340 0 4.600-2.400 7.330 0"/>
            <path class="mark-wave mark-wave-low" d="M5 25c2.750-2.400 4.600-2.400 7.330 0s4.600 2.400 7.340 0 4.600-2.400 7.330 0"/>
        </svg>
    }
}
