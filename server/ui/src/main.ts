/** The start of the page: what there is, what the URL says, the map, and then whatever happens. */
import './style/page.css';
import './style/panels.css';
import './style/widgets.css';
import { Latest, said } from './api/client';
import { type Bounds, collections, uiConfig } from './api/collections';
import type { KeyValues } from './api/datasets';
import { followKeys } from './keys';
import { View } from './map/view';
import { startPage } from './page';
import { followQuestions } from './panels/ask/ask';
import { DatasetList } from './panels/find/list';
import { followServer } from './panels/live/live';
import { followPlaying } from './panels/look/time';
import { sampleFrom } from './panels/style/sample';
import { firstLayer, layerOf } from './state/choose';
import { followState, readHash } from './state/hash';
import type { Layer } from './state/layer';
import { followLayers, placeOf } from './state/resolve';
import { store } from './state/store';
import { startTheme } from './state/theme';

const replacing = new Latest();
const AGAIN_MS = 5000;
const WORLD: Bounds = [-180, -85, 180, 85];

async function start(): Promise<void> {
  startTheme();
  const [ui, found] = await Promise.all([uiConfig(), collections().catch((error: unknown) => said(error))]);
  if (typeof found === 'string') store.set({ ui, fault: found });
  else {
    const first = found.find(c => c.default && c.datasets > 0) ?? found.find(c => c.datasets > 0) ?? found[0];
    store.set({ ui, collections: found, collection: first?.id ?? '' });
    readHash();
  }
  const placed = store.now.view !== null;
  // Asked before the map is made, which takes the browser a while.
  followLayers();
  const { layers, active, emptied, fault } = store.now;
  if (layers.length > 0) store.set({ layers: [...layers] });
  const chosen = layers.length > 0 || emptied || fault !== null ? null : choose();

  const { root, home, twin } = places();
  const view = openMap(home, twin);
  const list = new DatasetList({
    show: (keys, bounds) => void show(view, keys, bounds, false),
    add: (keys, bounds) => void show(view, keys, bounds, true),
    hover: (bounds, hull) => view?.hover(bounds, hull),
    footprints: boxes => view?.footprints(boxes),
    bounds: () => view?.bounds() ?? WORLD,
  });
  const begin = async (choice: Promise<Layer | null>) => {
    const layer = await choice;
    if (layer && store.now.layers.length === 0) store.set({ layers: [layer], active: layer.id });
    if (layer && view) fitOnce(layer.id, view);
  };
  followQuestions();
  followPlaying(() => view?.settled ?? true);
  if (fault === null) followState();
  followKeys(view);
  sampleFrom(() => view?.bounds() ?? WORLD);
  startPage(root, view, list);
  store.set({ ready: true });
  if (fault !== null) return void beginAnew();
  if (chosen) void begin(chosen);
  else if (!placed && active && view) fitOnce(active, view);
  followServer({
    first: () => {
      readHash();
      const { view: at, layers: read, active: top, emptied: none } = store.now;
      if (at) view?.map.jumpTo(at);
      if (read.length === 0 && !none) void begin(choose());
      else if (!at && top && view) fitOnce(top, view);
    },
    begin: () => void begin(choose()),
    show: changed => void show(view, changed.keys, changed.bounds, true, changed.collection),
  });
}

/** Opens the page again as soon as the server answers. */
async function beginAnew(): Promise<void> {
  do await new Promise(resolve => setTimeout(resolve, AGAIN_MS));
  while (!(await collections().catch(() => null)));
  location.reload();
}

/** `null` where the browser cannot draw one: its place says so. */
function openMap(home: HTMLElement, twin: HTMLElement): View | null {
  try {
    return new View(home, twin);
  } catch (error) {
    // MapLibre says it in JSON, with all that it asked for.
    const reason = /"statusMessage":"([^"]*)"/.exec(said(error))?.[1];
    store.set({ mapless: reason || said(error) });
    return null;
  }
}

/** What to show where nobody said. It is put among the layers at once, so that its tiles are asked for while the map is made. */
async function choose(): Promise<Layer | null> {
  const layer = await firstLayer(store.now.collections).catch(() => null);
  if (layer && store.now.layers.length === 0) store.set({ layers: [layer], active: layer.id });
  return layer;
}

/** Shows a dataset in place of the active layer, or above all others. */
async function show(view: View | null, keys: KeyValues, bounds: Bounds | null, add: boolean, id = store.now.collection): Promise<void> {
  const collection = store.collectionOf(id);
  if (!collection) return;
  try {
    // Of several that take the place of one, the last that was chosen.
    const layer = add ? await layerOf(collection, keys) : await replacing.run(() => layerOf(collection, keys));
    if (!layer) return;
    const { layers, active } = store.now;
    const old = layers.findIndex(other => other.id === active);
    const kept = { side: layers[old]?.side ?? 'both', opacity: layers[old]?.opacity ?? 1 };
    const next = add || old < 0 ? [...layers, layer] : layers.with(old, { ...layer, ...kept });
    store.set({ layers: next, active: layer.id, playing: false });
    if (bounds) view?.fit(bounds);
  } catch (error) {
    store.toast(said(error));
  }
}

/** Goes to a layer as soon as it is known where it lies. */
function fitOnce(id: string, view: View): void {
  const look = () => {
    const layer = store.layer(id);
    const bounds = layer && placeOf(layer);
    if (layer && !bounds) return;
    stop();
    if (bounds) view.fit(bounds, false);
  };
  // Who goes somewhere meanwhile, stays there.
  const moved = (event: { originalEvent?: unknown }) => event.originalEvent && stop();
  const off = store.on(['info', 'layers'], look);
  const stop = () => {
    off();
    view.map.off('movestart', moved);
  };
  view.map.on('movestart', moved);
  look();
}

function places(): { root: HTMLElement; home: HTMLElement; twin: HTMLElement } {
  const app = document.getElementById('app') ?? document.body;
  const [main, home, twin, root] = [
    document.createElement('main'),
    ...['map', 'twin', 'chrome'].map(id => Object.assign(document.createElement('div'), { id })),
  ];
  if (!main || !home || !twin || !root) throw new Error('the page has no room');
  main.setAttribute('aria-label', 'Map');
  twin.hidden = true;
  // The other side of the same map.
  twin.setAttribute('aria-hidden', 'true');
  main.append(home, twin);
  app.replaceChildren(main, root);
  return { root, home, twin };
}

void start().catch((error: unknown) => {
  const text = `The page cannot be drawn by this browser. (${said(error)})`;
  const fault = Object.assign(document.createElement('p'), { className: 'empty', role: 'alert', textContent: text });
  document.getElementById('app')?.replaceChildren(fault);
});
