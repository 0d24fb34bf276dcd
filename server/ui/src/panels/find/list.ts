/** The datasets that match: a list of any length of which only what is seen is there, asked for page by page. */
import { html, render, type TemplateResult } from 'lit-html';
import { Latest, said, segments } from '../../api/client';
import { at, type Bounds } from '../../api/collections';
import { datasets, type KeyValues, type Listed } from '../../api/datasets';
import { hulls } from '../../api/metadata';
import { tupleOf } from '../../state/choose';
import { showValue } from '../../state/date-keys';
import { Failures } from '../../state/failures';
import { type LngLat, store } from '../../state/store';
import { iconButton } from '../../widgets/icons';

export interface ListActions {
  show(keys: KeyValues, bounds: Bounds | null): void;
  add(keys: KeyValues, bounds: Bounds | null): void;
  hover(bounds: Bounds | null, hull: readonly LngLat[] | null): void;
  footprints(boxes: readonly Bounds[]): void;
  bounds(): Bounds;
}

const PAGE = 200;
const PAGES_MAX = 30;
const ROW_PX = 46;
const SPARE_ROWS = 6;
const POINT_MS = 60;
/** Browsers do not scroll further: more has to be searched. */
const ROWS_MAX = 300_000;

export class DatasetList {
  readonly element = document.createElement('div');
  total: number | null = null;
  fault: string | null = null;
  private pages = new Map<number, Listed>();
  private asking = new Set<number>();
  /** Pages. */
  private readonly failures = new Failures(() => this.draw());
  private latest = new Latest();
  private pointing = new Latest();
  /** Of the question that is asked: aborts what was asked for the one before. */
  private run = new AbortController();
  private query = '';
  private outlined: readonly (Bounds | null)[] = [];
  private cursor = 0;
  private frame = 0;

  constructor(private readonly actions: ListActions) {
    this.element.className = 'dataset-list';
    this.element.tabIndex = 0;
    this.element.setAttribute('role', 'grid');
    this.element.setAttribute('aria-label', 'Datasets');
    this.element.setAttribute('aria-description', 'Arrows go from one to the next, Enter shows it, + adds it as a layer');
    this.element.addEventListener('scroll', () => this.draw(), { passive: true });
    this.element.addEventListener('keydown', event => this.keyed(event));
    this.element.addEventListener('pointerleave', () => {
      this.pointing.stop();
      this.actions.hover(null, null);
    });
    new ResizeObserver(() => this.draw()).observe(this.element);
    store.on(['collection', 'filters', 'inView', 'generation', 'ready'], (now, before) =>
      this.refresh(now.generation !== before.generation),
    );
    store.on(['connected'], now => now.connected && this.fault !== null && this.refresh(true));
    store.on(['view'], now => now.inView && this.refresh(false));
    store.on(['footprints', 'layers'], () => this.draw());
  }

  /** Asks anew if the question changed. */
  refresh(again: boolean): void {
    const { collection, filters, inView, ready } = store.now;
    if (!ready || !collection) return;
    const query = JSON.stringify([collection, filters, inView ? this.actions.bounds() : null]);
    if (query === this.query && !again) return;
    if (query !== this.query) {
      this.element.scrollTop = 0;
      this.cursor = 0;
    }
    this.query = query;
    void this.first();
  }

  private async first(): Promise<void> {
    this.run.abort();
    this.run = new AbortController();
    this.asking.clear();
    this.failures.clear();
    try {
      const found = await this.latest.run(signal => this.ask(0, true, signal));
      if (!found) return;
      [this.total, this.fault] = [found.total ?? found.datasets.length, null];
      this.pages = new Map([[0, found]]);
    } catch (error) {
      [this.total, this.fault] = [0, said(error)];
      this.pages.clear();
    }
    store.set({});
    this.draw();
  }

  private ask(page: number, total: boolean, signal?: AbortSignal): Promise<Listed> {
    const { collection, filters, inView } = store.now;
    const bbox = inView ? this.actions.bounds() : null;
    return datasets(at(store.collectionOf(collection), collection), filters, { limit: PAGE, page, total, bbox }, signal);
  }

  private async fetch(page: number): Promise<void> {
    if (this.asking.has(page) || this.asking.size > 4) return;
    if (this.failures.has(String(page))) return;
    this.asking.add(page);
    const { signal } = this.run;
    try {
      const found = await this.ask(page, false, signal);
      if (signal.aborted) return;
      if (this.pages.size >= PAGES_MAX)
        for (const old of this.pages.keys()) if (Math.abs(old - page) > PAGES_MAX / 3 && old !== 0) this.pages.delete(old);
      this.pages.set(page, found);
    } catch {
      if (signal.aborted) return;
      // Asked again after a while, if it is still seen then.
      this.failures.add(String(page));
      return;
    } finally {
      if (!signal.aborted) this.asking.delete(page);
    }
    this.draw();
  }

