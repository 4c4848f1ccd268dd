//! Keys, sessions, and the turns of callers.

pub(super) mod caller_turns;
pub(super) mod keys;
pub(super) mod sessions;
pub(super) mod wrong_sign_ins;
