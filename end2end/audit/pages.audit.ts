// Measures the pages of a lake in use: `make audit`.

import { mkdirSync } from 'node:fs';
import AxeBuilder from '@axe-core/playwright';
import { expect, hydrated, signIn, test, type Lakeshore } from '../fixtures';
import { fill } from '../filling';
import { loaded } from '../loading';
import { FULL_PAGES, THEMES } from '../pages';
import { CATEGORIES, PRESETS, judge } from './lighthouse';
import { FOLDER, report } from './report';

/** Of 100, in each category except performance. */
const SCORE_MIN = 95;
/** Lower, since it is a time and depends on the machine; the goal is the same. */
const PERFORMANCE_MIN = 80;

const JUDGED = FULL_PAGES.filter(([name]) => ['Overview', 'Syncs', 'Upload files', 'Dataset'].includes(name));

/** Session cookie of a signed-in browser. */
async function cookie(lakeshore: Lakeshore): Promise<string> {
  const body = new URLSearchParams({ key: lakeshore.key('admin', 'ana'), next: '/' });
  const answer = await fetch(`${lakeshore.url}/sign-in`, { method: 'POST', body, redirect: 'manual' });
  return answer.headers.getSetCookie()[0].split(';')[0];
}

test.beforeAll(() => mkdirSync(FOLDER, { recursive: true }));

test.beforeEach(async ({ lakeshore }) => fill(lakeshore, lakeshore.key('write', 'nightly loader')));

test('Lighthouse scores reach their minimum', async ({ lakeshore }) => {
  const session = await cookie(lakeshore);
  const rows = [];
  const faults: string[] = [];
  for (const [name, path] of JUDGED) {
    for (const preset of PRESETS) {
      const found = await judge(lakeshore.url + path, preset, session, `${name}-${preset}`.toLowerCase());
      const { scores, firstPaint, largestPaint, blocked, shift } = found;
      rows.push({ page: name, preset, ...scores, 'first paint ms': firstPaint, 'largest ms': largestPaint, 'blocked ms': blocked, shift: shift.toFixed(3) });
      for (const category of CATEGORIES) {
        const min = category === 'performance' ? PERFORMANCE_MIN : SCORE_MIN;
        faults.push(...found.faults[category].map((fault) => `${name}, ${preset}, ${category}: ${fault}`));
        expect.soft(scores[category], `${category} of ${name}, ${preset}`).toBeGreaterThanOrEqual(min);
      }
    }
  }
  report('lighthouse', rows);
  console.log(faults.join('\n'));
});

test('axe finds no violations', async ({ page, lakeshore }) => {
  await signIn(page, lakeshore, lakeshore.key('admin', 'ana'));
  const rows = [];
  for (const [name, path] of FULL_PAGES) {
    const counts: Record<string, number> = {};
    for (const theme of THEMES) {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
      await page.goto(lakeshore.url + path);
      await hydrated(page);
      counts[theme] = (await new AxeBuilder({ page }).analyze()).violations.length;
      expect.soft(counts[theme], `what axe finds on ${name}, ${theme}`).toBe(0);
    }
    rows.push({ page: name, path, ...counts });
  }
  report('axe', rows);
});

test('bytes that a browser loads for each page', async ({ page, lakeshore }) => {
  await signIn(page, lakeshore, lakeshore.key('admin', 'ana'));
  const rows = [];
  for (const [name, path] of FULL_PAGES) {
    // Hovering over a link would load the code of another page.
    await page.mouse.move(0, 0);
    await page.goto(lakeshore.url + path);
    await hydrated(page);
    const { wasm, script, style } = await loaded(page);
    const html = await page.evaluate(() => (performance.getEntriesByType('navigation')[0] as PerformanceResourceTiming).encodedBodySize);
    rows.push({ page: name, html, style, script, wasm, all: html + style + script + wasm });
  }
  report('bytes', rows);
});
