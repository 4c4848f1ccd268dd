// The main task in the browser: drop files, watch the progress, end the sync, find the files in the lake, replace them,
// restore them.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { expect, hydrated, sha256, signIn, test, type Lakeshore } from './fixtures';
import { bigFile, drop, MIB, openUpload, slowDown } from './uploading';

const BIG_BYTES = 200 * MIB;

/** Sends two files, of which one is refused for its name, and waits until nothing is left to send. */
async function settleWithFailure(page: Page, lakeshore: Lakeshore): Promise<void> {
  await openUpload(page, lakeshore, '/data/t', 'Incremental');
  await page.evaluate(() => {
    const dragged = new DataTransfer();
    dragged.items.add(new File(['root'], '../../etc/passwd'));
    dragged.items.add(new File(['1'], 'good.csv'));
    const event = (name: string) => new DragEvent(name, { dataTransfer: dragged, bubbles: true, cancelable: true });
    for (const name of ['dragenter', 'dragover', 'drop']) document.body.dispatchEvent(event(name));
  });
  await page.getByRole('button', { name: 'Start upload' }).click();
  await expect(page.getByText('1 file failed, 1 file arrived')).toBeVisible();
}

test('three dropped files, one of 200 MB, land; a full sync replaces them; a restore brings them back', async ({ page, lakeshore }) => {
  test.setTimeout(300_000);
  const sources = join(lakeshore.folder, 'sources');
  mkdirSync(sources);
  const [big, first, second] = ['big.parquet', 'one.csv', 'two with a space.csv'].map((name) => join(sources, name));
  await bigFile(big, BIG_BYTES);
  writeFileSync(first, 'a,b\n1,2\n');
  writeFileSync(second, '');
  const dropped = {
    'big.parquet': sha256(big),
    'one.csv': sha256(first),
    'two with a space.csv': sha256(second),
  };

  await signIn(page, lakeshore, lakeshore.key());
  await openUpload(page, lakeshore, '/data/db/transactions', 'Full');
  await drop(page, [big, first, second]);
  await expect(page.getByRole('row').filter({ hasText: 'big.parquet' })).toBeVisible();

  // Throttled, so that the progress moves visibly.
  await slowDown(page, 60 * MIB);
  await page.getByRole('button', { name: 'Start upload' }).click();
  const total = page.getByRole('progressbar', { name: 'All files' });
  const seen = new Set<number>();
  await expect
    .poll(
      async () => {
        const value = await total.evaluate((bar: HTMLProgressElement) => bar.value).catch(() => -1);
        if (value > 0 && value < 100) seen.add(value);
        return seen.size;
      },
      { timeout: 60_000, intervals: [100] },
    )
    .toBeGreaterThanOrEqual(3);
  const steps = [...seen];
  expect(steps).toEqual([...steps].sort((a, b) => a - b));

  await expect(page.getByText('Done: 3 files arrived')).toBeVisible({ timeout: 120_000 });
  expect(await lakeshore.digests('data/db/transactions')).toEqual(dropped);
  await page.getByRole('link', { name: 'View sync' }).click();
  await expect(page.getByRole('row', { name: /big\.parquet/ })).toContainText('Finished');

  // A full sync by script replaces them.
  const key = lakeshore.key();
  const replacing = await lakeshore.start_sync(key, '/data/db/transactions', 'FullSync', 'the reload');
  await lakeshore.upload(replacing, 'new.csv', 'x\n');
  await page.goto(`${lakeshore.url}/syncs/${replacing}`);
  await hydrated(page);
  await page.getByRole('button', { name: 'End sync' }).click();
  const question = page.getByRole('dialog');
  await expect(question).toContainText('Replaces 3 files, 210 MB');
  await question.getByRole('checkbox', { name: /shrinks the dataset/ }).check();
  await question.getByRole('button', { name: 'End this sync' }).click();
  await expect(page.getByRole('button', { name: 'End sync' })).toHaveCount(0);
  expect(Object.keys(await lakeshore.digests('data/db/transactions'))).toEqual(['new.csv']);

  await page.goto(`${lakeshore.url}/trash`);
  await hydrated(page);
  await page.getByRole('link', { name: 'Restore /data/db/transactions' }).click();
  await page.getByRole('button', { name: 'Restore', exact: true }).click();
  await expect(page.getByText('1 item restored')).toBeVisible();
  await expect(page.getByText('Replaced by restores')).toBeVisible();
  expect(await lakeshore.digests('data/db/transactions')).toEqual(dropped);
});