  draw(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.drawNow());
  }

  private drawNow(): void {
    const rows = Math.min(this.total ?? 0, ROWS_MAX);
    const from = Math.max(0, Math.floor(this.element.scrollTop / ROW_PX) - SPARE_ROWS);
    const to = Math.min(rows, Math.ceil((this.element.scrollTop + this.element.clientHeight) / ROW_PX) + SPARE_ROWS);
    for (let page = Math.floor(from / PAGE); page <= Math.floor(Math.max(from, to - 1) / PAGE) && rows > 0; page++) {
      if (!this.pages.has(page)) void this.fetch(page);
    }
    const shown = Array.from({ length: Math.max(0, to - from) }, (_, i) => this.row(from + i));
    render(html`<div class="dataset-space" role="rowgroup" style="height:${rows * ROW_PX}px">${shown}</div>`, this.element);
    const page = this.pages.get(Math.floor((from + SPARE_ROWS) / PAGE));
    this.outline(store.now.footprints ? (page?.bounds ?? []) : []);
    this.element.setAttribute('aria-rowcount', String(this.total ?? -1));
    const here = rows > 0 && this.cursor >= from && this.cursor < to;
    if (here) this.element.setAttribute('aria-activedescendant', `dataset-${this.cursor}`);
    else this.element.removeAttribute('aria-activedescendant');
  }

  /** The list is drawn at each scroll; the map only when other datasets are outlined. */
  private outline(boxes: readonly (Bounds | null)[]): void {
    if (boxes === this.outlined || boxes.length + this.outlined.length === 0) return;
    this.outlined = boxes;
    this.actions.footprints(boxes.filter(b => b !== null));
  }

  private at(index: number): { keys: KeyValues; bounds: Bounds | null } | undefined {
    const page = this.pages.get(Math.floor(index / PAGE));
    const keys = page?.datasets[index % PAGE];
    return keys && { keys, bounds: page?.bounds?.[index % PAGE] ?? null };
  }

  private row(index: number): TemplateResult {
    const found = this.at(index);
    const top = `top:${index * ROW_PX}px;height:${ROW_PX}px`;
    if (!found)
      return html`<div id="dataset-${index}" class="dataset-row waiting" role="row" aria-rowindex=${index + 1} style=${top}><span role="gridcell" class="names"><span class="thumb"></span>…</span></div>`;
    const { collection } = store.now;
    const names = store.keysOf(collection);
    const tuple = tupleOf(names, found.keys);
    const shown = this.isShown(tuple);
    const head = tuple.slice(0, -1);
    const words = tuple.map((value, i) => showValue(collection, names[i] ?? '', value));
    const path = at(store.collectionOf(collection), collection);
    const preview = `${path}singleband/${segments(tuple)}/preview.png?tile_size=[64,64]`;
    // The list is one stop of the Tab key, where + does it too.
    const add = (event: Event) => {
      event.stopPropagation();
      this.actions.add(found.keys, found.bounds);
    };
    return html`<div
      id="dataset-${index}"
      class="dataset-row ${shown ? 'shown' : ''} ${index === this.cursor ? 'cursor' : ''}"
      role="row"
      aria-selected=${shown}
      aria-rowindex=${index + 1}
      style=${top}
      title=${names.map((name, i) => `${name}: ${tuple[i]}`).join('\n')}
      @click=${() => {
        this.cursor = index;
        this.actions.show(found.keys, found.bounds);
      }}
      @pointerenter=${() => void this.point(index)}
    >
      <span class="names" role="gridcell"><img class="thumb" alt="" loading="lazy" decoding="async" .src=${preview} @load=${broken(false)} @error=${broken(true)} />${head.length === 0 ? words[0] : head.map((_, i) => html`${i > 0 ? html`<i>·</i>` : null}<span>${words[i]}</span>`)}</span>
      ${head.length === 0 ? null : html`<span class="tag" role="gridcell">${words.at(-1)}</span>`}
      <span role="gridcell">${iconButton('plus', `Add ${tuple.join(' ')} as a layer`, add, { skipped: true })}</span>
    </div>`;
  }

  private isShown(tuple: readonly string[]): boolean {
    const { layers, collection } = store.now;
    return layers.some(
      layer => layer.collection === collection && layer.channels.some(channel => channel.every((value, i) => value === tuple[i])),
    );
  }

  private async point(index: number): Promise<void> {
    const found = this.at(index);
    if (!found) return;
    this.actions.hover(found.bounds, null);
    const { collection } = store.now;
    const tuple = tupleOf(store.keysOf(collection), found.keys);
    const answer = this.pointing.run(async signal => {
      // Rows that are swept over are not asked for.
      await new Promise(resolve => setTimeout(resolve, POINT_MS));
      return signal.aborted ? [] : hulls(at(store.collectionOf(collection), collection), [tuple], signal);
    });
    const [hull] = (await answer.catch(() => undefined)) ?? [];
    const still = this.element.matches(':hover') || document.activeElement === this.element;
    if (hull && still) this.actions.hover(found.bounds ?? hull.bounds, hull.convex_hull.coordinates[0] ?? null);
  }

  private keyed(event: KeyboardEvent): void {
    if (event.target !== this.element) return;
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 };
    const step = steps[event.key];
    const found = this.at(this.cursor);
    if (step !== undefined) {
      event.preventDefault();
      this.cursor = Math.max(0, Math.min((this.total ?? 1) - 1, this.cursor + step));
      const top = this.cursor * ROW_PX;
      const { scrollTop, clientHeight } = this.element;
      if (top < scrollTop) this.element.scrollTop = top;
      if (top + ROW_PX > scrollTop + clientHeight) this.element.scrollTop = top + ROW_PX - clientHeight;
      void this.point(this.cursor);
      this.draw();
    } else if (event.key === 'Enter' && found) this.actions.show(found.keys, found.bounds);
    else if (event.key === '+' && found) this.actions.add(found.keys, found.bounds);
  }
}

/** Rows are used again for other datasets: a picture that comes takes the mark away. */
function broken(yes: boolean): (event: Event) => void {
  return event => (event.target as HTMLElement).classList.toggle('broken', yes);
}
