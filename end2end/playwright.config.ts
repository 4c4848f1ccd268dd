import { execSync } from 'node:child_process';
import { defineConfig } from '@playwright/test';

/** The browser of the machine: Playwright's own is never downloaded. */
function chromium(): string {
  const names = [process.env.CHROMIUM ?? '', 'chromium', 'chromium-browser', 'google-chrome'].filter(Boolean);
  for (const name of names) {
    try {
      return execSync(`command -v ${name}`, { encoding: 'utf8', shell: '/bin/bash' }).trim();
    } catch {
      // The next one.
    }
  }
  throw new Error('no Chromium was found; install it, or name it in CHROMIUM');
}

export default defineConfig({
  testDir: '.',
  // One server a test, and two cores: side by side they would only wait for each other.
  workers: 1,
  // What passes only the second time is listed as flaky: a fault of the test, to be mended, but no reason to hold a change back.
  retries: 1,
  timeout: 240_000,
  // Of pages on a busy machine; what is there sooner is not waited for.
  expect: { timeout: 15_000 },
  reporter: 'list',
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
