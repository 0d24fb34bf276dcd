import { request as ask, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test as plain } from '@playwright/test';
import { dem, drawn, expect, look, open, test } from './page';

/** What the page may weigh, gzipped, in all. */
const BUNDLE_BYTES = 400_000;
/** How long the first map may take, in the best of a few loads: asked only where the machine has nothing else to do. */
const FIRST_MAP_MS = Number(process.env.KILN_FIRST_MAP_MS ?? Infinity);

test('the page is small, and the first map is soon drawn', async ({ page }) => {
  const { gzipSync } = await import('node:zlib');
  const files = new Map<string, Promise<Buffer>>();
  page.on('response', answer => {
    const { pathname } = new URL(answer.url());
    if (/\/assets\/|\/$|favicon/.test(pathname)) files.set(pathname, answer.body());
  });
  await open(page);
  const sizes = (await Promise.all(files.values())).map(body => gzipSync(body, { level: 9 }).length);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  expect(files.size).toBeGreaterThan(4);
  expect(bytes).toBeLessThan(BUNDLE_BYTES);
  const times: number[] = [];
  for (let i = 0; i < 4 && (i === 0 || Math.min(...times) > FIRST_MAP_MS); i++) {
    await page.goto('about:blank');
    const began = Date.now();
    await page.goto('./');
    await page.waitForSelector('main[aria-busy=false]');
    times.push(Date.now() - began);
  }
  console.log(`the first map after ${times.join(', ')} ms; ${bytes} bytes gzipped`);
  expect(Math.min(...times)).toBeLessThanOrEqual(FIRST_MAP_MS);
});

plain('below a path of a proxy that strips it, everything is asked below that path', async ({ page, baseURL }) => {
  const target = new URL(baseURL ?? '');
  const outside: string[] = [];
  const proxy = createServer((from, to) => {
    if (!from.url?.startsWith('/maps/')) {
      outside.push(from.url ?? '');
      return void to.writeHead(404).end();
    }
    const path = target.pathname + from.url.slice('/maps/'.length);
    const on = ask({ host: target.hostname, port: target.port, path, method: from.method, headers: from.headers }, answer => {
      to.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(to);
    });
    on.on('error', () => to.destroy());
    to.on('close', () => on.destroy());
    from.pipe(on);
  });
  await new Promise<void>(resolve => proxy.listen(0, '127.0.0.1', resolve));
  try {
    const home = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/maps/`;
    await page.goto(`${home}#${dem('?colormap=viridis')}`);
    await drawn(page);
    expect((await look(page)).colors).toBeGreaterThan(50);
    await expect(page.locator('.badge.live, .badge.busy')).toContainText('Snapshot');
    await page.keyboard.press('s');
    expect(await page.locator('[data-name=xyz] input').inputValue()).toContain(`${home}singleband/dem/1/{z}/{x}/{y}.png`);
    expect(outside).toEqual([]);
  } finally {
    await page.close();
    proxy.closeAllConnections();
    proxy.close();
  }
});

test('without WebGL the page says why there is no map, and all else works', async ({ page, request }) => {
  await page.addInitScript(() => {
    const own = HTMLCanvasElement.prototype.getContext as (...all: unknown[]) => unknown;
    const none = function (this: HTMLCanvasElement, kind: string, ...more: unknown[]) {
      return kind.startsWith('webgl') ? null : own.call(this, kind, ...more);
    };
    Object.assign(HTMLCanvasElement.prototype, { getContext: none });
  });
  await page.goto(`./#${dem('?colormap=viridis')}`);
  await expect(page.getByRole('alert')).toContainText('There is no map here');
  await expect(page.getByRole('alert')).toContainText('hardware acceleration');
  await expect(page.locator('.legend')).toContainText('dem');
  await page.locator('#search').fill('cov');
  await page.locator('#suggestions li', { hasText: 'cover' }).first().click();
  await expect(page.locator('.list-head')).toContainText('1 dataset');
  await page.locator('.dataset-row', { hasText: 'cover' }).click();
  await expect(page.locator('.legend')).toContainText('forest');
  for (const key of 'cpravf') await page.keyboard.press(key);
  await page.keyboard.press('s');
  const preview = await page.getByRole('link', { name: 'Preview of all of it' }).getAttribute('href');
  expect((await request.get(preview ?? '')).status()).toBe(200);
  expect(await page.locator('[data-name=link] input').inputValue()).toContain('cover/1');
});
