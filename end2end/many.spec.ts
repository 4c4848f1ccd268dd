// Many files at a time: the document and its memory stay small. Smoothness depends on the machine, and is only printed:
// FILES=10000 npx playwright test many

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, hydrated, signIn, test } from './fixtures';
import { heapMeter, longestTasks, openUpload } from './uploading';

const FILES = Number(process.env.FILES ?? 1_000);
const FOLDERS = 20;
const ROWS_MAX = 100;
/** Duration of the trace; a trace of the whole upload would be too large. */
const TRACED_MS = 10_000;

test(`${FILES} files of a folder arrive, and the page stays smooth`, async ({ page, lakeshore, browser }) => {
  test.setTimeout(1_200_000);
  const folder = join(lakeshore.folder, 'export');
  for (let index = 0; index < FILES; index += 1) {
    const part = join(folder, `dt=${index % FOLDERS}`);
    if (index < FOLDERS) mkdirSync(part, { recursive: true });
    writeFileSync(join(part, `part-${index}.csv`), `${index}\n`.repeat(100));
  }
  await signIn(page, lakeshore, lakeshore.key());
  await openUpload(page, lakeshore, '/data/many', 'Full');
  const memory = await heapMeter(page);
  const rows = page.getByRole('table', { name: 'Files' }).locator('.queue-row');
  const empty = await memory();
  const count = FILES.toLocaleString('en-US');
  const whileQueueing = await longestTasks(browser, page, async () => {
    await page.getByLabel('Folder to upload').setInputFiles(folder);
    await expect(page.getByRole('button', { name: `All ${count}` })).toBeVisible({ timeout: 60_000 });
  });
  const queued = await memory();
  expect(await rows.count()).toBeLessThan(ROWS_MAX);

  const begun = Date.now();
  const scroller = page.locator('.queue-scroll');
  const whileSending = await longestTasks(browser, page, async () => {
    await page.getByRole('button', { name: 'Start upload' }).click();
    await page.waitForTimeout(TRACED_MS);
  });
  const done = page.getByText(`Done: ${count} files arrived`);
  const samples = [await memory()];
  for (let part = 0; !(await done.isVisible()); part = (part + 1) % 10) {
    // A person scrolls through the rows meanwhile.
    await scroller.evaluate((element, part) => { element.scrollTop = (element.scrollHeight * part) / 10; }, part).catch(() => undefined);
    expect(await rows.count()).toBeLessThan(ROWS_MAX);
    samples.push(await memory());
    await page.waitForTimeout(1000);
  }
  const seconds = (Date.now() - begun) / 1000;
  const after = await memory();
  const mib = (value: number): string => `${value.toFixed(1)} MiB`;
  console.log(
    [
      `${FILES} files in ${seconds.toFixed(0)} s, ${(FILES / seconds).toFixed(0)} a second`,
      `longest tasks of the main thread (aim: 100) while queueing: ${whileQueueing.slice(0, 5).join(', ')} ms of processor time`,
      `longest tasks while sending: ${whileSending.slice(0, 5).join(', ')} ms of processor time`,
      `memory: ${mib(empty)} empty, ${mib(queued)} queued, ${mib(Math.max(...samples))} at most while sending, ${mib(after)} after`,
    ].join('\n'),
  );
  expect(Math.max(...samples) - queued).toBeLessThan(60);

  // The last row can be reached, with its position among all rows.
  await scroller.evaluate((element) => { element.scrollTop = element.scrollHeight; });
  await expect(rows.last()).toHaveAttribute('aria-rowindex', `${FILES + 1}`);
  expect(await rows.count()).toBeLessThan(ROWS_MAX);
  expect(Object.keys(await lakeshore.digests('data/many')).length).toBe(FILES);

  // A second upload sends nothing.
  await page.getByRole('link', { name: 'New upload' }).click();
  await hydrated(page);
  await page.getByLabel('Lake path').fill('/data/many');
  await page.getByRole('radio', { name: 'Full' }).check();
  await page.getByLabel('Folder to upload').setInputFiles(folder);
  await expect(page.getByRole('button', { name: `All ${count}` })).toBeVisible({ timeout: 60_000 });
  const again = Date.now();
  await page.getByRole('button', { name: 'Start upload' }).click();
  await expect(page.getByText(`Done: ${count} files unchanged`)).toBeVisible({ timeout: 600_000 });
  console.log(`unchanged, the second time: ${((Date.now() - again) / 1000).toFixed(0)} s`);
});
