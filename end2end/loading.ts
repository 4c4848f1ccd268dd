// Compressed bytes that a page has loaded so far.

import type { Page } from '@playwright/test';

export interface Loaded {
  wasm: number;
  script: number;
  style: number;
}

export function loaded(page: Page): Promise<Loaded> {
  return page.evaluate(() => {
    const resources = performance.getEntriesByType('resource') as PerformanceResourceTiming[];
    const bytes = (pattern: RegExp) => {
      const sizes = new Map(resources.map(({ name, encodedBodySize }) => [new URL(name).pathname, encodedBodySize]));
      return [...sizes].reduce((sum, [path, size]) => sum + (pattern.test(path) ? size : 0), 0);
    };
    return { wasm: bytes(/^\/pkg\/.*\.(wasm|bin)$/), script: bytes(/\.js$/), style: bytes(/\.css$/) };
  });
}
