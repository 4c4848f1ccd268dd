// The dashboard's assets and pages.

import { get as httpGet, type IncomingHttpHeaders } from 'node:http';
import { expect, test, hydrated } from './fixtures';

interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  length: number;
}

/** A plain request: fetch would decode the answer and hide its encoding. */
function ask(url: string, headers: Record<string, string>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    httpGet(url, { headers }, (response) => {
      let length = 0;
      response.on('data', (bytes: Buffer) => (length += bytes.length));
      response.on('end', () => resolve({ status: response.statusCode!, headers: response.headers, length }));
    }).on('error', reject);
  });
}

test('assets have content hashes in their names, are compressed, and are cached for ever', async ({ page, lakeshore }) => {
  await page.goto(lakeshore.url);
  const html = await page.content();
  for (const pattern of [/\/pkg\/lakeshore\.[0-9a-f]{10}\/lakeshore\.js/, /\/pkg\/lakeshore\.[0-9a-f]{10}\/lakeshore_bg\.wasm/, /\/pkg\/lakeshore\.[0-9a-f]{10}\/part-\d+\.bin/, /\/pkg\/main\.[0-9a-f]{10}\.css/]) {
    const url = lakeshore.url + pattern.exec(html)![0];
    const lengths: Record<string, number> = {};
    for (const encoding of ['br', 'gzip', 'identity']) {
      const answer = await ask(url, { 'Accept-Encoding': encoding });
      expect(answer.status).toBe(200);
      expect(answer.headers['content-encoding'] ?? 'identity').toBe(encoding);
      expect(answer.headers['cache-control']).toBe('public, max-age=31536000, immutable');
      expect(answer.headers['x-content-type-options']).toBe('nosniff');
      lengths[encoding] = answer.length;
      const again = await ask(url, { 'Accept-Encoding': encoding, 'If-None-Match': answer.headers.etag! });
      expect([again.status, again.length]).toEqual([304, 0]);
    }
    expect(lengths.br).toBeLessThan(lengths.gzip);
    expect(lengths.gzip).toBeLessThan(lengths.identity);
  }
});

const PAGES = [
  ['/', 'Overview'],
  ['/syncs', 'Syncs'],
  ['/datasets', 'Datasets'],
  ['/upload', 'Upload files'],
  ['/history', 'Uploads'],
  ['/trash', 'Trash'],
  ['/activity', 'Activity'],
  ['/keys', 'Keys'],
  ['/sign-in', 'Sign in'],
  ['/search', 'Search'],
] as const;

test('a link moves the focus to the new page, a filter does not', async ({ page, lakeshore }) => {
  await page.goto(lakeshore.url);
  await hydrated(page);
  const main = page.getByRole('main');
  await expect(main).not.toBeFocused();
  for (const title of ['Uploads', 'Trash']) {
    await page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name: title, exact: true }).click();
    await expect(main).toBeFocused();
    await expect(main).toHaveAccessibleName(title);
  }
  await page.getByRole('searchbox', { name: 'Name or path' }).fill('nothing');
  await page.keyboard.press('Enter');
  await expect(page).toHaveURL(/q=nothing/);
  await expect(page.getByRole('heading', { name: 'No results match these filters' })).toBeVisible();
  await expect(main).not.toBeFocused();
});

test('each page has a title, one heading and a strict policy', async ({ page, lakeshore }) => {
  for (const [path, title] of PAGES) {
    const response = await page.goto(lakeshore.url + path);
    const policy = response!.headers()['content-security-policy'];
    expect(policy).toContain("default-src 'none'");
    expect(policy).not.toContain('unsafe-inline');
    await hydrated(page);
    await expect(page).toHaveTitle(`${title} · Lakeshore`);
    await expect(page.getByRole('heading', { level: 1 })).toHaveCount(1);
  }
});

test('a page is painted before its code is requested', async ({ page, lakeshore }) => {
  const order: string[] = [];
  page.on('request', (request) => {
    if (request.url().endsWith('.wasm')) order.push('code asked for');
  });
  // Delays the stylesheet.
  await page.route('**/*.css', async (route) => {
    const response = await route.fetch();
    order.push('style has come');
    await route.fulfill({ response });
  });
  await page.goto(lakeshore.url);
  await hydrated(page);
  expect(order.slice(0, 2)).toEqual(['style has come', 'code asked for']);
});

test.describe('a page that does not exist', () => {
  test.use({ expectedComplaints: ['404'] });

  test('shows it, with the status 404', async ({ page, lakeshore }) => {
    const response = await page.goto(`${lakeshore.url}/nowhere`);
    expect(response!.status()).toBe(404);
    await hydrated(page);
    await expect(page.getByRole('link', { name: 'Syncs' }).first()).toBeVisible();
  });
});

test.describe('without a script', () => {
  test.use({ javaScriptEnabled: false });

  test('pages are complete, filters work, and no code is loaded', async ({ page, lakeshore }) => {
    const code: string[] = [];
    page.on('request', (request) => {
      if (request.url().includes('/pkg/lakeshore.')) code.push(request.url());
    });
    const key = lakeshore.key();
    const first = await lakeshore.start_sync(key, '/data/orders', 'IncrementalSync', 'orders of the day');
    await lakeshore.upload(first, 'orders.csv', 'a,b\n1,2\n');
    await lakeshore.end(key, first);
    await lakeshore.start_sync(key, '/data/customers', 'FullSync', 'customers');
    await page.goto(`${lakeshore.url}/syncs`);
    await expect(page.getByRole('row')).toHaveCount(3);
    await page.getByRole('combobox').first().selectOption('Finished');
    await page.getByRole('button', { name: 'Filter' }).click();
    await expect(page.getByRole('row')).toHaveCount(2);
    await page.getByRole('link', { name: 'orders of the day' }).click();
    await expect(page.getByRole('cell', { name: 'orders.csv' })).toBeVisible();
    expect(code).toEqual([]);
  });
});
