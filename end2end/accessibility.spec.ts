// axe on every page, in both themes.

import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { expect, hydrated, signIn, test, type Lakeshore } from './fixtures';
import { fill } from './filling';
import { EMPTY_PAGES, FULL_PAGES, THEMES } from './pages';

/** One line for each violation: the rule, and the elements that violate it. */
async function violations(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations.map(({ id, help, nodes }) => `${id} (${help}): ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
}

async function expectNone(page: Page, lakeshore: Lakeshore, pages: readonly (readonly [string, string])[]): Promise<void> {
  for (const theme of THEMES) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    for (const [name, path] of pages) {
      await test.step(`${name}, ${theme}`, async () => {
        await page.goto(lakeshore.url + path);
        await hydrated(page);
        expect.soft(await violations(page), `${name} (${path}), ${theme}`).toEqual([]);
      });
    }
  }
}

test('pages of an empty lake have no accessibility violations', async ({ page, lakeshore }) => {
  await expectNone(page, lakeshore, EMPTY_PAGES);
  await signIn(page, lakeshore, lakeshore.key('admin', 'ana'));
  await expectNone(page, lakeshore, EMPTY_PAGES);
});

test('pages of a lake in use have no accessibility violations', async ({ page, lakeshore }) => {
  test.setTimeout(300_000);
  const key = lakeshore.key('write', 'nightly loader');
  await fill(lakeshore, key);
  await signIn(page, lakeshore, lakeshore.key('admin', 'ana'));
  await expectNone(page, lakeshore, FULL_PAGES);
});

test('pages on a phone have no accessibility violations', async ({ page, lakeshore }) => {
  test.setTimeout(300_000);
  await page.setViewportSize({ width: 360, height: 740 });
  await fill(lakeshore, lakeshore.key('write', 'nightly loader'));
  await signIn(page, lakeshore, lakeshore.key('admin', 'ana'));
  await expectNone(page, lakeshore, FULL_PAGES);
});
