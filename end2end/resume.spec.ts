// Interrupted uploads: by the network, a pause, a reload, or a crash of the server. Nothing is sent twice, nothing is
// lost, and unchanged files are skipped.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { expect, hydrated, sha256, signIn, test, type Lakeshore } from './fixtures';
import { holdFrames, holdRequests } from './late';
import { bigFile, drop, MIB, openUpload, Requests, slowDown, type SetNetwork } from './uploading';

const BYTES = 48 * MIB;
const SLOW = 6 * MIB;

/** Starts to send a large file over a slow link, and returns once a part of it was sent. */
async function beginLarge(page: Page, lakeshore: Lakeshore): Promise<{ big: string; speed: SetNetwork }> {
  const big = join(lakeshore.folder, 'big.bin');
  await bigFile(big, BYTES);
  await signIn(page, lakeshore, lakeshore.key());
  await openUpload(page, lakeshore, '/data/t', 'Incremental');
  await drop(page, [big]);
  const speed = await slowDown(page, SLOW);
  await page.getByRole('button', { name: 'Start upload' }).click();
  await percentIsAbove(page, 25);
  return { big, speed };
}

async function percent(page: Page): Promise<number> {
  return page.getByRole('progressbar', { name: 'All files' }).evaluate((bar: HTMLProgressElement) => bar.value);
}

async function percentIsAbove(page: Page, value: number): Promise<void> {
  await expect.poll(() => percent(page), { timeout: 60_000, intervals: [100] }).toBeGreaterThan(value);
}

