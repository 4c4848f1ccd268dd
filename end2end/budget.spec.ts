// Bytes that a browser loads for each page.

import { expect, hydrated, signIn, test } from './fixtures';
import { fill } from './filling';
import { FULL_PAGES } from './pages';
import { loaded } from './loading';

/** Compressed bytes of the shared code and of each page's part: the measured size plus a twentieth. */
const FIRST_PAGE_WASM_MAX = 252 * 1024;
const PAGE_WASM_MAX = 449 * 1024;
const STYLE_MAX = 20 * 1024;

test('every page loads within its budget of code and style', async ({ page, lakeshore }) => {
  await fill(lakeshore, lakeshore.key('write', 'nightly loader'));
  await signIn(page, lakeshore, lakeshore.key('admin', 'ana'));
  for (const [name, path] of FULL_PAGES) {
    // Hovering over a link would load the code of another page.
    await page.mouse.move(0, 0);
    await page.goto(lakeshore.url + path);
    await hydrated(page);
    const { wasm, style } = await loaded(page);
    console.log(`${name}: ${wasm} bytes of WASM, ${style} of style`);
    expect.soft(wasm, `WASM of ${name}`).toBeLessThanOrEqual(path === '/' ? FIRST_PAGE_WASM_MAX : PAGE_WASM_MAX);
    expect.soft(style, `style of ${name}`).toBeLessThanOrEqual(STYLE_MAX);
  }
});

test('hovering over a link loads the code of its page', async ({ page, lakeshore }) => {
  await page.goto(lakeshore.url);
  await hydrated(page);
  const before = await loaded(page);
  await page.getByRole('link', { name: 'Upload files', exact: true }).hover();
  await expect.poll(async () => (await loaded(page)).wasm).toBeGreaterThan(before.wasm);
  await page.getByRole('link', { name: 'Upload files', exact: true }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Upload files' })).toBeVisible();
});

test('links navigate without a new document once the code is loaded', async ({ page, lakeshore }) => {
  await page.goto(lakeshore.url);
  await hydrated(page);
  await page.evaluate(() => document.documentElement.setAttribute('data-first', 'true'));
  for (const title of ['Syncs', 'Datasets', 'Upload files', 'Lake', 'Uploads', 'Trash', 'Activity', 'Keys', 'Overview']) {
    await page.getByRole('navigation').getByRole('link', { name: title, exact: true }).first().click();
    await expect(page.getByRole('heading', { level: 1 })).toHaveText(title);
    await expect(page.locator('html')).toHaveAttribute('data-first', 'true');
  }
});

test.describe('without the code of the pages', () => {
  test.use({ expectedComplaints: ['net::ERR', 'Failed to load', 'preloaded using link preload'] });

  test('pages stay as the server rendered them, and links work', async ({ page, lakeshore }) => {
    await page.route('**/*.bin', (route) => route.abort());
    const failed = page.waitForEvent('requestfailed', (request) => request.url().endsWith('.bin'));
    await page.goto(lakeshore.url);
    await failed;
    for (const title of ['Syncs', 'Trash', 'Overview']) {
      await page.getByRole('navigation').getByRole('link', { name: title, exact: true }).first().click();
      await expect(page).toHaveTitle(`${title} · Lakeshore`);
      await expect(page.getByRole('heading', { level: 1 })).toHaveText(title);
      await expect(page.locator('html')).not.toHaveAttribute('data-hydrated');
    }
  });
});

test.describe('while the server is away', () => {
  test.use({ expectedComplaints: ['net::ERR', 'Failed to load'] });

  test('a page whose code cannot be loaded shows it, and opens once it can', async ({ page, lakeshore }) => {
    await page.goto(lakeshore.url);
    await hydrated(page);
    await page.route('**/pkg/**', (route) => route.abort());
    await page.getByRole('link', { name: 'Trash' }).click();
    await expect(page.getByRole('alert')).toContainText('could not be loaded');
    await page.unroute('**/pkg/**');
    await page.getByRole('button', { name: 'Try again' }).click();
    await expect(page.getByRole('heading', { level: 1, name: 'Trash' })).toBeVisible();
  });
});
