// The address holds the state of a list: it survives a reload, Back, and sending the link. And copy buttons.

import { expect, hydrated, test } from './fixtures';
import { holdRequests } from './late';

test('filters combine in the address, and survive a reload and Back', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  for (const path of ['/data/a', '/data/b']) {
    const id = await lakeshore.start_sync(key, path, 'IncrementalSync', `of ${path}`);
    await lakeshore.upload(id, 'x.csv', '1\n');
    if (path === '/data/a') await lakeshore.end(key, id);
  }
  await page.goto(`${lakeshore.url}/syncs?path=/data/a`);
  await hydrated(page);
  await expect(page.getByRole('row')).toHaveCount(2);
  await expect(page.getByRole('textbox', { name: 'Path' })).toHaveValue('/data/a');
  await page.getByRole('combobox', { name: 'Status' }).selectOption('Syncing');
  await expect(page).toHaveURL(/path=%2Fdata%2Fa.*status=Syncing|status=Syncing.*path=/);
  await expect(page.getByRole('heading', { name: 'No results match' })).toBeVisible();
  await page.reload();
  await hydrated(page);
  await expect(page.getByRole('heading', { name: 'No results match' })).toBeVisible();
  await expect(page.getByRole('combobox', { name: 'Status' })).toHaveValue('Syncing');
  await page.goBack();
  await expect(page.getByRole('row')).toHaveCount(2);
  await expect(page.getByRole('combobox', { name: 'Status' })).toHaveValue('');
});

test('search results in a folder keep the chosen order', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  const id = await lakeshore.start_sync(key, '/data/t', 'IncrementalSync');
  for (const [name, size] of [['a-one.csv', 10], ['b-one.csv', 30], ['c-one.csv', 20], ['d.csv', 40]] as const) {
    await lakeshore.upload(id, name, 'x'.repeat(size));
  }
  await page.goto(`${lakeshore.url}/lake/data/t`);
  await hydrated(page);
  await page.getByRole('link', { name: 'Size' }).click();
  await expect(page).toHaveURL(/sort=size&order=desc/);
  const names = page.locator('tbody .row-name');
  await expect(names).toHaveText(['d.csv', 'b-one.csv', 'c-one.csv', 'a-one.csv']);
  await page.getByRole('searchbox').fill('one');
  await page.getByRole('button', { name: 'Search' }).click();
  await expect(names).toHaveText(['b-one.csv', 'c-one.csv', 'a-one.csv']);
  await page.reload();
  await expect(names).toHaveText(['b-one.csv', 'c-one.csv', 'a-one.csv']);
  await page.getByRole('link', { name: 'Clear' }).click();
  await expect(names).toHaveText(['d.csv', 'b-one.csv', 'c-one.csv', 'a-one.csv']);
  await page.goBack();
  await expect(names).toHaveText(['b-one.csv', 'c-one.csv', 'a-one.csv']);
});

test('numbers, paths and digests are copied, with a confirmation', async ({ page, lakeshore, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const key = lakeshore.key();
  const id = await lakeshore.start_sync(key, '/data/t', 'FullSync');
  await lakeshore.upload(id, 'a.csv', 'id\n1\n');
  await lakeshore.end(key, id);
  const digest = Object.values(await lakeshore.digests('/data/t'))[0];
  const copied = () => page.evaluate(() => navigator.clipboard.readText());
  for (const [path, label, text] of [
    [`/syncs/${id}`, 'Copy sync ID', `${id}`],
    [`/syncs/${id}`, 'Copy lake path', '/data/t'],
    [`/syncs/${id}`, 'Copy SHA-256', digest],
    ['/datasets/data/t', 'Copy lake path', '/data/t'],
    ['/datasets/data/t', 'Copy SHA-256', digest],
    ['/lake/data/t', 'Copy lake path', '/data/t'],
    ['/lake/data/t', 'Copy SHA-256', digest],
    ['/lake/data/t/a.csv', 'Copy lake path', '/data/t/a.csv'],
    ['/lake/data/t/a.csv', 'Copy SHA-256', digest],
    ['/lake/data/t/a.csv?tab=use', 'Copy lakeshore command', `lakeshore get '/data/t/a.csv' --server ${lakeshore.url}`],
  ]) {
    await page.goto(lakeshore.url + path);
    await hydrated(page);
    await page.getByRole('button', { name: label }).click();
    await expect(page.getByRole('status').filter({ hasText: 'Copied' })).toBeVisible();
    expect(await copied(), `${label} on ${path}`).toBe(text);
  }
});

test('buttons work while a page is fetched twice', async ({ page, lakeshore, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const id = await lakeshore.start_sync(lakeshore.key(), '/data/t', 'IncrementalSync');
  await lakeshore.upload(id, 'a.csv', 'id\n1\n');
  await page.goto(`${lakeshore.url}/lake/data/t`);
  await hydrated(page);
  const nextFetch = await holdRequests(page, '**/fn/lake');
  await page.getByRole('link', { name: 'Size' }).click();
  const first = await nextFetch();
  await page.getByRole('link', { name: 'Modified' }).click();
  await first();
  // Sent once the first answer has come, which is no longer shown.
  const second = await nextFetch();
  await page.getByRole('button', { name: 'Copy lake path' }).click();
  await expect(page.getByRole('status').filter({ hasText: 'Copied' })).toBeVisible();
  await second();
  await expect(page.locator('th[aria-sort=descending]')).toContainText('Modified');
});

test('a relative time shows the exact time in UTC and local time on hover', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  const id = await lakeshore.start_sync(key, '/data/t', 'FullSync');
  await lakeshore.upload(id, 'a.csv', 'id\n1\n');
  await lakeshore.end(key, id);
  for (const path of ['/syncs', `/syncs/${id}`, '/datasets', '/datasets/data/t', '/lake/data/t', '/lake/data/t/a.csv', '/history', '/activity', '/search?q=data/t']) {
    await page.goto(lakeshore.url + path);
    await hydrated(page);
    const time = page.locator('main time').first();
    await expect(time, path).toHaveAttribute('title', /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\n.+ here$/);
    await expect(time).toHaveAttribute('datetime', /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  }
});
