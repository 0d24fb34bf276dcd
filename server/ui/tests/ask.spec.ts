import { AT, changes, cover, dem, expect, hashHas, json, layersTab, open, series, test } from './page';

interface Point {
  results: { keys: Record<string, string>; value: number; scaled: number }[];
}

test('a click tells the value of every visible layer', async ({ page, request }) => {
  await open(page, `${dem()}&layer=default/singleband/cover/1`);
  await page.mouse.click(800, 400);
  const answers = page.locator('.answers');
  await expect(answers.locator('article')).toHaveCount(2);
  const [lat, lng] = ((await answers.locator('h2').textContent()) ?? '').split(',').map(text => Number.parseFloat(text));
  const found = await json<Point>(request, `point/dem/1?lon=${lng}&lat=${lat}`);
  const shown = Number((await answers.locator('article', { hasText: 'dem' }).locator('dd').textContent())?.replace(/[^\d.]/g, ''));
  expect(Math.abs(shown - (found.results[0]?.scaled ?? 0))).toBeLessThan(5);
  await expect(answers.locator('article', { hasText: 'cover' }).locator('dd')).toContainText(/water|meadow|forest|rock/);
  await hashHas(page, /ask=/);
  await page.keyboard.press('Escape');
  await expect(answers).toHaveCount(0);
});

test('a time series is a plot, of which each value can be gone to', async ({ page, request }) => {
  await open(page, `${series('B08', '20260101')}?stretch_range=[0,6000]`);
  await page.mouse.click(800, 400);
  const marks = page.locator('.plot .mark');
  const { values } = await json<{ values: unknown[] }>(request, 'collections/series/keys/date');
  await expect(marks).toHaveCount(values.length);
  await expect(page.locator('.plot .mark.current')).toHaveAttribute('aria-label', /^2026-01-01/);
  await changes(page, () => marks.nth(2).press('Enter'));
  await expect(page.getByLabel('Date', { exact: true })).toHaveAttribute('aria-valuetext', '2026-07-01');
  // All values are one stop of the Tab key, and arrows go between them.
  await expect(page.locator('.plot .mark[tabindex="0"]')).toHaveCount(1);
  await marks.nth(2).press('ArrowRight');
  await expect(marks.nth(3)).toBeFocused();
  await expect(marks.nth(3)).toHaveAttribute('tabindex', '0');
  await expect(page.locator('.plot .mark[tabindex="0"]')).toHaveCount(1);
  // What is read out is the value, not the plot.
  await expect(page.locator('.answers').getByRole('status')).toHaveText(/2026-07-01 · B08: [\d.,\s]+$/);
  await expect(page.locator('.answers [aria-live]')).toHaveCount(0);
  await page.getByRole('button', { name: 'Copy as CSV' }).click();
  const csv = await page.evaluate(() => navigator.clipboard.readText());
  expect(csv.trim().split('\n')).toHaveLength(values.length + 1);
});

test('a formula has a value and a series too', async ({ page }) => {
  await open(page, series('B08'));
  await layersTab(page);
  await page.getByRole('button', { name: 'Maths' }).click();
  await page.mouse.click(800, 400);
  await expect(page.locator('.answers dd').first()).toHaveText(/^-?0\.\d+$/);
  await expect(page.locator('.plot .mark')).toHaveCount(4);
});

test('a polygon that is drawn has statistics and a histogram', async ({ page, request }) => {
  await open(page, dem());
  await page.getByRole('button', { name: 'Statistics of a polygon: draw it' }).click();
  await expect(page.locator('.hint')).toContainText('Click the corners');
  for (const [x, y] of [
    [700, 300],
    [900, 300],
    [900, 450],
  ] as const)
    await page.mouse.click(x, y);
  await page.keyboard.press('Enter');
  const answers = page.locator('.answers');
  await expect(answers.locator('h2')).toContainText('km²');
  await expect(answers.locator('.histogram path').first()).toBeVisible();
  await hashHas(page, /area=/);
  const area = new URLSearchParams(page.url().split('#')[1]).get('area') ?? '';
  const ring = area.split(';').map(corner => corner.split(',').map(Number));
  const answer = await request.post('statistics/dem/1', { data: { type: 'Polygon', coordinates: [[...ring, ring[0]]] } });
  const { properties } = (await answer.json()) as { properties: { statistics: { mean: number } } };
  const mean = Number((await answers.locator('.statistics dd').first().textContent())?.replace(/,/g, ''));
  expect(Math.abs(mean - properties.statistics.mean)).toBeLessThan(2);
});

test('a rectangle takes two clicks, Escape gives up, and its values are a GeoTIFF', async ({ page, request }) => {
  await open(page, dem());
  await page.keyboard.press('r');
  await page.mouse.click(700, 300);
  await page.keyboard.press('Escape');
  await expect(page.locator('.answers')).toHaveCount(0);
  await page.keyboard.press('r');
  await page.mouse.click(700, 300);
  await page.mouse.move(800, 380);
  await page.mouse.click(900, 450);
  await expect(page.locator('.statistics')).toBeVisible();
  const file = await request.get((await page.getByRole('link', { name: 'GeoTIFF of its box' }).getAttribute('href')) ?? '');
  expect(file.status()).toBe(200);
  expect((await file.body()).subarray(0, 2).toString()).toBe('II');
});

test('of RGB each band has statistics and values, and the picture is no GeoTIFF', async ({ page, request }) => {
  await open(page, `${AT}&in=default&layer=default/rgb/photo?r=R%26g=G%26b=B`);
  await page.keyboard.press('v');
  const green = page.locator('.answers article', { hasText: '· G' });
  await expect(green.locator('.statistics')).toBeVisible();
  const url = (await green.getByRole('link', { name: 'GeoTIFF of its box' }).getAttribute('href')) ?? '';
  expect(url).toContain('singleband/photo/G/crop.tif');
  expect((await request.get(url)).status()).toBe(200);
  await page.keyboard.press('s');
  await expect(page.getByRole('dialog')).toContainText('A GeoTIFF has values, of a band or of maths; RGB is a picture.');
});

test('the middle of the map is asked by a key', async ({ page }) => {
  await open(page, cover());
  await page.keyboard.press('a');
  await expect(page.locator('.answers dd')).toContainText(/water|meadow|forest|rock|no data/);
});

test('statistics of what is seen are asked by a key', async ({ page }) => {
  await open(page, dem());
  await page.keyboard.press('v');
  await expect(page.locator('.answers h2')).toContainText('km²');
  await expect(page.locator('.statistics')).toBeVisible();
  await hashHas(page, /area=/);
});
