// Loads the parts of the pages' WASM. `cargo xtask site` appends a line for each part, with the bundles that it needs.

import { initSync } from './lakeshore.js';

/** Bundles that are loaded or loading. */
const bundles = new Map();

/**
 * A bundle has several WASM modules in one file: their number, their lengths (32 bits, little-endian), then the modules.
 * A module reaches shared code by its imports, and is reached by the function table.
 */
async function load(name) {
  const response = await fetch(new URL(`./${name}`, import.meta.url));
  if (!response.ok) throw new Error(`${name}: ${response.status}`);
  const bytes = await response.arrayBuffer();
  const view = new DataView(bytes);
  const chunks = [];
  const count = view.getUint32(0, true);
  let start = 4 * (1 + count);
  for (let at = 1; at <= count; at += 1) {
    const length = view.getUint32(4 * at, true);
    chunks.push(WebAssembly.instantiate(new Uint8Array(bytes, start, length), { __wasm_split: initSync() }));
    start += length;
  }
  await Promise.all(chunks);
}

function bundle(name) {
  let loading = bundles.get(name);
  if (loading === undefined) {
    loading = load(name);
    bundles.set(name, loading);
    // A failed bundle is requested again.
    loading.catch(() => bundles.delete(name));
  }
  return loading;
}

/** Loader of a part, called by the WASM. `callback`, an index in the function table, receives whether the part is loaded. */
function part(...names) {
  return async (callback, data) => {
    let isLoaded = true;
    try {
      await Promise.all(names.map(bundle));
    } catch {
      // The page shows an error.
      isLoaded = false;
    }
    initSync().__indirect_function_table.get(callback)(data, isLoaded);
  };
}

