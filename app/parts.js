// Loads the parts of the pages' WASM. `cargo xtask site` writes the lines below it: which bundles each part needs.

import { initSync } from './lakeshore.js';

/** The bundles that have come, or are on their way. */
const bundles = new Map();

/**
 * A bundle is some pieces of WASM in one file: how many, the length of each (32 bits, the smallest byte first), then they.
 * A piece finds what is shared by its imports, and is found by the table of functions.
 */
async function load(name) {
  const response = await fetch(new URL(`./${name}`, import.meta.url));
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  const bytes = await response.arrayBuffer();
  const view = new DataView(bytes);
  const pieces = [];
  const count = view.getUint32(0, true);
  let start = 4 * (1 + count);
  for (let at = 1; at <= count; at += 1) {
    const length = view.getUint32(4 * at, true);
    pieces.push(WebAssembly.instantiate(new Uint8Array(bytes, start, length), { __wasm_split: initSync() }));
    start += length;
  }
  await Promise.all(pieces);
}

function bundle(name) {
  let loading = bundles.get(name);
  if (loading === undefined) {
    loading = load(name);
    bundles.set(name, loading);
    // What did not come is asked for again.
    loading.catch(() => bundles.delete(name));
  }
  return loading;
}

/** What the WASM calls for a part: it is told by a callback, an index in the table, whether the part is there. */
function part(...names) {
  return async (callback, data) => {
    let isLoaded = true;
    try {
      await Promise.all(names.map(bundle));
    } catch {
      // The page says so.
      isLoaded = false;
    }
    initSync().__indirect_function_table.get(callback)(data, isLoaded);
  };
}

