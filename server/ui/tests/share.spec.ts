import { readFileSync, statSync } from 'node:fs';
import { changes, dem, drawn, expect, hashHas, later, layersTab, look, lookAt, open, series, test } from './page';

const STATE = `${dem('?colormap=viridis%26stretch_range=[100,900]')}&layer=default/rgb/photo?r=R%26g=G%26b=B%26opacity=0.5&swipe=0.6`;

test('a link shows another person the same page', async ({ page, context, baseURL }) => {
  await open(page, STATE);
  await page.getByRole('button', { name: 'Share and take away' }).click();
  await page.getByRole('button', { name: 'Copy Link to this page as it is' }).click();
  const link = await page.evaluate(() => navigator.clipboard.readText());
  expect(link.startsWith(baseURL ?? '')).toBe(true);
  await page.keyboard.press('Escape');
  await drawn(page);
  const other = await context.newPage();
  await other.goto(link);
  await drawn(other);
  await expect(other.getByRole('slider', { name: /Swipe/ })).toBeVisible();
  await expect.poll(async () => (await look(other)).print).toBe((await look(page)).print);
});

test('the URLs that can be copied answer', async ({ page, request, baseURL }) => {
  await open(page, dem('?colormap=viridis'));
  await page.keyboard.press('s');
  const url = (name: string) => page.locator(`[data-name=${name}] input`).inputValue();
  const xyz = await url('xyz');
  expect(xyz.startsWith(baseURL ?? '')).toBe(true);
  const tile = await request.get(xyz.replace('{z}', '9').replace('{x}', '266').replace('{y}', '181'));
  expect(tile.status()).toBe(200);
  expect(tile.headers()['content-type']).toBe('image/png');
  expect((await request.get(await url('tilejson'))).status()).toBe(200);
  const wmts = await request.get(await url('wmts'));
  expect(await wmts.text()).toContain('<Capabilities');
  await page.goto('about:blank');
  await open(page, series('B08', '20260401').replace('singleband/20260401/B08', 'rgb/20260401?r=B08%26g=B03%26b=B02'));
  await page.keyboard.press('s');
  const offered = await (await request.get(await url('wmts'))).text();
  for (const band of ['B08', 'B03', 'B02']) expect(offered).toContain(band);
  expect(offered).not.toMatch(/B04|20260701/);
  // A mosaic may be of more than WMTS names.
  await page.goto('about:blank');
  await open(page, series('B08', '*'));
  await page.keyboard.press('s');
  await expect(page.locator('[data-name=xyz]')).toBeVisible();
  await expect(page.locator('[data-name=wmts]')).toHaveCount(0);
  await page.getByRole('button', { name: 'Copy Leaflet' }).click();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toContain('L.tileLayer("http');
  await expect(page.locator('[data-name="MapLibre GL JS"] pre')).toContainText('map.addSource');
  await expect(page.locator('[data-name=QGIS] pre')).toContainText('type=xyz');
});

test('the view is saved as a picture, its values as a GeoTIFF', async ({ page, request }) => {
  await open(page, dem('?colormap=viridis'));
  await page.keyboard.press('s');
  const saved = page.waitForEvent('download');
  await page.getByRole('button', { name: 'PNG of this view' }).click();
  const download = await saved;
  expect(download.suggestedFilename()).toBe('kiln.png');
  expect(statSync(await download.path()).size).toBeGreaterThan(20_000);
  // Of a layer that is not seen, the legend and whom the map thanks are.
  const png = async () => {
    const again = page.waitForEvent('download');
    await page.getByRole('button', { name: 'PNG of this view' }).click();
    return readFileSync(await (await again).path());
  };
  await layersTab(page);
  await changes(page, () => page.getByLabel('Opacity').fill('0'));
  const bare = await png();
  expect((await lookAt(page, bare, { x: 0.5, y: 0.4, width: 0.2, height: 0.2 })).colors).toBeLessThan(20);
  expect((await lookAt(page, bare, { x: 0.02, y: 0.9, width: 0.15, height: 0.08 })).colors).toBeGreaterThan(100);
  expect((await lookAt(page, bare, { x: 0.95, y: 0.98, width: 0.05, height: 0.02 })).colors).toBeGreaterThan(5);
  const tif = await request.get((await page.getByRole('link', { name: 'GeoTIFF of this view' }).getAttribute('href')) ?? '');
  expect(tif.status()).toBe(200);
  expect((await tif.body()).length).toBeGreaterThan(10_000);
});

test('a link that makes no sense still opens a page', async ({ page }) => {
  await open(page, 'at=nonsense&in=nowhere&layer=nowhere/singleband/a&layer=default/singleband/onlyone&swipe=9&area=1,2&ask=x');
  await layersTab(page);
  await expect(page.locator('.layer')).toHaveCount(1);
});

test('a link outlives a server that is not up yet', async ({ page }) => {
  page.removeAllListeners('console');
  await page.clock.install();
  let status = 502;
  await page.route(/\/(collections|events|ready)$/, route => (status ? route.fulfill({ status, body: '{}' }) : route.continue()));
  const state = dem('?colormap=viridis');
  await page.goto(`./#${state}`);
  await expect(page.getByRole('alert')).toContainText('Kiln does not answer');
  await page.getByRole('button', { name: 'Share and take away' }).click();
  expect(await page.locator('[data-name=link] input').inputValue()).toContain(state);
  // Nothing is published at first; nobody has to try again.
  status = 503;
  await later(page, 5, () => expect(page.getByText('Nothing here yet')).toBeVisible({ timeout: 1000 }));
  status = 0;
  await later(page, 5, () => expect(page.getByRole('tab', { name: /Layers/ })).toContainText('1', { timeout: 1000 }));
  await drawn(page);
  expect((await look(page)).colors).toBeGreaterThan(50);
  await hashHas(page, /dem\/1\?colormap=viridis/);
});
