// Prints the figures, and writes them beside the reports of Lighthouse.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Folder of the reports. */
export const FOLDER = join(__dirname, '../../target/audit');

type Row = Record<string, string | number>;

/** Prints the rows as a table, and saves them as text and JSON. */
export function report(name: string, rows: Row[]): void {
  const columns = Object.keys(rows[0]);
  const lines = [columns, ...rows.map((row) => columns.map((column) => `${row[column]}`))];
  const widths = columns.map((_, at) => Math.max(...lines.map((line) => line[at].length)));
  const pad = (cell: string, at: number) => (at === 0 ? cell.padEnd(widths[at]) : cell.padStart(widths[at]));
  const text = lines.map((line) => line.map(pad).join('  ').trimEnd()).join('\n') + '\n';
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(join(FOLDER, `${name}.txt`), text);
  writeFileSync(join(FOLDER, `${name}.json`), JSON.stringify(rows, null, 2) + '\n');
  console.log(`\n${name}\n${text}`);
}
