//! The metadata store that servers of tests have: SQLite, or PostgreSQL where `LAKESHORE_TEST_METADATA` is `postgres`. Each
//! data folder then has a database of its own.

use super::postgres::Database;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Whether servers keep their metadata in PostgreSQL.
pub fn is_postgres() -> bool {
    std::env::var("LAKESHORE_TEST_METADATA").is_ok_and(|metadata| metadata == "postgres")
}

/// Tells a server or a command where its metadata is.
pub fn point(command: &mut Command, data_dir: &Path) {
    if let Some(address) = address(data_dir) {
        command.env("LAKESHORE_METADATA", address);
    }
}

/// Databases that tests have chosen, by data folders.
static CHOSEN: Mutex<BTreeMap<PathBuf, String>> = Mutex::new(BTreeMap::new());

/// Servers and commands with this data folder have this database from now on.
pub fn assign(data_dir: &Path, address: &str) {
    CHOSEN.lock().unwrap().insert(data_dir.to_owned(), address.to_owned());
}

/// Address of the database of a data folder; `None` on SQLite.
pub fn address(data_dir: &Path) -> Option<String> {
    if let Some(address) = CHOSEN.lock().unwrap().get(data_dir) {
        return Some(address.clone());
    }
    static DATABASES: Mutex<BTreeMap<PathBuf, Database>> = Mutex::new(BTreeMap::new());
    if !is_postgres() {
        return None;
    }
    let mut databases = DATABASES.lock().unwrap();
    let database = databases.entry(data_dir.to_owned()).or_insert_with(|| {
        // In a thread of its own: this one may be driving a runtime.
        let made = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(Database::new())
        });
        made.join().unwrap().unwrap_or_else(|| panic!("LAKESHORE_TEST_METADATA=postgres needs PostgreSQL"))
    });
    Some(database.address.clone())
}
