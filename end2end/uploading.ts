// Helpers for tests of the Upload page: large files, drops, and a slow link.

import { createWriteStream } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { expect, type Browser, type Page } from '@playwright/test';
import { hydrated, type Address } from './fixtures';

export const MIB = 1024 * 1024;

/** Writes a file of random bytes, in chunks. */
export async function bigFile(path: string, bytes: number): Promise<void> {
  const stream = createWriteStream(path);
  const chunk = randomBytes(MIB);
  for (let written = 0; written < bytes; written += chunk.length) {
    chunk.writeDoubleLE(written);
    if (!stream.write(Buffer.from(chunk.subarray(0, bytes - written)))) await new Promise<void>((resolve) => stream.once('drain', () => resolve()));
  }
  await new Promise<void>((resolve) => stream.end(() => resolve()));
}

/**
 * Drops real files on the page. Playwright cannot drag from outside, so an input of the test's own takes the files, and its
 * File objects are dropped, which are the same as after a drag.
 */
export async function drop(page: Page, files: string[]): Promise<void> {
  await page.evaluate(() => {
    const input = document.createElement('input');
    input.type = 'file';
    input.multiple = true;
    input.id = 'dragged';
    input.hidden = true;
    document.body.append(input);
  });
  await page.locator('#dragged').setInputFiles(files);
  await page.evaluate(() => {
    const input = document.querySelector<HTMLInputElement>('#dragged')!;
    const dragged = new DataTransfer();
    for (const file of input.files!) dragged.items.add(file);
    const event = (name: string) => new DragEvent(name, { dataTransfer: dragged, bubbles: true, cancelable: true });
    for (const name of ['dragenter', 'dragover', 'drop']) document.body.dispatchEvent(event(name));
    input.remove();
  });
}

export async function openUpload(page: Page, lakeshore: Address, path: string, type: string): Promise<void> {
  await page.goto(`${lakeshore.url}/upload`);
  await hydrated(page);
  await page.getByLabel('Lake path').fill(path);
  await page.getByRole('radio', { name: type }).check();
}

/** Sets the page's network from now on: bytes a second (-1: no limit), or offline. */
export type SetNetwork = (bytesPerSecond: number, isGone?: boolean) => Promise<void>;

/** Throttles the page's sending, and returns a function that changes it. */
export async function slowDown(page: Page, bytesPerSecond: number): Promise<SetNetwork> {
  const network = await page.context().newCDPSession(page);
  await network.send('Network.enable');
  const set: SetNetwork = async (uploadThroughput, offline = false) => {
    await network.send('Network.emulateNetworkConditions', {
      offline, latency: 0, downloadThroughput: -1, uploadThroughput,
    });
  };
  await set(bytesPerSecond);
  return set;
}

/** Records the upload requests of the page from now on. */
export class Requests {
  /** Offsets of the requests of large files. */
  chunks: number[] = [];
  /** Number of files sent in a single request. */
  whole = 0;

  constructor(page: Page) {
    page.on('request', (request) => {
      const path = new URL(request.url()).pathname;
      if (request.method() === 'PATCH') this.chunks.push(Number(request.headers()['upload-offset']));
      if (path === '/api/lake/file/upload') this.whole += 1;
    });
  }

  forget(): void {
    this.chunks = [];
    this.whole = 0;
  }
}

/**
 * Longest tasks of the page's main thread during `meanwhile`, in milliseconds of processor time, which other processes do
 * not affect. Measured by a trace, since a PerformanceObserver has only the elapsed time.
 */
export async function longestTasks(browser: Browser, page: Page, meanwhile: () => Promise<void>): Promise<number[]> {
  await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline', 'disabled-by-default-devtools.timeline'] });
  await meanwhile();
  const events: any[] = JSON.parse((await browser.stopTracing()).toString()).traceEvents;
  const isMain = (event: any): boolean => event.name === 'thread_name' && event.args?.name === 'CrRendererMain';
  const main = new Set(events.filter(isMain).map((event) => `${event.pid} ${event.tid}`));
  const spans = events.filter((event) => event.ph === 'X' && main.has(`${event.pid} ${event.tid}`));
  const isWithin = (span: any, task: any): boolean => span.ts >= task.ts && span.ts + span.dur <= task.ts + task.dur;
  // A task in which the browser itself reads the chosen files, before the page is notified, counts as work of the page.
  const chooser = spans.filter((span) => span.args?.chrome_mojo_event_info?.mojo_interface_tag === 'blink.mojom.FileChooser');
  const tasks = spans
    .filter((span) => /RunTask$/.test(span.name))
    .flatMap((task) => chooser.some((span) => isWithin(span, task))
      ? spans.filter((span) => span.name === 'EventDispatch' && isWithin(span, task))
      : [task]);
  expect(tasks.length).toBeGreaterThan(0);
  return tasks.map((task) => Math.round((task.tdur ?? task.dur) / 1000)).sort((one, other) => other - one);
}

/** Returns a function that measures the page's heap, in MiB. */
export async function heapMeter(page: Page): Promise<() => Promise<number>> {
  const devtools = await page.context().newCDPSession(page);
  return async () => {
    await devtools.send('HeapProfiler.collectGarbage');
    const usage: any = await devtools.send('Runtime.getHeapUsage');
    return (usage.usedSize + (usage.backingStorageSize ?? 0)) / MIB;
  };
}
