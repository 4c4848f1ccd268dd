// Network between a client and the server, with random faults: broken connections and kills.

import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { expect } from '@playwright/test';
import type { Lakeshore } from './fixtures';

/** Forwards bytes in both directions, on an address of its own; connections can be cut. */
export class Link {
  private readonly sockets = new Set<Socket>();
  private readonly clients = new Set<Socket>();
  private isDown = false;
  private isHeld = false;
  /** Time at which the bytes so far are through, in milliseconds. */
  private free = 0;
  /** Bytes a second that clients can send. */
  rate = Infinity;
  /** Bytes received from clients. */
  received = 0;
  /** Called whenever `received` grows. */
  onReceived: (received: number) => void = () => {};

  private constructor(private readonly server: Server) {}

  static async to(lakeshore: Lakeshore): Promise<Link> {
    const server = createServer();
    const link = new Link(server);
    server.on('connection', (near) => {
      if (link.isDown) return void near.destroy();
      link.clients.add(near);
      near.on('close', () => link.clients.delete(near));
      near.on('data', (bytes) => link.took(near, bytes.length));
      const far = connect(Number(new URL(lakeshore.url).port), '127.0.0.1');
      for (const [one, other] of [[near, far], [far, near]]) {
        link.sockets.add(one);
        one.on('error', () => other.destroy());
        one.on('close', () => {
          link.sockets.delete(one);
          other.destroy();
        });
        one.pipe(other);
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return link;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  private took(near: Socket, bytes: number): void {
    this.received += bytes;
    this.onReceived(this.received);
    this.free = Math.max(this.free, performance.now()) + (1000 * bytes) / this.rate;
    const wait = this.free - performance.now();
    // Resolution of timers, in milliseconds.
    if (wait < 5 && !this.isHeld) return;
    near.pause();
    setTimeout(() => {
      if (!this.isHeld) near.resume();
    }, wait);
  }

  /** Takes no bytes of clients until `flow`, without breaking a connection. */
  hold(): void {
    this.isHeld = true;
    for (const client of this.clients) client.pause();
  }

  flow(): void {
    this.isHeld = false;
    for (const client of this.clients) client.resume();
  }

  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Cuts all connections, and refuses new ones for this time. */
  async down(milliseconds: number): Promise<void> {
    this.isDown = true;
    this.cut();
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    this.isDown = false;
  }

  close(): void {
    this.server.close();
    this.cut();
  }
}

/**
 * Interrupts an upload at random byte counts of the link, mostly by the network, sometimes by a kill. The link is measured,
 * because progress that clients report may be late or missing.
 */
export class Interrupter {
  private readonly plan: { bytes: number; isKill: boolean }[];
  private restarting: Promise<void> = Promise.resolve();
  private done = 0;

  constructor(
    private readonly lakeshore: Lakeshore,
    private readonly link: Link,
    interruptions: number,
    kills: number,
    bytes: number,
  ) {
    // Spaced, so that progress is kept between two interruptions, and after the creation of the upload.
    const apart = bytes / interruptions;
    const figures = Array.from({ length: interruptions }, (_, index) => Math.ceil(apart * (index + 0.3 + 0.6 * Math.random())));
    const order = figures.map((_, index) => index).sort(() => Math.random() - 0.5);
    this.plan = figures.map((figure, index) => ({ bytes: figure, isKill: order[index] < kills }));
    console.log(this.plan.map(({ bytes, isKill }) => `${isKill ? 'kill' : 'cut'} at ${bytes}`).join(', '));
    link.onReceived = (received) => this.seen(received);
  }

  private seen(received: number): void {
    const due = this.plan[this.done];
    if (due === undefined || received < due.bytes) return;
    this.done += 1;
    if (due.isKill) this.restarting = this.restarting.then(() => this.lakeshore.killAndRestart());
    else this.link.cut();
  }

  /** Waits until a killed server serves again. */
  async restarted(): Promise<void> {
    await this.restarting;
  }

  /** Waits until all interruptions are over. */
  async ended(): Promise<void> {
    expect(this.done, 'interruptions of the upload').toBe(this.plan.length);
    await this.restarting;
  }
}
