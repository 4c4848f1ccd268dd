// Names, cells, files and addresses that try to run as scripts, in a real browser: none runs or contacts another
// server, and the policy blocks nothing, since everything is rendered as text.

import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from '@playwright/test';
import { expect, hydrated, signIn, test, type Lakeshore } from './fixtures';

/** Two columns and two rows, with names and values from `ENDS`. */
const PARQUET =
  'UEFSMRUAFXoVeiwVBBUAFQYVBgAAAgAAAAQBHQAAACI+PGltZyBzcmM9eCBvbmVycm9yPXB3bmVkKCk+EgAAAGphdmFzY3JpcHQ6cHduZWQoKRUAFYwBFYwBLBUEFQAVBhUGAAACAAAABAEgAAAAPC90aXRsZT48c2NyaXB0PnB3bmVkKCk8L3NjcmlwdD4YAAAAPC90ZXh0YXJlYT48L3NjcmlwdD48IS0tFQIZPDUAGA1kdWNrZGJfc2NoZW1hFQQAFQwlAhggPC90aXRsZT48c2NyaXB0PnB3bmVkKCk8L3NjcmlwdD4lAAAVDCUCGB0iPjxpbWcgc3JjPXggb25lcnJvcj1wd25lZCgpPiUAABYEGRwZLCYAHBUMGRUAGRggPC90aXRsZT48c2NyaXB0PnB3bmVkKCk8L3NjcmlwdD4VABYEFpwBFpwBJgg8GBJqYXZhc2NyaXB0OnB3bmVkKCkYHSI+PGltZyBzcmM9eCBvbmVycm9yPXB3bmVkKCk+FgAoEmphdmFzY3JpcHQ6cHduZWQoKRgdIj48aW1nIHNyYz14IG9uZXJyb3I9cHduZWQoKT4REQAAACYAHBUMGRUAGRgdIj48aW1nIHNyYz14IG9uZXJyb3I9cHduZWQoKT4VABYEFrIBFrIBJqQBPBggPC90aXRsZT48c2NyaXB0PnB3bmVkKCk8L3NjcmlwdD4YGDwvdGV4dGFyZWE+PC9zY3JpcHQ+PCEtLRYAKCA8L3RpdGxlPjxzY3JpcHQ+cHduZWQoKTwvc2NyaXB0PhgYPC90ZXh0YXJlYT48L3NjcmlwdD48IS0tEREAAAAWzgIWBCYIFs4CACgoRHVja0RCIHZlcnNpb24gdjEuNS41IChidWlsZCBkOGNkYWEzM2ZkKRksHAAAHAAAAAUCAABQQVIx';

/** Texts that end a title, a text area, a script, a comment or an attribute, and similar ones that do not. */
const ENDS = [
  '</title><script>pwned()</script>',
  '</textarea></script><!--<script>pwned()</script>',
  '"><img src=x onerror=pwned()>',
  "'onmouseover=pwned() onfocus=pwned() autofocus='<svg onload=pwned()>",
  '&lt;script&gt;pwned()&lt;/script&gt;&#60;b&#62;',
  '`${pwned()}` {{pwned()}} javascript:pwned()',
];

/** Valid file name of a text: without slashes and a leading dot. */
const named = (end: string): string => end.replaceAll('/', '\u2215');
const addressOf = (path: string): string => path.split('/').map(encodeURIComponent).join('/');

/** Records all effects that hostile texts must not have. */
async function watch(page: Page, lakeshore: Lakeshore): Promise<string[]> {
  const seen: string[] = [];
  await page.exposeFunction('pwned', () => seen.push('a script ran'));
  await page.exposeFunction('reported', (violation: string) => seen.push(`the policy had to stop ${violation}`));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      void (window as any).reported(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
    });
  });
  page.on('dialog', (dialog) => {
    seen.push(`a dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('popup', () => seen.push('a window'));
  page.on('download', () => seen.push('a download'));
  page.on('request', (request) => {
    const url = new URL(request.url());
    const isKnown =
      request.resourceType() === 'document' ||
      /^\/(pkg\/|fn\/[a-z-]+$|api\/events$|favicon\.svg$)/.test(url.pathname) ||
      (url.pathname === '/api/lake/file/download' && request.resourceType() === 'image');
    if (url.origin !== lakeshore.url || !isKnown) seen.push(`a request for ${request.resourceType()} ${request.url()}`);
  });
  return seen;
}

/** Uploads a file with exactly this name and `User-Agent`; clients would quote them. */
function upload(lakeshore: Lakeshore, syncId: number, name: string, content: string | Buffer, program = 'test'): Promise<number> {
  const body = Buffer.concat([
    Buffer.from(`--b\r\nContent-Disposition: form-data; name="file"; filename="${name.replaceAll('"', '%22')}"\r\n\r\n`),
    Buffer.from(content),
    Buffer.from('\r\n--b--\r\n'),
  ]);
  const headers = { 'Content-Type': 'multipart/form-data; boundary=b', 'Content-Length': body.length, 'User-Agent': program };
  return new Promise((resolve, reject) => {
    const call = httpRequest(`${lakeshore.url}/api/lake/file/upload?sync_id=${syncId}`, { method: 'POST', headers }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode!));
    });
    call.on('error', reject);
    call.end(body);
  });
}

