//! Versions that landings make, some time later ([`unversioned`], [`landed`]), and those of older databases ([`backfill`]).

pub(super) mod backfill;
pub(super) mod landed;
pub(super) mod unversioned;
