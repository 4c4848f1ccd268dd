// Real clients of resumable uploads, interrupted at random offsets: by the network, by kills of the server, and by
// themselves. A long run: SIZE_MIB=1024 INTERRUPTIONS=20 KILLS=1 npx playwright test resumable.spec

import { execFile, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildSync } from 'esbuild';
import type { Page } from '@playwright/test';
import * as tus from 'tus-js-client';
import { test as base, expect, onCluster, sha256, type Lakeshore } from './fixtures';
import { Interrupter, Link } from './link';
import { bigFile, MIB } from './uploading';

const FILE_BYTES = Number(process.env.SIZE_MIB ?? 48) * MIB + 4711;
const INTERRUPTIONS = Number(process.env.INTERRUPTIONS ?? 5);
const KILLS = Number(process.env.KILLS ?? 2);
// A lake of several servers that were all killed serves again after some seconds, once they are fenced.
const RETRIES = [0, 100, 200, 400, 800, 1600, 1600, 1600, ...(onCluster ? Array<number>(10).fill(1600) : [])];
/** Exit code of tuspy_client.py if tuspy cannot be installed. */
const TUSPY_SKIPPED = 77;
/** Console messages for requests that a killed server leaves unanswered. */
const CUT_OFF = ['Failed to load resource', 'net::ERR_'];

/** A link to the server, and an interrupter of its uploads. */
const test = base.extend<{ link: Link; interrupter: Interrupter }>({
  link: async ({ lakeshore }, use) => {
    const link = await Link.to(lakeshore);
    await use(link);
    link.close();
  },
  interrupter: async ({ lakeshore, link }, use) => {
    // Least number of bytes over the link, however the client sends them.
    await use(new Interrupter(lakeshore, link, INTERRUPTIONS, KILLS, FILE_BYTES));
  },
});

test.use({ expectedComplaints: CUT_OFF, bypassCSP: true });
test.setTimeout(120_000 + 400 * (FILE_BYTES / MIB));

