// The command palette, its page without a script, and the keyboard shortcuts.

import AxeBuilder from '@axe-core/playwright';
import type { Locator, Page } from '@playwright/test';
import { expect, hydrated, signIn, test, type Lakeshore } from './fixtures';
import { THEMES } from './pages';

const field = (page: Page): Locator => page.getByRole('combobox', { name: /^Search datasets/ });
const options = (page: Page): Locator => page.getByRole('listbox', { name: 'Results' }).getByRole('option');
const chosen = (page: Page): Locator => page.getByRole('option', { selected: true });
const sheet = (page: Page): Locator => page.getByRole('dialog', { name: 'Keyboard shortcuts' });

async function fillLake(lakeshore: Lakeshore, key: string): Promise<void> {
  for (const [name, path] of [['nightly load', '/data/db/orders'], ['hourly', '/data/web/orders_raw'], ['customers', '/data/db/customers']]) {
    const id = await lakeshore.start_sync(key, path, 'IncrementalSync', name);
    await lakeshore.upload(id, 'a.csv', 'a,b\n1,2\n');
    await lakeshore.end(key, id);
  }
}

async function open(page: Page): Promise<void> {
  await page.keyboard.press('Control+k');
  await expect(field(page)).toBeFocused();
}

test('a dataset is found by parts of its path, and opened by the keyboard alone', async ({ page, lakeshore }) => {
  await fillLake(lakeshore, lakeshore.key());
  await page.goto(`${lakeshore.url}/trash`);
  await hydrated(page);
  await open(page);
  await expect(options(page).filter({ hasText: 'Overview' })).toBeVisible();
  await page.keyboard.type('ORD db');
  const found = options(page).filter({ hasText: '/data/db/orders' }).first();
  await expect(found).toBeVisible();
  await expect(found.locator('mark')).toHaveText(['db', 'ord']);
  await expect(chosen(page)).toHaveCount(1);
  await expect(field(page)).toHaveAttribute('aria-activedescendant', (await chosen(page).getAttribute('id'))!);
  await page.keyboard.press('End');
  await expect(chosen(page)).toHaveText(/All datasets with/);
  await page.keyboard.press('ArrowDown');
  await expect(chosen(page)).toHaveText(/\/data\/db\/orders/);
  await page.keyboard.press('ArrowUp');
  await page.keyboard.press('Home');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(`${lakeshore.url}/datasets/data/db/orders`);
  await expect(page.getByRole('dialog')).toBeHidden();
});

test('a sync is found by number or name, and a page by its title', async ({ page, lakeshore }) => {
  await fillLake(lakeshore, lakeshore.key());
  await page.goto(lakeshore.url);
  await hydrated(page);
  await open(page);
  await page.keyboard.type('2');
  await expect(options(page).filter({ hasText: 'hourly' })).toContainText('/data/web/orders_raw');
  await field(page).fill('nightly');
  await options(page).filter({ hasText: 'nightly load' }).click();
  await expect(page).toHaveURL(`${lakeshore.url}/syncs/1`);
  await open(page);
  await expect(field(page)).toHaveValue('');
  await page.keyboard.type('uploads');
  await expect(chosen(page)).toContainText('Uploads');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Uploads');
});

test('fast typing shows the results of the last query', async ({ page, lakeshore }) => {
  await fillLake(lakeshore, lakeshore.key());
  await page.goto(lakeshore.url);
  await hydrated(page);
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => { release = resolve; });
  await page.route('**/fn/search', async (route) => {
    // The response to the first query arrives last.
    if (route.request().postData()!.includes('"cust"')) await held;
    await route.continue();
  });
  await open(page);
  const first = page.waitForRequest((request) => request.postData()?.includes('"cust"') ?? false);
  await page.keyboard.type('cust');
  await first;
  await expect(page.getByRole('dialog').getByRole('status')).toHaveText('Searching…');
  await field(page).fill('db/orders');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(`${lakeshore.url}/datasets/data/db/orders`);
  await open(page);
  await page.keyboard.type('cust');
  await field(page).fill('orders_raw');
  await expect(options(page).filter({ hasText: '/data/web/orders_raw' }).first()).toBeVisible();
  const late = page.waitForResponse('**/fn/search');
  release();
  await late;
  await expect(options(page).filter({ hasText: 'customers' })).toHaveCount(0);
});