test('a chosen folder keeps its structure, and skipped hidden files are reported', async ({ page, lakeshore }) => {
  const folder = join(lakeshore.folder, 'export');
  mkdirSync(join(folder, 'dt=2021-12-06'), { recursive: true });
  writeFileSync(join(folder, 'dt=2021-12-06', 'part-0.csv'), '1\n');
  writeFileSync(join(folder, 'top.csv'), '2\n');
  writeFileSync(join(folder, '.DS_Store'), 'x');
  await signIn(page, lakeshore, lakeshore.key());
  await openUpload(page, lakeshore, '/data/t', 'Incremental');
  await page.getByLabel('Folder to upload').setInputFiles(folder);
  await expect(page.getByText('Skipped 1 file')).toBeVisible();
  await page.getByRole('button', { name: 'Start upload' }).click();
  await expect(page.getByText('Done: 2 files arrived')).toBeVisible();
  const landed = Object.keys(await lakeshore.digests('data/t')).sort();
  expect(landed.map((path) => path.replace(/^export\//, ''))).toEqual(['dt=2021-12-06/part-0.csv', 'top.csv']);
});

test.describe('a name that leads upward', () => {
  test.use({ expectedComplaints: ['400'] });

  test('is refused and shown, and the sync is not ended automatically', async ({ page, lakeshore }) => {
    await signIn(page, lakeshore, lakeshore.key());
    await settleWithFailure(page, lakeshore);
    await expect(page.getByRole('row').filter({ hasText: 'passwd' })).toContainText('..');
    await expect(page.getByRole('row').filter({ hasText: 'good.csv' })).toContainText('Arrived');
    expect(Object.keys(await lakeshore.digests('data/t'))).toEqual(['good.csv']);
    expect((await lakeshore.get('/api/ingestion/file/sync/1')).sync_status).toBe('Syncing');
  });
});

test('after an upload has ended, a link to another dataset opens an empty form', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  const other = await lakeshore.start_sync(key, '/data/other', 'IncrementalSync');
  await lakeshore.upload(other, 'b.csv', '2');
  await lakeshore.end(key, other);
  await signIn(page, lakeshore, key);
  await openUpload(page, lakeshore, '/data/t', 'Incremental');
  await page.getByLabel('Files to upload').setInputFiles({ name: 'a.csv', mimeType: 'text/csv', buffer: Buffer.from('1') });
  await page.getByRole('button', { name: 'Start upload' }).click();
  await expect(page.getByText('Done: 1 file arrived')).toBeVisible();
  await page.keyboard.press('Control+k');
  await page.getByRole('combobox', { name: /^Search datasets/ }).fill('other');
  await page.getByRole('option').filter({ hasText: 'Upload to /data/other' }).click();
  await expect(page.getByLabel('Lake path')).toHaveValue('/data/other');
  await expect(page.getByRole('table', { name: 'Files' })).toHaveCount(0);
  await page.getByLabel('Files to upload').setInputFiles({ name: 'c.csv', mimeType: 'text/csv', buffer: Buffer.from('3') });
  await page.getByRole('button', { name: 'Start upload' }).click();
  await expect(page.getByText('Done: 1 file arrived')).toBeVisible();
  expect(Object.keys(await lakeshore.digests('data/other')).sort()).toEqual(['b.csv', 'c.csv']);
});

test.describe('an upload with a failed file', () => {
  test.use({ expectedComplaints: ['400'] });

  test('keeps the page of another sync from taking files until it is left open', async ({ page, lakeshore }) => {
    const key = lakeshore.key();
    await signIn(page, lakeshore, key);
    await settleWithFailure(page, lakeshore);
    const other = await lakeshore.start_sync(key, '/data/other', 'IncrementalSync', 'the other one');
    const toOther = async (): Promise<void> => {
      await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: 'Syncs', exact: true }).click();
      await page.getByRole('link', { name: 'the other one' }).click();
      await page.getByRole('link', { name: 'Add files' }).click();
      await expect(page).toHaveURL(`${lakeshore.url}/upload?sync=${other}`);
    };
    await toOther();
    await expect(page.getByText('Another upload, to sync 1, is not finished.')).toBeVisible();
    await expect(page.getByRole('region', { name: 'Files' })).toHaveCount(0);
    const stray = join(lakeshore.folder, 'stray.csv');
    writeFileSync(stray, '1');
    await drop(page, [stray]);
    await page.getByRole('link', { name: 'View that upload' }).click();
    await expect(page.getByText('1 file failed, 1 file arrived')).toBeVisible();
    await expect(page.getByRole('row').filter({ hasText: 'stray.csv' })).toHaveCount(0);
    await page.getByRole('button', { name: 'Leave open' }).click();

    await toOther();
    await page.getByLabel('Files to upload').setInputFiles(stray);
    await page.getByRole('button', { name: 'Start upload' }).click();
    await expect(page.getByText('1 file arrived')).toBeVisible();
    expect(Object.keys(await lakeshore.digests('data/other'))).toEqual(['stray.csv']);
    expect(Object.keys(await lakeshore.digests('data/t'))).toEqual(['good.csv']);
  });

  test('asks before it ends or aborts the sync', async ({ page, lakeshore }) => {
    await signIn(page, lakeshore, lakeshore.key());
    await settleWithFailure(page, lakeshore);
    const question = page.getByRole('dialog');
    await page.getByRole('button', { name: 'Abort sync' }).click();
    await expect(question).toContainText('The files landed so far (1 file of this upload) stay at /data/t.');
    await question.getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'End anyway' }).click();
    await expect(question).toContainText('1 of 2 files arrived, 1 failed.');
    expect((await lakeshore.get('/api/ingestion/file/sync/1')).sync_status).toBe('Syncing');
    await question.getByRole('button', { name: 'End this sync' }).click();
    await expect(page.getByText('Done: 1 file arrived')).toBeVisible();
    expect((await lakeshore.get('/api/ingestion/file/sync/1')).sync_status).toBe('Finished');
  });
});

