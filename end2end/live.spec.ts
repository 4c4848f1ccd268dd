// Live pages: two people watch a script, and the server goes away and comes back.

import type { Browser, Page } from '@playwright/test';
import { expect, hydrated, signIn, test, type Lakeshore } from './fixtures';

test.use({ expectedComplaints: ['ERR_CONNECTION_REFUSED', 'ERR_INCOMPLETE_CHUNKED', 'ERR_CONNECTION_RESET', 'ERR_EMPTY_RESPONSE'] });

const standing = (page: Page) => page.locator('.live-sign');

/** Opens a page in the browser of another person. */
async function another(browser: Browser, lakeshore: Lakeshore, path: string): Promise<Page> {
  const page = await (await browser.newContext()).newPage();
  await page.goto(lakeshore.url + path);
  await hydrated(page);
  return page;
}

/** Marks a page; the returned function tells whether it was not reloaded since. */
async function mark(page: Page): Promise<() => Promise<boolean>> {
  await page.evaluate(() => document.documentElement.setAttribute('data-seen', 'yes'));
  return async () => (await page.locator('html').getAttribute('data-seen')) === 'yes';
}

/** Number of the last event, with which a new stream begins. */
async function lastEvent(lakeshore: Lakeshore): Promise<string> {
  const closing = new AbortController();
  const stream = await fetch(`${lakeshore.url}/api/events`, { signal: closing.signal });
  const { value } = await stream.body!.getReader().read();
  closing.abort();
  return /id: \w+-(\d+)/.exec(new TextDecoder().decode(value))![1];
}

/** Waits until nothing more is told for a second. Of two servers, each has told the same: a new connection goes to the other one. */
async function quiet(lakeshore: Lakeshore): Promise<void> {
  let before = '';
  const isQuiet = async () => {
    const told = [await lastEvent(lakeshore), await lastEvent(lakeshore)];
    const isSame = told[0] !== '0' && told[0] === told[1] && told.join() === before;
    before = told.join();
    return isSame;
  };
  await expect.poll(isQuiet, { intervals: [1000] }).toBe(true);
}

test('changes by a script appear on the pages of two people without a reload', async ({ page, browser, lakeshore }) => {
  const key = lakeshore.key();
  await signIn(page, lakeshore, key, '/syncs');
  await hydrated(page);
  await expect(standing(page)).toHaveText('Live');
  const id = await lakeshore.start_sync(key, '/data/orders', 'FullSync', 'nightly reload');
  const row = page.getByRole('row', { name: 'nightly reload' });
  await expect(row).toBeVisible();
  const other = await another(browser, lakeshore, `/syncs/${id}`);
  await expect(standing(other)).toHaveText('Live');
  const [isSame, isSameToo] = [await mark(page), await mark(other)];

  await lakeshore.post('/api/lake/file/sync/expect', { sync_id: id, api_key: key, expected: { count: 3 } });
  for (const name of ['a.csv', 'b.csv', 'c.csv']) await lakeshore.upload(id, name, `${name} of the night`);
  await lakeshore.upload(id, '../x', 'not taken');
  await expect(row.getByRole('cell').nth(3)).toHaveText('4');
  await expect(row.getByRole('cell').nth(4)).toHaveText('1');
  await expect(other.locator('#running-progress')).toContainText('3 of 3 files, 54 B have landed.');
  await expect(other.locator('.table-files').getByText('c.csv').first()).toBeVisible();
  await expect(other.locator('.waterfall svg rect')).toHaveCount(4);
  await expect(other.locator('.waterfall .bar-failed')).toHaveCount(1);
  await lakeshore.end(key, id);
  await expect(row.getByText('Finished')).toBeVisible();
  await expect(other.locator('#sync-status')).toHaveText('Finished');
  await expect(other.getByRole('region', { name: 'Running' })).toBeHidden();
  expect([await isSame(), await isSameToo()]).toEqual([true, true]);
});

