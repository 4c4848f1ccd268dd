// Files in the browser: sizes around a chunk boundary, dropped folders, and files that change after they were chosen.

import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { expect, sha256, signIn, test } from './fixtures';
import { bigFile, drop, MIB, openUpload, slowDown } from './uploading';

/** Chunk that the digest worker reads. */
const CHUNK = 4 * MIB;
const UNREADABLE = 'cannot read';

/** Drops files and folders of the disk, with entries that the browser itself creates. */
async function dropFromDisk(page: Page, paths: string[]): Promise<void> {
  const devtools = await page.context().newCDPSession(page);
  const data = { items: [], files: paths, dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await devtools.send('Input.dispatchDragEvent', { type, x: 300, y: 300, data });
  }
}

test('files that end near a chunk boundary are read completely, and recognised byte for byte', async ({ page, lakeshore }) => {
  const sizes = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK];
  const files = sizes.map((size) => {
    const path = join(lakeshore.folder, `${size}.bin`);
    writeFileSync(path, randomBytes(size));
    return path;
  });
  await signIn(page, lakeshore, lakeshore.key());
  await openUpload(page, lakeshore, '/data/t', 'Full');
  await drop(page, files);
  await page.getByRole('button', { name: 'Start upload' }).click();
  await expect(page.getByText('Done: 6 files arrived')).toBeVisible({ timeout: 60_000 });
  const expected = Object.fromEntries(files.map((path, index) => [`${sizes[index]}.bin`, sha256(path)]));
  expect(await lakeshore.digests('data/t')).toEqual(expected);

  // The digests of the worker equal those of the server.
  await openUpload(page, lakeshore, '/data/t', 'Full');
  await drop(page, files);
  await page.getByRole('button', { name: 'Start upload' }).click();
  await expect(page.getByText('Done: 6 files unchanged')).toBeVisible({ timeout: 60_000 });
});

test('a dropped folder is uploaded with everything below it', async ({ page, lakeshore }) => {
  const folder = join(lakeshore.folder, 'export');
  // More than a browser returns from one read of a folder.
  const parts = 150;
  mkdirSync(join(folder, 'dt=1', 'hour=2'), { recursive: true });
  for (let part = 0; part < parts; part += 1) writeFileSync(join(folder, 'dt=1', `part-${part}.csv`), `${part}\n`);
  writeFileSync(join(folder, 'dt=1', 'hour=2', 'deep.csv'), 'deep\n');
  writeFileSync(join(folder, 'top.csv'), 'top\n');
  const alone = join(lakeshore.folder, 'alone.csv');
  writeFileSync(alone, 'alone\n');
  await signIn(page, lakeshore, lakeshore.key());
  await openUpload(page, lakeshore, '/data/t', 'Incremental');
  await dropFromDisk(page, [folder, alone]);
  await page.getByRole('button', { name: 'Start upload' }).click();
  await expect(page.getByText(`Done: ${parts + 3} files arrived`)).toBeVisible({ timeout: 60_000 });
  const landed = Object.keys(await lakeshore.digests('data/t'));
  expect(landed).toHaveLength(parts + 3);
  expect(landed).toEqual(expect.arrayContaining([
    'alone.csv', 'top.csv', 'dt=1/hour=2/deep.csv', `dt=1/part-${parts - 1}.csv`,
  ]));

  // On purpose, under its own name.
  await openUpload(page, lakeshore, '/data/named', 'Incremental');
  await page.getByRole('checkbox', { name: 'Keep the name of the folder' }).check();
  await dropFromDisk(page, [folder]);
  await page.getByRole('button', { name: 'Start upload' }).click();
  await expect(page.getByText(`Done: ${parts + 2} files arrived`)).toBeVisible({ timeout: 60_000 });
  expect(Object.keys(await lakeshore.digests('data/named'))).toContain('export/top.csv');
});

test('a file with a modification time before 1970 is sent like any other', async ({ page, lakeshore }) => {
  await signIn(page, lakeshore, lakeshore.key());
  await openUpload(page, lakeshore, '/data/t', 'Incremental');
  await page.evaluate(() => {
    const dragged = new DataTransfer();
    for (const [name, lastModified] of [['old.csv', -86_400_001], ['epoch.csv', 0], ['far.csv', 8.64e15]] as const) {
      dragged.items.add(new File([name], name, { lastModified }));
    }
    document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: dragged, bubbles: true, cancelable: true }));
  });
  await page.getByRole('button', { name: 'Start upload' }).click();
  await expect(page.getByText('Done: 3 files arrived')).toBeVisible();
  expect(Object.keys(await lakeshore.digests('data/t')).sort()).toEqual(['epoch.csv', 'far.csv', 'old.csv']);
});

test('a file that changed before it was read is shown as unreadable, and the others arrive', async ({ page, lakeshore }) => {
  const [changed, large, kept] = ['changed.csv', 'large.bin', 'kept.csv'].map((name) => join(lakeshore.folder, name));
  writeFileSync(changed, 'a\n');
  writeFileSync(kept, 'a\n');
  await bigFile(large, CHUNK + MIB);
  await signIn(page, lakeshore, lakeshore.key());
  await openUpload(page, lakeshore, '/data/t', 'Incremental');
  await drop(page, [changed, large, kept]);
  await expect(page.getByRole('row', { name: /kept\.csv/ })).toBeVisible();
  appendFileSync(changed, 'b\n');
  appendFileSync(large, 'b\n');
  await page.getByRole('button', { name: 'Start upload' }).click();
  await expect(page.getByText('2 files failed, 1 file arrived')).toBeVisible();
  for (const name of [/changed\.csv/, /large\.bin/]) await expect(page.getByRole('row', { name })).toContainText(UNREADABLE);
  expect(Object.keys(await lakeshore.digests('data/t'))).toEqual(['kept.csv']);
});

test.describe('a file that changes while it is sent', () => {
  test.use({ expectedComplaints: ['net::ERR', 'Failed to load'] });

  test('is shown as unreadable, and does not land', async ({ page, lakeshore }) => {
    const big = join(lakeshore.folder, 'big.bin');
    await bigFile(big, 48 * MIB);
    await signIn(page, lakeshore, lakeshore.key());
    await openUpload(page, lakeshore, '/data/t', 'Incremental');
    await drop(page, [big]);
    const speed = await slowDown(page, 6 * MIB);
    await page.getByRole('button', { name: 'Start upload' }).click();
    const total = page.getByRole('progressbar', { name: 'All files' });
    await expect.poll(() => total.evaluate((bar: HTMLProgressElement) => bar.value), { timeout: 60_000 }).toBeGreaterThan(25);
    await page.getByRole('button', { name: 'Pause', exact: true }).click();
    appendFileSync(big, 'more');
    await speed(-1);
    await page.getByRole('button', { name: 'Resume', exact: true }).click();
    await expect(page.getByRole('row', { name: /big\.bin/ })).toContainText(UNREADABLE, { timeout: 60_000 });
    const history = await lakeshore.get('/api/ingestion/file/sync/history?sync_id=1');
    expect(history.filter((upload: any) => upload.sync_status === 'Finished')).toEqual([]);
  });
});
