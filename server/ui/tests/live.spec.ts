import { copyFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dem, drawn, expect, later, layersTab, look, open, test } from './page';

const folder = process.env.KILN_DROP ?? '';

test.beforeEach(() => test.skip(folder === '', 'KILN_DROP names no folder'));

test('a raster dropped while the page is open appears by itself', async ({ page }) => {
  await open(page, dem('?hidden=1'));
  const before = await page.locator('.badge').textContent();
  const rows = page.locator('.dataset-row', { hasText: 'arrived' });
  await expect(rows).toHaveCount(0);
  copyFileSync(join(folder, 'dem.tif'), join(folder, '.arriving.part'));
  renameSync(join(folder, '.arriving.part'), join(folder, 'arrived.tif'));
  await expect(rows.first()).toBeVisible();
  await expect(page.locator('.badge')).not.toHaveText(before ?? '');
  const toast = page.locator('.toast', { hasText: 'arrived' });
  await toast.getByRole('button', { name: 'Show' }).click();
  await expect(page.getByRole('tab', { name: /Layers/ })).toContainText('2');
  await drawn(page);
  await expect.poll(async () => (await look(page)).colors).toBeGreaterThan(50);
});

test('what was rejected is told with its reason', async ({ page }) => {
  await open(page, dem());
  writeFileSync(join(folder, '.broken.part'), 'no raster\n');
  renameSync(join(folder, '.broken.part'), join(folder, 'broken.tif'));
  await page.locator('.badge').click();
  const drawer = page.getByRole('dialog', { name: 'What happens now' });
  await expect(drawer.locator('.rejected')).toContainText('broken.tif');
  await expect(drawer.locator('.rejected p').first()).not.toBeEmpty();
  await expect(drawer).toContainText('Being converted');
  await expect(drawer).toContainText(folder.split('/').at(-1) ?? '');
});

test('conversions are shown with their progress', async ({ page }) => {
  const jobs = { pending: 3, jobs: [{ source: 'default', input: 'large.tif', stage: 'convert', done: 0.42, seconds: 1 }] };
  const told = [
    ['snapshot', JSON.stringify({ n: 1, at: '2026-01-01T00:00:00Z', datasets: 1 })],
    ['jobs', JSON.stringify(jobs)],
  ];
  await page.addInitScript(events => {
    // A stream that stays open, as a fulfilled route does not: what is at work is forgotten when the connection is lost.
    class Stream extends EventTarget {
      static readonly CLOSED = 2;
      readonly readyState = 1;
      onopen: (() => void) | null = null;
      constructor() {
        super();
        setTimeout(() => {
          this.onopen?.();
          for (const [name = '', data = ''] of events) this.dispatchEvent(new MessageEvent(name, { data }));
        });
      }
      close(): void {}
    }
    Object.assign(window, { EventSource: Stream });
  }, told);
  await page.goto('./');
  await page.locator('.badge').click();
  await expect(page.locator('.jobs')).toContainText('converting 42 %');
  await expect(page.getByText('3 more wait.')).toBeVisible();
});