/** Runs a sync with hostile name, path and files. */
async function land(lakeshore: Lakeshore, key: string, end: string, ends = true): Promise<number> {
  const path = `/team/${named(end)}`;
  const quoted = `"${end.replaceAll('"', '""')}"`;
  const id = await lakeshore.start_sync(key, path, 'FullSync', end);
  expect(await upload(lakeshore, id, `${named(end)}.csv`, `${quoted},b\n${quoted},2\n`, end)).toBe(200);
  expect(await upload(lakeshore, id, 'table.parquet', Buffer.from(PARQUET, 'base64'), end)).toBe(200);
  await upload(lakeshore, id, `../${end}`, 'refused', end);
  if (ends) await lakeshore.end(key, id);
  return id;
}

const MAIN_PAGES = ['/', '/?by=type', '/syncs', '/datasets', '/upload', '/lake', '/history', '/history?status=Failed', '/trash', '/activity', '/keys', '/search', '/sign-in'];

/** Pages of one sync, its dataset, files and trash, with their titles. */
function pagesOf(end: string, syncId: number): [string, string][] {
  const path = `/team/${named(end)}`;
  const file = `${path}/${named(end)}.csv`;
  const dataset = `/datasets${addressOf(path)}`;
  const q = encodeURIComponent(end);
  return [
    ...['', '?tab=syncs', '?tab=calendar', '?tab=versions', '?tab=rhythm'].map((tab): [string, string] => [dataset + tab, path]),
    [`/lake${addressOf(path)}`, path],
    ...['', '?tab=schema', '?tab=use'].map((tab): [string, string] => [`/lake${addressOf(file)}${tab}`, file]),
    ...['', '?tab=schema', '?tab=row-groups'].map((tab): [string, string] => [`/lake${addressOf(path)}/table.parquet${tab}`, `${path}/table.parquet`]),
    [`/syncs/${syncId}`, `Sync ${syncId}`],
    [`/trash/syncs/${syncId}`, 'Trash'],
    [`/search?q=${q}`, 'Search'],
    [`/syncs?q=${q}&path=${q}`, 'Syncs'],
    [`/history?q=${q}`, 'Uploads'],
    [`/activity?who=${q}`, 'Activity'],
    [`/upload?path=${encodeURIComponent(path)}`, 'Upload files'],
    [`/sign-in?next=/${q}&error=${q}`, 'Sign in'],
    [`/trash?restored=1&failed=1&why=${q}&refused=${q}&__err=${q}`, 'Trash'],
  ];
}

/** A title with its white space collapsed, as browsers show it. */
const shown = (title: string): string => title.replace(/\s+/g, ' ').trim();

/** Follows a link by the router, without a new document. */
async function navigate(page: Page, address: string): Promise<void> {
  await page.evaluate((href) => {
    const link = document.createElement('a');
    link.href = href;
    document.body.append(link);
    link.click();
    link.remove();
  }, address);
}

async function settled(page: Page): Promise<void> {
  await expect(page.locator('h1')).toHaveCount(1);
  await expect(page.locator('.skeleton')).toHaveCount(0);
}

