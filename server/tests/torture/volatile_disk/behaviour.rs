//! Tests of the volatile disk: it keeps synced data and loses the rest.

use super::{Call, Order, Plan, VolatileDisk};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;

const CUTS: u64 = 40;

fn sync(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

fn write_synced(path: &Path, bytes: &[u8]) {
    let mut file = File::create(path).unwrap();
    file.write_all(bytes).unwrap();
    file.sync_data().unwrap();
}

/// Results of `look` after different cuts.
fn after_cuts(disk: &VolatileDisk, look: impl Fn(&Path) -> String) -> BTreeSet<String> {
    let cut = |seed| VolatileDisk::mount(disk.cut(&mut StdRng::seed_from_u64(seed))).unwrap();
    (0..CUTS).map(|seed| look(cut(seed).path())).collect()
}

fn text(path: &Path) -> String {
    fs::read(path).map_or("none".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

fn set<const N: usize>(found: [&str; N]) -> BTreeSet<String> {
    found.map(str::to_owned).into()
}

#[test]
fn synced_data_survives_each_cut_and_the_rest_only_some() {
    for order in [Order::Journal, Order::Strict] {
        let Some(disk) = VolatileDisk::new(order) else { return };
        let file = disk.path().join("f");
        write_synced(&file, b"old");
        sync(disk.path()).unwrap();
        fs::write(&file, "new").unwrap();
        fs::write(disk.path().join("g"), "").unwrap();
        assert_eq!(text(&file), "new");
        assert!(after_cuts(&disk, |at| text(&at.join("f"))).is_superset(&set(["old", "new"])), "{order:?}");
        assert_eq!(after_cuts(&disk, |at| text(&at.join("g"))), set(["", "none"]), "{order:?}");
        sync(&file).unwrap();
        assert_eq!(after_cuts(&disk, |at| text(&at.join("f"))), set(["new"]), "{order:?}");
    }
}

#[test]
fn without_a_journal_a_name_lasts_when_its_folder_was_synced() {
    let Some(disk) = VolatileDisk::new(Order::Strict) else { return };
    let folder = disk.path().join("d");
    fs::create_dir(&folder).unwrap();
    write_synced(&folder.join("f"), b"1");
    let there = |at: &Path| text(&at.join("d/f"));
    assert_eq!(after_cuts(&disk, there), set(["1", "none"]));
    sync(&folder).unwrap();
    assert_eq!(after_cuts(&disk, there), set(["1", "none"]), "the folder itself has no durable name");
    sync(disk.path()).unwrap();
    assert_eq!(after_cuts(&disk, there), set(["1"]));
}

#[test]
fn a_move_is_atomic_and_a_durable_file_is_always_at_one_path() {
    for order in [Order::Journal, Order::Strict] {
        let Some(disk) = VolatileDisk::new(order) else { return };
        let at = |name: &str| disk.path().join(name);
        fs::create_dir(at("from")).unwrap();
        for name in ["from/f", "from/g", "g"] {
            write_synced(&at(name), name.as_bytes());
        }
        [at("from"), at("")].iter().for_each(|folder| sync(folder).unwrap());
        fs::create_dir(at("to")).unwrap();
        fs::rename(at("from/f"), at("to/f")).unwrap();
        renameat_with(CWD, at("from/g"), CWD, at("g"), RenameFlags::EXCHANGE).unwrap();
        let moved = after_cuts(&disk, |at| format!("{} {}", text(&at.join("from/f")), text(&at.join("to/f"))));
        assert_eq!(moved, set(["from/f none", "none from/f"]), "{order:?}");
        let exchanged = after_cuts(&disk, |at| format!("{} {}", text(&at.join("from/g")), text(&at.join("g"))));
        assert_eq!(exchanged, set(["from/g g", "g from/g"]), "{order:?}");
    }
}

#[test]
fn a_failed_sync_is_reported_once_and_loses_still_readable_data() {
    let Some(disk) = VolatileDisk::new(Order::Journal) else { return };
    let path = disk.path().join("f");
    write_synced(&path, &[b'a'; 10_000]);
    let file = File::options().write(true).open(&path).unwrap();
    disk.begin(Some(Plan { calls: vec![Call::SyncData], below: "f".into(), first: 1, length: 1, error: Errno::IO }));
    file.write_all_at(&[b'b'; 10_000], 0).unwrap();
    assert_eq!(file.sync_data().unwrap_err().raw_os_error(), Some(Errno::IO.raw_os_error()));
    file.sync_data().unwrap();
    assert_eq!(disk.end(), 1);
    let pages = |at: &Path| [0, 5000, 9000].map(|byte| fs::read(at.join("f")).unwrap()[byte] as char).iter().collect();
    let now: String = pages(disk.path());
    assert_eq!(now, "bbb");
    assert_eq!(after_cuts(&disk, pages), set(["aaa"]));
    // A write to a page makes the whole page dirty.
    file.write_all_at(b"c", 5001).unwrap();
    file.sync_data().unwrap();
    assert_eq!(after_cuts(&disk, pages), set(["aba"]));
}

#[test]
fn unsynced_writes_are_lost_in_any_part_and_torn() {
    let Some(disk) = VolatileDisk::new(Order::Journal) else { return };
    let path = disk.path().join("f");
    write_synced(&path, &[b'a'; 40_000]);
    fs::write(disk.path().join("f"), [b'b'; 40_000]).unwrap();
    let mixed = after_cuts(&disk, |at| {
        let bytes = fs::read(at.join("f")).unwrap();
        format!("{} {}", bytes.contains(&b'a'), bytes.contains(&b'b'))
    });
    assert!(mixed.contains("true true") && mixed.len() > 1, "{mixed:?}");
}
