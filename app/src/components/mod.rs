//! Shared components of the pages.

pub mod clock;
pub mod copy;
pub mod dialog;
pub mod download;
pub mod empty;
pub mod error_box;
pub mod fact;
pub mod file_list;
pub mod filters;
pub mod held;
pub mod icon;
pub mod layout;
pub mod live_refresh;
pub mod live_rows;
pub mod live_sign;
pub mod page;
pub mod pager;
pub mod restore_parts;
pub mod row_changes;
pub mod sign_in_form;
pub mod status;
pub mod sync_table;
pub mod table_head;
pub mod table_lines;
pub mod time;
pub mod tour;
