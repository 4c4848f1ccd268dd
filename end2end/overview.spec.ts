// The overview and the datasets: a known history, and every figure that the pages show of it.

import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { expect, hydrated, signIn, test, type Lakeshore } from './fixtures';

interface Planned {
  /** Days ago. */
  ago: number;
  path: string;
  type: 'FullSync' | 'IncrementalSync';
  /** In bytes, of each file. */
  sizes: number[];
  /** Number of refused uploads. */
  refused?: number;
  aborted?: boolean;
}

// In chronological order.
const HISTORY: Planned[] = [
  { ago: 29, path: '/data/orders', type: 'IncrementalSync', sizes: [500] },
  { ago: 12, path: '/data/orders', type: 'FullSync', sizes: [100, 200, 300] },
  { ago: 6, path: '/data/events', type: 'IncrementalSync', sizes: [40, 50], refused: 2 },
  { ago: 3, path: '/data/orders', type: 'FullSync', sizes: [100, 250, 300, 400] },
  { ago: 3, path: '/data/stock', type: 'FullSync', sizes: [70], aborted: true },
  { ago: 2, path: '/data/events', type: 'IncrementalSync', sizes: [60] },
  { ago: 1, path: '/data/events', type: 'IncrementalSync', sizes: [10, 20] },
  { ago: 0, path: '/data/rates', type: 'IncrementalSync', sizes: [1000, 2000, 3000], refused: 1 },
  { ago: 0, path: '/data/stock', type: 'FullSync', sizes: [80], aborted: true },
];

/** SQL that moves the syncs and their uploads into the past. */
function aging(): string[] {
  const moved = HISTORY.flatMap(({ ago }, index) => ['uploads', 'syncs'].map((table) => {
    const by = ago * 86_400_000;
    return `UPDATE ${table} SET start_time = start_time - ${by}, end_time = end_time - ${by} WHERE sync_id = ${index + 1}`;
  }));
  // When readers saw files: those of incremental syncs as they landed, those of full ones as they were published.
  const seen = (which: string) => `(SELECT ${which}(at) FROM arrival_facts f WHERE f.path = datasets.path)`;
  return [...moved, `UPDATE datasets SET first_landed = ${seen('min')}, last_landed = ${seen('max')}`];
}

async function makeHistory(lakeshore: Lakeshore, key: string): Promise<void> {
  for (const planned of HISTORY) {
    const sync = await lakeshore.start_sync(key, planned.path, planned.type, `${planned.ago} days ago`);
    for (const [index, size] of planned.sizes.entries()) {
      await lakeshore.upload(sync, `${planned.ago}-${index}.csv`, 'x'.repeat(size));
    }
    for (let refused = 0; refused < (planned.refused ?? 0); refused += 1) await lakeshore.upload(sync, '../up.csv', 'x');
    const body = { sync_id: sync, api_key: key, confirm: true };
    await lakeshore.post(`/api/ingestion/file/sync/${planned.aborted ? 'abort' : 'end'}`, body);
  }
  await lakeshore.stop();
  await lakeshore.rewrite(aging());
  lakeshore.command('check', '--repair');
  await lakeshore.start();
}

const sum = (numbers: number[]): number => numbers.reduce((total, number) => total + number, 0);

/** Expected table of a chart: the newest day first, the parts in order, then the total. */
function planned(parts: ((planned: Planned) => boolean)[], of: 'files' | 'bytes'): number[][] {
  return Array.from({ length: 30 }, (_, ago) => {
    const on = HISTORY.filter((planned) => planned.ago === ago);
    const number = (planned: Planned) => (of === 'files' ? planned.sizes.length : sum(planned.sizes));
    const row = parts.map((part) => sum(on.filter(part).map(number)));
    return [...row, sum(row)];
  });
}

async function shown(page: Page, chart: string): Promise<number[][]> {
  const rows = page.getByRole('figure', { name: chart }).locator('tbody tr');
  return rows.evaluateAll((rows) => rows.map((row) => [...row.querySelectorAll('data')].map((cell) => Number(cell.value))));
}

