//! Keys, sessions, and the turns of callers.

pub(super) mod caller_turns;
pub(super) mod failed_sign_ins;
pub(super) mod keys;
pub(super) mod sessions;
