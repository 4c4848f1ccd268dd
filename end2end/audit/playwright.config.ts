import { defineConfig } from '@playwright/test';
import tests from '../playwright.config';

/** The tests' configuration for audit files, which the tests ignore. Without retries, which would repeat a measurement until it passes. */
export default defineConfig(tests, { testMatch: '*.audit.ts', outputDir: '../test-results', timeout: 1_800_000, retries: 0 });
