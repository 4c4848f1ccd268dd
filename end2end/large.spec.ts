// One large file with three network failures and one reload. Nothing is sent twice, and the memory of the page does not
// grow with the file. A long run: SIZE_MIB=2048 npx playwright test large

import { join } from 'node:path';
import type { Page } from '@playwright/test';
import { expect, hydrated, sha256, signIn, test } from './fixtures';
import { Link } from './link';
import { bigFile, drop, heapMeter, longestTasks, MIB, openUpload } from './uploading';

const BYTES = Number(process.env.SIZE_MIB ?? 128) * MIB;
/** In bytes a second. */
const RATE = Math.min(BYTES / 10, 256 * MIB);
/** Progress in percent at which the network fails, and at which the page is reloaded. */
const CUTS = [12, 35, 80];
const RELOAD = 55;
const DOWN_MS = 2000;
/** Time of sending between two looks at the page. */
const FLOW_MS = 200;
/** Duration of the trace; a trace of the whole upload would be too large. */
const TRACED_MS = 3000;

test.use({ expectedComplaints: ['net::ERR'] });
test.setTimeout(180_000 + 500 * (BYTES / MIB));

const progress = (page: Page) => page.getByRole('progressbar', { name: 'All files' });

/** Progress of an upload that has begun: without its bar it is done. */
async function percent(page: Page): Promise<number> {
  const bar = progress(page);
  return (await bar.count()) === 0 ? 100 : bar.evaluate((bar: HTMLProgressElement) => bar.value);
}

async function begin(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Start upload' }).click();
  await progress(page).waitFor();
}

test('a large file arrives despite three network failures and a reload', async ({ page, lakeshore, browser }) => {
  const big = join(lakeshore.folder, 'big.bin');
  await bigFile(big, BYTES);
  const link = await Link.to(lakeshore);
  const memory = await heapMeter(page);
  const samples: number[] = [];
  // Sends only while nothing is measured: on a busy machine a measurement can take as long as the rest of the upload.
  const until = async (value: number): Promise<void> => {
    while ((await percent(page)) < value) {
      samples.push(await memory());
      link.flow();
      await page.waitForTimeout(FLOW_MS);
      link.hold();
    }
  };

  await signIn(page, link, lakeshore.key());
  await openUpload(page, link, '/data/t', 'Full');
  const empty = await memory();
  await drop(page, [big]);
  const begun = Date.now();
  // Slow enough that every interruption happens during the upload.
  link.rate = RATE;
  const whileSending = await longestTasks(browser, page, async () => {
    await begin(page);
    await until(CUTS[0]);
    link.flow();
    await link.down(DOWN_MS);
    await page.waitForTimeout(TRACED_MS);
    link.hold();
  });
  await until(CUTS[1]);
  if (process.env.SCREENSHOTS) await page.screenshot({ path: join(process.env.SCREENSHOTS, 'upload-large.png') });
  await link.down(DOWN_MS);

  await until(RELOAD);
  page.on('dialog', (dialog) => void dialog.accept());
  link.flow();
  await page.reload();
  await hydrated(page);
  await page.getByRole('link', { name: 'Resume' }).click();
  await drop(page, [big]);
  await begin(page);

  await until(CUTS[2]);
  link.flow();
  await link.down(DOWN_MS);
  await expect(page.getByText('Done: 1 file arrived')).toBeVisible({ timeout: 300_000 });
  const seconds = (Date.now() - begun) / 1000;
  link.close();

  expect(await lakeshore.digests('data/t')).toEqual({ 'big.bin': sha256(big) });
  const history = await lakeshore.get('/api/ingestion/file/sync/history');
  expect(history.map((row: any) => [row.file_name, row.sync_status])).toEqual([['big.bin', 'Finished']]);
  expect(await lakeshore.digests('.lakeshore')).toEqual({});
  console.log(
    [
      `${BYTES / MIB} MiB in ${seconds.toFixed(0)} s; ${(link.received / MIB).toFixed(0)} MiB went over the network`,
      `longest tasks of the main thread (aim: 100): ${whileSending.slice(0, 5).join(', ')} ms of processor time`,
      `memory: ${empty.toFixed(1)} MiB empty, ${Math.max(...samples).toFixed(1)} MiB at most`,
    ].join('\n'),
  );
  expect(Math.max(...samples) - empty).toBeLessThan(60);
  // Four interruptions, each of which repeats one chunk at most.
  expect(link.received).toBeLessThan(1.5 * BYTES);
});
