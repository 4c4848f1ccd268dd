// The network between a client and the server, and what goes wrong with it at random: cut connections and kills.

import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';
import { expect } from '@playwright/test';
import type { Lakeshore } from './fixtures';

/** Passes bytes on in both directions, from an address of its own, until it is told to cut all connections. */
export class Link {
  private readonly sockets = new Set<Socket>();
  private isDown = false;
  /** When what has come until now is through, in milliseconds. */
  private free = 0;
  /** How fast clients can send, in bytes a second. */
  rate = Infinity;
  /** Bytes that came from clients. */
  received = 0;
  /** Is told of `received` each time that it grows. */
  onReceived: (received: number) => void = () => {};

  private constructor(private readonly server: Server) {}

  static async to(lakeshore: Lakeshore): Promise<Link> {
    const server = createServer();
    const link = new Link(server);
    server.on('connection', (near) => {
      if (link.isDown) return void near.destroy();
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
    // Timers are no finer than this.
    if (wait < 5) return;
    near.pause();
    setTimeout(() => near.resume(), wait);
  }

  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Cuts all connections and takes no new ones, for so long. */
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
 * Interrupts an upload each time that as many bytes have come over the link as one of some random figures: mostly by the
 * network, some times by a kill. What a client says of its progress is late, or never comes; what it sends always passes.
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
    // Apart from each other, so that something is kept of what comes between two; and not amid what creates the upload.
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

  /** Waits until a server that was killed serves again. */
  async restarted(): Promise<void> {
    await this.restarting;
  }

  /** All interruptions took place, and the last of them is over. */
  async ended(): Promise<void> {
    expect(this.done, 'interruptions of the upload').toBe(this.plan.length);
    await this.restarting;
  }
}
