// Requests and animation frames that come late, as on a busy machine.

import { expect, type Page, type Route } from '@playwright/test';

/** Waits for the next request, and returns a function that lets it continue. */
export type NextRequest = () => Promise<() => Promise<void>>;

/** Holds the requests to an address from now on. */
export async function holdRequests(page: Page, url: string): Promise<NextRequest> {
  const held: Route[] = [];
  await page.route(url, (route) => void held.push(route));
  return async () => {
    await expect.poll(() => held.length).toBeGreaterThan(0);
    const route = held.shift()!;
    return () => route.continue();
  };
}

/** Holds the page's animation frames, and returns a function that runs those that were not cancelled meanwhile. */
export async function holdFrames(page: Page): Promise<() => Promise<void>> {
  await page.evaluate(() => {
    const { requestAnimationFrame, cancelAnimationFrame } = window;
    const held = new Map<number, FrameRequestCallback>();
    let last = 0;
    window.requestAnimationFrame = (frame) => {
      last += 1;
      held.set(last, frame);
      return last;
    };
    window.cancelAnimationFrame = (number) => void held.delete(number);
    (window as any).runHeldFrames = () => {
      Object.assign(window, { requestAnimationFrame, cancelAnimationFrame });
      for (const frame of held.values()) frame(performance.now());
    };
  });
  return () => page.evaluate(() => (window as any).runHeldFrames());
}