test('after an outage all mends itself', async ({ page }) => {
  page.removeAllListeners('console');
  await page.clock.install();
  let down = false;
  await page.route('**/events', route => route.fulfill({ status: 502, body: '' }));
  const asked = /\/(ready|jobs|datasets|singleband|point)\b/;
  await page.route(asked, route => (down ? route.fulfill({ status: 502, body: '' }) : route.fallback()));
  const jobs = { pending: 0, jobs: [{ source: 'default', input: 'large.tif', stage: 'convert', done: 0.4, seconds: 1 }] };
  await page.route('**/jobs', route => (down ? route.fulfill({ status: 502, body: '' }) : route.fulfill({ json: jobs })));
  await open(page, dem());
  // What is at work is known without the stream too.
  await expect(page.locator('.badge.busy')).toBeVisible();
  down = true;
  await layersTab(page);
  await page.getByRole('button', { name: 'All', exact: true }).click();
  await page.mouse.click(800, 400);
  await expect(page.locator('.answers .fault')).toBeVisible();
  await expect(page.locator('.layer .fault')).toBeVisible();
  await page.getByRole('tab', { name: /Data/ }).click();
  await page.getByLabel('in this view').check();
  await expect(page.locator('#panel-data .fault')).toBeVisible();
  await later(page, 5, () => expect(page.locator('.badge.lost')).toBeVisible({ timeout: 1000 }));
  down = false;
  await later(page, 5, () => expect(page.locator('.badge.busy')).toBeVisible({ timeout: 1000 }));
  await expect(page.locator('.fault')).toHaveCount(0);
  await expect(page.locator('.dataset-row').first()).toBeVisible();
  await expect(page.locator('.answers dd')).toContainText('m');
});

test('tiles that failed during an outage come by themselves', async ({ page }) => {
  page.removeAllListeners('console');
  let down = true;
  await page.route('**/events', route => route.fulfill({ status: 502, body: '' }));
  await page.route(/\/ready$|\/\d+\.png/, route => (down ? route.fulfill({ status: 502, body: '' }) : route.continue()));
  await open(page, dem());
  await expect(page.locator('.toast')).toContainText('some tiles were refused: 502');
  expect((await look(page)).colors).toBeLessThan(20);
  down = false;
  await expect.poll(async () => (await look(page)).colors).toBeGreaterThan(50);
});

test('a base map of another server that was away comes by itself', async ({ page }) => {
  page.removeAllListeners('console');
  let down = true;
  const red = await page.evaluate(() => {
    const canvas = Object.assign(document.createElement('canvas'), { width: 256, height: 256 });
    const context = canvas.getContext('2d');
    if (context) context.fillStyle = '#f00';
    context?.fillRect(0, 0, 256, 256);
    return canvas.toDataURL().split(',')[1] ?? '';
  });
  await page.route('**/ui.json', async route => {
    const answer = await route.fetch();
    const basemap = { kind: 'raster', tiles: [new URL('base/{z}/{x}/{y}', route.request().url()).href], attribution: null };
    await route.fulfill({ json: { ...(await answer.json()), basemap } });
  });
  await page.route('**/base/*/*/*', route =>
    down ? route.fulfill({ status: 502, body: '' }) : route.fulfill({ contentType: 'image/png', body: Buffer.from(red, 'base64') }),
  );
  await open(page, dem('?hidden=1'));
  await expect(page.locator('.toast')).toHaveText(/some tiles were refused: 502/);
  // The page's own server was there all the time.
  await expect(page.locator('.badge.live, .badge.busy')).toBeVisible();
  down = false;
  await expect.poll(async () => (await look(page)).mean).toEqual([255, 0, 0]);
});

test('an empty catalogue says what to do, and the first raster opens it', async ({ page }) => {
  let empty = true;
  await page.route('**/collections', route => (empty ? route.fulfill({ json: { collections: [] } }) : route.continue()));
  await page.route('**/events', route => route.fulfill({ contentType: 'text/event-stream', body: 'retry: 300\n\n' }), { times: 1 });
  await page.goto('./');
  await expect(page.getByText('Nothing here yet')).toBeVisible();
  await expect(page.locator('#panel-data .empty')).toContainText('Drop a GeoTIFF into');
  empty = false;
  await expect(page.locator('.dataset-row').first()).toBeVisible();
  await drawn(page);
});

test('a server that does not answer is told, with what to do', async ({ page }) => {
  await page.route('**/collections', route => route.fulfill({ status: 500, json: { message: 'the catalogue cannot be read' } }));
  page.removeAllListeners('console');
  await page.goto('./');
  await expect(page.getByRole('alert')).toContainText('the catalogue cannot be read');
  await expect(page.getByRole('button', { name: 'Try again' })).toBeVisible();
});
