// The Lake pages: folders, previews, and schema differences.

import { expect, onCluster, test } from './fixtures';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const GOOD = 'id,price,day\n1,2.5,2026-11-24\n2,,2026-11-25\n';
const OTHER = 'id,price,note\nx,2.5,new\n';

test('a folder is browsed, ordered and searched, and its files are downloaded', async ({ lakeshore, page }) => {
  const key = lakeshore.key();
  const id = await lakeshore.start_sync(key, '/data/orders', 'IncrementalSync');
  await lakeshore.upload(id, 'small.csv', GOOD);
  await lakeshore.upload(id, 'large file #1 ü.csv', GOOD.repeat(50));
  for (let n = 0; n < 105; n++) await lakeshore.upload(id, `dt=1/part-${String(n).padStart(3, '0')}.csv`, GOOD);
  await lakeshore.end(key, id);
  await page.goto(lakeshore.url + '/lake');
  await page.getByRole('link', { name: 'data', exact: true }).click();
  await page.getByRole('link', { name: 'orders', exact: true }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('orders');
  const names = page.locator('tbody .row-name');
  await expect(names).toHaveText(['dt=1', 'large file #1 ü.csv', 'small.csv']);
  await page.getByRole('link', { name: 'Size' }).click();
  await expect(page.locator('th[aria-sort=descending]')).toContainText('Size');
  await page.getByRole('link', { name: 'Size' }).click();
  await expect(names).toHaveText(['dt=1', 'small.csv', 'large file #1 ü.csv']);
  await page.getByRole('searchbox').fill('part-00');
  await page.getByRole('button', { name: 'Search' }).click();
  await expect(names).toHaveCount(10);
  await page.getByRole('link', { name: 'Clear' }).click();
  await page.getByRole('link', { name: 'dt=1' }).click();
  await expect(names).toHaveCount(100);
  await page.getByRole('link', { name: 'Next' }).click();
  await expect(names).toHaveCount(5);
  await page.getByRole('navigation', { name: 'Parent folders' }).getByRole('link', { name: 'orders' }).click();
  const waiting = page.waitForEvent('download');
  await page.getByRole('link', { name: 'Download large file' }).click();
  expect((await waiting).suggestedFilename()).toBe('large file #1 ü.csv');
  await page.getByRole('link', { name: 'large file #1 ü.csv', exact: true }).click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('large file #1 ü.csv');
  await page.reload();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('large file #1 ü.csv');
});

test('a folder is ordered on a phone', async ({ lakeshore, page }) => {
  const key = lakeshore.key();
  const id = await lakeshore.start_sync(key, '/data/orders', 'IncrementalSync');
  await lakeshore.upload(id, 'a.csv', GOOD);
  await lakeshore.upload(id, 'b.csv', GOOD.repeat(50));
  await lakeshore.end(key, id);
  await page.setViewportSize({ width: 390, height: 800 });
  await page.goto(`${lakeshore.url}/lake/data/orders`);
  await page.getByRole('link', { name: 'Size' }).click();
  await expect(page.locator('tbody .row-name')).toHaveText(['b.csv', 'a.csv']);
});

test('a file shows its first rows, its columns, and code to read it, without a script', async ({ lakeshore, browser }) => {
  const key = lakeshore.key();
  const id = await lakeshore.start_sync(key, '/data/orders', 'IncrementalSync');
  await lakeshore.upload(id, 'a.csv', GOOD + '3\n');
  await lakeshore.upload(id, 'notes.txt', 'hello\n');
  await lakeshore.end(key, id);
  const context = await browser.newContext({ javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto(lakeshore.url + '/lake/data/orders/a.csv');
  await expect(page.locator('.data thead th')).toHaveText(['Row', 'idinteger', 'pricenumber', 'daydate']);
  await expect(page.locator('.data tbody tr').nth(1).locator('td')).toHaveText(['2', 'null', '2026-11-25']);
  await page.locator('summary').click();
  await expect(page.getByText('Line 4: 1 value where the first line has 3')).toBeVisible();
  await page.getByRole('link', { name: 'Schema' }).click();
  await expect(page.locator('.data tbody tr').nth(1)).toContainText('number');
  await page.getByRole('link', { name: 'Code' }).click();
  const path = 'data/orders/a.csv';
  const place = onCluster ? `${lakeshore.url}/api/lake/file/download?path=/${path}` : join(lakeshore.lake, path);
  await expect(page.getByText(`SELECT * FROM read_csv('${place}') LIMIT 100;`)).toBeVisible();
  await page.getByRole('link', { name: `Sync ${id}` }).click();
  await expect(page).toHaveURL(`${lakeshore.url}/syncs/${id}`);
  await page.goto(lakeshore.url + '/lake/data/orders/notes.txt');
  await expect(page.locator('.preview-text')).toHaveText('hello');
  await page.goto(lakeshore.url + '/lake/data/orders/none.csv');
  await expect(page.getByRole('alert')).toContainText('not found');
  await context.close();
});

test('an image is shown from the address of its download', async ({ lakeshore, page }) => {
  test.skip(onCluster, 'its image is put into the folder of the lake by hand');
  const key = lakeshore.key();
  const id = await lakeshore.start_sync(key, '/data/pictures', 'IncrementalSync');
  await lakeshore.upload(id, 'first.png', 'x');
  await lakeshore.end(key, id);
  const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==';
  writeFileSync(join(lakeshore.lake, 'data/pictures/dot.png'), Buffer.from(pixel, 'base64'));
  await page.goto(lakeshore.url + '/lake/data/pictures/dot.png');
  const image = page.getByRole('img', { name: 'Image dot.png' });
  await expect.poll(() => image.evaluate((shown: HTMLImageElement) => shown.naturalWidth)).toBe(1);
});

test('a file with other columns is marked on its sync and in the history', async ({ lakeshore, page }) => {
  const key = lakeshore.key();
  const first = await lakeshore.start_sync(key, '/data/orders', 'FullSync');
  await lakeshore.upload(first, 'a.csv', GOOD);
  await lakeshore.end(key, first);
  await expect.poll(async () => (await lakeshore.get('/api/lake/dataset/schema?path=/data/orders')).sync_id).toBe(first);
  await lakeshore.post('/api/lake/dataset/schema-policy', { path: '/data/orders', policy: 'hold', api_key: key });
  const second = await lakeshore.start_sync(key, '/data/orders', 'FullSync');
  await lakeshore.upload(second, 'a.csv', OTHER);
  await expect(lakeshore.end(key, second)).rejects.toThrow('40912');
  await page.goto(`${lakeshore.url}/syncs/${second}`);
  await expect(page.locator('#sync-status')).toHaveText('Held');
  await expect(page.locator('.notice-held')).toContainText('1 file does not match the schema of /data/orders');
  const mark = 'Schema mismatch: added note (text); removed day (date); id integer, now text';
  await expect(page.locator('.schema-difference')).toHaveText(mark);
  await page.goto(lakeshore.url + '/history');
  await expect(page.locator('.schema-difference')).toHaveText([mark]);

  const changes = ['Rows1, before 2 (\u22121)', 'Columnsadded note (text); removed day (date); id integer, now text'];
  await page.goto(`${lakeshore.url}/syncs/${second}`);
  await expect(page.locator('.row-changes > div')).toHaveText(changes);
  await lakeshore.post('/api/ingestion/file/sync/end', { sync_id: second, api_key: key, confirm: true });
  await page.goto(`${lakeshore.url}/datasets/data/orders?tab=diff`);
  await expect(page.locator('.row-changes > div')).toHaveText(changes);
  await expect(page.getByRole('row', { name: /a\.csv/ })).toContainText('2 rows');
});
