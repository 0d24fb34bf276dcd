import { AT, changes, dem, drawn, expect, hashHas, json, look, open, series, test } from './page';

test('an untold page shows something at once, and where it lies', async ({ page }) => {
  await open(page);
  expect((await look(page)).colors).toBeGreaterThan(50);
  await expect(page.locator('.dataset-row').first()).toBeVisible();
  await hashHas(page, /layer=default\/rgb\/photo/);
});

test('datasets are found by any key with type-ahead, and the list follows', async ({ page, request }) => {
  await open(page, series('B08'));
  const { total } = await json<{ total: number }>(request, 'collections/series/datasets?limit=1&total=true');
  await expect(page.locator('.list-head')).toContainText(`${total} datasets`);
  await page.keyboard.press('/');
  await page.keyboard.type('B0');
  const options = page.locator('#suggestions li');
  await expect(options.filter({ hasText: 'B08' })).toBeVisible();
  await page.keyboard.type('8');
  await expect(options.first()).toContainText('B08');
  await page.keyboard.press('Enter');
  await expect(page.locator('.chip')).toContainText('B08');
  const { total: some } = await json<{ total: number }>(request, 'collections/series/datasets?limit=1&total=true&band=B08');
  await expect(page.locator('.list-head')).toContainText(`${some} datasets`);
  await hashHas(page, /is\.band=B08/);
  // A range of dates.
  await page.locator('#search').fill('20260401');
  await options.filter({ hasText: 'from 2026-04-01' }).click();
  await expect(page.locator('.list-head')).toContainText(`${some - 1} datasets`);
  await page.getByRole('button', { name: /Remove the condition band/ }).click();
  await expect(page.locator('.list-head')).toContainText(`${(some - 1) * (total / some)} datasets`);
});

test('dates are searched as they are read, and other values are no dates', async ({ page }) => {
  await open(page, series('B08'));
  const options = page.locator('#suggestions li');
  await expect(page.locator('.dataset-row').first()).toContainText('2026-');
  await page.locator('#search').fill('2026-04');
  await expect(options.first().locator('.value')).toHaveText('2026-04-01');
  await options.filter({ hasText: 'until 2026-04' }).click();
  await expect(page.locator('.chip')).toContainText('≤ 2026-04');
  await expect(page.locator('.list-head')).toContainText('8 datasets');
  await page.locator('#search').fill('2026-04-01');
  await options.filter({ hasText: 'contains' }).first().click();
  await expect(page.locator('.list-head')).toContainText('4 datasets');
  // Names of tiles that look like months, one of which cannot be.
  const tiles = ['199905', '20260101', 'x7', 'x8'].map(value => ({ value, count: 1 }));
  await page.route('**/series/keys/date?*', route => route.fulfill({ json: { values: tiles } }));
  await page.reload();
  await expect(page.locator('.legend h2')).toContainText('20260401');
  await expect(page.locator('.dataset-row').first()).not.toContainText('2026-');
});

test('datasets are found by what the map shows', async ({ page }) => {
  await open(page, 'at=9/10/120&in=default&layer=default/singleband/dem/1');
  await page.getByLabel('in this view').check();
  await expect(page.locator('.list-head')).toContainText('0 datasets');
  await page.getByRole('button', { name: 'Zoom to everything' }).click();
  await expect(page.locator('.list-head')).not.toContainText(/^0 datasets/);
});

test('what a map of the whole world, or of a copy of it, shows is found', async ({ page, request }) => {
  const { total } = await json<{ total: number }>(request, 'datasets?limit=1&total=true');
  for (const at of ['0.5/20/0', '6/46.5/367.5', '6/46.5/-352.5']) {
    await page.goto('about:blank');
    await open(page, `at=${at}&in=default&view=1&layer=default/singleband/dem/1`);
    await expect(page.locator('.list-head')).toContainText(`${total} datasets`);
    await page.keyboard.press('s');
    const cut = await page.getByRole('link', { name: 'GeoTIFF of this view' }).getAttribute('href');
    expect((await request.get(cut ?? '')).status()).toBe(200);
  }
});

test('pointing at a dataset shows its outline, a click goes there', async ({ page }) => {
  await open(page, 'at=7/46.5/7.5&in=default&footprints=0&layer=default/singleband/dem/1?hidden=1');
  const row = page.locator('.dataset-row', { hasText: 'dem' });
  await changes(page, () => row.hover(), { x: 0.3, y: 0.1, width: 0.5, height: 0.7 });
  const before = page.url();
  await row.click();
  await expect.poll(() => page.url()).not.toBe(before);
  await drawn(page);
  expect((await look(page)).colors).toBeGreaterThan(50);
});

test('a dataset is added as one more layer', async ({ page }) => {
  await open(page, dem());
  await page.locator('.dataset-row', { hasText: 'photo' }).first().hover();
  await changes(page, () =>
    page
      .getByRole('button', { name: /Add photo/ })
      .first()
      .click(),
  );
  await expect(page.getByRole('tab', { name: /Layers/ })).toContainText('2');
});

test('what matches is shown as one mosaic', async ({ page }) => {
  await open(page, `${AT}&in=series&is.band=B08&layer=series/singleband/20260101/B04`);
  await changes(page, () => page.getByRole('button', { name: 'Mosaic of what matches' }).click());
  await hashHas(page, /layer=series\/singleband\/\*\/B08/);
});
