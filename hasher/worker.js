// Takes the digests of files, one after the other, away from the page's own thread. `cargo xtask site` puts two lines
// before this: `import start, { Hasher }`, and `WASM`, the address of the WASM file.
//
// In:  {files: [[id, File], …]}, {cancel: id}
// Out: a list of {id, bytes}: so far; {id, sha256}; {id}: it cannot be read; {impossible: true}: not in this browser.

const PIECE_BYTES = 4 * 1024 * 1024;
// Digests of small files are told together.
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
  const hasher = new Hasher();
  while (line.length > 0) {
    const [id, file] = line.shift();
    try {
      // Awaited first: the list may be another one by then.
      const sha256 = await digest(hasher, id, file);
      events.push({ id, sha256 });
    } catch {
      hasher.finish();
      events.push({ id });
    }
    tell(line.length === 0);
  }
  hasher.free();
  isRunning = false;
}

async function digest(hasher, id, file) {
  const read = (at) => file.slice(at, at + PIECE_BYTES).arrayBuffer();
  let next = read(0);
  for (let at = 0; at < file.size; at += PIECE_BYTES) {
    if (cancelled.has(id)) throw new Error('cancelled');
    const piece = await next;
    // The disk reads while the processor calculates. Whether it could be read is asked for with the piece.
    next = read(at + PIECE_BYTES);
    next.catch(() => undefined);
    hasher.update(new Uint8Array(piece));
    if (file.size > PIECE_BYTES) {
      // Only the newest of a file counts.
      events = events.filter((event) => event.id !== id);
      events.push({ id, bytes: at + piece.byteLength });
      tell(false);
    }
  }
  return hasher.finish();
}

function tell(now) {
  const at = performance.now();
  if (!now && at - toldAt < TELL_EVERY_MS) return;
  toldAt = at;
  postMessage(events);
  events = [];
}
