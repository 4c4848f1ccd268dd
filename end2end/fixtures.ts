// A real server for each test, on a free port with folders of its own, and a page whose console must stay clean.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, mkdtempSync, openSync, readSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test as base, expect, type Page } from '@playwright/test';

export const BINARY = process.env.LAKESHORE_BIN ?? join(__dirname, '../target/release/lakeshore');

export class Lakeshore {
  readonly folder = mkdtempSync(join(tmpdir(), 'lakeshore-'));
  readonly dataDir = join(this.folder, 'data');
  readonly lake = join(this.dataDir, 'lake');
  url = '';
  private process!: ChildProcess;
  private said = '';
  private options: string[] = [];

  async start(options: string[] = [], address = '127.0.0.1:0'): Promise<void> {
    this.options = options;
    this.said = '';
    const listen = ['--listen', address, '--data-dir', this.dataDir];
    const process = spawn(BINARY, ['serve', ...listen, ...options], { stdio: ['ignore', 'ignore', 'pipe'] });
    this.process = process;
    process.stderr!.on('data', (bytes: Buffer) => {
      // Output of an earlier process does not count.
      if (this.process === process) this.said += bytes.toString();
    });
    await expect.poll(() => /listening on (\S+)/.exec(this.said)?.[1] ?? '', { timeout: 20_000 }).not.toBe('');
    this.url = /listening on (\S+)/.exec(this.said)![1];
  }

  /** `kill -9`, then a new server with the same folders and address. */
  async killAndRestart(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGKILL');
    await ended;
    await this.start(this.options, new URL(this.url).host);
  }

  /** Standard error of the server so far. */
  stderr(): string {
    return this.said;
  }

  key(role = 'admin', name = `${role} of a test`, prefix?: string): string {
    const within = prefix === undefined ? [] : ['--path-prefix', prefix];
    const options = ['--name', name, '--role', role, ...within, '--data-dir', this.dataDir];
    return execFileSync(BINARY, ['key', 'create', ...options], { encoding: 'utf8' }).trim();
  }

  /** Stops the server by a signal, and expects a clean exit. */
  async stop(): Promise<void> {
    const ended = new Promise<number | null>((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGTERM');
    expect(await ended).toBe(0);
  }

  /** Kills the server, and starts it again at the same address. */
  async crash(whileDown: () => Promise<void>): Promise<void> {
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGKILL');
    await ended;
    await whileDown();
    await this.start([], new URL(this.url).host);
  }

  remove(): void {
    this.process.kill('SIGKILL');
    rmSync(this.folder, { recursive: true, force: true });
  }

  async start_sync(key: string, path: string, syncType: string, name = 'by script'): Promise<number> {
    const body = { name, path, api_key: key, sync_type: syncType };
    return (await this.post('/api/ingestion/file/sync/start', body)).sync_id;
  }

  async upload(syncId: number, name: string, content: string): Promise<void> {
    const form = new FormData();
    form.append('file', new Blob([content]), name);
    await fetch(`${this.url}/api/lake/file/upload?sync_id=${syncId}`, { method: 'POST', body: form });
  }

  async end(key: string, syncId: number): Promise<void> {
    await this.post('/api/ingestion/file/sync/end', { sync_id: syncId, api_key: key });
  }

  async post(path: string, body: unknown): Promise<any> {
    const headers = { 'Content-Type': 'application/json' };
    const response = await fetch(this.url + path, { method: 'POST', headers, body: JSON.stringify(body) });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${path}: ${JSON.stringify(answer)}`);
    return answer;
  }

  async get(path: string): Promise<any> {
    return (await fetch(this.url + path)).json();
  }

  /** Files of a folder of the lake, with their SHA-256. */
  digests(folder: string): Record<string, string> {
    const root = join(this.lake, folder);
    const found: Record<string, string> = {};
    const visit = (below: string): void => {
      for (const name of readdirSync(join(root, below))) {
        const path = join(below, name);
        if (statSync(join(root, path)).isDirectory()) visit(path);
        else found[path] = sha256(join(root, path));
      }
    };
    visit('');
    return found;
  }
}

export function sha256(file: string): string {
  // In chunks: a file may be larger than a buffer.
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(1024 * 1024);
  const descriptor = openSync(file, 'r');
  for (let read = readSync(descriptor, chunk); read > 0; read = readSync(descriptor, chunk)) hash.update(chunk.subarray(0, read));
  closeSync(descriptor);
  return hash.digest('hex');
}

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
    await lakeshore.start(serveOptions);
    await use(lakeshore);
    lakeshore.remove();
  },

  page: async ({ page, expectedComplaints }, use) => {
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
