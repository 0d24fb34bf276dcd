/** The page around the map: which panels there are, and where. */
import { html, render, type TemplateResult } from 'lit-html';
import { toggleShortcuts } from './keys';
import type { View } from './map/view';
import { answersPanel } from './panels/ask/answers';
import { askView } from './panels/ask/ask';
import { find } from './panels/find/find';
import type { DatasetList } from './panels/find/list';
import { helpPanel } from './panels/help';
import { badge, livePanel } from './panels/live/live';
import { layersPanel } from './panels/look/layers';
import { timeSlider } from './panels/look/time';
import { sharePanel } from './panels/share/share';
import { legends } from './panels/style/legend';
import { swipeBar, toggleCompare } from './panels/swipe';
import type { Layer } from './state/layer';
import { placeOf } from './state/resolve';
import { type State, store } from './state/store';
import { isDark, toggleTheme } from './state/theme';
import { icon, iconButton } from './widgets/icons';

let frame = 0;
let draw: () => void = () => undefined;

/** Draws the page now, and again in the frame after each change. `view` is `null` where the browser can draw no map. */
export function startPage(root: HTMLElement, view: View | null, list: DatasetList): void {
  const now = () => {
    render(page(view, list), root);
    moveFocus(root);
  };
  draw = () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(now);
  };
  // Also where what changed is no member of the state, as `set({})` says.
  store.on([], draw);
  // What was typed and not taken gives way to what is.
  root.addEventListener('focusout', draw);
  now();
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
  // The age of the snapshot.
  setInterval(draw, 5000);
}

let opened: State['dialog'] = null;
let opener: Element | null = null;

/** A dialog takes the focus when it opens, and gives it back to who opened it. */
function moveFocus(root: HTMLElement): void {
  const { dialog } = store.now;
  if (dialog === opened) return;
  if (opened === null) opener = document.activeElement;
  opened = dialog;
  if (dialog !== null) root.querySelector<HTMLElement>('.drawer')?.focus();
  // Who went elsewhere meanwhile stays there.
  else if (document.activeElement === document.body && opener instanceof HTMLElement) opener.focus();
}

/** For what changed beside the state. */
export function redraw(): void {
  draw();
}

function page(view: View | null, list: DatasetList): TemplateResult {
  const { tab, sheet, layers, dialog, fault } = store.now;
  const fly = (layer: Layer) => {
    const bounds = placeOf(layer);
    if (bounds) view?.fit(bounds);
  };
  const choose = (name: 'data' | 'layers') => store.set({ tab: name, sheet: tab === name ? !sheet : true });
  const arrows = (event: KeyboardEvent) => {
    if (!['ArrowLeft', 'ArrowRight', 'Home', 'End'].includes(event.key)) return;
    event.preventDefault();
    // Of two, the other is the next and the one before.
    const name = event.key === 'Home' || (event.key !== 'End' && tab === 'layers') ? 'data' : 'layers';
    store.set({ tab: name });
    document.getElementById(`tab-${name}`)?.focus();
  };
  return html`
    ${view ? swipeBar() : noMap()}
    <aside class="dock panel ${sheet ? 'up' : ''}" aria-label="Data and layers">
      <button type="button" class="handle" aria-label=${sheet ? 'Lower the panel' : 'Raise the panel'} aria-expanded=${sheet} @click=${() => store.set({ sheet: !sheet })}><i></i></button>
      <header>
        <svg class="logo" viewBox="0 0 32 32" aria-hidden="true"><path d="M6 26V15a10 10 0 0 1 20 0v11h-6v-6a4 4 0 0 0-8 0v6z" /></svg>
        <h1>Kiln</h1>
        ${badge()}
      </header>
      <div class="tabs" role="tablist" aria-label="Panels" @keydown=${arrows}>
        <button type="button" role="tab" id="tab-data" tabindex=${tab === 'data' ? 0 : -1} aria-selected=${tab === 'data'} aria-controls="panel-data" @click=${() => choose('data')}>${icon('search')} Data</button>
        <button type="button" role="tab" id="tab-layers" tabindex=${tab === 'layers' ? 0 : -1} aria-selected=${tab === 'layers'} aria-controls="panel-layers" @click=${() => choose('layers')}>${icon('layers')} Layers <span class="count">${layers.length}</span></button>
      </div>
      <div class="dock-body" id="panel-data" role="tabpanel" aria-labelledby="tab-data" ?hidden=${tab !== 'data'}>
        ${fault ? html`<div class="empty" role="alert">${icon('alert')}<h2>Kiln does not answer</h2><p>${fault}</p><button type="button" @click=${() => location.reload()}>Try again</button></div>` : find(list, redraw)}
      </div>
      <div class="dock-body" id="panel-layers" role="tabpanel" aria-labelledby="tab-layers" ?hidden=${tab !== 'layers'}>${layersPanel(view && fly)}</div>
    </aside>
    ${toolbar(view)}
    <div class="corner">${view ? hint(view) : null}${legends()}</div>
    ${answersPanel()} ${timeSlider()}
    ${dialog === null ? null : drawer(dialog, view)}
    <div class="toasts" role="status" aria-live="polite">${store.now.toasts.map(toast)}</div>
  `;
}

