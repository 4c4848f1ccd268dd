// Declared syncs, held syncs, and previews of changes.

import { expect, hydrated, signIn, test, type Lakeshore } from './fixtures';

// Stricter than the default, which ignores small datasets.
test.use({ serveOptions: ['--shrink-guard', '0.5'] });

/** A dataset of four files, and a full sync of one file that is held. */
async function held(lakeshore: Lakeshore, key: string): Promise<number> {
  const first = await lakeshore.start_sync(key, '/data/orders', 'FullSync', 'first load');
  for (const name of ['a.csv', 'b.csv', 'c.csv', 'd.csv']) await lakeshore.upload(first, name, `${name} of the first load`);
  await lakeshore.end(key, first);
  const second = await lakeshore.start_sync(key, '/data/orders', 'FullSync', 'nightly reload');
  await lakeshore.upload(second, 'a.csv', 'another a');
  await expect(lakeshore.end(key, second)).rejects.toThrow('40911');
  return second;
}

test('a held sync is marked in the list and on its page, and can be published', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  const id = await held(lakeshore, key);
  await signIn(page, lakeshore, key);
  const row = page.getByRole('row', { name: 'nightly reload' });
  await expect(row.getByText('Held', { exact: true })).toBeVisible();
  await page.getByRole('link', { name: 'nightly reload' }).click();
  await expect(page.getByText('Held, not published')).toBeVisible();
  await expect(page.getByText('would replace 4 files, 92 B at /data/orders with only 1 file, 9 B')).toBeVisible();
  const changes = page.getByRole('region', { name: 'Preview of changes' });
  await expect(changes).toContainText('removed3 files, 69 B');
  await changes.getByText('3 files removed').click();
  await expect(changes.getByText('d.csv, 23 B')).toBeVisible();

  await hydrated(page);
  await page.getByRole('button', { name: 'Publish anyway' }).press('Enter');
  const dialog = page.getByRole('dialog', { name: `Publish sync ${id} as it is?` });
  await expect(dialog).toContainText('with only 1 file');
  await page.keyboard.press('Escape');
  await expect(dialog).toBeHidden();
  expect(Object.keys(await lakeshore.digests('data/orders'))).toHaveLength(4);
  await page.getByRole('button', { name: 'Publish anyway' }).click();
  await dialog.getByRole('button', { name: 'Publish anyway' }).click();
  await expect(page.locator('#sync-status')).toHaveText('Finished');
  await expect(page.getByText('Held, not published')).toBeHidden();
  expect(Object.keys(await lakeshore.digests('data/orders'))).toEqual(['a.csv']);
});

test('the end dialog asks for another confirmation if the dataset would shrink', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  const id = await held(lakeshore, key);
  await signIn(page, lakeshore, key, `/syncs/${id}`);
  await hydrated(page);
  await page.getByRole('button', { name: 'End sync' }).click();
  const dialog = page.getByRole('dialog', { name: `End sync ${id}?` });
  const confirm = dialog.getByRole('button', { name: 'End this sync' });
  await expect(dialog.getByRole('checkbox')).toBeVisible();
  await expect(confirm).toBeDisabled();
  await dialog.getByRole('checkbox', { name: /shrinks the dataset/ }).check();
  await confirm.click();
  await expect(page.locator('#sync-status')).toHaveText('Finished');
});

test.describe('a declared sync', () => {
  test.use({ expectedComplaints: ['409'] });

  test('shows landed and missing files live', async ({ page, lakeshore }) => {
    const key = lakeshore.key();
    const files = ['a.csv', 'b.csv', 'dt=1/c.csv'].map((path) => ({ path, size_bytes: 4 }));
    const body = { name: 'sealed', path: '/data/sealed', api_key: key, sync_type: 'FullSync', expected: { files } };
    const id = (await lakeshore.post('/api/ingestion/file/sync/start', body)).sync_id;
    await lakeshore.upload(id, 'a.csv', 'aaaa');
    await lakeshore.upload(id, 'b.csv', 'not four');
    await signIn(page, lakeshore, key, `/syncs/${id}`);
    const expected = page.getByRole('region', { name: 'Expected files' });
    await expect(expected).toContainText('1 of 3 expected files have landed.');
    await expected.getByText('1 file missing').click();
    await expect(expected.getByText('dt=1/c.csv, 4 B')).toBeVisible();
    await expect(expected).toContainText('1 file different');
    await hydrated(page);
    await page.getByRole('button', { name: 'End sync' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByRole('button', { name: 'End this sync' }).click();
    await expect(dialog).toContainText('differs from its expected files: 1 missing (dt=1/c.csv), 1 different (b.csv)');
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    await lakeshore.upload(id, 'b.csv', 'bbbb');
    await lakeshore.upload(id, 'dt=1/c.csv', 'cccc');
    await expect(expected).toContainText('3 of 3 expected files have landed.');
    await page.getByRole('button', { name: 'Compare files' }).click();
    await expect(page.getByRole('region', { name: 'Preview of changes' })).toContainText('added3 files, 12 B');
    await page.getByRole('button', { name: 'End sync' }).click();
    await dialog.getByRole('button', { name: 'End this sync' }).click();
    await expect(page.locator('#sync-status')).toHaveText('Finished');
  });
});

test.describe('without a script', () => {
  test.use({ javaScriptEnabled: false });

  test('a held sync shows its figures and a preview of changes', async ({ page, lakeshore }) => {
    const id = await held(lakeshore, lakeshore.key());
    await page.goto(`${lakeshore.url}/syncs/${id}`);
    await expect(page.getByText('would replace 4 files, 92 B at /data/orders with only 1 file, 9 B')).toBeVisible();
    await page.getByText('3 files removed').click();
    await expect(page.getByText('d.csv, 23 B')).toBeVisible();
  });
});

const FOLDER = process.env.SCREENSHOTS ?? '';

test('pictures', async ({ page, lakeshore }) => {
  test.skip(FOLDER === '', 'only for `make screenshots`');
  const key = lakeshore.key('admin', 'ana');
  const id = await held(lakeshore, key);
  const files = ['a.csv', 'b.csv', 'dt=1/c.csv'].map((path) => ({ path, size_bytes: 9 }));
  await lakeshore.post('/api/lake/file/sync/expect', { sync_id: id, api_key: key, expected: { files } });
  await signIn(page, lakeshore, key);
  for (const [size, width, height] of [['wide', 1440, 900], ['narrow', 390, 844], ['smallest', 360, 740]] as const) {
    for (const theme of ['light', 'dark'] as const) {
      await page.setViewportSize({ width, height });
      await page.emulateMedia({ colorScheme: theme });
      for (const [name, path] of [['syncs-held', '/syncs'], ['sync-held', `/syncs/${id}`]]) {
        await page.goto(lakeshore.url + path);
        await hydrated(page);
        if (name === 'sync-held') {
          await page.getByText('3 files removed').click();
          await page.getByText('2 files missing').click();
        }
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        expect(overflow, `${path} scrolls sideways at ${width} px`).toBeLessThanOrEqual(0);
        await page.screenshot({ path: `${FOLDER}/${name}-${size}-${theme}.png`, fullPage: true });
      }
      await page.getByRole('button', { name: 'Publish anyway' }).click();
      await page.screenshot({ path: `${FOLDER}/publish-dialog-${size}-${theme}.png` });
    }
  }
});
