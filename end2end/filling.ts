// Fills a lake as after some days of use.

import { request as httpRequest } from 'node:http';
import type { Lakeshore } from './fixtures';

/** An upload that stalls after its start, so that it is shown in flight. */
function hang(lakeshore: Lakeshore, syncId: number, name: string): void {
  const url = `${lakeshore.url}/api/lake/file/upload?sync_id=${syncId}`;
  const headers = { 'Content-Type': 'multipart/form-data; boundary=b', 'Content-Length': '50000000' };
  const upload = httpRequest(url, { method: 'POST', headers });
  upload.on('error', () => undefined);
  upload.write(`--b\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\n`);
  upload.write('x'.repeat(300_000));
}

/** Creates syncs of each type and status, one of them with an upload in flight. */
export async function fill(lakeshore: Lakeshore, key: string): Promise<void> {
  const rows = (count: number) => 'id,amount,currency\n' + '1,19.90,EUR\n'.repeat(count);
  for (const [name, path, files] of [
    ['orders nightly', '/data/db/orders', 5],
    ['customers reload', '/data/db/customers', 3],
    ['web events 06/12/21', '/data/web/events', 12],
    ['exchange rates', '/data/reference/rates', 1],
  ] as const) {
    for (const day of ['06', '07']) {
      const sync = await lakeshore.start_sync(key, path, 'FullSync', `${name}, day ${day}`);
      for (let file = 0; file < files; file += 1) await lakeshore.upload(sync, `part-${file}.csv`, rows(900 * (file + 1)));
      await lakeshore.end(key, sync);
    }
  }
  const aborted = await lakeshore.start_sync(key, '/data/db/stock', 'FullSync', 'stock reload');
  await lakeshore.upload(aborted, 'stock.csv', rows(20));
  await lakeshore.post('/api/ingestion/file/sync/abort', { sync_id: aborted, api_key: key });
  const running = await lakeshore.start_sync(key, '/data/web/clicks', 'IncrementalSync', 'clicks, every minute');
  for (let file = 0; file < 4; file += 1) await lakeshore.upload(running, `clicks-${file}.csv`, rows(5000));
  await lakeshore.upload(running, '../outside.csv', 'x');
  hang(lakeshore, running, 'clicks-5.csv');
}
