// Plain forms that the server refuses: their page says why in the words of the server, once, and in its own words after that.

import type { Page } from '@playwright/test';
import { expect, hydrated, signIn, test, type Lakeshore } from './fixtures';

/** A dataset at /data/t, of which one earlier file is in the trash. */
async function fill(lakeshore: Lakeshore, key: string): Promise<void> {
  const id = await lakeshore.start_sync(key, '/data/t', 'IncrementalSync', 'hourly');
  for (const content of ['one', 'two']) await lakeshore.upload(id, 'x.csv', content);
  await lakeshore.end(key, id);
}

/** `settled`: the page is as it stays. */
async function refusals(page: Page, lakeshore: Lakeshore, settled: () => Promise<void>): Promise<void> {
  const key = lakeshore.key();
  await fill(lakeshore, key);
  await signIn(page, lakeshore, key);
  const alert = page.getByRole('alert');

  await page.goto(`${lakeshore.url}/datasets/data/t?tab=rhythm`);
  await settled();
  // A time that the pattern of the field lets through.
  await page.getByLabel('Due by (UTC').fill('29:15');
  await page.getByRole('button', { name: 'Save schedule' }).click();
  await expect(page).toHaveURL(/refused=40000/);
  await settled();
  await expect(alert).toContainText('29:15');
  await page.reload();
  await settled();
  await expect(alert).toContainText('not valid; check it and try again');
  await expect(alert).not.toContainText('29:15');

  // Restored where a sync holds the path, which the server names.
  const held = await lakeshore.start_sync(key, '/data/t', 'FullSync', 'full load');
  await page.goto(`${lakeshore.url}/trash`);
  await settled();
  await page.getByRole('button', { name: /^Restore/ }).first().click();
  const said = page.getByRole('main').getByText(`held by sync ${held}`);
  await settled();
  await expect(said).toBeVisible();
  // Another page, and back: the address has its number still, and the words were for one document.
  await page.getByRole('navigation').getByRole('link', { name: 'Keys', exact: true }).first().click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Keys');
  await page.goBack();
  await expect(page.getByText(/open sync or a restore holds the path/)).toBeVisible();
  await expect(said).toHaveCount(0);
  expect((await page.context().cookies()).map((cookie) => cookie.name)).not.toContain('lakeshore_refusal');
}

test('a form that is refused says why in the words of the server', async ({ page, lakeshore }) => {
  await refusals(page, lakeshore, () => hydrated(page));
});

test.describe('without a script', () => {
  test.use({ javaScriptEnabled: false });

  test('a form that is refused says why in the words of the server', async ({ page, lakeshore }) => {
    await refusals(page, lakeshore, async () => {});
  });
});
