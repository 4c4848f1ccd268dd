// Plain forms that the server refuses: their page shows the server's message once, and its own text for the code after
// that.

import type { Page } from '@playwright/test';
import { expect, hydrated, signIn, test, type Lakeshore } from './fixtures';

/** A dataset at /data/t, with one earlier file in the trash. */
async function fill(lakeshore: Lakeshore, key: string): Promise<void> {
  const id = await lakeshore.start_sync(key, '/data/t', 'IncrementalSync', 'hourly');
  for (const content of ['one', 'two']) await lakeshore.upload(id, 'x.csv', content);
  await lakeshore.end(key, id);
}

/** `settled` waits until the page does not change any more. */
async function refusals(page: Page, lakeshore: Lakeshore, settled: () => Promise<void>): Promise<void> {
  const key = lakeshore.key();
  await fill(lakeshore, key);
  await signIn(page, lakeshore, key);
  const alert = page.getByRole('alert');

  await page.goto(`${lakeshore.url}/datasets/data/t?tab=rhythm`);
  await settled();
  // A time that the field's pattern accepts.
  await page.getByLabel('Due by (UTC').fill('29:15');
  await page.getByRole('button', { name: 'Save schedule' }).click();
  await expect(page).toHaveURL(/refused=40000/);
  await settled();
  await expect(alert).toContainText('29:15');
  await page.reload();
  await settled();
  await expect(alert).toContainText('not valid; check it and try again');
  await expect(alert).not.toContainText('29:15');

  // A restore while a sync holds the path; the message names the sync.
  const held = await lakeshore.start_sync(key, '/data/t', 'FullSync', 'full load');
  await page.goto(`${lakeshore.url}/trash`);
  await settled();
  await page.getByRole('link', { name: /^Restore/ }).first().click();
  await page.getByRole('button', { name: 'Restore', exact: true }).click();
  await expect(page).toHaveURL(/\/trash\?.*failed=1/);
  const said = page.getByRole('main').getByText(`held by sync ${held}`);
  await settled();
  await expect(said).toBeVisible();
  // After another page and Back, the address still has the code, but the message was for one document.
  await page.getByRole('navigation').getByRole('link', { name: 'Keys', exact: true }).first().click();
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('Keys');
  await page.goBack();
  await expect(page.getByText(/open sync or a restore holds the path/)).toBeVisible();
  await expect(said).toHaveCount(0);
  expect((await page.context().cookies()).map((cookie) => cookie.name)).not.toContain('lakeshore_refusal');
}

test('a refused form shows the message of the server', async ({ page, lakeshore }) => {
  await refusals(page, lakeshore, () => hydrated(page));
});

test.describe('without a script', () => {
  test.use({ javaScriptEnabled: false });

  test('a refused form shows the message of the server', async ({ page, lakeshore }) => {
    await refusals(page, lakeshore, async () => {});
  });
});
