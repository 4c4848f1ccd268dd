// Versions: what changed, back to any of them and forth again, and from a failure to what repairs it; in few clicks.

import type { Locator, Page } from '@playwright/test';
import { expect, hydrated, signIn, test, type Lakeshore } from './fixtures';

/** Counts what a person does: each click, and no address that is typed. */
class Clicks {
  count = 0;

  async on(target: Locator): Promise<void> {
    this.count += 1;
    await target.click();
  }
}

const PATH = '/data/db/orders';

async function publish(lakeshore: Lakeshore, key: string, name: string, files: Record<string, string>): Promise<number> {
  const sync = await lakeshore.start_sync(key, PATH, 'FullSync', name);
  for (const [file, content] of Object.entries(files)) await lakeshore.upload(sync, file, content);
  await lakeshore.end(key, sync);
  return sync;
}

/** Two versions: of the second, one file is the same, one differs, one has come and one is gone. */
async function twoVersions(lakeshore: Lakeshore, key: string): Promise<[number, number]> {
  const first = await publish(lakeshore, key, 'day 1', { 'a.csv': 'a\n1\n', 'b.csv': 'a\n2\n', 'old.csv': 'a\n3\n' });
  return [first, await publish(lakeshore, key, 'day 2', { 'a.csv': 'a\n1\n', 'b.csv': 'a\n22\n', 'new.csv': 'a\n4\n' })];
}

const counts = (page: Page): Promise<string[]> =>
  page.locator('.figure-link').evaluateAll((all) => all.map((one) => `${one.querySelector('.change-kind')!.textContent} ${one.querySelector('data')!.value}`));

async function restoreAndUndo(page: Page, lakeshore: Lakeshore, settled: () => Promise<void>): Promise<void> {
  const key = lakeshore.key();
  await twoVersions(lakeshore, key);
  const [before, clicks] = [await lakeshore.digests(PATH), new Clicks()];
  await signIn(page, lakeshore, key, '/datasets');
  await settled();
  await clicks.on(page.getByRole('link', { name: PATH }));
  await clicks.on(page.getByRole('navigation', { name: 'Dataset', exact: true }).getByRole('link', { name: 'Versions' }));
  await expect(page.getByRole('row', { name: /Version 2/ })).toContainText('Current');
  await clicks.on(page.getByRole('link', { name: 'Restore version 1…' }));
  await expect(page.getByRole('heading', { level: 1 })).toHaveText(`Restore version 1 of ${PATH}?`);
  const main = page.getByRole('main');
  await expect(main).toContainText('The shrink guard allows this: 3 files');
  await expect(main.locator('.figure').filter({ hasText: /^Restored/ })).toContainText('1 file');
  await expect(main.locator('.figure').filter({ hasText: 'Reverted' })).toContainText('1 file');
  await expect(main.locator('.figure').filter({ hasText: 'Moved to trash' })).toContainText('1 file');
  expect(await lakeshore.digests(PATH), 'nothing happens before it is confirmed').toEqual(before);
  await clicks.on(page.getByRole('button', { name: 'Restore version 1' }));
  await expect(page.getByRole('status').filter({ hasText: 'Restored as version 3' })).toBeVisible();
  expect(Object.keys(await lakeshore.digests(PATH)).sort()).toEqual(['a.csv', 'b.csv', 'old.csv']);
  expect(clicks.count, 'restore yesterday, with its confirmation').toBeLessThanOrEqual(4);

  const undo = new Clicks();
  await undo.on(page.getByRole('button', { name: 'Undo' }));
  await expect(page.getByRole('status').filter({ hasText: 'Restored as version 4' })).toBeVisible();
  expect(await lakeshore.digests(PATH)).toEqual(before);
  expect(undo.count).toBe(1);
}

test('a version is restored after confirmation, and the restore is undone by one click', async ({ page, lakeshore }) => {
  await restoreAndUndo(page, lakeshore, () => hydrated(page));
});

test('changes since yesterday are three clicks away', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  await twoVersions(lakeshore, key);
  await page.goto(lakeshore.url);
  await hydrated(page);
  const clicks = new Clicks();
  await clicks.on(page.getByRole('navigation').getByRole('link', { name: 'Datasets', exact: true }).first());
  await clicks.on(page.getByRole('link', { name: PATH }));
  await clicks.on(page.getByRole('link', { name: 'Changes since yesterday' }));
  // All of this dataset is younger than that.
  await expect(page.getByRole('main')).toContainText('There was no version 24 hours ago. Compared with the first version.');
  await expect(page.getByRole('heading', { name: 'Changes from version 1 to version 2' })).toBeVisible();
  expect(clicks.count).toBeLessThanOrEqual(3);

  await page.getByRole('link', { name: 'All versions' }).click();
  await page.getByRole('button', { name: 'Compare' }).click();
  await expect(page.getByRole('heading', { name: 'Changes from version 1 to version 2' })).toBeVisible();
  expect(await counts(page)).toEqual(['added 1', 'changed 1', 'removed 1', 'unchanged 1']);
  await expect(page.locator('.table-changes tbody tr .path-main')).toHaveText(['b.csv', 'old.csv', 'new.csv']);
  await page.getByRole('link', { name: 'Show unchanged files' }).click();
  await expect(page.locator('.table-changes tbody tr .path-main')).toHaveText(['a.csv']);
});

