// A lake of a test's own, and its server; where LAKESHORE_TEST_NODES is 2, two servers on PostgreSQL and SeaweedFS, behind
// one address.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from '@playwright/test';
import { SharedLake } from './cluster';
import { byApi, onDisk, type Digests } from './digests';
import { RoundRobin } from './round-robin';
import { BINARY, Server } from './server';
import { onCluster } from './stores';

const ANY_PORT = '127.0.0.1:0';
const SQLITE = 'import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])';

export class Lakeshore {
  readonly folder = mkdtempSync(join(tmpdir(), 'lakeshore-'));
  readonly dataDir = join(this.folder, 'data');
  /** Absent from the disk on a cluster, whose lake is in a bucket. */
  readonly lake = join(this.dataDir, 'lake');
  url = '';
  private servers: Server[] = [];
  private options: string[] = [];
  private shared: SharedLake | undefined;
  private readonly front = onCluster ? new RoundRobin() : undefined;

  async start(options: string[] = [], address = ANY_PORT): Promise<void> {
    this.options = options;
    if (onCluster) this.shared ??= await SharedLake.create();
    const dataDirs = onCluster ? [this.dataDir, join(this.folder, 'second')] : [this.dataDir];
    const listen = onCluster ? ANY_PORT : address;
    this.servers = dataDirs.map((dataDir) => new Server(['--listen', listen, '--data-dir', dataDir, ...options], this.shared?.environment()));
    await Promise.all(this.servers.map((server) => server.listens()));
    const urls = this.servers.map((server) => server.url);
    this.url = this.front === undefined ? urls[0] : await this.front.open(urls);
  }

  /** `kill -9`, then a new server with the same folders and address. */
  async killAndRestart(): Promise<void> {
    await this.endServers('SIGKILL');
    await this.start(this.options, new URL(this.url).host);
  }

  /** Standard error of the server so far; on a cluster, by the address in front. */
  stderr(): string {
    return this.servers.map((server) => server.stderr().replaceAll(server.url, this.url)).join('');
  }

  key(role = 'admin', name = `${role} of a test`, prefix?: string): string {
    const within = prefix === undefined ? [] : ['--path-prefix', prefix];
    return this.command('key', 'create', '--name', name, '--role', role, ...within).trim();
  }

  /** Runs a command of the binary on this lake. */
  command(...options: string[]): string {
    const env = { ...process.env, ...this.shared?.environment() };
    return execFileSync(BINARY, [...options, '--data-dir', this.dataDir], { encoding: 'utf8', env });
  }

  /** Stops the server by a signal, and expects a clean exit. */
  async stop(): Promise<void> {
    for (const code of await this.endServers('SIGTERM')) expect(code).toBe(0);
  }

  /** Kills the server, and starts it again at the same address. */
  async crash(whileDown: () => Promise<void>): Promise<void> {
    await this.endServers('SIGKILL');
    await whileDown();
    await this.start([], new URL(this.url).host);
  }

  private async endServers(signal: 'SIGKILL' | 'SIGTERM'): Promise<(number | null)[]> {
    this.front?.close();
    return Promise.all(this.servers.map((server) => server.end(signal)));
  }

  async remove(): Promise<void> {
    await this.endServers('SIGKILL');
    this.front?.end();
    await this.shared?.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }

  async start_sync(key: string, path: string, syncType: string, name = 'by script'): Promise<number> {
    const body = { name, path, api_key: key, sync_type: syncType };
    return (await this.post('/api/ingestion/file/sync/start', body)).sync_id;
  }

  async upload(syncId: number, name: string, content: string): Promise<void> {
    const form = new FormData();
    form.append('file', new Blob([content]), name);
    await this.request(`/api/lake/file/upload?sync_id=${syncId}`, { method: 'POST', body: form });
  }

  async end(key: string, syncId: number): Promise<void> {
    await this.post('/api/ingestion/file/sync/end', { sync_id: syncId, api_key: key });
  }

  async post(path: string, body: unknown): Promise<any> {
    const headers = { 'Content-Type': 'application/json' };
    const response = await this.request(path, { method: 'POST', headers, body: JSON.stringify(body) });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${path}: ${JSON.stringify(answer)}`);
    return answer;
  }

  async get(path: string): Promise<any> {
    return (await this.request(path)).json();
  }

  /** Asks the server; on a cluster, by a connection of its own, so that the next request goes to the other server. */
  private request(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { ...(init.headers as Record<string, string>), ...(onCluster ? { Connection: 'close' } : {}) };
    return fetch(this.url + path, { ...init, headers });
  }

  /** Files of a folder of the lake, with their SHA-256; of `.lakeshore`, files that are not in the lake itself. */
  async digests(folder: string): Promise<Digests> {
    if (this.shared === undefined) return onDisk(join(this.lake, folder));
    if (folder === '.lakeshore') return this.shared.ownFiles();
    return byApi((path) => this.request(path), `/${folder.replace(/^\//, '')}`);
  }

  /** Changes rows of the database of a stopped server. */
  async rewrite(statements: string[]): Promise<void> {
    const script = ['BEGIN', ...statements, 'COMMIT'].join(';\n');
    if (this.shared !== undefined) await this.shared.sql(script);
    else execFileSync('python3', ['-c', SQLITE, join(this.dataDir, 'lakeshore.db'), script]);
  }
}
