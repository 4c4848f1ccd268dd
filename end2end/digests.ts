// SHA-256 of files of the disk, by their paths.

import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

export type Digests = Record<string, string>;

export function sha256(file: string): string {
  // In chunks: a file may be larger than a buffer.
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(1024 * 1024);
  const descriptor = openSync(file, 'r');
  for (let read = readSync(descriptor, chunk); read > 0; read = readSync(descriptor, chunk)) hash.update(chunk.subarray(0, read));
  closeSync(descriptor);
  return hash.digest('hex');
}

/** Files below a folder of the disk. */
export function onDisk(root: string): Digests {
  const found: Digests = {};
  const visit = (below: string): void => {
    for (const name of readdirSync(join(root, below))) {
      const path = join(below, name);
      if (statSync(join(root, path)).isDirectory()) visit(path);
      else found[path] = sha256(join(root, path));
    }
  };
  visit('');
  return found;
}