const figures = (page: Page): Promise<string[]> =>
  page.locator('.figure').evaluateAll((all) => all.slice(0, 4).map((one) => one.querySelector('data')!.value));

test.describe('a known history', () => {
  // The second server of a test has another address than the first, which the browser may still request.
  test.use({ expectedComplaints: ['ERR_CONNECTION_REFUSED'] });

  test('every figure of the overview matches the history', async ({ page, lakeshore }) => {
    const key = lakeshore.key();
    await makeHistory(lakeshore, key);
    await page.goto(lakeshore.url);
    await hydrated(page);
    const today = HISTORY.filter((planned) => planned.ago === 0);
    expect(await figures(page)).toEqual([`${sum(today.flatMap((one) => one.sizes))}`, '4', '2', '2']);
    // 40 + 50, 1050 + 70, 60 and 30 bytes in the seven days before; 2, 5, 1 and 2 files; 1, 2, 1 and 1 syncs; 3
    // failures.
    const usual = page.locator('.figure-usual');
    await expect(usual.nth(0)).toHaveText('7-day average: 186 B');
    await expect(usual.nth(1)).toHaveText('7-day average: 1.4');
    await expect(usual.nth(2)).toHaveText('7-day average: 0.7');
    await expect(usual.nth(3)).toHaveText('7-day average: 0.4');
    const types = ['FullSync', 'IncrementalSync'].map((type) => (planned: Planned) => planned.type === type);
    expect(await shown(page, 'Bytes per day')).toEqual(planned(types, 'bytes'));
    expect(await shown(page, 'Files per day')).toEqual(planned(types, 'files'));
    const seen = await lakeshore.get('/api/overview');
    expect(seen.series.map((series: any) => sum(series.bytes))).toEqual(types.map((type) => sum(HISTORY.filter(type).flatMap((one) => one.sizes))));

    await page.getByRole('link', { name: 'dataset', exact: true }).click();
    await expect(page.getByRole('figure', { name: 'Bytes per day' })).toContainText('/data/rates');
    const datasets = ['/data/rates', '/data/orders', '/data/events', '/data/stock'].map((path) => (planned: Planned) => planned.path === path);
    expect(await shown(page, 'Bytes per day')).toEqual(planned(datasets, 'bytes'));
    expect(await shown(page, 'Files per day')).toEqual(planned(datasets, 'files'));

    const needs = page.getByRole('region', { name: 'Needs attention' });
    // The machine's disk may be nearly full.
    await expect(needs.getByRole('listitem').filter({ hasNotText: 'Uploads are refused' })).toHaveCount(1);
    await expect(needs).toContainText('0 days ago, /data/stock');
    await needs.getByRole('link', { name: 'See why' }).click();
    await expect(page).toHaveURL(`${lakeshore.url}/syncs/9`);
  });

  test('a dataset shows its files on disk, and its schedule rates its days', async ({ page, lakeshore }) => {
    const key = lakeshore.key();
    await makeHistory(lakeshore, key);
    await signIn(page, lakeshore, key, '/datasets');
    await hydrated(page);
    for (const path of ['/data/orders', '/data/events', '/data/rates']) {
      const row = page.getByRole('row', { name: path });
      const files = Object.keys(await lakeshore.digests(path)).length;
      await expect(row.locator('data').first()).toHaveAttribute('value', `${files}`, { timeout: 15_000 });
      const seen = await lakeshore.get(`/api/lake/dataset?path=${path}`);
      await expect(row.locator('data').nth(1)).toHaveAttribute('value', `${seen.dataset.holds.bytes}`);
    }
    await page.getByRole('link', { name: '/data/events' }).click();
    await expect(page.getByRole('row', { name: /1-0\.csv/ })).toContainText('10 B');
    await page.getByRole('navigation', { name: 'Dataset', exact: true }).getByRole('link', { name: 'Schedule' }).click();
    await page.getByLabel('Due by (UTC').fill('24:00');
    await page.getByLabel('Min files').fill('2');
    await page.getByRole('button', { name: 'Save schedule' }).click();
    await expect(page.getByText('every day by midnight UTC, at least 2 files')).toBeVisible();
    await page.getByRole('link', { name: 'Calendar' }).click();
    const first = Date.parse((await lakeshore.get('/api/overview')).days[29]);
    const expected = ['not-yet', 'landed', 'short', 'missing', 'missing', 'missing', 'landed', 'not-expected'];
    for (const [ago, standing] of expected.entries()) {
      const day = new Date(first - ago * 86_400_000).toISOString().slice(0, 10);
      await expect(page.locator(`[data-day="${day}"]`), `${ago} days ago`).toHaveClass(`standing-${standing}`);
    }
    // Due at the beginning of the day, so always late, except in the first quarter of an hour.
    const rhythm = { every: 'day', by: '00:15', files_min: 3 };
    await lakeshore.post('/api/lake/dataset/rhythm', { path: '/data/events', rhythm, api_key: key });
    await page.goto(lakeshore.url);
    await expect(page.getByRole('region', { name: 'Needs attention' })).toContainText('/data/events');
    await page.goto(`${lakeshore.url}/datasets`);
    await expect(page.getByRole('row', { name: '/data/events' })).toContainText('Late');

    await page.goto(`${lakeshore.url}/datasets/data/events?tab=rhythm`);
    await hydrated(page);
    await page.getByLabel('Due by (UTC').evaluate((input: HTMLInputElement) => { input.value = '07:10'; input.removeAttribute('pattern'); });
    await page.getByRole('button', { name: 'Save schedule' }).click();
    await expect(page.getByRole('alert')).toContainText('in steps of 15 minutes', { timeout: 15_000 });
    await page.getByRole('button', { name: 'Remove schedule' }).click();
    await expect(page.getByText('No schedule yet')).toBeVisible();
  });

  test('the current version is compared with the one before', async ({ page, lakeshore }) => {
    await makeHistory(lakeshore, lakeshore.key());
    await page.goto(`${lakeshore.url}/datasets/data/orders?tab=versions`);
    await page.getByRole('button', { name: 'Compare' }).click();
    // Three files of twelve days ago, then four of three days ago, under other names.
    const counts = page.locator('.figure-link');
    await expect(counts.filter({ hasText: 'added' }).locator('data')).toHaveAttribute('value', '4');
    await expect(counts.filter({ hasText: 'removed' }).locator('data')).toHaveAttribute('value', '3');
    await counts.filter({ hasText: 'removed' }).click();
    await expect(page.getByRole('row')).toHaveCount(4);
    await expect(page.getByRole('row', { name: /12-2\.csv/ })).toContainText('300 B');
    await page.getByRole('navigation', { name: 'Dataset', exact: true }).getByRole('link', { name: 'Syncs' }).click();
    await expect(page.getByRole('row', { name: /29 days ago/ })).toBeVisible();
    await expect(page.locator('.timeline rect')).toHaveCount(3);
  });
});