test.describe('pages with hostile names', () => {
  test.use({ expectedComplaints: ['404', '400'] });

  test('run no script, rendered by the server or by the browser', async ({ page, lakeshore }) => {
    const key = lakeshore.key();
    const ids: number[] = [];
    for (const end of ENDS) {
      lakeshore.key('write', end);
      await land(lakeshore, key, end);
      // Sends the files of the first sync to the trash.
      ids.push(await land(lakeshore, key, end));
    }
    await signIn(page, lakeshore, key);
    const seen = await watch(page, lakeshore);
    for (const address of MAIN_PAGES) {
      await page.goto(lakeshore.url + address);
      await hydrated(page);
      await settled(page);
      expect(seen, address).toEqual([]);
    }
    for (const [index, end] of ENDS.entries()) {
      for (const [address, title] of pagesOf(end, ids[index])) {
        await page.goto(lakeshore.url + address);
        // Before and after hydration.
        if (title.startsWith('/')) expect(shown(await page.title()), address).toBe(shown(`${title} · Lakeshore`));
        await hydrated(page);
        await settled(page);
        if (title.startsWith('/')) expect(shown(await page.title()), address).toBe(shown(`${title} · Lakeshore`));
        expect(seen, address).toEqual([]);
      }
    }
    // The same pages by the router alone.
    await page.goto(lakeshore.url);
    await hydrated(page);
    await page.evaluate(() => ((window as any).isSameDocument = true));
    for (const [index, end] of ENDS.entries()) {
      for (const [address, title] of [...MAIN_PAGES.map((address): [string, string] => [address, '']), ...pagesOf(end, ids[index])]) {
        await navigate(page, address);
        await expect.poll(() => page.evaluate(() => location.pathname + location.search)).toBe(new URL(address, lakeshore.url).pathname + new URL(address, lakeshore.url).search);
        if (title.startsWith('/')) await expect.poll(async () => shown(await page.title()), { message: address }).toBe(shown(`${title} · Lakeshore`));
        await settled(page);
        expect(seen, address).toEqual([]);
      }
    }
    expect(await page.evaluate(() => (window as any).isSameDocument), 'no document was loaded meanwhile').toBe(true);
  });

  test('that do not exist show it, and run no script', async ({ page, lakeshore }) => {
    const seen = await watch(page, lakeshore);
    for (const end of ENDS) {
      for (const base of ['/', '/datasets/', '/lake/', '/syncs/', '/trash/pieces/', '/trash/syncs/']) {
        await page.goto(`${lakeshore.url}${base}${encodeURIComponent(end)}`);
        await hydrated(page);
        await settled(page);
        expect(seen, base + end).toEqual([]);
      }
    }
  });
});

test('dialogs, the palette and live rows show hostile names as text', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  await signIn(page, lakeshore, key);
  const seen = await watch(page, lakeshore);
  for (const [index, end] of ENDS.slice(0, 4).entries()) {
    // An open list updates by an event.
    await page.goto(`${lakeshore.url}/${['syncs', 'activity', 'history', 'syncs'][index]}`);
    await hydrated(page);
    await expect(page.locator('.live-on')).toBeVisible();
    const id = await land(lakeshore, key, end, false);
    await expect(page.getByRole('main')).toContainText(index === 2 ? `${named(end)}.csv` : end.slice(0, 12));
    await page.goto(`${lakeshore.url}/syncs/${id}`);
    await hydrated(page);
    for (const verb of [/^End/, /^Abort/]) {
      await page.getByRole('button', { name: verb }).first().click();
      await expect(page.getByRole('dialog')).toBeVisible();
      await page.keyboard.press('Escape');
    }
    await lakeshore.end(key, id);
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox', { name: /^Search datasets/ }).fill(end.slice(0, 12));
    await expect(page.getByRole('option').filter({ hasText: named(end).slice(0, 12) }).first()).toBeVisible();
    await page.keyboard.press('Escape');
    lakeshore.key('write', end);
    await page.goto(`${lakeshore.url}/keys`);
    await hydrated(page);
    await page.getByRole('row').filter({ hasText: end }).getByRole('button', { name: /^Revoke/ }).click();
    await expect(page.getByRole('dialog')).toContainText(end);
    await page.keyboard.press('Escape');
    expect(seen, end).toEqual([]);
  }
});

