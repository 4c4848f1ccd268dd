// Lighthouse on one page, in a browser of its own.

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { test } from '@playwright/test';
import { FOLDER } from './report';

const PROGRAM = join(__dirname, 'node_modules/lighthouse/cli/index.js');

export const PRESETS = ['mobile', 'desktop'] as const;
export type Preset = (typeof PRESETS)[number];
export const CATEGORIES = ['performance', 'accessibility', 'best-practices', 'seo'] as const;
export type Category = (typeof CATEGORIES)[number];

export interface Judgement {
  /** From 0 to 100. */
  scores: Record<Category, number>;
  /** Audits that cost points in each category: id and finding. */
  faults: Record<Category, string[]>;
  /** In milliseconds, for a simulated phone or desktop; the shift has no unit. */
  firstPaint: number;
  largestPaint: number;
  blocked: number;
  shift: number;
}

/** Runs Lighthouse, and writes its reports as HTML and JSON under `name`. */
export async function judge(url: string, preset: Preset, cookie: string, name: string): Promise<Judgement> {
  const { executablePath, args } = test.info().project.use.launchOptions!;
  const output = join(FOLDER, name);
  const options = [
    url, '--quiet', '--output=json', '--output=html', `--output-path=${output}`, '--no-enable-error-reporting',
    `--chrome-flags=--headless=new ${args!.join(' ')}`, `--extra-headers=${JSON.stringify({ Cookie: cookie })}`,
    ...(preset === 'desktop' ? ['--preset=desktop'] : []),
  ];
  await promisify(execFile)(process.execPath, [PROGRAM, ...options], { env: { ...process.env, CHROME_PATH: executablePath } });
  const result = JSON.parse(readFileSync(`${output}.report.json`, 'utf8'));
  if (result.runtimeError) throw new Error(`${name}: ${result.runtimeError.message}`);
  const each = <T>(of: (category: any) => T) =>
    Object.fromEntries(CATEGORIES.map((category) => [category, of(result.categories[category])])) as Record<Category, T>;
  const lost = ({ id, weight }: { id: string; weight: number }) => weight > 0 && (result.audits[id].score ?? 1) < 1;
  const value = (audit: string) => result.audits[audit].numericValue as number;
  return {
    scores: each(({ score }) => Math.round(score * 100)),
    faults: each(({ auditRefs }) => auditRefs.filter(lost).map(({ id }: { id: string }) => `${id} (${result.audits[id].title})`)),
    firstPaint: Math.round(value('first-contentful-paint')),
    largestPaint: Math.round(value('largest-contentful-paint')),
    blocked: Math.round(value('total-blocking-time')),
    shift: value('cumulative-layout-shift'),
  };
}
