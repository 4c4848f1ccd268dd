// What a browser loads for a page: a size, not a time.

import { expect, hydrated, signIn, test } from './fixtures';
import { fill } from './filling';
import { FULL_PAGES } from './pages';
import { loaded } from './loading';

/** Compressed, in bytes: what all pages share, and the part of the page. */
const FIRST_PAGE_WASM_MAX = 250 * 1024;
const PAGE_WASM_MAX = 330 * 1024;
const STYLE_MAX = 20 * 1024;

test('no page loads more code and style than its budget', async ({ page, lakeshore }) => {
  await fill(lakeshore, lakeshore.key('write', 'nightly loader'));
  await signIn(page, lakeshore, lakeshore.key('admin', 'ana'));
  for (const [name, path] of FULL_PAGES) {
    await page.goto(lakeshore.url + path);
    await hydrated(page);
    const { wasm, style } = await loaded(page);
    console.log(`${name}: ${wasm} bytes of WASM, ${style} of style`);
    expect.soft(wasm, `WASM of ${name}`).toBeLessThanOrEqual(path === '/' ? FIRST_PAGE_WASM_MAX : PAGE_WASM_MAX);
    expect.soft(style, `style of ${name}`).toBeLessThanOrEqual(STYLE_MAX);
  }
});

test('the code of another page is loaded when somebody points at its link', async ({ page, lakeshore }) => {
  await page.goto(lakeshore.url);
  await hydrated(page);
  const before = await loaded(page);
  await page.getByRole('link', { name: 'Upload', exact: true }).hover();
  await expect.poll(async () => (await loaded(page)).wasm).toBeGreaterThan(before.wasm);
  await page.getByRole('link', { name: 'Upload', exact: true }).click();
  await expect(page.getByRole('heading', { level: 1, name: 'Upload' })).toBeVisible();
});

test.describe('while the server is away', () => {
  test.use({ expectedComplaints: ['net::ERR', 'Failed to load'] });

  test('a page whose code cannot be loaded says so, and comes when it can', async ({ page, lakeshore }) => {
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