/** Expects the complete file in the lake, by a single upload. */
async function arrivedOnce(page: Page, lakeshore: Lakeshore, big: string): Promise<void> {
  await expect(page.getByText('Done: 1 file arrived')).toBeVisible({ timeout: 90_000 });
  expect(await lakeshore.digests('data/t')).toEqual({ 'big.bin': sha256(big) });
  const history = await lakeshore.get('/api/ingestion/file/sync/history?sync_id=1');
  expect(history.map((upload: any) => [upload.file_name.replace(/^\//, ''), upload.status ?? upload.sync_status])).toEqual([['big.bin', 'Finished']]);
}

test('a pause stops sending, and sent bytes are not sent again', async ({ page, lakeshore }) => {
  const { big, speed } = await beginLarge(page, lakeshore);
  await page.getByRole('button', { name: 'Pause', exact: true }).click();
  await expect(page.getByText('Paused: 0 files arrived')).toBeVisible();
  const requests = new Requests(page);
  await speed(-1);
  await page.getByRole('button', { name: 'Resume', exact: true }).click();
  await arrivedOnce(page, lakeshore, big);
  expect(requests.chunks[0]).toBeGreaterThan(0);
});

test('a single file is paused and resumed', async ({ page, lakeshore }) => {
  const { big, speed } = await beginLarge(page, lakeshore);
  await page.getByRole('button', { name: 'Pause big.bin' }).click();
  await expect(page.getByRole('row', { name: /big\.bin/ })).toContainText('Paused');
  const requests = new Requests(page);
  await speed(-1);
  await page.getByRole('button', { name: 'Resume big.bin' }).click();
  await arrivedOnce(page, lakeshore, big);
  expect(requests.chunks[0]).toBeGreaterThan(0);
});

test.describe('a network failure', () => {
  test.use({ expectedComplaints: ['net::ERR'] });

  test('right after a reload loses nothing of what was sent before', async ({ page, lakeshore }) => {
    const { big, speed } = await beginLarge(page, lakeshore);
    page.on('dialog', (dialog) => void dialog.accept());
    await page.reload();
    await hydrated(page);
    await page.getByRole('link', { name: 'Resume' }).click();
    await speed(-1);
    let failed = 0;
    await page.route('**/api/lake/files/*', async (route) => {
      if (route.request().method() !== 'HEAD' || failed === 1) return route.fallback();
      failed += 1;
      await route.abort();
    });
    const requests = new Requests(page);
    await drop(page, [big]);
    await page.getByRole('button', { name: 'Start upload' }).click();
    await arrivedOnce(page, lakeshore, big);
    expect(failed).toBe(1);
    expect(requests.chunks[0]).toBeGreaterThan(0);
  });

  test('is shown, and the file continues where it was', async ({ page, lakeshore }) => {
    const { big, speed } = await beginLarge(page, lakeshore);
    await speed(SLOW, true);
    await expect(page.getByText('Cannot reach the server. The upload resumes automatically.')).toBeVisible({ timeout: 30_000 });
    const requests = new Requests(page);
    await speed(-1);
    await arrivedOnce(page, lakeshore, big);
    expect(requests.chunks[0]).toBeGreaterThan(0);
  });
});

test.describe('a server killed during the upload', () => {
  test.use({ expectedComplaints: ['net::ERR'] });

  test('continues from its last checkpoint', async ({ page, lakeshore }) => {
    const { big, speed } = await beginLarge(page, lakeshore);
    await percentIsAbove(page, 60);
    const requests = new Requests(page);
    await lakeshore.crash(async () => {
      await expect(page.getByText('Cannot reach the server. The upload resumes automatically.')).toBeVisible();
      await speed(-1);
    });
    await page.getByRole('button', { name: 'Try now' }).click({ timeout: 5000 }).catch(() => undefined);
    await arrivedOnce(page, lakeshore, big);
    expect(requests.chunks[0]).toBeGreaterThan(0);
  });
});

test('after a reload during a large file, the same drop continues where it was', async ({ page, lakeshore }) => {
  const { big, speed } = await beginLarge(page, lakeshore);
  page.on('dialog', (dialog) => void dialog.accept());
  await page.reload();
  await hydrated(page);
  await expect(page.getByText('1 of 1 file (50.3 MB) was not finished.')).toBeVisible();
  await page.getByRole('link', { name: 'Resume' }).click();
  await expect(page.getByText('Select the same files or folders again')).toBeVisible();
  await speed(-1);
  const requests = new Requests(page);
  await drop(page, [big]);
  await page.getByRole('button', { name: 'Start upload' }).click();
  await arrivedOnce(page, lakeshore, big);
  expect(requests.chunks[0]).toBeGreaterThan(0);
  await page.getByRole('link', { name: 'New upload' }).click();
  await expect(page.getByText('not finished')).toHaveCount(0);
});

test('after a reload, files that are not chosen again keep the sync open', async ({ page, lakeshore }) => {
  const small = join(lakeshore.folder, 'small.csv');
  writeFileSync(small, 'a\n');
  const big = join(lakeshore.folder, 'big.bin');
  await bigFile(big, BYTES);
  await signIn(page, lakeshore, lakeshore.key());
  await openUpload(page, lakeshore, '/data/t', 'Full');
  await drop(page, [big, small]);
  await slowDown(page, SLOW);
  await page.getByRole('button', { name: 'Start upload' }).click();
  await expect(page.getByRole('row', { name: /small\.csv/ })).toContainText('Arrived');
  page.on('dialog', (dialog) => void dialog.accept());
  await page.reload();
  await hydrated(page);
  await page.getByRole('link', { name: 'Resume' }).click();
  await expect(page.getByText('1 of 2 files')).toBeVisible();
  await drop(page, [small]);
  await page.getByRole('button', { name: 'Start upload' }).click();
  await expect(page.getByText('1 file unchanged. 1 more was selected before the reload')).toBeVisible();
  expect((await lakeshore.get('/api/ingestion/file/sync/1')).sync_status).toBe('Syncing');
});

test('a file that is dropped while the page of its sync loads is sent', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  const sync = await lakeshore.start_sync(key, '/data/t', 'IncrementalSync');
  const file = join(lakeshore.folder, 'a.csv');
  writeFileSync(file, '1\n');
  await signIn(page, lakeshore, key);
  // The record of an earlier page.
  const record = { sync_id: sync, path: '/data/t', files: 2, done: 1, bytes: 4, ends: false, at_ms: Date.now() };
  await page.evaluate((record) => localStorage.setItem(`lakeshore.upload.${record.sync_id}`, JSON.stringify(record)), record);
  await page.goto(`${lakeshore.url}/upload`);
  await hydrated(page);
  const nextSync = await holdRequests(page, '**/fn/sync');
  const runFrames = await holdFrames(page);
  await page.getByRole('link', { name: 'Resume' }).click();
  const answer = await nextSync();
  // Its row is rendered in the page that is about to be replaced, and asks for a frame that comes after that.
  await drop(page, [file]);
  await expect(page.getByRole('row', { name: /a\.csv/ })).toBeVisible();
  await answer();
  await expect(page.getByText('Files are added to')).toBeVisible();
  await runFrames();
  await page.getByRole('button', { name: 'Start upload' }).click();
  await expect(page.getByText('1 file arrived. 1 more was selected before the reload')).toBeVisible();
  expect(Object.keys(await lakeshore.digests('data/t'))).toEqual(['a.csv']);
});

test('a second full sync sends only changed files, and shows the unchanged ones', async ({ page, lakeshore }) => {
  const folder = join(lakeshore.folder, 'export');
  mkdirSync(folder);
  await bigFile(join(folder, 'big.parquet'), 3 * MIB);
  writeFileSync(join(folder, 'a.csv'), '1\n');
  writeFileSync(join(folder, 'b.csv'), '2\n');
  const files = ['a.csv', 'b.csv', 'big.parquet'].map((name) => join(folder, name));
  await signIn(page, lakeshore, lakeshore.key());
  await openUpload(page, lakeshore, '/data/t', 'Full');
  await drop(page, files);
  await page.getByRole('button', { name: 'Start upload' }).click();
  await expect(page.getByText('Done: 3 files arrived')).toBeVisible();

  writeFileSync(join(folder, 'a.csv'), 'changed\n');
  await openUpload(page, lakeshore, '/data/t', 'Full');
  const requests = new Requests(page);
  await drop(page, files);
  await page.getByRole('button', { name: 'Start upload' }).click();
  await expect(page.getByText('Done: 1 file arrived, 2 unchanged')).toBeVisible();
  expect([requests.whole, requests.chunks]).toEqual([1, []]);
  expect(await lakeshore.digests('data/t')).toEqual({
    'a.csv': sha256(files[0]), 'b.csv': sha256(files[1]), 'big.parquet': sha256(files[2]),
  });
  await page.getByRole('button', { name: /^Unchanged/ }).click();
  await expect(page.getByRole('table', { name: 'Files' }).getByText('Unchanged')).toHaveCount(2);
  await expect(page.getByRole('row', { name: /a\.csv/ })).toHaveCount(0);
});

test.describe('refused files', () => {
  test.use({ expectedComplaints: ['400'] });

  test('are grouped and retried by reason', async ({ page, lakeshore }) => {
    await signIn(page, lakeshore, lakeshore.key());
    await openUpload(page, lakeshore, '/data/t', 'Incremental');
    await page.evaluate(() => {
      const dragged = new DataTransfer();
      for (let index = 0; index < 12; index += 1) dragged.items.add(new File([`${index}`], `../${index}.csv`));
      dragged.items.add(new File(['1'], 'good.csv'));
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: dragged, bubbles: true, cancelable: true }));
    });
    await page.getByRole('button', { name: 'Start upload' }).click();
    await expect(page.getByText('12 files failed, 1 file arrived')).toBeVisible();
    const reasons = page.getByRole('region', { name: 'Failed uploads' });
    await expect(reasons.getByRole('listitem')).toHaveCount(1);
    const requests = new Requests(page);
    await reasons.getByRole('button', { name: 'Retry 12' }).click();
    await expect.poll(() => requests.whole).toBe(12);
    await expect(page.getByText('12 files failed, 1 file arrived')).toBeVisible();
  });
});