test('the focus returns on closing, and the navigation entry opens the palette too', async ({ page, lakeshore }) => {
  await page.goto(`${lakeshore.url}/history`);
  await hydrated(page);
  const filter = page.getByRole('searchbox', { name: 'File name or path' });
  await filter.focus();
  await open(page);
  await page.keyboard.press('Escape');
  await expect(filter).toBeFocused();
  await open(page);
  await page.keyboard.press('Control+k');
  await expect(filter).toBeFocused();
  const entry = page.getByRole('link', { name: 'Search', exact: true });
  await expect(entry).toContainText('Ctrl K');
  await entry.click();
  await expect(field(page)).toBeFocused();
  await page.getByRole('button', { name: 'Close' }).click();
  await expect(entry).toBeFocused();
  await expect(page).toHaveURL(`${lakeshore.url}/history`);
});

test('an empty result shows hints, and links to the lists', async ({ page, lakeshore }) => {
  await page.goto(lakeshore.url);
  await hydrated(page);
  await open(page);
  await page.keyboard.type('/no/where');
  await expect(page.getByRole('dialog').getByRole('status')).toContainText('Any part of a path works');
  await expect(options(page)).toHaveText(['Open /no/where', /Uploads with/, /All syncs/, /All datasets/]);
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(`${lakeshore.url}/history?q=/no/where`);
});

test('actions open the upload page, copy the address, and sign out', async ({ page, lakeshore, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  const key = lakeshore.key('admin', 'ana');
  await fillLake(lakeshore, key);
  await signIn(page, lakeshore, key, '/syncs?status=Finished');
  await hydrated(page);
  await open(page);
  await page.keyboard.type('copy');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('dialog').getByRole('status')).toHaveText('Copied');
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(`${lakeshore.url}/syncs?status=Finished`);
  await page.keyboard.press('Escape');
  await open(page);
  await page.keyboard.type('customers');
  await options(page).filter({ hasText: 'Upload to /data/db/customers' }).click();
  await expect(page.getByLabel('Lake path')).toHaveValue('/data/db/customers');
  await page.reload();
  await hydrated(page);
  await expect(page.getByLabel('Lake path')).toHaveValue('/data/db/customers');
  await open(page);
  await page.keyboard.type('sign out');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('link', { name: 'Sign in' }).first()).toBeVisible();
});

test('keys open pages, focus the filter and move through rows', async ({ page, lakeshore }) => {
  await fillLake(lakeshore, lakeshore.key());
  await page.goto(lakeshore.url);
  await hydrated(page);
  for (const [letter, title] of [['d', 'Datasets'], ['h', 'Uploads'], ['t', 'Trash'], ['a', 'Activity'], ['k', 'Keys'], ['l', 'Lake'], ['u', 'Upload files'], ['o', 'Overview'], ['s', 'Syncs']]) {
    // The second key has to follow within a moment; a busy machine may take longer.
    await expect(async () => {
      await page.keyboard.press('g');
      await page.keyboard.press(letter);
      await expect(page.getByRole('heading', { level: 1 })).toHaveText(title, { timeout: 3000 });
    }).toPass();
  }
  const filter = page.getByRole('searchbox', { name: 'Name or path' });
  // Without a filter, the key opens the palette.
  await expect(filter).toBeVisible();
  await page.keyboard.press('/');
  await expect(filter).toBeFocused();
  // Shortcuts do not apply while typing.
  await page.keyboard.type('g?/jk');
  await expect(filter).toHaveValue('g?/jk');
  await expect(sheet(page)).toBeHidden();
  await filter.fill('');
  await page.keyboard.press('Escape');
  await expect(filter).not.toBeFocused();
  await page.keyboard.press('j');
  await expect(page.getByRole('link', { name: 'customers' })).toBeFocused();
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await expect(page.getByRole('link', { name: 'nightly load' })).toBeFocused();
  await page.keyboard.press('k');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(`${lakeshore.url}/syncs/2`);
  // A page without a filter field.
  await page.keyboard.press('/');
  await expect(field(page)).toBeFocused();
});

