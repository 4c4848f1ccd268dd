// axe on every page, in both themes. A theme changes nothing but colours, so the second one has the rules about them.

import AxeBuilder from '@axe-core/playwright';
import type { Page } from '@playwright/test';
import { expect, hydrated, signIn, test, type Lakeshore } from './fixtures';
import { fill } from './filling';
import { EMPTY_PAGES, FULL_PAGES } from './pages';

/** One line for each violation: the rule, and the elements that violate it. */
async function violations(axe: AxeBuilder): Promise<string[]> {
  const { violations } = await axe.analyze();
  return violations.map(({ id, help, nodes }) => `${id} (${help}): ${nodes.map(({ target }) => target.join(' ')).join(', ')}`);
}

async function expectNone(page: Page, lakeshore: Lakeshore, pages: readonly (readonly [string, string])[]): Promise<void> {
  for (const [name, path] of pages) {
    await test.step(name, async () => {
      await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
      await page.goto(lakeshore.url + path);
      await hydrated(page);
      expect.soft(await violations(new AxeBuilder({ page })), `${name} (${path})`).toEqual([]);
      await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' });
      const colours = new AxeBuilder({ page }).withRules(['color-contrast', 'link-in-text-block']);
      expect.soft(await violations(colours), `${name} (${path}), dark`).toEqual([]);
    });
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