test('an empty lake shows first steps, and a running sync appears at once', async ({ page, lakeshore }) => {
  await page.goto(lakeshore.url);
  await hydrated(page);
  await expect(page.getByRole('heading', { name: 'No syncs yet' })).toBeVisible();
  const key = lakeshore.key();
  const sync = await lakeshore.start_sync(key, '/data/live', 'IncrementalSync', 'the live one');
  const row = page.getByRole('row', { name: /the live one/ });
  await expect(row).toContainText('Syncing', { timeout: 15_000 });
  await lakeshore.upload(sync, 'a.csv', '12345');
  await expect(row).toContainText('5 B', { timeout: 15_000 });
  await expect(page.locator('.figure data').first()).toHaveAttribute('value', '5', { timeout: 15_000 });
  await lakeshore.end(key, sync);
  await expect(page.getByText('No sync is running')).toBeVisible({ timeout: 15_000 });
});

test('an open dataset page shows landing files', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  const sync = await lakeshore.start_sync(key, '/data/live', 'IncrementalSync');
  await lakeshore.upload(sync, 'a.csv', '12345');
  await page.goto(`${lakeshore.url}/datasets/data/live`);
  await hydrated(page);
  const size = page.locator('.facts data').nth(1);
  await expect(size).toHaveAttribute('value', '5', { timeout: 15_000 });
  await lakeshore.upload(sync, 'b.csv', '1234567');
  await expect(page.getByRole('row', { name: /b\.csv/ })).toContainText('7 B', { timeout: 15_000 });
  await expect(size).toHaveAttribute('value', '12', { timeout: 15_000 });
});

