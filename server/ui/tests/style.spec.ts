import { changes, cover, dem, drawn, expect, hashHas, layersTab, look, open, redrawn, series, test, usage } from './page';

test('colors are chosen by what they look like, and reversed', async ({ page }) => {
  await open(page, dem());
  await layersTab(page);
  await page.locator('.popup summary').click();
  await expect(page.locator('[data-colormap=viridis] img')).toBeVisible();
  await page.getByLabel('Find colors').fill('viri');
  const viridis = await changes(page, () => page.locator('[data-colormap=viridis]').click());
  expect(viridis.mean[1]).toBeGreaterThan(viridis.mean[0]);
  await hashHas(page, /colormap=viridis/);
  await changes(page, () => page.getByRole('button', { name: 'Reverse' }).click());
  await hashHas(page, /colormap=viridis_r/);
});

test('the stretch follows the handles of the histogram, keys, numbers and percentiles', async ({ page }) => {
  await open(page, dem());
  await layersTab(page);
  const low = page.getByRole('slider', { name: 'Low end of the stretch of the values' });
  const before = Number(await low.getAttribute('aria-valuenow'));
  const box = await low.boundingBox();
  if (!box) throw new Error('no handle');
  const darker = await changes(page, async () => {
    await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + 120, box.y + 10, { steps: 6 });
    await page.mouse.up();
  });
  const dragged = Number(await low.getAttribute('aria-valuenow'));
  expect(dragged).toBeGreaterThan(before);
  await hashHas(page, new RegExp(`stretch_range=\\[${dragged}`));
  await changes(page, () => low.press('PageDown'));
  expect(Number(await low.getAttribute('aria-valuenow'))).toBeLessThan(dragged);
  const all = await changes(page, () => page.getByRole('button', { name: 'All', exact: true }).click());
  expect(all.mean[0]).toBeGreaterThan(darker.mean[0]);
  await hashHas(page, /stretch_range=\[null,null\]/);
  await changes(page, async () => {
    await page.getByLabel('High end').last().fill('700');
    await page.getByLabel('High end').last().press('Enter');
  });
  await expect(page.locator('.legend-ends')).toContainText('700');
});

test('gamma and contrast change the tone, saturation that of RGB', async ({ page }) => {
  await open(page, dem());
  await layersTab(page);
  await page.getByText('Tone').click();
  const before = await look(page);
  const bright = await changes(page, () => page.getByLabel('Gamma').fill('2.5'));
  expect(bright.mean[0]).toBeGreaterThan(before.mean[0]);
  await changes(page, () => page.getByLabel('Contrast').fill('8'));
  await hashHas(page, /color_transform=gamma 1 2\.5 sigmoidal 1 8 0\.5/);
  await changes(page, () => page.getByRole('button', { name: 'Reset tone' }).click());
  await page.getByRole('tab', { name: /Data/ }).click();
  await changes(page, () => page.locator('.dataset-row', { hasText: 'photo' }).first().click());
  await layersTab(page);
  await page.getByText('Tone').click();
  const pale = await changes(page, () => page.getByLabel('Saturation').fill('0'));
  expect(Math.abs(pale.mean[0] - pale.mean[2])).toBeLessThan(4);
});

test('classes have labels, can be hidden, and stand in the legend', async ({ page }) => {
  await open(page, cover());
  await layersTab(page);
  await expect(page.locator('.legend')).toContainText('water');
  await expect(page.locator('.classes')).toContainText('forest');
  await changes(page, () => page.getByRole('button', { name: 'Hide forest' }).click());
  await expect(page.locator('.legend')).not.toContainText('forest');
  await changes(page, () => page.getByRole('button', { name: 'Show forest' }).click());
  await changes(page, () => page.getByLabel('Color of water').fill('#ff00ff'));
  await hashHas(page, /"1":"ff00ff"/);
  await changes(page, () => page.getByRole('button', { name: 'Show as values' }).click());
  await changes(page, () => page.getByRole('button', { name: 'Show as classes' }).click());
});

