// SHA-256 of files, by their paths: of the disk, and of a lake that is read by the API.

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

/** Digest of a response's body. */
export async function ofBody(response: Response): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) hash.update(chunk);
  return hash.digest('hex');
}

/** Most entries of a page of a list. */
const PAGE = 1000;

/** Files below a folder of the lake, by requests for paths of the API. */
export async function byApi(request: (path: string) => Promise<Response>, folder: string): Promise<Digests> {
  const found: Digests = {};
  const ask = async (path: string): Promise<Response> => {
    const response = await request(path);
    if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
    return response;
  };
  const visit = async (path: string): Promise<void> => {
    for (let from = 0; ; from += PAGE) {
      const page = await (await ask(`/api/lake/file/list?path=${encodeURIComponent(path)}&from=${from}&size=${PAGE}`)).json();
      for (const entry of page) {
        if (entry.is_folder) await visit(entry.path);
        else found[entry.path.slice(folder.length + 1)] = await ofBody(await ask(`/api/lake/file/download?path=${encodeURIComponent(entry.path)}`));
      }
      if (page.length < PAGE) return;
    }
  };
  await visit(folder);
  return found;
}
