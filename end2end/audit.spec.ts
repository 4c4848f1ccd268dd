// The audit log, keys, and the contents of the trash.

import { expect, hydrated, signIn, test, type Lakeshore } from './fixtures';

/** A dataset that a full sync replaced, and a file that an incremental one overwrote twice. */
async function fillTrash(lakeshore: Lakeshore, key: string): Promise<void> {
  for (const content of ['a,b\n1,old\n', 'a,b\n1,new\n']) {
    const id = await lakeshore.start_sync(key, '/data/full', 'FullSync', 'full load');
    await lakeshore.upload(id, 'rows.csv', content);
    await lakeshore.end(key, id);
  }
  const id = await lakeshore.start_sync(key, '/data/hourly', 'IncrementalSync', 'hourly');
  for (const content of ['one', 'two', 'three']) await lakeshore.upload(id, 'x.csv', content);
  await lakeshore.upload(id, 'y.csv', 'kept');
  await lakeshore.upload(id, 'y.csv', 'newer');
  await lakeshore.end(key, id);
}

test('the activity page shows actions live, and its filters are in the address', async ({ page, lakeshore }) => {
  const key = lakeshore.key('admin', 'ada');
  await signIn(page, lakeshore, key, '/activity');
  await hydrated(page);
  await expect(page.getByRole('row', { name: /Signed in/ })).toContainText('ada');
  // By the event of a sync, and by `activity_changed` for entries without an event.
  const id = await lakeshore.start_sync(key, '/data/orders', 'FullSync', 'orders of the day');
  const started = page.getByRole('row', { name: /Sync started/ });
  await expect(started).toContainText('orders of the day');
  await expect(started).toContainText('127.0.0.1');
  await lakeshore.upload(id, 'a.csv', '12345');
  await lakeshore.end(key, id);
  await expect(page.getByRole('row', { name: /Sync ended/ })).toContainText('1 file, 5 B');
  const refused = await fetch(`${lakeshore.url}/sign-in`, { method: 'POST', body: new URLSearchParams({ key: 'lks_wrong' }), redirect: 'manual' });
  expect(refused.status).toBe(303);
  await expect(page.getByRole('row', { name: /Sign-in refused/ })).toContainText('Unknown');

  await page.getByLabel('Action').selectOption('Sync ended');
  await expect(page).toHaveURL(/what=sync_ended/);
  await expect(page.getByRole('row')).toHaveCount(2);
  await page.getByRole('link', { name: 'Activity at /data/orders' }).click();
  await expect(page).toHaveURL(/path=\/data\/orders/);
  await expect(page.getByRole('row')).toHaveCount(3);
  await page.goto(`${lakeshore.url}/activity?who=nobody`);
  await expect(page.getByRole('heading', { name: 'No results match' })).toBeVisible();
});

test('a key shows its creator, its expiry, and its last use', async ({ page, lakeshore }) => {
  await signIn(page, lakeshore, lakeshore.key('admin', 'ada'), '/keys');
  await hydrated(page);
  await page.getByLabel('Name').fill('nightly');
  await page.getByLabel('Expires').selectOption('In 7 days');
  await page.getByRole('button', { name: 'Create key' }).click();
  const row = page.getByRole('row', { name: /nightly/ });
  await expect(row).toContainText('Expires soon');
  await expect(row).toContainText('ada');
  await expect(row).toContainText('Never');
  const secret = await page.getByText(/^lks_[0-9a-f]{64}$/).textContent();
  await lakeshore.start_sync(secret!, '/data/t', 'IncrementalSync');
  await page.reload();
  await expect(row).not.toContainText('Never');
  await row.getByRole('link', { name: 'nightly' }).click();
  await expect(page).toHaveURL(/\/activity\?who=nightly/);
  await expect(page.getByRole('row', { name: /Sync started/ })).toContainText('/data/t');
});

test('the trash is grouped by sync, browsed, and restored in part or whole', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  await fillTrash(lakeshore, key);
  await signIn(page, lakeshore, key, '/trash');
  await hydrated(page);
  await expect(page.getByText(/4 items, 4 files/)).toBeVisible();
  await expect(page.getByRole('row')).toHaveCount(3);
  await expect(page.getByRole('row', { name: /full load/ })).toContainText('in 29 d');

  await page.getByRole('row', { name: /full load/ }).getByRole('link').first().click();
  await page.getByRole('link', { name: '/data/full', exact: true }).click();
  await page.getByRole('link', { name: 'rows.csv' }).click();
  await expect(page.getByRole('cell', { name: 'old' })).toBeVisible();
  await page.getByRole('link', { name: 'Restore item' }).click();
  await page.getByRole('button', { name: 'Restore', exact: true }).click();
  await expect(page.getByRole('status').filter({ hasText: '1 item restored' })).toBeVisible();

  await page.goto(`${lakeshore.url}/trash`);
  await page.getByRole('row', { name: /hourly/ }).getByRole('link').first().click();
  await page.getByRole('checkbox', { name: 'Select /data/hourly/y.csv' }).check();
  await page.getByRole('button', { name: 'Restore selected' }).click();
  await page.getByRole('button', { name: 'Restore', exact: true }).click();
  await expect(page.getByRole('status').filter({ hasText: '1 item restored' })).toBeVisible();
  await page.goto(`${lakeshore.url}/trash`);
  await page.getByRole('link', { name: 'Restore /data/hourly' }).click();
  await page.getByRole('button', { name: 'Restore', exact: true }).click();
  await expect(page.getByRole('status').filter({ hasText: '1 item restored' })).toBeVisible();
  const first = await (await fetch(`${lakeshore.url}/api/lake/file/download?path=/data/hourly/x.csv`)).text();
  expect(first, 'what was there before the sync').toBe('one');
});

test.describe('without a script', () => {
  test.use({ javaScriptEnabled: false });

  test('the activity is readable, and trash is restored, and purged with a typed confirmation', async ({ page, lakeshore }) => {
    const key = lakeshore.key();
    await fillTrash(lakeshore, key);
    await signIn(page, lakeshore, key, '/activity');
    await page.getByLabel('Action').selectOption('Sync ended');
    await page.getByRole('button', { name: 'Filter' }).click();
    await expect(page.getByRole('row')).toHaveCount(4);

    await page.goto(`${lakeshore.url}/trash`);
    await page.getByRole('link', { name: 'Restore /data/full' }).click();
    await page.getByRole('button', { name: 'Restore', exact: true }).click();
    await expect(page.getByText('1 item restored')).toBeVisible();
    await page.getByRole('row', { name: /hourly/ }).getByRole('link').first().click();
    await page.getByRole('button', { name: 'Restore selected' }).click();
    await expect(page.getByRole('alert')).toContainText('No items are selected');

    await page.goto(`${lakeshore.url}/trash`);
    await page.getByText('Empty trash…').click();
    await page.getByLabel('Type "empty" to confirm').fill('empty');
    await page.getByRole('button', { name: 'Empty trash' }).click();
    await expect(page.getByText('permanently deleted. The space')).toBeVisible();
    await expect(page.getByRole('heading', { name: 'The trash is empty' })).toBeVisible();
  });
});
