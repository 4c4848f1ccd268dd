// Takes a picture of every page, for review: `make screenshots`.

import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { expect, hydrated, signIn, test, type Lakeshore } from './fixtures';
import { fill } from './filling';
import { openUpload, slowDown } from './uploading';

const FOLDER = process.env.SCREENSHOTS ?? '';

test.skip(FOLDER === '', 'only for `make screenshots`');

async function shoot(page: Page, lakeshore: Lakeshore, state: string, paths: [string, string][]): Promise<void> {
  for (const [size, width, height] of [['widest', 2560, 1440], ['wide', 1440, 900], ['narrow', 390, 844], ['smallest', 360, 740]] as const) {
    for (const theme of ['light', 'dark'] as const) {
      if ((size === 'smallest' || size === 'widest') && theme === 'dark') continue;
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme: theme });
      for (const [name, path] of paths) {
        await page.goto(lakeshore.url + path);
        await hydrated(page);
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        expect(overflow, `${path} scrolls sideways at ${width} px`).toBeLessThanOrEqual(0);
        await page.screenshot({ path: join(FOLDER, `${name}-${state}-${size}-${theme}.png`) });
      }
    }
  }
}

test('empty', async ({ page, lakeshore }) => {
  await shoot(page, lakeshore, 'visitor', [['overview', '/'], ['syncs', '/syncs'], ['sign-in', '/sign-in?error=40101'], ['upload', '/upload']]);
  await signIn(page, lakeshore, lakeshore.key('admin', 'ana'));
  await shoot(page, lakeshore, 'empty', [['overview', '/'], ['syncs', '/syncs'], ['history', '/history'], ['trash', '/trash'], ['upload', '/upload']]);
});

test('busy', async ({ page, lakeshore }) => {
  const key = lakeshore.key('write', 'nightly loader');
  lakeshore.key('read', 'dashboards');
  await fill(lakeshore, key);
  await signIn(page, lakeshore, lakeshore.key('admin', 'ana'));
  // A background job counts the sizes in the trash.
  await expect.poll(async () => (await lakeshore.get('/api/lake/trash?size=50')).every((entry: any) => entry.totals)).toBe(true);
  await shoot(page, lakeshore, 'busy', [
    ['overview', '/'], ['syncs', '/syncs'], ['sync', '/syncs/10'], ['sync-finished', '/syncs/6'], ['history', '/history'],
    ['history-failed', '/history?status=Failed'], ['trash', '/trash'], ['trash-sync', '/trash/syncs/2'], ['trash-item', '/trash/pieces/1'], ['activity', '/activity'], ['keys', '/keys'],
    ['sync-aborted', '/syncs/9'], ['versions', '/datasets/data/db/orders?tab=versions'], ['versions-compared', '/datasets/data/db/orders?tab=versions&old=1&new=2'],
    ['version', '/versions/data/db/orders?version=1'], ['restore', '/restore/data/db/orders?version=1'], ['trash-restore', '/trash/restore?trash_id=1'],
  ]);
  await page.setViewportSize({ width: 1440, height: 900 });
  await page.emulateMedia({ colorScheme: 'light' });
  await page.goto(`${lakeshore.url}/syncs/10`);
  await hydrated(page);
  await page.getByRole('button', { name: 'End sync' }).click();
  await expect(page.getByRole('dialog')).toContainText('landed');
  await page.screenshot({ path: join(FOLDER, 'end-dialog-busy-wide-light.png') });
});

/** Takes the Upload page in its current state, in each size and theme. */
async function shootUpload(page: Page, state: string): Promise<void> {
  for (const [size, width] of [['wide', 1440], ['narrow', 390]] as const) {
    await page.setViewportSize({ width, height: 900 });
    for (const theme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: theme });
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      expect(overflow, `upload ${state} scrolls sideways at ${width} px`).toBeLessThanOrEqual(0);
      await page.screenshot({ path: join(FOLDER, `upload-${state}-${size}-${theme}.png`) });
    }
  }
}

test.describe('an upload', () => {
  test.use({ expectedComplaints: ['400', 'net::ERR'] });

  test('in its states', async ({ page, lakeshore }) => {
    test.setTimeout(300_000);
    const key = lakeshore.key('write', 'nightly loader');
    const before = await lakeshore.start_sync(key, '/data/db/orders', 'FullSync', 'orders');
    for (let file = 0; file < 40; file += 1) await lakeshore.upload(before, `orders-${file}.csv`, `${file}`);
    await lakeshore.end(key, before);
    await signIn(page, lakeshore, lakeshore.key('admin', 'ana'));
    await openUpload(page, lakeshore, '/data/db/orders', 'Full');
    await page.evaluate(() => {
      const dragged = new DataTransfer();
      const add = (name: string, content: BlobPart) => dragged.items.add(new File([content], name));
      for (let file = 0; file < 40; file += 1) add(`orders-${file}.csv`, `${file}`);
      for (let file = 0; file < 3; file += 1) add(`events-${file}.parquet`, new Uint8Array(9_000_000 * (file + 1)));
      for (let file = 0; file < 5; file += 1) add(`../orders-of-another-year-with-a-long-name-${file}.csv`, '1');
      add('readme.txt', 'new');
      document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: dragged, bubbles: true, cancelable: true }));
    });
    await expect(page.getByRole('button', { name: 'All 49' })).toBeVisible();
    await shootUpload(page, 'queued');
    const speed = await slowDown(page, 2_000_000);
    await page.getByRole('button', { name: 'Start upload' }).click();
    await expect(page.getByRole('region', { name: 'Failed uploads' })).toBeVisible();
    await page.getByRole('button', { name: /^Sending/ }).click();
    await expect(page.getByRole('progressbar', { name: 'Progress of events-0.parquet' })).toBeVisible();
    await shootUpload(page, 'running');
    await page.getByRole('button', { name: 'Pause events-1.parquet' }).click();
    await page.getByRole('button', { name: /^All/ }).click();
    await page.locator('.queue-scroll').evaluate((rows) => { rows.scrollTop = rows.scrollHeight; });
    await shootUpload(page, 'one-paused');
    await speed(2_000_000, true);
    await expect(page.getByText('Retrying in')).toBeVisible({ timeout: 30_000 });
    await shootUpload(page, 'offline');
    await speed(2_000_000);
    page.on('dialog', (dialog) => void dialog.accept());
    await page.goto(`${lakeshore.url}/upload`);
    await hydrated(page);
    await expect(page.getByText('not finished')).toBeVisible();
    await shootUpload(page, 'unfinished');
    await page.getByRole('link', { name: 'Resume' }).click();
    await expect(page.getByText('Select the same files')).toBeVisible();
    await speed(-1);
    await page.getByLabel('Files to upload').setInputFiles({ name: 'readme.txt', mimeType: 'text/plain', buffer: Buffer.from('new') });
    await page.getByRole('button', { name: 'Start upload' }).click();
    await expect(page.getByText('before the reload')).toBeVisible();
    await shootUpload(page, 'settled');
  });
});
