import { AT, changes, dem, drawn, expect, hashHas, layersTab, look, open, redrawn, series, test } from './page';

test('a band, RGB and a formula of bands are a click apart', async ({ page }) => {
  await open(page, series('B08'));
  await layersTab(page);
  const grey = await look(page);
  expect(Math.abs(grey.mean[0] - grey.mean[2])).toBeLessThan(3);
  const color = await changes(page, () => page.getByRole('button', { name: 'RGB', exact: true }).click());
  expect(Math.abs(color.mean[0] - color.mean[2])).toBeGreaterThan(3);
  await hashHas(page, /rgb\/20260401\?r=B04&g=B03&b=B02/);
  await changes(page, () => page.getByRole('button', { name: 'Maths' }).click());
  await hashHas(page, /expression=\(v1-v2\)\/\(v1\+v2\)/);
  await expect(page.locator('.legend')).toContainText('-1');
  await changes(page, () => page.getByRole('button', { name: 'Ratio' }).click());
});

test('a channel of RGB may be of another date', async ({ page }) => {
  await open(
    page,
    `${AT}&in=series&layer=series/rgb/20260101?r=B08%26g=B08%26b=B08%26r_range=[0,6000]%26g_range=[0,6000]%26b_range=[0,6000]`,
  );
  await layersTab(page);
  await page.getByRole('button', { name: 'Other keys of Green' }).click();
  await changes(page, () => page.locator('.channel-green').getByLabel('date').selectOption('20260701'));
  await hashHas(page, /g\.date=20260701/);
});

test('a formula may be typed slowly while the page is drawn again', async ({ page }) => {
  await open(page, `${AT}&in=series&layer=series/compute/20260401?v1=B08%26expression=v1*2%26stretch_range=[0,9000]`);
  await layersTab(page);
  const field = page.getByLabel('Expression');
  await field.fill('');
  for (const key of 'v1*3+1000') {
    await field.press(key);
    await redrawn(page);
  }
  await expect(field).toHaveValue('v1*3+1000');
  await field.press('Enter');
  await hashHas(page, /expression=v1\*3\+1000/);
  // What is given up, and an emptied number, give way to what is.
  const low = page.getByRole('spinbutton', { name: 'Low end' });
  await low.fill('');
  await low.blur();
  await expect(low).toHaveValue('0');
});

test('a wrong formula is told in the words of the server', async ({ page }) => {
  await open(page, `${AT}&in=series&layer=series/compute/20260401?v1=B08%26expression=v1*2%26stretch_range=[0,9000]`);
  await layersTab(page);
  page.removeAllListeners('console');
  await page.getByLabel('Expression').fill('v1 +');
  await page.getByLabel('Expression').press('Enter');
  await expect(page.getByRole('alert')).toContainText('expression');
});

test('time goes forward by the slider, by keys, and plays', async ({ page }) => {
  await open(page, `${series('B08', '20260101')}?stretch_range=[0,6000]`);
  const slider = page.getByLabel('Date', { exact: true });
  await expect(slider).toHaveAttribute('aria-valuetext', '2026-01-01');
  await changes(page, () => page.getByRole('button', { name: 'Later' }).click());
  await expect(slider).toHaveAttribute('aria-valuetext', '2026-04-01');
  await changes(page, () => slider.press('End'));
  await expect(slider).toHaveAttribute('aria-valuetext', '2026-10-01');
  await page.getByRole('button', { name: 'Play forward' }).click();
  await expect(slider).toHaveAttribute('aria-valuetext', '2026-01-01');
  await expect(slider).toHaveAttribute('aria-valuetext', '2026-04-01');
  await page.getByRole('button', { name: 'Pause' }).click();
  await hashHas(page, /singleband\/2026\d+\/B08/);
});

test('two layers are compared by a swipe', async ({ page }) => {
  await open(page, `${dem()}&layer=default/rgb/photo?r=R%26g=G%26b=B`);
  const whole = { x: 0.35, y: 0.3, width: 0.5, height: 0.3 };
  await changes(page, () => page.getByRole('button', { name: 'Compare two layers by a swipe' }).click(), whole);
  const bar = page.getByRole('slider', { name: /Swipe/ });
  await expect(bar).toBeVisible();
  await drawn(page);
  const grey = async (x: number) => {
    const { mean } = await look(page, { x, y: 0.4, width: 0.08, height: 0.1 });
    return Math.abs(mean[0] - mean[1]) + Math.abs(mean[1] - mean[2]);
  };
  await expect.poll(() => grey(0.8)).toBeGreaterThan(15);
  expect(await grey(0.4)).toBeLessThan(6);
  const box = await bar.boundingBox();
  if (!box) throw new Error('no bar');
  await page.mouse.move(box.x + box.width / 2, 300);
  await page.mouse.down();
  await page.mouse.move(0.36 * 1280, 300, { steps: 5 });
  await page.mouse.up();
  await expect.poll(() => grey(0.42)).toBeGreaterThan(15);
  await hashHas(page, /swipe=0\.3/);
  // What was asked is seen on either side.
  for (const x of [0.34, 0.6]) {
    const dot = { x: x - 0.01, y: 0.49, width: 0.02, height: 0.02 };
    await changes(page, () => page.mouse.click(x * 1280, 400), dot);
  }
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Compare two layers by a swipe' }).click();
  await expect(bar).toHaveCount(0);
});

test('layers are faded, hidden, moved and removed', async ({ page }) => {
  await open(page, dem());
  await layersTab(page);
  const opacity = page.getByLabel('Opacity');
  await changes(page, () => opacity.fill('0.3'));
  await hashHas(page, /opacity=0\.3/);
  const bare = await changes(page, () => page.getByRole('button', { name: /^Hide dem/ }).click());
  expect(bare.colors).toBeLessThan(20);
  await page.getByRole('button', { name: /^Remove dem/ }).click();
  await expect(page.getByText('No layer is shown.')).toBeVisible();
});

test('what belongs to a layer goes with it', async ({ page }) => {
  await open(page, `${dem()}&layer=series/singleband/20260101/B08&active=1`);
  await layersTab(page);
  await page.mouse.click(800, 400);
  await expect(page.locator('.answers article')).toHaveCount(2);
  await expect(page.locator('.plot')).toBeVisible();
  await expect(page.locator('.time')).toBeVisible();
  await changes(page, () => page.getByRole('button', { name: /^Remove 20260101|^Remove 2026-01-01/ }).click());
  await expect(page.locator('.legend h2')).toHaveText(/dem/);
  await expect(page.locator('.answers article')).toHaveCount(1);
  await expect(page.locator('.plot, .time')).toHaveCount(0);
  // What is left opens.
  await expect(page.locator('.layer.open .names').first()).toContainText('dem');
  await hashHas(page, /layer=default\/singleband\/dem\/1(?!.*series\/singleband)/);
  await changes(page, () => page.getByRole('button', { name: /^Remove dem/ }).click());
  await expect(page.locator('.legend')).toHaveCount(0);
  await expect(page.locator('.answers')).toContainText('No layer is visible.');
  await hashHas(page, /layer=none/);
  // On purpose: nothing comes by itself.
  await page.reload();
  await expect(page.locator('.dataset-row').first()).toBeVisible();
  await expect(page.getByRole('tab', { name: /Layers/ })).toContainText('0');
});