test('the shortcut sheet lists the shortcuts, and disables them for this browser', async ({ page, lakeshore }) => {
  await page.goto(lakeshore.url);
  await hydrated(page);
  await page.keyboard.press('?');
  await expect(sheet(page)).toContainText('Next table row');
  await expect(sheet(page)).toContainText('Activity');
  await sheet(page).getByRole('checkbox').uncheck();
  await page.keyboard.press('Escape');
  await expect(sheet(page)).toBeHidden();
  for (let visit = 0; visit < 2; visit += 1) {
    for (const key of ['?', '/', 'g', 't']) await page.keyboard.press(key);
    await expect(page.getByRole('dialog')).toBeHidden();
    await expect(page).toHaveURL(`${lakeshore.url}/`);
    await page.reload();
    await hydrated(page);
  }
  await open(page);
  await page.keyboard.type('shortcuts');
  await page.keyboard.press('Enter');
  await sheet(page).getByRole('checkbox').check();
  await sheet(page).getByRole('button', { name: 'Close' }).click();
  await page.keyboard.press('g');
  await page.keyboard.press('t');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Trash');
});

for (const [width, height] of [[1280, 800], [360, 740]]) {
  test(`the palette and the shortcut sheet have no accessibility violations at ${width} px`, async ({ page, lakeshore }) => {
    await fillLake(lakeshore, lakeshore.key());
    await page.setViewportSize({ width, height });
    for (const colorScheme of THEMES) {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.goto(lakeshore.url);
      await hydrated(page);
      await page.getByRole('link', { name: 'Search', exact: true }).click();
      await expect(field(page)).toBeFocused();
      await page.keyboard.type('orders');
      await expect(options(page).filter({ hasText: '/data/db/orders' }).first()).toBeVisible();
      const box = (await page.getByRole('dialog').boundingBox())!;
      expect(box.x >= 0 && box.x + box.width <= width, 'it lies within the window').toBe(true);
      const broken = async () => (await new AxeBuilder({ page }).analyze()).violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target)}`);
      expect.soft(await broken(), `palette, ${colorScheme}`).toEqual([]);
      await page.keyboard.press('Escape');
      await page.keyboard.press('?');
      await expect(sheet(page)).toBeVisible();
      expect.soft(await broken(), `sheet, ${colorScheme}`).toEqual([]);
    }
  });
}

test('its code is loaded on first use', async ({ page, lakeshore }) => {
  await page.goto(lakeshore.url);
  await hydrated(page);
  const asked: string[] = [];
  page.on('request', (request) => asked.push(new URL(request.url()).pathname));
  await page.keyboard.press('x');
  expect(asked.filter((path) => path.endsWith('.bin'))).toEqual([]);
  await open(page);
  expect(asked.filter((path) => path.endsWith('.bin')).length).toBeGreaterThan(0);
});

test.describe('if its code cannot be loaded', () => {
  test.use({ expectedComplaints: ['net::ERR', 'Failed to load', 'preloaded using link preload'] });

  test('the search page opens instead', async ({ page, lakeshore }) => {
    await page.goto(lakeshore.url);
    await hydrated(page);
    await page.route('**/*.bin', (route) => route.abort());
    await page.keyboard.press('Control+k');
    await expect(page).toHaveURL(`${lakeshore.url}/search`);
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Search');
  });
});

test.describe('without a script', () => {
  test.use({ javaScriptEnabled: false });

  test('the search page finds the same', async ({ page, lakeshore }) => {
    const key = lakeshore.key();
    await fillLake(lakeshore, key);
    await signIn(page, lakeshore, key, '/');
    await page.getByRole('link', { name: 'Search', exact: true }).click();
    await page.getByRole('searchbox', { name: 'Path, sync name or ID' }).fill('orders');
    await page.getByRole('button', { name: 'Search' }).click();
    await expect(page).toHaveURL(`${lakeshore.url}/search?q=orders`);
    const datasets = page.getByRole('region', { name: 'Datasets' }).getByRole('link');
    await expect(datasets).toHaveText([/\/data\/db\/orders/, /\/data\/web\/orders_raw/]);
    await expect(page.getByRole('region', { name: 'Syncs' }).getByRole('link')).toHaveText([/hourly · 2/, /nightly load · 1/]);
    await page.getByRole('link', { name: 'Upload to /data/db/orders' }).click();
    await expect(page.getByLabel('Lake path')).toHaveValue('/data/db/orders');
    await page.goto(`${lakeshore.url}/search?q=nothing`);
    await expect(page.getByRole('heading', { name: 'No matching dataset or sync' })).toBeVisible();
  });
});
