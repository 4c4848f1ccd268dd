//! Shared components of the pages.

pub mod clock;
pub mod copy;
pub mod dialog;
pub mod empty;
pub mod error_box;
pub mod fact;
pub mod filters;
pub mod icon;
pub mod layout;
pub mod live_refresh;
pub mod live_rows;
pub mod live_sign;
pub mod page;
pub mod pager;
pub mod row_changes;
pub mod sign_in_form;
pub mod status;
pub mod table_head;
pub mod time;
