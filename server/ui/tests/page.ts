/** What the specs share: a page on which nothing may go wrong unseen, and looking at the pixels of its map. */
import { type APIRequestContext, test as base, expect, type Page } from '@playwright/test';

export { expect };

/** Fails if the page logs an error, or asks another server than its own. */
export const test = base.extend<{ page: Page }>({
  page: async ({ page, baseURL }, use) => {
    const faults: string[] = [];
    page.on('pageerror', error => faults.push(String(error)));
    page.on('console', message => message.type() === 'error' && faults.push(`${message.text()} ${message.location().url}`));
    page.on('request', request => {
      const url = request.url();
      if (/^https?:/.test(url) && new URL(url).origin !== new URL(baseURL ?? '').origin) faults.push(`asked ${url}`);
    });
    await use(page);
    expect(faults.filter(fault => !fault.includes('net::ERR_ABORTED'))).toEqual([]);
  },
});

export interface Look {
  /** Mean red, green and blue. */
  mean: [number, number, number];
  colors: number;
  /** The same if and only if all pixels are. */
  print: number;
}

/** A piece of the map that no panel covers, as shares of the window's sides. */
export const MIDDLE = { x: 0.45, y: 0.25, width: 0.3, height: 0.4 };

export async function look(page: Page, part = MIDDLE): Promise<Look> {
  const size = page.viewportSize() ?? { width: 1280, height: 800 };
  const clip = { x: part.x * size.width, y: part.y * size.height, width: part.width * size.width, height: part.height * size.height };
  return lookAt(page, await page.screenshot({ clip }));
}

/** The pixels of a PNG, or of a part of it, as shares of its sides. */
export function lookAt(page: Page, png: Buffer, part = { x: 0, y: 0, width: 1, height: 1 }): Promise<Look> {
  return page.evaluate(
    async ([png, part]) => {
      const image = await createImageBitmap(await (await fetch(`data:image/png;base64,${png}`)).blob());
      const context = new OffscreenCanvas(image.width, image.height).getContext('2d');
      if (!context) throw new Error('no canvas');
      context.drawImage(image, 0, 0);
      const [left, top] = [image.width * part.x, image.height * part.y];
      const { data } = context.getImageData(left, top, image.width * part.width, image.height * part.height);
      const mean: [number, number, number] = [0, 0, 0];
      const colors = new Set<number>();
      let print = 0;
      for (let i = 0; i < data.length; i += 4) {
        const [r = 0, g = 0, b = 0] = data.subarray(i, i + 3);
        mean[0] += r;
        mean[1] += g;
        mean[2] += b;
        colors.add((r << 16) | (g << 8) | b);
        print = (print * 31 + ((r << 16) | (g << 8) | b)) | 0;
      }
      const count = data.length / 4;
      return { mean: mean.map(sum => sum / count) as [number, number, number], colors: colors.size, print };
    },
    [png.toString('base64'), part] as const,
  );
}

/** Waits until the map has drawn all it was told to. */
export async function drawn(page: Page): Promise<void> {
  // Looked for in each frame of the page; `expect` would look again after a second.
  await page.waitForSelector('#app:has(main[aria-busy=false]):not(:has(.layer .spinner))', { timeout: 45_000 });
}

/** What is to become so, looked at ten times a second. */
const OFTEN = { intervals: [100] };

/** Does something, and waits until the map looks another way for it. */
export async function changes(page: Page, act: () => Promise<unknown>, part = MIDDLE): Promise<Look> {
  await drawn(page);
  const before = await look(page, part);
  await act();
  await expect.poll(async () => (await look(page, part)).print, { ...OFTEN, timeout: 60_000 }).not.toBe(before.print);
  await drawn(page);
  return look(page, part);
}

/** Opens the page with a state. */
export async function open(page: Page, hash = ''): Promise<void> {
  await page.goto(hash ? `./#${hash}` : './');
  await drawn(page);
}

/** The middle of the rasters by formula, near enough to see only them. */
export const AT = 'at=9.5/46.5/7.5';
export const dem = (style = '') => `${AT}&in=default&layer=default/singleband/dem/1${style}`;
export const cover = () => `${AT}&in=default&layer=default/singleband/cover/1`;
export const series = (band: string, date = '20260401') => `${AT}&in=series&layer=series/singleband/${date}/${band}`;

export const usage = (date: string) => `${AT}&in=usage&layer=usage/singleband/${date}/cover`;

export async function layersTab(page: Page): Promise<void> {
  await page.getByRole('tab', { name: /Layers/ }).click();
}

export async function json<T>(request: APIRequestContext, path: string): Promise<T> {
  const answer = await request.get(path);
  expect(answer.ok(), `${path}: ${answer.status()}`).toBe(true);
  return (await answer.json()) as T;
}

/** The state in the URL, once it says so. */
export async function hashHas(page: Page, text: string | RegExp): Promise<void> {
  await expect.poll(() => decodeURIComponent(decodeURIComponent(page.url().split('#')[1] ?? '')), OFTEN).toMatch(text);
}

/** Has the page drawn, as it is at any change. */
export function redrawn(page: Page): Promise<void> {
  return page.evaluate(async () => {
    // What was typed and is left gives way to what is.
    document.querySelector('#chrome')?.dispatchEvent(new Event('focusout'));
    for (let frames = 0; frames < 2; frames++) await new Promise(requestAnimationFrame);
  });
}

/** Waits for something that the page does after seconds, which pass at once. The clock is to be installed before the page is opened. */
export async function later(page: Page, seconds: number, then: () => Promise<void>): Promise<void> {
  await expect(async () => {
    await page.clock.fastForward(seconds * 1000);
    await then();
  }).toPass(OFTEN);
}