test('a file with a hostile name is sent from the browser', async ({ page, lakeshore }) => {
  const key = lakeshore.key();
  await signIn(page, lakeshore, key, '/upload');
  const seen = await watch(page, lakeshore);
  await page.reload();
  await hydrated(page);
  const name = '"><img src=x onerror=pwned()>\u202Evsc.csv';
  await page.getByRole('combobox', { name: 'Lake path' }).or(page.getByRole('textbox', { name: 'Lake path' })).first().fill('/team/<img src=x onerror=pwned()>');
  await page.locator('input[type=file]').first().setInputFiles([{ name, mimeType: 'text/csv', buffer: Buffer.from('a\n') }]);
  await expect(page.getByRole('table', { name: 'Files' })).toContainText('⟨U+202E⟩vsc.csv');
  // Only pages and their resources; uploads use other requests.
  expect(seen).toEqual([]);
});

test.describe('a key with the role write', () => {
  test.use({ serveOptions: ['--auth', 'required'], expectedComplaints: ['403', 'Failed to load', 'TrustedScript', 'Content Security Policy', 'ERR_', 'MIME type', 'Refused', 'net::'] });

  test('cannot act for the admin who views its files', async ({ page, lakeshore }) => {
    const admin = lakeshore.key();
    const writer = lakeshore.key('write', 'writer');
    const script = `fetch('/fn/create-key',{method:'POST',headers:{'Content-Type':'application/json'},body:JSON.stringify({new:{name:'planted',role:'admin',path_prefix:null,expires_at:null}})}).then(()=>pwned())`;
    const post = async (id: number, name: string, content: string | Buffer): Promise<void> => {
      const form = new FormData();
      form.append('file', new Blob([content as string]), name);
      const response = await fetch(`${lakeshore.url}/api/lake/file/upload?sync_id=${id}`, { method: 'POST', headers: { Authorization: `Bearer ${writer}` }, body: form });
      expect(response.status).toBe(200);
    };
    const id = await lakeshore.start_sync(writer, '/team/js', 'IncrementalSync');
    const files = ['evil.js', 'evil.mjs', 'evil.html', 'evil.svg', 'evil.png', 'evil.css', 'evil.txt', 'evil'];
    for (const name of files) await post(id, name, name === 'evil.html' || name.endsWith('g') ? `<svg xmlns="http://www.w3.org/2000/svg"><script>${script}</script></svg>` : script);
    await post(id, 'polyglot.gif', `GIF89a=1;${script}`);
    await lakeshore.end(writer, id);
    const from = (name: string): string => `/api/lake/file/download?path=/team/js/${name}`;
    const paths = [
      `/team/</title><script src=${from('evil.js')}></script>`,
      `/team/</title><script type=module src=${from('polyglot.gif')}></script>`,
      `/team/</title><link rel=stylesheet href=${from('evil.css')}><iframe src=${from('evil.html')}></iframe>`,
      '/team/</title><meta http-equiv=refresh content=0;url=https:evil.example>',
      '/team/</title><base href=https:evil.example>',
    ];
    for (const path of paths) {
      const planted = await lakeshore.start_sync(writer, path, 'FullSync', path);
      await post(planted, 'x.csv', 'a\n1\n');
      await lakeshore.end(writer, planted);
    }
    await signIn(page, lakeshore, admin);
    const seen = await watch(page, lakeshore);
    for (const path of paths) {
      for (const base of ['/datasets', '/lake']) {
        await page.goto(lakeshore.url + base + addressOf(path));
        await hydrated(page);
        await settled(page);
        expect(page.url()).toBe(lakeshore.url + base + addressOf(path));
        expect(await page.title()).toBe(`${path} · Lakeshore`);
      }
    }
    expect(seen).toEqual([]);

    // Even a page that could be made to request a file cannot use it as a script, worker, style, frame or service
    // worker.
    const became = await page.evaluate(async (addresses) => {
      const done: string[] = [];
      const tried = (how: string, attempt: () => unknown): Promise<void> =>
        Promise.race([
          new Promise((resolve) => setTimeout(resolve, 2000)),
          Promise.resolve()
            .then(attempt)
            .then((came) => void (came && done.push(how)), () => undefined),
        ]) as Promise<void>;
      const loaded = (name: string, attributes: Record<string, string>): Promise<boolean> =>
        new Promise((resolve) => {
          const element = document.createElement(name);
          element.onload = () => resolve(true);
          element.onerror = () => resolve(false);
          for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
          document.body.append(element);
        });
      for (const address of addresses) {
        await tried(`script ${address}`, () => loaded('script', { src: address }));
        await tried(`module ${address}`, () => import(address).then(() => true));
        await tried(`style ${address}`, () => loaded('link', { rel: 'stylesheet', href: address }));
        await tried(`worker ${address}`, () => new Worker(address) && true);
        await tried(`shared worker ${address}`, () => new SharedWorker(address) && true);
        await tried(`service worker ${address}`, () => navigator.serviceWorker.register(address).then(() => true));
      }
      await tried('a text', () => (0, eval)('true'));
      await tried('a script of a text', () => {
        const element = document.createElement('script');
        element.text = 'window.hasRun = true';
        document.body.append(element);
        return (window as any).hasRun;
      });
      return done;
    }, [...files, 'polyglot.gif'].map(from));
    expect(became, 'nothing of the lake was run').toEqual([]);
    expect(seen.filter((one) => one === 'a script ran')).toEqual([]);

    // Opening the address saves the file, and never shows it.
    for (const name of ['evil.html', 'evil.svg', 'evil.txt', 'evil.js']) {
      const saved = page.waitForEvent('download');
      await page.goto(lakeshore.url + from(name)).catch(() => undefined);
      expect((await saved).suggestedFilename()).toBe(name);
    }
    await page.goto(`${lakeshore.url}/keys`);
    await hydrated(page);
    await expect(page.getByRole('row').filter({ hasText: 'writer' })).toBeVisible();
    await expect(page.getByRole('row').filter({ hasText: 'planted' })).toHaveCount(0);
  });
});