test('classes that are hidden stay so in the link, and come back one by one', async ({ page }) => {
  await open(page, cover());
  await layersTab(page);
  for (const name of ['forest', 'water']) await page.getByRole('button', { name: `Hide ${name}` }).click();
  await hashHas(page, /explicit_color_map=\{"2":"\w+","4":"\w+"\}/);
  await page.reload();
  await drawn(page);
  await layersTab(page);
  await expect(page.locator('.classes .off')).toHaveText([/water/, /forest/]);
  await expect(page.locator('.legend li')).toHaveText(['meadow', 'rock']);
  await changes(page, () => page.getByRole('button', { name: 'Show forest' }).click());
  await expect(page.locator('.legend li')).toHaveText(['meadow', 'forest', 'rock']);
  await expect(page.getByLabel('Color of water')).toHaveValue('#3e76a8');
});

test('classes that are hidden stay so at another date, where others can be shown', async ({ page }) => {
  await open(page, usage('20250101'));
  await layersTab(page);
  await expect(page.locator('.classes li')).toHaveText([/water/, /meadow/, /forest/]);
  await changes(page, () => page.getByRole('button', { name: 'Hide forest' }).click());
  await changes(page, () => page.getByRole('button', { name: 'Later' }).click());
  // Rock was not there to be shown; meadow is not here.
  await expect(page.locator('.classes li')).toHaveText([/water/, /forest/, /rock/, /class 2|meadow/]);
  await expect(page.locator('.classes .off')).toHaveText([/forest/, /rock/]);
  await expect(page.locator('.legend li').first()).toHaveText('water');
  await changes(page, () => page.getByRole('button', { name: 'Show rock' }).click());
  await hashHas(page, /20260101.*explicit_color_map=\{"1":"\w+","2":"\w+","4":"\w+"\}/);
  await changes(page, () => page.getByRole('button', { name: 'Earlier' }).click());
  await expect(page.locator('.classes .off')).toHaveText([/forest/]);
  await changes(page, () => page.getByRole('button', { name: 'All as they were' }).click());
  await expect(page.locator('.legend li')).toHaveText(['water', 'meadow', 'forest']);
});

test('the legend tells ends and unit', async ({ page }) => {
  await open(page, dem('?colormap=terrain%26stretch_range=[0,1000]'));
  const legend = page.locator('.legend');
  await expect(legend).toContainText('0');
  await expect(legend).toContainText('1000');
  await expect(legend.locator('.unit')).toHaveText('m');
});

test('a band without a histogram in the catalogue has one of the view, with handles', async ({ page }) => {
  await page.route('**/metadata/dem/1?*', async route => {
    const answer = await route.fetch();
    await route.fulfill({ json: { ...(await answer.json()), histogram: null, percentiles: null } });
  });
  await open(page, dem());
  await layersTab(page);
  await expect(page.locator('.stretch svg path').first()).toBeVisible();
  await changes(page, () => page.getByRole('slider', { name: 'Low end of the stretch of the values' }).press('PageUp'));
});

test('band maths and mosaics have a histogram of the view', async ({ page }) => {
  await open(page, series('B08').replace('20260401', '*'));
  await layersTab(page);
  await expect(page.locator('.stretch svg path').first()).toBeVisible();
  await page.getByLabel('date', { exact: true }).selectOption('20260401');
  await page.getByRole('button', { name: 'Maths' }).click();
  await expect(page.locator('.stretch svg path').first()).toBeVisible();
  await page.getByRole('button', { name: '2–98 %' }).click();
  await hashHas(page, /stretch_range=\[-?0\.\d+,-?0\.\d+\]/);
});

test('a histogram of the view that fails is asked for less and less often, however often the page is drawn', async ({ page }) => {
  page.removeAllListeners('console');
  const asked: number[] = [];
  let down = true;
  await page.route('**/crop.npy?*', route => {
    asked.push(Date.now());
    return down ? route.fulfill({ status: 500, body: '{}' }) : route.continue();
  });
  await open(page, series('B08').replace('20260401', '*'));
  await layersTab(page);
  while (asked.length < 3) await redrawn(page);
  down = false;
  const [first = 0, second = 0, third = 0] = asked;
  expect(second - first).toBeGreaterThan(1000);
  expect(third - second).toBeGreaterThan(2000);
  await expect(page.locator('.stretch svg path').first()).toBeVisible();
});
