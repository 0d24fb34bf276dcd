import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from '@playwright/test';
import { AT, cover, dem, drawn, expect, layersTab, open, series, test } from './page';

const source = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Violation {
  id: string;
  nodes: { html: string; failureSummary: string }[];
}

/** Faults against WCAG, and against what axe-core calls best practice. */
async function faults(page: Page): Promise<string[]> {
  // As an extension would: the page's policy lets no other script in.
  await page.evaluate(source);
  const found = await page.evaluate(async () => {
    const axe = (window as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } }).axe;
    return (await axe.run()).violations;
  });
  return found.map(v => `${v.id}: ${v.nodes.map(n => `${n.html} ${n.failureSummary}`).join('\n')}`);
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`axe-core finds no fault in the ${colorScheme} theme`, async ({ page }) => {
    await page.emulateMedia({ colorScheme });
    await open(page, `${series('B08')}&is.band=B08`);
    expect(await faults(page)).toEqual([]);
    await layersTab(page);
    await page.mouse.click(800, 400);
    await expect(page.locator('.plot')).toBeVisible();
    expect(await faults(page)).toEqual([]);
    await page.locator('.popup summary').click();
    expect(await faults(page)).toEqual([]);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'RGB', exact: true }).click();
    await page.getByRole('button', { name: 'Share and take away' }).click();
    await drawn(page);
    expect(await faults(page)).toEqual([]);
    await page.locator('.badge').click();
    expect(await faults(page)).toEqual([]);
    await page.getByRole('button', { name: 'Keys and help' }).click();
    expect(await faults(page)).toEqual([]);
  });
}

test('axe-core finds no fault in classes, in a comparison, on a phone', async ({ page }) => {
  await open(page, `${cover()}&layer=default/singleband/dem/1`);
  await page.keyboard.press('c');
  await layersTab(page);
  await page.locator('.layer-title', { hasText: 'cover' }).click();
  await drawn(page);
  expect(await faults(page)).toEqual([]);
  await page.setViewportSize({ width: 390, height: 780 });
  expect(await faults(page)).toEqual([]);
});

test('all is done by keys alone', async ({ page }) => {
  await open(page, `${AT}&in=default&layer=default/singleband/dem/1`);
  const list = page.getByRole('grid', { name: 'Datasets' });
  await list.focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('Enter');
  await expect(page.locator('.layer-title .names')).toHaveText('cover · 1');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('+');
  await expect(page.getByRole('tab', { name: /Layers/ })).toContainText('2');
  await page.keyboard.press('?');
  await expect(page.getByRole('dialog', { name: 'Help' })).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await expect(list).toBeFocused();
  await page.getByRole('tab', { name: /Data/ }).press('ArrowRight');
  await expect(page.getByRole('tab', { name: /Layers/ })).toBeFocused();
  await expect(page.getByRole('tabpanel', { name: /Layers/ })).toBeVisible();
  await expect(page.getByRole('tab', { name: /Data/ })).toHaveAttribute('tabindex', '-1');
  await page.keyboard.press('d');
  await expect.poll(() => page.evaluate(() => document.documentElement.style.colorScheme)).toBe('dark');
});

test('keys of one character can be switched off, and stay so', async ({ page }) => {
  await open(page, dem());
  await page.keyboard.press('?');
  await page.getByLabel('Keys of one character').uncheck();
  await page.keyboard.press('Escape');
  await page.reload();
  await drawn(page);
  await page.keyboard.press('v');
  await page.keyboard.press('s');
  await page.getByRole('button', { name: 'Keys and help' }).click();
  await expect(page.getByRole('dialog')).toHaveAccessibleName('Help');
  await expect(page.locator('.answers')).toHaveCount(0);
  await page.getByLabel('Keys of one character').check();
  await page.keyboard.press('s');
  await expect(page.getByRole('dialog')).toHaveAccessibleName('Share and take away');
});

test('a phone has room for the map, and the panels in a sheet', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 780 });
  await open(page, dem());
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  expect(width).toBeLessThanOrEqual(390);
  await page.getByRole('tab', { name: /Layers/ }).click();
  await expect(page.getByLabel('Opacity')).toBeInViewport();
  await page.getByRole('button', { name: 'Lower the panel' }).click();
  await expect(page.getByLabel('Opacity')).not.toBeInViewport();
  await page.mouse.click(150, 250);
  await expect(page.locator('.answers')).toBeInViewport();
});
