// One process of `lakeshore serve`.

import { spawn, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { expect } from '@playwright/test';

export const BINARY = process.env.LAKESHORE_BIN ?? join(__dirname, '../target/release/lakeshore');

export class Server {
  private readonly process: ChildProcess;
  private readonly ended: Promise<number | null>;
  private hasEnded = false;
  private said = '';

  constructor(options: string[], environment: Record<string, string> = {}) {
    this.process = spawn(BINARY, ['serve', ...options], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...environment },
    });
    this.process.stderr!.on('data', (bytes: Buffer) => (this.said += bytes.toString()));
    this.ended = new Promise((resolve) => {
      this.process.once('exit', resolve);
      this.process.once('error', (error) => {
        this.said += `${error}\n`;
        resolve(null);
      });
    });
    void this.ended.then(() => (this.hasEnded = true));
  }

  /** Its address; empty until it listens. */
  get url(): string {
    return /listening on (\S+)/.exec(this.said)?.[1] ?? '';
  }

  async listens(): Promise<void> {
    await expect.poll(() => this.url !== '' || this.hasEnded, { timeout: 20_000 }).toBe(true);
    expect(this.hasEnded, this.said).toBe(false);
  }

  /** Standard error so far. */
  stderr(): string {
    return this.said;
  }

  /** Ends the process by a signal, and returns its exit code. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    this.process.kill(signal);
    return this.ended;
  }
}
