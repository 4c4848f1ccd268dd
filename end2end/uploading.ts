// What the tests of the Upload page share: large files, dropping them, a slow link.

import { createWriteStream } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { expect, type Browser, type Page } from '@playwright/test';
import { hydrated, type Address } from './fixtures';

export const MIB = 1024 * 1024;

/** A file of random bytes, written piece by piece. */
export async function bigFile(path: string, bytes: number): Promise<void> {
  const stream = createWriteStream(path);
  const piece = randomBytes(MIB);
  for (let written = 0; written < bytes; written += piece.length) {
    piece.writeDoubleLE(written);
    if (!stream.write(Buffer.from(piece.subarray(0, bytes - written)))) await new Promise<void>((resolve) => stream.once('drain', () => resolve()));
  }
  await new Promise<void>((resolve) => stream.end(() => resolve()));
}

/**
 * Drops real files on the page. Playwright cannot drag from outside, so the files are first chosen into an input of the
 * test's own, and what that holds is dropped: the page sees the same File objects as after a drag.
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

/** How the page's network is from now on: so many bytes a second (-1: as many as go), or gone. */
export type SetNetwork = (bytesPerSecond: number, isGone?: boolean) => Promise<void>;

/** Slows what the page sends, and gives the way to change it. */
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

/** The requests of an upload that the page makes from now on. */
export class Requests {
  /** The byte at which each piece of a large file begins. */
  pieces: number[] = [];
  /** Files that were sent in one request each. */
  whole = 0;

  constructor(page: Page) {
    page.on('request', (request) => {
      const path = new URL(request.url()).pathname;
      if (request.method() === 'PATCH') this.pieces.push(Number(request.headers()['upload-offset']));
      if (path === '/api/lake/file/upload') this.whole += 1;
    });
  }

  forget(): void {
    this.pieces = [];
    this.whole = 0;
  }
}

/**
 * The longest tasks of the page's main thread meanwhile, in milliseconds of processor time: what others do on the same
 * machine does not count. A trace tells it, where a PerformanceObserver tells only how long each took by the clock.
 */
export async function longestTasks(browser: Browser, page: Page, meanwhile: () => Promise<void>): Promise<number[]> {
  await browser.startTracing(page, { categories: ['toplevel', 'devtools.timeline', 'disabled-by-default-devtools.timeline'] });
  await meanwhile();
  const events: any[] = JSON.parse((await browser.stopTracing()).toString()).traceEvents;
  const isMain = (event: any): boolean => event.name === 'thread_name' && event.args?.name === 'CrRendererMain';
  const main = new Set(events.filter(isMain).map((event) => `${event.pid} ${event.tid}`));
  const spans = events.filter((event) => event.ph === 'X' && main.has(`${event.pid} ${event.tid}`));
  const isWithin = (span: any, task: any): boolean => span.ts >= task.ts && span.ts + span.dur <= task.ts + task.dur;
  // A task in which the browser itself reads what was chosen, before the page hears of it, counts as what the page does then.
  const chooser = spans.filter((span) => span.args?.chrome_mojo_event_info?.mojo_interface_tag === 'blink.mojom.FileChooser');
  const tasks = spans
    .filter((span) => /RunTask$/.test(span.name))
    .flatMap((task) => chooser.some((span) => isWithin(span, task))
      ? spans.filter((span) => span.name === 'EventDispatch' && isWithin(span, task))
      : [task]);
  expect(tasks.length).toBeGreaterThan(0);
  return tasks.map((task) => Math.round((task.tdur ?? task.dur) / 1000)).sort((one, other) => other - one);
}

/** How much memory the page's own heap takes, in MiB, each time that it is asked. */
export async function heapMeter(page: Page): Promise<() => Promise<number>> {
  const devtools = await page.context().newCDPSession(page);
  return async () => {
    await devtools.send('HeapProfiler.collectGarbage');
    const usage: any = await devtools.send('Runtime.getHeapUsage');
    return (usage.usedSize + (usage.backingStorageSize ?? 0)) / MIB;
  };
}