function digest(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

async function startSync(lakeshore: Lakeshore): Promise<{ key: string; syncId: number }> {
  const key = lakeshore.key();
  return { key, syncId: await lakeshore.start_sync(key, '/data/t', 'FullSync') };
}

/** Expects the complete file, one row of the history, and no leftovers. */
async function expectLanded(
  lakeshore: Lakeshore,
  sync: { key: string; syncId: number },
  expected: string,
  mayHaveBegunAnew = false,
): Promise<void> {
  const all = await lakeshore.get(`/api/ingestion/file/sync/history?sync_id=${sync.syncId}`);
  const history = all.filter((row: any) => !mayHaveBegunAnew || row.sync_status !== 'Failed');
  expect(history.map((row: any) => [row.file_name, row.sync_status, row.sha256])).toEqual([
    ['large.bin', 'Finished', expected],
  ]);
  expect(await lakeshore.get('/api/lake/files')).toEqual([]);
  await lakeshore.end(sync.key, sync.syncId);
  expect(await lakeshore.digests('data')).toEqual({ 't/large.bin': expected });
  // A creation that is cut off at the wrong moment leaves an empty file until the next start.
  const nothing = createHash('sha256').digest('hex');
  expect(Object.values(await lakeshore.digests('.lakeshore')).filter((digest) => digest !== nothing)).toEqual([]);
}

const VARIANTS: Record<string, any> = {
  'in one request': {},
  'in chunks': { chunkSize: 3 * MIB },
  'in parts side by side': { parallelUploads: 3, chunkSize: 5 * MIB },
  'with the first bytes in its creation': { uploadDataDuringCreation: true, chunkSize: 7 * MIB },
  'by the draft of the IETF': { protocol: 'ietf-draft-05', chunkSize: 4 * MIB },
};

for (const [name, variant] of Object.entries(VARIANTS)) {
  test(`tus-js-client in Node sends a file ${name}, despite interruptions and aborts of its own`, async ({ lakeshore, link, interrupter }) => {
    const sync = await startSync(lakeshore);
    const content = randomBytes(FILE_BYTES);
    const isDraft = 'protocol' in variant;
    const address = isDraft
      ? `/api/lake/file/resumable?sync_id=${sync.syncId}&file_name=large.bin`
      : '/api/lake/files';
    let breaks = variant.parallelUploads ? 0 : 2;
    let again = INTERRUPTIONS;
    await new Promise<void>((resolve, reject) => {
      const upload = new tus.Upload(content, {
        endpoint: link.url + address,
        metadata: { filename: 'large.bin', filetype: 'application/octet-stream', sync_id: `${sync.syncId}` },
        retryDelays: RETRIES,
        ...variant,
        onProgress: (sent) => {
          // The client aborts in the middle of a request, and resumes at once.
          if (breaks > 0 && sent > (FILE_BYTES * (3 - breaks)) / 3) {
            breaks -= 1;
            void upload.abort().then(() => upload.start());
          }
        },
        onSuccess: () => resolve(),
        // It does not retry the concatenation by itself.
        onError: (error) => (variant.parallelUploads && again-- > 0 ? upload.start() : reject(error)),
      });
      upload.start();
    });
    await interrupter.ended();
    expect(breaks).toBe(0);
    await expectLanded(lakeshore, sync, digest(content), 'uploadDataDuringCreation' in variant);
  });
}

/** Chooses a file of the disk in the page, and returns its SHA-256. */
async function chooseFile(page: Page, folder: string): Promise<string> {
  const file = join(folder, 'large.bin');
  await bigFile(file, FILE_BYTES);
  await page.evaluate(() => document.body.append(Object.assign(document.createElement('input'), { type: 'file', id: 'file' })));
  await page.locator('#file').setInputFiles(file);
  return sha256(file);
}

for (const [name, variant] of Object.entries(VARIANTS)) {
  test(`tus-js-client in Chromium sends a file ${name}, despite interruptions`, async ({ lakeshore, link, interrupter, page }) => {
    const sync = await startSync(lakeshore);
    await page.goto(`${link.url}/healthz`);
    await page.addScriptTag({ path: join(__dirname, 'node_modules/tus-js-client/dist/tus.js') });
    const expected = await chooseFile(page, lakeshore.folder);
    await page.evaluate(
      ({ syncId, variant, retryDelays, interruptions }) => {
        const { tus } = window as any;
        const file = document.querySelector<HTMLInputElement>('#file')!.files![0];
        const address = variant.protocol
          ? `/api/lake/file/resumable?sync_id=${syncId}&file_name=large.bin`
          : '/api/lake/files';
        let again = interruptions;
        return new Promise<void>((resolve, reject) => {
          const upload = new tus.Upload(file, {
            endpoint: location.origin + address,
            metadata: { filename: file.name, sync_id: `${syncId}` },
            retryDelays,
            ...variant,
            onSuccess: () => resolve(),
            // It does not retry the concatenation by itself.
            onError: (error: Error) => (variant.parallelUploads && again-- > 0 ? upload.start() : reject(error)),
          });
          upload.start();
        });
      },
      { syncId: sync.syncId, variant, retryDelays: RETRIES, interruptions: INTERRUPTIONS },
    );
    await interrupter.ended();
    await expectLanded(lakeshore, sync, expected, 'uploadDataDuringCreation' in variant);
  });
}

test('@uppy/tus sends a file of a dropped folder, despite interruptions', async ({ lakeshore, link, interrupter, page }) => {
  const sync = await startSync(lakeshore);
  const entry = 'export { default as Uppy } from "@uppy/core"; export { default as Tus } from "@uppy/tus";';
  const bundle = buildSync({
    stdin: { contents: entry, resolveDir: __dirname },
    bundle: true,
    format: 'iife',
    globalName: 'uppy',
    write: false,
  });
  await page.goto(`${link.url}/healthz`);
  await page.addScriptTag({ content: bundle.outputFiles[0].text });
  const expected = await chooseFile(page, lakeshore.folder);
  const result = await page.evaluate(
    async ({ syncId, retryDelays }) => {
      const { uppy: library } = window as any;
      const file = document.querySelector<HTMLInputElement>('#file')!.files![0];
      const uppy = new library.Uppy({ meta: { sync_id: syncId } });
      uppy.use(library.Tus, { endpoint: `${location.origin}/api/lake/files`, retryDelays, chunkSize: 6 * 1024 * 1024 });
      // Metadata of a dropped folder.
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
  expect(await lakeshore.digests('data')).toEqual({ 't/dt=2021-12-06/large.bin': expected });
  // Uploads whose creation was cut off are removed in the background.
  await expect.poll(() => lakeshore.digests('.lakeshore')).toEqual({});
});

test('tuspy sends a file with checksums, despite interruptions', async ({ lakeshore, link, interrupter }) => {
  const sync = await startSync(lakeshore);
  const content = randomBytes(FILE_BYTES);
  const file = join(lakeshore.folder, 'large.bin');
  writeFileSync(file, content);
  const script = join(__dirname, 'tuspy_client.py');
  const options = [script, link.url, `${sync.syncId}`, file, `${MIB}`];
  const client = spawn('python3', options, { stdio: ['ignore', 'ignore', 'inherit'] });
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

test('curl continues a file at the offset that HEAD returns, despite interruptions', async ({ lakeshore, link, interrupter }) => {
  const sync = await startSync(lakeshore);
  const content = randomBytes(FILE_BYTES);
  const file = join(lakeshore.folder, 'large.bin');
  writeFileSync(file, content);
  const curl = async (...options: string[]): Promise<string> => (await promisify(execFile)('curl', ['-sS', '--fail', ...options])).stdout;
  const header = (said: string, name: string): string => new RegExp(`^${name}: (.*)\r$`, 'im').exec(said)![1];
  const address = `/api/lake/file/resumable?sync_id=${sync.syncId}&file_name=large.bin`;
  const begun = await curl('-D', '-', '-H', 'Upload-Complete: ?0', '-X', 'POST', lakeshore.url + address);
  const upload = new URL(header(begun, 'location')).pathname;
  let answer = '';
  for (let rounds = 0; answer === '' && rounds <= INTERRUPTIONS; rounds += 1) {
    const offset = header(await curl('-I', lakeshore.url + upload), 'upload-offset');
    const options = ['-H', 'Content-Type: application/partial-upload', '-H', 'Upload-Complete: ?1', '-H', `Upload-Offset: ${offset}`];
    const command = `tail -c +$(($1 + 1)) "$2" | curl -sS --fail -X PATCH -T - "\${@:3}"`;
    const client = spawn('bash', ['-c', command, 'bash', offset, file, ...options, link.url + upload], { stdio: ['ignore', 'pipe', 'ignore'] });
    client.stdout.on('data', (bytes: Buffer) => { answer += bytes.toString(); });
    const ended = new Promise((resolve) => client.once('close', resolve));
    await ended;
    await interrupter.restarted();
  }
  expect(answer).toBe('{"code":0,"msg":null}');
  await interrupter.ended();
  await expectLanded(lakeshore, sync, digest(content));
});