test('an upload in flight is shown to everybody with its key, also after a reload', async ({ page, lakeshore }) => {
  const key = lakeshore.key('admin', 'nightly export');
  const id = await lakeshore.start_sync(key, '/data/orders', 'IncrementalSync');
  await page.goto(`${lakeshore.url}/syncs/${id}`);
  await hydrated(page);
  const headers = {
    'Tus-Resumable': '1.0.0', 'Upload-Length': '1000000', 'Content-Type': 'application/offset+octet-stream',
    'Upload-Metadata': `filename ${btoa('big.parquet')}`, 'User-Agent': 'export/2', 'X-API-Key': key,
  };
  const begun = await fetch(`${lakeshore.url}/api/lake/files?sync_id=${id}`, { method: 'POST', headers, body: 'x'.repeat(250_000) });
  expect(begun.status).toBe(201);
  const row = page.locator('.table-in-flight').getByRole('row', { name: 'big.parquet' });
  for (const look of ['at once', 'after a reload']) {
    if (look === 'after a reload') await page.reload();
    await expect(row, look).toContainText('250 kB of 1.0 MB');
    await expect(row, look).toContainText('nightly export');
    await expect(row, look).not.toContainText('export/2');
  }
  // An administrator of the whole lake also sees where it comes from.
  await signIn(page, lakeshore, key, `/syncs/${id}`);
  await expect(row).toContainText('export/2');
  await hydrated(page);
  await fetch(begun.headers.get('location')!, { method: 'DELETE', headers: { 'Tus-Resumable': '1.0.0', 'X-API-Key': key } });
  await expect(row).toBeHidden();
});

test.describe('with a short --stalled-after', () => {
  test.use({ serveOptions: ['--stalled-after', '100ms'] });

  test('an abandoned upload is marked, with a way to resume it', async ({ page, lakeshore }) => {
    const key = lakeshore.key();
    const id = await lakeshore.start_sync(key, '/data/orders', 'IncrementalSync');
    const headers = { 'Tus-Resumable': '1.0.0', 'Upload-Length': '10', 'Upload-Metadata': `filename ${btoa('a.csv')}` };
    await fetch(`${lakeshore.url}/api/lake/files?sync_id=${id}`, { method: 'POST', headers });
    await signIn(page, lakeshore, key, `/syncs/${id}`);
    await expect(page.getByText('Abandoned')).toBeVisible();
    await page.getByRole('link', { name: 'Resume…' }).click();
    await expect(page).toHaveURL(`${lakeshore.url}/upload?sync=${id}`);
  });
});

test('pages show that the server is away, and catch up when it is back', async ({ page, browser, lakeshore }) => {
  const key = lakeshore.key();
  const id = await lakeshore.start_sync(key, '/data/orders', 'IncrementalSync', 'hourly');
  await page.goto(`${lakeshore.url}/syncs`);
  await hydrated(page);
  const other = await another(browser, lakeshore, '/history');
  for (const one of [page, other]) await expect(standing(one)).toHaveText('Live');
  const [isSame, isSameToo] = [await mark(page), await mark(other)];
  await lakeshore.crash(async () => {
    for (const one of [page, other]) await expect(standing(one)).toHaveText('Reconnecting…');
  });
  // Before the pages reconnect, so no event reaches them.
  await lakeshore.upload(id, 'meanwhile.csv', 'a,b');
  for (const one of [page, other]) await expect(standing(one)).toHaveText('Live', { timeout: 20_000 });
  await expect(page.getByRole('row', { name: 'hourly' }).getByRole('cell').nth(3)).toHaveText('1');
  await expect(other.getByText('meanwhile.csv').first()).toBeVisible();
  expect([await isSame(), await isSameToo()]).toEqual([true, true]);
});

test('the trash and restored items appear without a reload', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  await signIn(page, lakeshore, key, '/trash');
  await hydrated(page);
  await expect(page.getByText('The trash is empty')).toBeVisible();
  const id = await lakeshore.start_sync(key, '/data/orders', 'IncrementalSync');
  for (const content of ['first', 'second']) await lakeshore.upload(id, 'a.csv', content);
  await expect(page.getByRole('row', { name: '/data/orders' })).toContainText('5 B');
  await lakeshore.post('/api/lake/trash/restore', { trash_id: 1, api_key: key });
  await expect(page.getByRole('row', { name: 'Replaced by restores' })).toContainText('6 B');
});

test('pages send no requests while nothing happens', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  const id = await lakeshore.start_sync(key, '/data/orders', 'IncrementalSync');
  await quiet(lakeshore);
  for (const path of ['/', '/syncs', '/history', '/trash', `/syncs/${id}`]) {
    await page.goto(lakeshore.url + path);
    await hydrated(page);
    await expect(standing(page)).toHaveText('Live');
    const asked: string[] = [];
    page.on('request', (request) => asked.push(request.url()));
    // Longer than any polling interval of earlier versions, except the trash's.
    await page.waitForTimeout(6000);
    expect(asked, path).toEqual([]);
    page.removeAllListeners('request');
  }
});
