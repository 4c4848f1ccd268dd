// A lake of a test's own, and its server.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '@playwright/test';
import { onDisk, type Digests } from './digests';
import { BINARY, Server } from './server';

const ANY_PORT = '127.0.0.1:0';
const SQLITE = 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])';

export class Lakeshore {
  readonly folder = mkdtempSync(join(tmpdir(), 'lakeshore-'));
  readonly dataDir = join(this.folder, 'data');
  readonly lake = join(this.dataDir, 'lake');
  url = '';
  private server!: Server;
  private options: string[] = [];

  async start(options: string[] = [], address = ANY_PORT): Promise<void> {
    this.options = options;
    this.server = new Server(['--listen', address, '--data-dir', this.dataDir, ...options]);
    await this.server.listens();
    this.url = this.server.url;
  }

  /** `kill -9`, then a new server with the same folders and address. */
  async killAndRestart(): Promise<void> {
    await this.server.end('SIGKILL');
    await this.start(this.options, new URL(this.url).host);
  }

  /** Standard error of the server so far. */
  stderr(): string {
    return this.server.stderr();
  }

  key(role = 'admin', name = `${role} of a test`, prefix?: string): string {
    const within = prefix === undefined ? [] : ['--path-prefix', prefix];
    return this.command('key', 'create', '--name', name, '--role', role, ...within).trim();
  }

  /** Runs a command of the binary on this lake. */
  command(...options: string[]): string {
    return execFileSync(BINARY, [...options, '--data-dir', this.dataDir], { encoding: 'utf8' });
  }

  /** Stops the server by a signal, and expects a clean exit. */
  async stop(): Promise<void> {
    expect(await this.server.end('SIGTERM')).toBe(0);
  }

  /** Kills the server, and starts it again at the same address. */
  async crash(whileDown: () => Promise<void>): Promise<void> {
    await this.server.end('SIGKILL');
    await whileDown();
    await this.start([], new URL(this.url).host);
  }

  async remove(): Promise<void> {
    await this.server.end('SIGKILL');
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
  async digests(folder: string): Promise<Digests> {
    return onDisk(join(this.lake, folder));
  }

  /** Changes rows of the database of a stopped server. */
  async rewrite(statements: string[]): Promise<void> {
    const script = ['BEGIN', ...statements, 'COMMIT'].join(';\n');
    execFileSync('python3', ['-c', SQLITE, join(this.dataDir, 'lakeshore.db'), script]);
  }
}