test.describe('a session that ends during an upload', () => {
  test.use({ expectedComplaints: ['401'] });

  test('pauses it, and it resumes after a sign-in', async ({ page, lakeshore }) => {
    await signIn(page, lakeshore, lakeshore.key());
    await openUpload(page, lakeshore, '/data/t', 'Incremental');
    const files = ['a.csv', 'b.csv'].map((name) => ({ name, mimeType: 'text/csv', buffer: Buffer.from(name) }));
    await page.getByLabel('Files to upload').setInputFiles(files);
    const refusal = { code: 40101, msg: 'this key is unknown or revoked; send another', data: null };
    await page.route('**/api/lake/file/upload*', (route) => route.fulfill({ status: 401, json: refusal }));
    await page.getByRole('button', { name: 'Start upload' }).click();
    await expect(page.getByRole('alert')).toContainText('Your session has ended; sign in in another tab, then press Resume.');
    await expect(page.getByText('Paused: 0 files arrived')).toBeVisible();
    await page.unroute('**/api/lake/file/upload*');
    await page.getByRole('button', { name: 'Resume', exact: true }).click();
    await expect(page.getByText('Done: 2 files arrived')).toBeVisible();
    await expect(page.getByRole('alert')).toHaveCount(0);
  });
});

test.describe('a path held by another sync', () => {
  test.use({ expectedComplaints: ['409'] });

  test('is shown, with a link to that sync', async ({ page, lakeshore }) => {
    const held = await lakeshore.start_sync(lakeshore.key(), '/data/t', 'FullSync');
    await signIn(page, lakeshore, lakeshore.key());
    await openUpload(page, lakeshore, '/data/t', 'Incremental');
    await page.getByLabel('Files to upload').setInputFiles({ name: 'a.csv', mimeType: 'text/csv', buffer: Buffer.from('1') });
    await page.getByRole('button', { name: 'Start upload' }).click();
    await expect(page.getByRole('link', { name: `Sync ${held} on /data/t` })).toBeVisible();
  });
});

test('a running sync updates its page without a reload', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  const sync = await lakeshore.start_sync(key, '/data/live', 'IncrementalSync', 'the live one');
  await page.goto(`${lakeshore.url}/syncs`);
  await hydrated(page);
  const row = page.getByRole('row', { name: /the live one/ });
  await expect(row).toContainText('Syncing');
  await lakeshore.upload(sync, 'a.csv', '12345');
  await expect(row).toContainText('5 B');
  await lakeshore.end(key, sync);
  await expect(row).toContainText('Finished');
  const another = await lakeshore.start_sync(key, '/data/later', 'IncrementalSync', 'a later one');
  await expect(page.getByRole('row', { name: /a later one/ })).toBeVisible({ timeout: 15_000 });
  await page.goto(`${lakeshore.url}/syncs/${another}`);
  await hydrated(page);
  await lakeshore.upload(another, 'seen.csv', 'x');
  await expect(page.getByRole('row', { name: /seen\.csv/ })).toBeVisible();
});

test.describe('a running upload', () => {
  test('asks before leaving the page, and can be cancelled and retried', async ({ page, lakeshore }) => {
    const big = join(lakeshore.folder, 'big.bin');
    await bigFile(big, BIG_BYTES);
    await signIn(page, lakeshore, lakeshore.key());
    await openUpload(page, lakeshore, '/data/t', 'Incremental');
    await page.getByLabel('Files to upload').setInputFiles(big);
    const speed = await slowDown(page, 4 * MIB);
    await page.getByRole('button', { name: 'Start upload' }).click();
    await expect(page.getByRole('progressbar', { name: 'Progress of big.bin' })).toBeVisible();
    const asked = page.waitForEvent('dialog');
    const leaving = page.goto(`${lakeshore.url}/trash`).catch(() => undefined);
    const dialog = await asked;
    expect(dialog.type()).toBe('beforeunload');
    await dialog.dismiss();
    await leaving;
    await page.getByRole('button', { name: 'Cancel big.bin' }).click();
    await expect(page.getByText('1 cancelled')).toBeVisible();
    await speed(-1);
    await page.getByRole('button', { name: 'Retry big.bin' }).click();
    await expect(page.getByText('1 file arrived')).toBeVisible({ timeout: 60_000 });
    expect(await lakeshore.digests('data/t')).toEqual({ 'big.bin': sha256(big) });
  });
});