test.describe('without a script', () => {
  test.use({ javaScriptEnabled: false });

  test('the overview and the datasets are complete, and a schedule can be set', async ({ page, lakeshore }) => {
    const key = lakeshore.key();
    const sync = await lakeshore.start_sync(key, '/data/orders', 'IncrementalSync', 'orders');
    await lakeshore.upload(sync, 'orders.csv', 'a,b\n1,2\n');
    await signIn(page, lakeshore, key, '/');
    await expect(page.locator('.figure data').first()).toHaveAttribute('value', '8');
    await page.getByText('View as table').first().click();
    await expect(page.getByRole('figure', { name: 'Bytes per day' }).getByRole('row').nth(1)).toContainText('8 B');
    await page.getByRole('link', { name: 'Datasets' }).click();
    await page.getByRole('link', { name: '/data/orders' }).click();
    await page.getByRole('link', { name: 'Schedule' }).click();
    await page.getByRole('combobox').selectOption('6h');
    await page.getByLabel('Due by (UTC').fill('');
    await page.getByRole('button', { name: 'Save schedule' }).click();
    await expect(page.getByText('every 6 hours within 06:00')).toBeVisible();
    await page.goto(`${lakeshore.url}/?status=Failed&page=2`);
    await expect(page).toHaveURL(`${lakeshore.url}/syncs?status=Failed&page=2`);
  });
});

const FOLDER = process.env.SCREENSHOTS ?? '';

test.describe('pictures', () => {
  test.skip(FOLDER === '', 'only for `make screenshots`');
  test.use({ expectedComplaints: ['ERR_CONNECTION_REFUSED'] });

  test('of the overview and the datasets', async ({ page, lakeshore }) => {
    test.setTimeout(300_000);
    const key = lakeshore.key('admin', 'ana');
    await makeHistory(lakeshore, key);
    const rhythm = { every: 'day', by: '00:15', files_min: 2 };
    await lakeshore.post('/api/lake/dataset/rhythm', { path: '/data/events', rhythm, api_key: key });
    const running = await lakeshore.start_sync(key, '/data/clicks', 'IncrementalSync', 'clicks, every minute');
    await lakeshore.upload(running, 'clicks.csv', 'x'.repeat(2500));
    await signIn(page, lakeshore, key);
    const pages = [
      ['overview', '/'], ['overview-datasets', '/?by=dataset'], ['datasets', '/datasets'], ['dataset-files', '/datasets/data/orders'],
      ['dataset-syncs', '/datasets/data/orders?tab=syncs'], ['dataset-calendar', '/datasets/data/events?tab=calendar'],
      ['dataset-versions', '/datasets/data/orders?tab=versions'],
      ['dataset-compare', '/datasets/data/orders?tab=versions&old=2&new=3'], ['dataset-rhythm', '/datasets/data/events?tab=rhythm'],
    ] as const;
    for (const [size, width, height] of [['wide', 1440, 900], ['narrow', 390, 844], ['smallest', 360, 740], ['widest', 2560, 1300]] as const) {
      for (const theme of ['light', 'dark'] as const) {
        if (theme === 'dark' && (size === 'smallest' || size === 'widest')) continue;
        await page.setViewportSize({ width, height });
        await page.emulateMedia({ colorScheme: theme });
        for (const [name, path] of pages) {
          await page.goto(lakeshore.url + path);
          await hydrated(page);
          const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
          expect(overflow, `${path} scrolls sideways at ${width} px`).toBeLessThanOrEqual(0);
          await page.screenshot({ path: join(FOLDER, `${name}-${size}-${theme}.png`), fullPage: true });
        }
      }
    }
  });
});
