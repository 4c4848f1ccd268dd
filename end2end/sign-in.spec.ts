// Access without a key, and sign-in.

import { expect, hydrated, signIn, test } from './fixtures';
import { holdRequests } from './late';

test('a wrong key is refused with a remedy, a right one signs in, and signing out ends the session', async ({ page, lakeshore }) => {
  await page.goto(`${lakeshore.url}/sign-in?next=/keys`);
  await page.getByLabel('Key', { exact: true }).fill('lks_wrong');
  await page.getByRole('main').getByRole('button', { name: 'Sign in' }).click();
  await expect(page.getByRole('alert')).toContainText('unknown, revoked');
  await signIn(page, lakeshore, lakeshore.key('admin', 'ana'), '/keys');
  await expect(page.getByRole('cell', { name: 'ana', exact: true })).toBeVisible();
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('button', { name: 'Sign out' })).toHaveCount(0);
});

test('the sign-in link of the first start works once', async ({ page, lakeshore }) => {
  await expect.poll(() => lakeshore.stderr()).toContain('/sign-in/link');
  const link = /http:\S+\/sign-in\/link\?token=\S+/.exec(lakeshore.stderr())![0];
  await page.goto(link);
  await expect(page).toHaveURL(`${lakeshore.url}/keys`);
  await expect(page.getByRole('button', { name: 'Sign out' }).first()).toBeVisible();
  await page.context().clearCookies();
  await page.goto(link);
  await expect(page.getByRole('alert')).toBeVisible();
});

test('a key is made, shown once, works, and is revoked', async ({ page, lakeshore }) => {
  await signIn(page, lakeshore, lakeshore.key(), '/keys');
  await hydrated(page);
  await page.getByLabel('Name').fill('nightly');
  await page.getByRole('button', { name: 'Create key' }).click();
  const secret = await page.getByText(/^lks_[0-9a-f]{64}$/).textContent();
  const sync = await lakeshore.start_sync(secret!, '/data/t', 'IncrementalSync');
  expect(sync).toBe(1);
  await page.reload();
  await hydrated(page);
  await expect(page.getByText(secret!)).toHaveCount(0);
  await page.getByRole('button', { name: 'Revoke nightly' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
  await expect(page.getByRole('row', { name: /nightly/ })).toContainText('Revoked');
  await expect(lakeshore.start_sync(secret!, '/data/u', 'IncrementalSync')).rejects.toThrow('40101');
});

test('a new key can be copied before the list of keys has come again', async ({ page, lakeshore, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await signIn(page, lakeshore, lakeshore.key(), '/keys');
  await hydrated(page);
  const nextList = await holdRequests(page, '**/fn/keys');
  await page.getByLabel('Name').fill('nightly');
  await page.getByRole('button', { name: 'Create key' }).click();
  // Sent once the session has come again.
  const answer = await nextList();
  const secret = page.locator('#new-key');
  const text = await secret.textContent();
  await page.getByRole('button', { name: 'Copy key' }).click();
  await expect(page.locator('.secret').getByRole('status')).toHaveText('Copied');
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(text);
  await answer();
  await expect(page.getByRole('cell', { name: 'nightly', exact: true })).toBeVisible();
  await expect(secret).toHaveText(text!);
});

test('a visitor of the open mode reads, and is asked to sign in for changes', async ({ page, lakeshore }) => {
  const sync = await lakeshore.start_sync(lakeshore.key(), '/data/t', 'IncrementalSync', 'open one');
  await page.goto(lakeshore.url);
  await page.getByRole('link', { name: 'open one' }).click();
  await expect(page).toHaveURL(`${lakeshore.url}/syncs/${sync}`);
  await expect(page.getByRole('button', { name: 'End sync' })).toHaveCount(0);
  await page.goto(`${lakeshore.url}/upload`);
  await expect(page.getByRole('main').getByRole('link', { name: 'Sign in' })).toBeVisible();
});

test.describe('in the required mode', () => {
  // The browser reports every page that returns 401, and the form.
  test.use({ serveOptions: ['--auth', 'required'], expectedComplaints: ['401'] });

  test('every page asks for a key, and then opens', async ({ page, lakeshore }) => {
    for (const path of ['/', '/syncs', '/datasets', '/datasets/data/t', '/history', '/trash', '/activity', '/keys', '/upload', '/search', '/syncs/1']) {
      await page.goto(lakeshore.url + path);
      await expect(page.getByLabel('Key', { exact: true })).toBeVisible();
    }
    await signIn(page, lakeshore, lakeshore.key('read'), '/history');
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('Uploads');
  });

  test('a page whose session ends says so, with a link', async ({ page, lakeshore }) => {
    await signIn(page, lakeshore, lakeshore.key('read'), '/keys');
    await page.route('**/api/events*', (route) => route.fulfill({ status: 401 }));
    await page.goto(`${lakeshore.url}/syncs`);
    await hydrated(page);
    const sign = page.locator('.live-sign');
    await expect(sign).toHaveText('Reconnecting…');
    await page.context().clearCookies();
    await expect(sign).toContainText('Signed out.', { timeout: 15_000 });
    await expect(sign.getByRole('link', { name: 'Sign in' })).toHaveAttribute('href', '/sign-in?next=/syncs');
  });
});
