//! Reads dropped or chosen files, and folders with everything below them.

use super::breathe;
use gloo_file::{File, FileList};
use js_sys::{Array, Function, Promise};
use leptos::task::spawn_local;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    DragEvent, FileSystemDirectoryEntry, FileSystemDirectoryReader, FileSystemEntry, FileSystemFileEntry,
    HtmlInputElement,
};

/// A file, with its path among the chosen folders.
pub struct Chosen {
    /// Without slashes at its ends; empty for a single file.
    pub folder: String,
    pub name: String,
    pub size_bytes: u64,
    /// Milliseconds since 1970.
    pub modified_ms: i64,
    pub file: File,
}

impl Chosen {
    fn new(folder: &str, file: File) -> Self {
        // `last_modified_time` is avoided: WebAssembly has no `SystemTime` before 1970, but files may be older.
        let modified_ms = AsRef::<web_sys::File>::as_ref(&file).last_modified() as i64;
        let folder = folder.trim_matches('/').to_owned();
        Self { folder, name: file.name(), size_bytes: file.size(), modified_ms, file }
    }
}

/// Files that are processed without a pause.
const AT_ONCE: usize = 250;

/// Reads the files of a file input. Files of a chosen folder have their path, which begins with the folder's name.
pub fn picked(input: &HtmlInputElement, then: impl FnOnce(Vec<Chosen>) + 'static) {
    let Some(list) = input.files() else { return };
    // Copied from the input's list, which empties together with the input.
    let files = FileList::from(list);
    // Choosing the same file again has to fire a change event.
    input.set_value("");
    spawn_local(async move {
        let mut chosen = Vec::with_capacity(files.len());
        for some in files.chunks(AT_ONCE) {
            chosen.extend(some.iter().map(with_folder));
            breathe().await;
        }
        then(chosen);
    });
}

fn with_folder(file: &File) -> Chosen {
    let path = js_sys::Reflect::get((**file).as_ref(), &JsValue::from_str("webkitRelativePath")).ok();
    let path = path.and_then(|path| path.as_string()).unwrap_or_default();
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    Chosen::new(folder, file.clone())
}

/// Reads dropped files and complete folders. The event loses its data after it was handled, so the entries are taken
/// out before anything is awaited.
pub fn dropped(event: &DragEvent, then: impl FnOnce(Vec<Chosen>) + 'static) {
    let Some(transfer) = event.data_transfer() else { return };
    let items = transfer.items();
    let mut entries = Vec::new();
    let mut chosen = Vec::new();
    for index in 0..items.length() {
        let Some(item) = items.get(index).filter(|item| item.kind() == "file") else { continue };
        match item.webkit_get_as_entry() {
            Ok(Some(entry)) => entries.push(entry),
            // A file without an entry, such as a picture dragged from a page.
            _ => chosen.extend(item.get_as_file().ok().flatten().map(|file| Chosen::new("", file.into()))),
        }
    }
    spawn_local(async move {
        // Unreadable entries are skipped; the others are worth sending.
        while let Some(entry) = entries.pop() {
            if entry.is_directory() {
                entries.extend(children(entry.unchecked_into()).await);
            } else if let Ok(file) = file_of(entry.unchecked_ref()).await {
                let path = entry.full_path();
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                chosen.push(Chosen::new(folder, file));
            }
        }
        chosen.sort_by(|one, other| (&one.folder, &one.name).cmp(&(&other.folder, &other.name)));
        then(chosen);
    });
}

async fn children(directory: FileSystemDirectoryEntry) -> Vec<FileSystemEntry> {
    let reader = directory.create_reader();
    let mut children = Vec::new();
    // Browsers return a folder in batches, of a hundred in Chromium; an empty one is the last.
    while let Ok(portion) = read_portion(&reader).await {
        if portion.length() == 0 {
            break;
        }
        children.extend(portion.iter().map(JsCast::unchecked_into::<FileSystemEntry>));
    }
    children
}

async fn read_portion(reader: &FileSystemDirectoryReader) -> Result<Array, JsValue> {
    let portion = promised(|resolve, reject| reader.read_entries_with_callback_and_callback(resolve, reject)).await?;
    portion.dyn_into()
}

async fn file_of(entry: &FileSystemFileEntry) -> Result<File, JsValue> {
    let file = promised(|resolve, reject| {
        entry.file_with_callback_and_callback(resolve, reject);
        Ok(())
    });
    Ok(file.await?.dyn_into::<web_sys::File>()?.into())
}

/// Converts a call with two callbacks into a future.
async fn promised(call: impl Fn(&Function, &Function) -> Result<(), JsValue>) -> Result<JsValue, JsValue> {
    let promise = Promise::new(&mut |resolve, reject| {
        if let Err(error) = call(&resolve, &reject) {
            // An error of the callback has no effect any more.
            drop(reject.call1(&JsValue::UNDEFINED, &error));
        }
    });
    JsFuture::from(promise).await
}
