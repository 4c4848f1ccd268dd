// Passes each connection on to the next of several servers, behind one address.

import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export class RoundRobin {
  private readonly listener = createServer({ noDelay: true }, (near) => this.passOn(near));
  private readonly sockets = new Set<Socket>();
  private ports: number[] = [];
  private turn = 0;
  /** 0 until it listens for the first time. */
  private port = 0;

  /** Listens in front of these servers, always at the same address, which is returned. */
  async open(urls: string[]): Promise<string> {
    this.ports = urls.map((url) => Number(new URL(url).port));
    await new Promise<void>((resolve, reject) => {
      this.listener.once('error', reject);
      this.listener.listen(this.port, '127.0.0.1', () => {
        this.listener.off('error', reject);
        resolve();
      });
    });
    this.port = (this.listener.address() as AddressInfo).port;
    return `http://127.0.0.1:${this.port}`;
  }

  /** Refuses connections from now on, like a server that has ended. */
  close(): void {
    this.listener.close();
  }

  /** Closes, and cuts all connections. */
  end(): void {
    this.close();
    for (const socket of this.sockets) socket.destroy();
  }

  private passOn(near: Socket): void {
    this.watch(near);
    const first = this.turn++;
    const left = this.ports.map((_, number) => this.ports[(first + number) % this.ports.length]);
    // A server that has ended is passed over.
    const tryNext = (): void => {
      const port = left.shift();
      if (port === undefined || near.destroyed) return void near.destroy();
      const far = connect({ port, host: '127.0.0.1', noDelay: true });
      far.once('error', tryNext);
      far.once('connect', () => {
        far.off('error', tryNext);
        this.watch(far);
        this.join(near, far);
      });
    };
    tryNext();
  }

  private watch(socket: Socket): void {
    this.sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.sockets.delete(socket));
  }

  private join(near: Socket, far: Socket): void {
    if (near.destroyed) return void far.destroy();
    for (const [one, other] of [[near, far], [far, near]]) {
      one.pipe(other);
      // Bytes that have come still go through, unless the connection broke.
      one.on('close', (hasBroken) => (hasBroken ? other.destroy() : other.destroySoon()));
    }
  }
}