function toolbar(view: View | null): TemplateResult {
  const { dialog } = store.now;
  const open = (name: NonNullable<State['dialog']>) => () => store.set({ dialog: dialog === name ? null : name });
  return html`<nav class="tools" aria-label="Tools">
    ${view ? mapTools(view) : null}
    <div class="panel">
      ${iconButton('share', 'Share and take away', open('share'), { pressed: dialog === 'share' })}
      ${iconButton(isDark() ? 'sun' : 'moon', isDark() ? 'Light theme' : 'Dark theme', toggleTheme)}
      ${iconButton('help', 'Keys and help', open('help'), { pressed: dialog === 'help' })}
    </div>
  </nav>`;
}

function mapTools(view: View): TemplateResult {
  const { tool, compare } = store.now;
  const toggle = (shape: 'polygon' | 'rectangle') => () => store.set({ tool: tool === shape ? 'ask' : shape });
  return html`<div class="panel">
      ${iconButton('plus', 'Zoom in', () => view.map.zoomIn())} ${iconButton('minus', 'Zoom out', () => view.map.zoomOut())}
      ${iconButton('target', 'Zoom to everything', () => everything(view))}
    </div>
    <div class="panel">
      ${iconButton('polygon', 'Statistics of a polygon: draw it', toggle('polygon'), { pressed: tool === 'polygon' })}
      ${iconButton('rectangle', 'Statistics of a rectangle: draw it', toggle('rectangle'), { pressed: tool === 'rectangle' })}
      ${iconButton('frame', 'Statistics of this view', () => askView(view.bounds()))}
      ${iconButton('compare', 'Compare two layers by a swipe', toggleCompare, { pressed: compare !== null })}
    </div>`;
}

/** In the map's place. */
function noMap(): TemplateResult {
  return html`<div class="mapless" role="alert"><h2>There is no map here</h2>
    <p>This browser lets the page draw nothing by WebGL, which the map needs. Turn on hardware acceleration in its settings, or open the page in another browser.</p>
    <p>Search, lists, legends and links work without it.</p><p class="quiet">${store.now.mapless}</p></div>`;
}

function drawer(name: NonNullable<State['dialog']>, view: View | null): TemplateResult {
  const titles = { share: 'Share and take away', live: 'What happens now', help: 'Help' };
  const body = { share: () => sharePanel(view), live: livePanel, help: () => helpPanel(toggleShortcuts) }[name];
  return html`<section class="drawer panel" role="dialog" tabindex="-1" aria-label=${titles[name]}>
    <header role="none"><h2>${titles[name]}</h2>${iconButton('close', 'Close', () => store.set({ dialog: null }))}</header>
    <div class="drawer-body">${body()}</div>
  </section>`;
}

/** Why nothing may be seen. */
function hint(view: View): TemplateResult | null {
  const { tool, layers, info, view: at } = store.now;
  if (tool !== 'ask') {
    return html`<p class="hint panel" role="status">${tool === 'polygon' ? 'Click the corners; double-click, Enter or the first corner ends.' : 'Click two opposite corners.'} Esc gives up.</p>`;
  }
  const far = layers.find(
    layer =>
      layer.visible &&
      layer.channels.some(t => t.includes(null)) &&
      (info[layer.id]?.tileJson?.minzoom ?? 0) > Math.floor((at?.zoom ?? 99) + 1),
  );
  return far
    ? html`<p class="hint panel">A mosaic is seen from zoom ${info[far.id]?.tileJson?.minzoom} on: <button type="button" class="small" @click=${() => view.map.zoomTo((info[far.id]?.tileJson?.minzoom ?? 1) - 1)}>zoom in</button></p>`
    : null;
}

function toast({ id, text, action }: State['toasts'][number]): TemplateResult {
  const run = () => {
    action?.run();
    store.dismiss(id);
  };
  return html`<div class="toast panel"><span>${text}</span>
    ${action ? html`<button type="button" class="small primary" @click=${run}>${action.label}</button>` : null}
    ${iconButton('close', 'Dismiss', () => store.dismiss(id))}</div>`;
}

export function everything(view: View): void {
  const boxes = store.now.collections.map(collection => collection.bounds).filter(bounds => bounds !== null);
  if (boxes.length === 0) return;
  // Round Greenwich or round the antimeridian, whichever is nearer together.
  const spans = [-180, 0].map(seam => {
    const shifted = boxes.map(([west, , east]) => {
      const shift = west < seam ? 360 : 0;
      return [west + shift, east + shift + (east < west ? 360 : 0)] as const;
    });
    return [Math.min(...shifted.map(s => s[0])), Math.max(...shifted.map(s => s[1]))] as const;
  });
  const [west, east] = spans.reduce((best, span) => (span[1] - span[0] < best[1] - best[0] ? span : best), [-180, 180]);
  view.fit([west, Math.min(...boxes.map(b => b[1])), east, Math.max(...boxes.map(b => b[3]))]);
}
