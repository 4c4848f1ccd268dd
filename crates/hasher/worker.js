// Computes the digests of files, one after the other, outside of the page's thread. `cargo xtask site` puts two lines
// before this: `import start, { digest }`, and `WASM`, the address of the WASM file.
//
// In:  {files: [[id, File], …]}, {cancel: id}
// Out: a list of {id, bytes}: read so far; {id, sha256}; {id}: unreadable; {impossible: true}: not in this browser.

// Digests of small files are reported in batches.
const TELL_EVERY_MS = 100;

const started = start({ module_or_path: WASM });
const line = [];
const cancelled = new Set();
let isRunning = false;
let events = [];
let toldAt = 0;

// Set before anything is awaited, so that no message is missed.
onmessage = ({ data }) => {
  if (data.cancel !== undefined) {
    cancelled.add(data.cancel);
    return;
  }
  for (const [id, file] of data.files) {
    cancelled.delete(id);
    line.push([id, file]);
  }
  if (!isRunning) run();
};

async function run() {
  isRunning = true;
  try {
    await started;
  } catch {
    postMessage([{ impossible: true }]);
    return;
  }
  while (line.length > 0) {
    const [id, file] = line.shift();
    try {
      if (cancelled.has(id)) throw new Error('cancelled');
      // Awaited first, because the list may change meanwhile.
      const sha256 = await digest(file, (bytes) => heard(id, bytes, file.size));
      events.push({ id, sha256 });
    } catch {
      events.push({ id });
    }
    tell(line.length === 0);
  }
  isRunning = false;
}

// Receives the bytes read of a file, and returns whether to continue.
function heard(id, bytes, size) {
  if (bytes < size) {
    // Only the newest progress of a file counts.
    events = events.filter((event) => event.id !== id);
    events.push({ id, bytes });
    tell(false);
  }
  return !cancelled.has(id);
}

function tell(now) {
  const at = performance.now();
  if (!now && at - toldAt < TELL_EVERY_MS) return;
  toldAt = at;
  postMessage(events);
  events = [];
}