test('another site can read, embed and open nothing of the lake', async ({ page, lakeshore, context }) => {
  const id = await lakeshore.start_sync(lakeshore.key(), '/data/t', 'IncrementalSync');
  const pixel = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');
  expect(await upload(lakeshore, id, 'dot.png', pixel)).toBe(200);
  // The same machine by another name, or on another port, is another site.
  const elsewhere = createServer((_, response) => response.setHeader('Content-Type', 'text/html').end('<h1>elsewhere</h1>'));
  await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
  const other = await context.newPage();
  await other.goto(`http://localhost:${(elsewhere.address() as AddressInfo).port}/`);
  const came = await other.evaluate(async (url) => {
    const image = (address: string): Promise<boolean> =>
      new Promise((resolve) => {
        const element = new Image();
        element.onload = () => resolve(true);
        element.onerror = () => resolve(false);
        element.src = address;
      });
    const read = (address: string): Promise<boolean> => fetch(address, { mode: 'no-cors' }).then(() => true, () => false);
    const framed = document.createElement('iframe');
    framed.src = `${url}/keys`;
    document.body.append(framed);
    await new Promise((resolve) => (framed.onload = resolve));
    return [
      await image(`${url}/api/lake/file/download?path=/data/t/dot.png`),
      await image(`${url}/favicon.svg`),
      await read(`${url}/api/ingestion/file/sync/list`),
    ];
  }, lakeshore.url);
  expect(came).toEqual([false, false, false]);
  expect(other.frames().map((frame) => frame.url()).filter((url) => url.startsWith(lakeshore.url))).toEqual([]);
  elsewhere.close();
  await page.goto(`${lakeshore.url}/lake/data/t/dot.png`);
  await hydrated(page);
  const image = page.getByRole('img', { name: 'Image dot.png' });
  await expect.poll(() => image.evaluate((shown: HTMLImageElement) => shown.naturalWidth), { message: 'its own page shows it' }).toBe(1);
});

test.describe('names of the greatest length', () => {
  test.use({ viewport: { width: 800, height: 900 } });

  test('stay within their page', async ({ page, lakeshore }) => {
    const key = lakeshore.key();
    const long = 'w'.repeat(200);
    const path = `/team/${long}`;
    const id = await lakeshore.start_sync(key, path, 'FullSync', long);
    expect(await upload(lakeshore, id, `${long}.csv`, `${long},b\n${long},2\n`, long)).toBe(200);
    await lakeshore.end(key, id);
    lakeshore.key('write', long);
    await signIn(page, lakeshore, key);
    for (const address of [...MAIN_PAGES, `/datasets${path}`, `/lake${path}`, `/lake${path}/${long}.csv`, `/lake${path}/${long}.csv?tab=use`, `/syncs/${id}`, `/search?q=${long}`, `/history?q=${long}`]) {
      await page.goto(lakeshore.url + address);
      await hydrated(page);
      await settled(page);
      const [wide, room] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
      expect(wide, address).toBeLessThanOrEqual(room);
    }
  });
});
