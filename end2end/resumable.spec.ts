// Real clients of resumable uploads, each interrupted at random offsets: by kills of the server, and by themselves.

import { execFileSync, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { buildSync } from 'esbuild';
import * as tus from 'tus-js-client';
import { test, expect, type Lakeshore } from './fixtures';

const MIB = 1024 * 1024;
const FILE_BYTES = 48 * MIB + 4711;
const KILLS = 3;
const RETRIES = [0, 100, 200, 400, 800, 1600, 1600, 1600];
/** What tuspy_client.py exits with where it cannot set itself up. */
const TUSPY_SKIPPED = 77;
/** A browser says so of every request that a killed server leaves without an answer. */
const CUT_OFF = ['Failed to load resource', 'net::ERR_'];

test.use({ expectedComplaints: CUT_OFF, bypassCSP: true });

/** Kills the server each time that the upload has come beyond one of some random offsets. */
class Interrupter {
  private readonly offsets = Array.from({ length: KILLS }, () => 1 + Math.floor(Math.random() * (FILE_BYTES - MIB))).sort(
    (one, other) => one - other,
  );
  private restarting: Promise<void> = Promise.resolve();
  kills = 0;

  constructor(private readonly lakeshore: Lakeshore) {
    console.log(`killing the server at ${this.offsets.join(', ')} of ${FILE_BYTES} bytes`);
  }

  seen(offset: number): void {
    if (this.kills >= KILLS || offset < this.offsets[this.kills]) return;
    this.kills += 1;
    this.restarting = this.restarting.then(() => this.lakeshore.killAndRestart());
  }

  async ended(): Promise<void> {
    // The last progress may be told after the end of the upload; the last restart begins with it.
    await expect.poll(() => this.kills, 'the upload was interrupted as often as it was to be').toBe(KILLS);
    await this.restarting;
  }
}

function digest(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

async function startSync(lakeshore: Lakeshore): Promise<{ key: string; syncId: number }> {
  const key = lakeshore.key();
  return { key, syncId: await lakeshore.start_sync(key, '/data/t', 'FullSync') };
}

/** The file is there, whole; one row tells of it; nothing else is left. */
async function expectLanded(
  lakeshore: Lakeshore,
  sync: { key: string; syncId: number },
  sha256: string,
  mayHaveBegunAnew = false,
): Promise<void> {
  const all = await lakeshore.get(`/api/ingestion/file/sync/history?sync_id=${sync.syncId}`);
  const history = all.filter((row: any) => !mayHaveBegunAnew || row.sync_status !== 'Failed');
  expect(history.map((row: any) => [row.file_name, row.sync_status, row.sha256])).toEqual([
    ['large.bin', 'Finished', sha256],
  ]);
  expect(await lakeshore.get('/api/lake/files')).toEqual([]);
  await lakeshore.end(sync.key, sync.syncId);
  expect(lakeshore.digests('data')).toEqual({ 't/large.bin': sha256 });
  expect(lakeshore.digests('.lakeshore')).toEqual({});
}

const VARIANTS: Record<string, any> = {
  'in one request': {},
  'in pieces': { chunkSize: 3 * MIB },
  'in parts side by side': { parallelUploads: 3, chunkSize: 5 * MIB },
  'with the first bytes in its creation': { uploadDataDuringCreation: true, chunkSize: 7 * MIB },
  'by the draft of the IETF': { protocol: 'ietf-draft-05', chunkSize: 4 * MIB },
};

for (const [name, variant] of Object.entries(VARIANTS)) {
  test(`tus-js-client in Node sends a file ${name}, through kills and its own breaks`, async ({ lakeshore }) => {
    const sync = await startSync(lakeshore);
    const content = randomBytes(FILE_BYTES);
    const interrupter = new Interrupter(lakeshore);
    const isDraft = 'protocol' in variant;
    const address = isDraft
      ? `/api/lake/file/resumable?sync_id=${sync.syncId}&file_name=large.bin`
      : '/api/lake/files';
    let breaks = variant.parallelUploads ? 0 : 2;
    let again = KILLS;
    await new Promise<void>((resolve, reject) => {
      const upload = new tus.Upload(content, {
        endpoint: lakeshore.url + address,
        metadata: { filename: 'large.bin', filetype: 'application/octet-stream', sync_id: `${sync.syncId}` },
        retryDelays: RETRIES,
        ...variant,
        onProgress: (sent) => {
          interrupter.seen(sent);
          // The client goes away in the middle of a request, and comes back at once.
          if (breaks > 0 && sent > (FILE_BYTES * (3 - breaks)) / 3) {
            breaks -= 1;
            void upload.abort().then(() => upload.start());
          }
        },
        onSuccess: () => resolve(),
        // It does not try the joining of parts again by itself.
        onError: (error) => (variant.parallelUploads && again-- > 0 ? upload.start() : reject(error)),
      });
      upload.start();
    });
    await interrupter.ended();
    expect(breaks).toBe(0);
    await expectLanded(lakeshore, sync, digest(content), 'uploadDataDuringCreation' in variant);
  });
}

/** Makes a file in the page and gives its SHA-256. */
const MAKE_FILE = `async (size) => {
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size; at += 65536) crypto.getRandomValues(bytes.subarray(at, Math.min(at + 65536, size)));
  window.file = new File([bytes], 'large.bin');
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}`;

for (const [name, variant] of Object.entries(VARIANTS)) {
  test(`tus-js-client in Chromium sends a file ${name}, through kills`, async ({ lakeshore, page }) => {
    const sync = await startSync(lakeshore);
    const interrupter = new Interrupter(lakeshore);
    await page.goto(`${lakeshore.url}/healthz`);
    await page.exposeFunction('seen', (offset: number) => interrupter.seen(offset));
    await page.addScriptTag({ path: join(__dirname, 'node_modules/tus-js-client/dist/tus.js') });
    const sha256 = await page.evaluate<string>(`(${MAKE_FILE})(${FILE_BYTES})`);
    await page.evaluate(
      ({ syncId, variant, retryDelays, kills }) => {
        const { tus, file, seen } = window as any;
        const address = variant.protocol
          ? `/api/lake/file/resumable?sync_id=${syncId}&file_name=large.bin`
          : '/api/lake/files';
        let again = kills;
        return new Promise<void>((resolve, reject) => {
          const upload = new tus.Upload(file, {
            endpoint: location.origin + address,
            metadata: { filename: file.name, sync_id: `${syncId}` },
            retryDelays,
            ...variant,
            onProgress: (sent: number) => seen(sent),
            onSuccess: () => resolve(),
            // It does not try the joining of parts again by itself.
            onError: (error: Error) => (variant.parallelUploads && again-- > 0 ? upload.start() : reject(error)),
          });
          upload.start();
        });
      },
      { syncId: sync.syncId, variant, retryDelays: RETRIES, kills: KILLS },
    );
    await interrupter.ended();
    await expectLanded(lakeshore, sync, sha256, 'uploadDataDuringCreation' in variant);
  });
}

test('@uppy/tus sends a file of a dropped folder, through kills', async ({ lakeshore, page }) => {
  const sync = await startSync(lakeshore);
  const interrupter = new Interrupter(lakeshore);
  const entry = 'export { default as Uppy } from "@uppy/core"; export { default as Tus } from "@uppy/tus";';
  const bundle = buildSync({
    stdin: { contents: entry, resolveDir: __dirname },
    bundle: true,
    format: 'iife',
    globalName: 'uppy',
    write: false,
  });
  await page.goto(`${lakeshore.url}/healthz`);
  await page.exposeFunction('seen', (offset: number) => interrupter.seen(offset));
  await page.addScriptTag({ content: bundle.outputFiles[0].text });
  const sha256 = await page.evaluate<string>(`(${MAKE_FILE})(${FILE_BYTES})`);
  const result = await page.evaluate(
    async ({ syncId, retryDelays }) => {
      const { uppy: library, file, seen } = window as any;
      const uppy = new library.Uppy({ meta: { sync_id: syncId } });
      uppy.use(library.Tus, { endpoint: `${location.origin}/api/lake/files`, retryDelays, chunkSize: 6 * 1024 * 1024 });
      uppy.on('upload-progress', (_: unknown, progress: any) => seen(progress.bytesUploaded));
      // As the drop of a folder tells it.
      const meta = { relativePath: '/dt=2021-12-06/large.bin' };
      uppy.addFile({ name: file.name, type: 'application/octet-stream', data: file, meta });
      const { successful, failed } = await uppy.upload();
      return { successful: successful.length, failed: failed.map((one: any) => `${one.error}`) };
    },
    { syncId: sync.syncId, retryDelays: RETRIES },
  );
  expect(result).toEqual({ successful: 1, failed: [] });
  await interrupter.ended();
  const history = await lakeshore.get('/api/ingestion/file/sync/history');
  expect(history.map((row: any) => [row.file_name, row.sync_status])).toEqual([
    ['dt=2021-12-06/large.bin', 'Finished'],
  ]);
  expect(await lakeshore.get('/api/lake/files')).toEqual([]);
  await lakeshore.end(sync.key, sync.syncId);
  expect(lakeshore.digests('data')).toEqual({ 't/dt=2021-12-06/large.bin': sha256 });
  expect(lakeshore.digests('.lakeshore')).toEqual({});
});

test('tuspy sends a file with checksums, through kills', async ({ lakeshore }) => {
  const sync = await startSync(lakeshore);
  const interrupter = new Interrupter(lakeshore);
  const content = randomBytes(FILE_BYTES);
  const file = join(lakeshore.folder, 'large.bin');
  writeFileSync(file, content);
  const script = join(__dirname, 'tuspy_client.py');
  const options = [script, lakeshore.url, `${sync.syncId}`, file, `${MIB}`];
  const client = spawn('python3', options, { stdio: ['ignore', 'pipe', 'inherit'] });
  createInterface(client.stdout).on('line', (line) => interrupter.seen(Number(line)));
  const code = await new Promise<number | null>((resolve) => {
    client.once('exit', resolve);
    client.once('error', () => resolve(TUSPY_SKIPPED));
  });
  if (code === TUSPY_SKIPPED) console.log('SKIPPED tuspy: it needs Python with venv, and PyPI');
  test.skip(code === TUSPY_SKIPPED, 'tuspy cannot be installed here');
  expect(code).toBe(0);
  await interrupter.ended();
  await expectLanded(lakeshore, sync, digest(content));
});

test('curl goes on with a file at the offset that it asks for', async ({ lakeshore }) => {
  const sync = await startSync(lakeshore);
  const content = randomBytes(FILE_BYTES);
  const file = join(lakeshore.folder, 'rest');
  const curl = (...options: string[]): string => execFileSync('curl', ['-sS', '--fail', ...options], { encoding: 'utf8' });
  const header = (said: string, name: string): string => new RegExp(`^${name}: (.*)\r$`, 'im').exec(said)![1];
  const address = `${lakeshore.url}/api/lake/file/resumable?sync_id=${sync.syncId}&file_name=large.bin`;
  const created = curl('-D', '-', '-H', 'Upload-Complete: ?0', '-X', 'POST', address);
  const upload = lakeshore.url + header(created, 'location');
  const piece = ['-X', 'PATCH', '-H', 'Content-Type: application/partial-upload', '-H', 'Upload-Complete: ?1'];
  writeFileSync(file, content);
  // Slower than the kill.
  const slow = [...piece, '-H', 'Upload-Offset: 0', '--limit-rate', '20M', '-T', file, upload];
  const first = spawn('curl', ['-sS', ...slow], { stdio: 'ignore' });
  const ended = new Promise((resolve) => first.once('exit', resolve));
  await expect.poll(() => Object.keys(lakeshore.digests('.lakeshore')).length).toBe(1);
  await new Promise((resolve) => setTimeout(resolve, 200 + Math.random() * 1000));
  await lakeshore.killAndRestart();
  await ended;
  const offset = Number(header(curl('-I', upload), 'upload-offset'));
  expect(offset).toBeLessThan(FILE_BYTES);
  writeFileSync(file, content.subarray(offset));
  expect(curl(...piece, '-H', `Upload-Offset: ${offset}`, '-T', file, upload)).toBe('{"code":0,"msg":null}');
  await expectLanded(lakeshore, sync, digest(content));
});
