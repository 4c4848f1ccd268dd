// A real server for each test, on a free port with folders of its own, and a page whose console must stay clean.

import { test as base, expect, type Page } from '@playwright/test';
import { Lakeshore } from './lakeshore';

export { sha256 } from './digests';
export { onCluster } from './stores';
export type { Lakeshore };

/** Address by which a page reaches the server, directly or through a link. */
export type Address = Pick<Lakeshore, 'url'>;

export async function signIn(page: Page, lakeshore: Address, key: string, next = '/'): Promise<void> {
  await page.goto(`${lakeshore.url}/sign-in?next=${encodeURIComponent(next)}`);
  await page.getByLabel('Key', { exact: true }).fill(key);
  await page.getByRole('main').getByRole('button', { name: 'Sign in' }).click();
  await page.waitForURL(lakeshore.url + next);
}

/** Waits until the WASM has hydrated the page. */
export async function hydrated(page: Page): Promise<void> {
  await expect(page.locator('html')).toHaveAttribute('data-hydrated', 'true');
}

interface Fixtures {
  /** Options of `lakeshore serve`. */
  serveOptions: string[];
  lakeshore: Lakeshore;
  /** Console messages that a test expects, by a part of their text. */
  expectedComplaints: string[];
}

export const test = base.extend<Fixtures>({
  serveOptions: [[], { option: true }],
  expectedComplaints: [[], { option: true }],

  lakeshore: async ({ serveOptions }, use) => {
    const lakeshore = new Lakeshore();
    try {
      await lakeshore.start(serveOptions);
      await use(lakeshore);
    } finally {
      await lakeshore.remove();
    }
  },

  // After the server, so that the page has closed before it ends.
  page: async ({ lakeshore, page, expectedComplaints }, use) => {
    void lakeshore;
    const complaints: string[] = [];
    page.on('pageerror', (error) => complaints.push(`${error}`));
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
    });
    await use(page);
    const unexpected = complaints.filter((text) => !expectedComplaints.some((expected) => text.includes(expected)));
    expect(unexpected, 'the browser complained').toEqual([]);
  },
});

export { expect };