test('a failure leads to its cause, to what is missing and to a command that repairs it', async ({ page, lakeshore }) => {
  const key = lakeshore.key('admin', 'nightly-etl');
  const [, good] = await twoVersions(lakeshore, key);
  const failed = await lakeshore.start_sync(key, PATH, 'FullSync', 'day 3');
  const files = ['a.csv', 'b.csv', 'c.csv', 'd.csv'].map((path) => ({ path, size_bytes: 4 }));
  await lakeshore.post('/api/lake/file/sync/expect', { sync_id: failed, expected: { files }, api_key: key });
  await lakeshore.upload(failed, 'a.csv', 'a\n1\n');
  for (const name of ['b.csv', 'c.csv']) {
    const head = `Content-Disposition: form-data; name="file"; filename="${name}"\r\nRepr-Digest: sha-256=:${'A'.repeat(43)}=:`;
    const body = `--b\r\n${head}\r\n\r\na\n2\n\r\n--b--\r\n`;
    const headers = { 'Content-Type': 'multipart/form-data; boundary=b' };
    const answer = await fetch(`${lakeshore.url}/api/lake/file/upload?sync_id=${failed}`, { method: 'POST', headers, body });
    expect(answer.ok).toBe(false);
  }
  await lakeshore.post('/api/ingestion/file/sync/abort', { sync_id: failed, api_key: key });

  await page.goto(lakeshore.url);
  await hydrated(page);
  const clicks = new Clicks();
  await clicks.on(page.getByRole('region', { name: 'Needs attention' }).getByRole('listitem').filter({ hasText: 'day 3' }).getByRole('link'));
  await expect(page.locator('.notice-error')).toContainText('2 files failed their checksum; aborted by nightly-etl.');
  const causes = page.getByRole('region', { name: 'Why it failed' });
  await expect(causes).toContainText(`${PATH}/b.csv`);
  await expect(causes.getByRole('link', { name: `sync ${good}` })).toBeVisible();
  await clicks.on(page.getByText('3 files missing'));
  await expect(page.getByText('d.csv, 4 B')).toBeVisible();
  await expect(causes).toContainText(`lakeshore push ./export '${PATH}' --full`);
  await clicks.on(page.getByRole('button', { name: 'Copy retry command' }));
  expect(clicks.count).toBeLessThanOrEqual(4);

  await causes.getByRole('link', { name: 'Failed only' }).click();
  await expect(page.locator('.table-files tbody tr')).toHaveCount(2);
  await page.goto(`${lakeshore.url}/history?status=Failed`);
  await expect(page.getByRole('row', { name: `${PATH}/b.csv` })).toBeVisible();
});

test('an aborted full sync is restored only after a warning that names it', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  await twoVersions(lakeshore, key);
  const before = await lakeshore.digests(PATH);
  const aborted = await lakeshore.start_sync(key, PATH, 'FullSync', 'broken');
  await lakeshore.upload(aborted, 'only.csv', 'a\n9\n');
  await lakeshore.post('/api/ingestion/file/sync/abort', { sync_id: aborted, api_key: key });
  await signIn(page, lakeshore, key, '/trash?q=orders');
  await hydrated(page);
  await page.getByRole('row', { name: `Aborted full sync ${aborted}` }).getByRole('link', { name: /^Restore/ }).click();
  await expect(page.getByRole('main')).toContainText('Readers have never seen these files');
  await page.getByRole('link', { name: 'Cancel' }).click();
  await expect(page).toHaveURL(/\/trash\?q=orders/);
  expect(await lakeshore.digests(PATH)).toEqual(before);

  await page.getByRole('row', { name: `Aborted full sync ${aborted}` }).getByRole('link', { name: /^Restore/ }).click();
  await page.getByRole('button', { name: 'Restore', exact: true }).click();
  await expect(page, 'the filter has survived').toHaveURL(/\/trash\?q=orders&restored=1/);
  expect(Object.keys(await lakeshore.digests(PATH))).toEqual(['only.csv']);
  await page.getByRole('button', { name: 'Undo' }).click();
  await expect(page.getByRole('status').filter({ hasText: '1 item restored' })).toBeVisible();
  expect(await lakeshore.digests(PATH)).toEqual(before);
});

test('a version is pinned with a note and unpinned, and its files are downloaded', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  await twoVersions(lakeshore, key);
  await signIn(page, lakeshore, key, `/datasets${PATH}?tab=versions`);
  await hydrated(page);
  await page.getByRole('link', { name: 'Version 1', exact: true }).click();
  await page.getByText('Pin this version…').click();
  await page.getByLabel('Note').fill('closing of the year');
  await page.getByRole('button', { name: 'Pin', exact: true }).click();
  await expect(page.getByRole('main')).toContainText('closing of the year');
  const download = page.waitForEvent('download');
  await page.getByRole('link', { name: 'old.csv' }).click();
  expect((await download).suggestedFilename()).toBe('old.csv');
  await page.goto(`${lakeshore.url}/datasets${PATH}?tab=versions`);
  await expect(page.getByRole('row', { name: /Version 1/ })).toContainText('Pinned');
  await page.getByRole('link', { name: 'Version 1', exact: true }).click();
  await page.getByRole('button', { name: 'Unpin' }).click();
  await expect(page.getByText('Pin this version…')).toBeVisible();
});

test('a key with a prefix opens the lake in its prefix', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  await twoVersions(lakeshore, key);
  await signIn(page, lakeshore, lakeshore.key('read', 'team', '/data/db'), '/lake');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('db');
  await expect(page.getByRole('link', { name: 'orders' }).first()).toBeVisible();
  await expect(page.getByRole('button', { name: 'Try again' })).toHaveCount(0);
});

test.describe('without a script', () => {
  test.use({ javaScriptEnabled: false });

  test('a version is restored after confirmation, and the restore is undone by one click', async ({ page, lakeshore }) => {
    await restoreAndUndo(page, lakeshore, async () => {});
  });
});
