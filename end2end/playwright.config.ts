import { execSync } from 'node:child_process';
import { defineConfig } from '@playwright/test';
import { onCluster } from './stores';

/** Chromium of the machine; Playwright's own is never downloaded. */
function chromium(): string {
  const names = [process.env.CHROMIUM ?? '', 'chromium', 'chromium-browser', 'google-chrome'].filter(Boolean);
  for (const name of names) {
    try {
      return execSync(`command -v ${name}`, { encoding: 'utf8', shell: '/bin/bash' }).trim();
    } catch {
      // Tries the next one.
    }
  }
  throw new Error('no Chromium was found; install it, or name it in CHROMIUM');
}

export default defineConfig({
  testDir: '.',
  // Each test has a server of its own, and waits more than it computes.
  fullyParallel: true,
  workers: 2,
  // A test that passes only in the second run is listed as flaky: a fault of the test, which does not block a change.
  retries: 1,
  timeout: 240_000,
  // For busy machines; a condition that holds earlier ends the wait.
  expect: { timeout: 15_000 },
  reporter: 'list',
  globalSetup: onCluster ? require.resolve('./stores') : undefined,
  use: {
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath: chromium(),
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
});
