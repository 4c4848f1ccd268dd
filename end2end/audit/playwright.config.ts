import { defineConfig } from '@playwright/test';
import tests from '../playwright.config';

/** As the tests, but they do not take these files for theirs, and what is measured is not measured again until it pleases. */
export default defineConfig(tests, { testMatch: '*.audit.ts', outputDir: '../test-results', timeout: 1_800_000, retries: 0 });
