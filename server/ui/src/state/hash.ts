/** The whole state in the URL, after `#`: view, layers, filters, questions. A link shows another person the same page. */
import { encode } from '../api/client';
import type { Filter } from '../api/datasets';
import { writeLayer } from './layer';
import { readLayer } from './read-layer';
import { type LngLat, type State, store } from './store';

const LAYERS_MAX = 64;
/** In the URL: no layer on purpose, none of them open. */
const NONE = 'none';
const CORNERS_MAX = 200;
const OPS: readonly Filter['op'][] = ['is', 'has', 'from', 'to'];
let written = '';
/** Until the URL was read it is not written: a link outlives a server that is not up yet. */
let read = false;

/** Keeps the URL as the state is. */
export function followState(): void {
  let timer = 0;
  const names: (keyof State)[] = [
    'view',
    'layers',
    'filters',
    'collection',
    'inView',
    'footprints',
    'compare',
    'place',
    'area',
    'active',
    'ready',
  ];
  store.on(names, state => {
    if (!state.ready) return;
    clearTimeout(timer);
    timer = window.setTimeout(write, 250);
  });
  // A link pasted over this one, or the way back.
  addEventListener('hashchange', () => {
    if (location.hash.slice(1) !== written) location.reload();
  });
}

/** The link to what is seen now. */
export function link(): string {
  return read ? `${location.href.split('#')[0]}#${stateText(store.now)}` : location.href;
}

function write(): void {
  if (!read) return;
  written = stateText(store.now);
  if (location.hash.slice(1) !== written) history.replaceState(null, '', `#${written}`);
}

function stateText(state: State): string {
  const parts: string[] = [];
  const put = (name: string, value: string) => parts.push(`${encode(name)}=${encode(value).replace(/%3F/g, '?').replace(/%3D/g, '=')}`);
  if (state.view) put('at', [state.view.zoom.toFixed(2), state.view.center[1].toFixed(5), state.view.center[0].toFixed(5)].join('/'));
  put('in', state.collection);
  for (const filter of state.filters) put(`${filter.op}.${filter.key}`, filter.value);
  if (state.inView) put('view', '1');
  if (!state.footprints) put('footprints', '0');
  for (const layer of state.layers) put('layer', writeLayer(layer, store.keysOf(layer.collection)));
  const active = state.layers.findIndex(layer => layer.id === state.active);
  if (state.layers.length === 0 && state.emptied) put('layer', NONE);
  if (active < 0 && state.layers.length > 0) put('active', NONE);
  if (active >= 0 && state.layers.length > 1) put('active', String(active));
  if (state.compare !== null) put('swipe', state.compare.toFixed(3));
  if (state.place) put('ask', place(state.place));
  if (state.area) put('area', state.area.map(place).join(';'));
  return parts.join('&');
}

/** Takes the state from the URL, once, as far as it makes sense with what there is; while there is no collection nothing does. */
export function readHash(): void {
  if (read || store.now.collections.length === 0) return;
  read = true;
  const text = location.hash.slice(1);
  if (!text) return;
  const params = new URLSearchParams(text.replace(/\+/g, '%2B'));
  const { collections } = store.now;
  const keysOf = (id: string) => collections.find(collection => collection.id === id)?.keys;
  const told = params.getAll('layer').slice(0, LAYERS_MAX);
  const readable = told.map(layer => readLayer(layer, keysOf));
  const layers = readable.filter(layer => layer !== null);
  const emptied = told.length === 1 && told[0] === NONE;
  const lost = told.length - layers.length;
  if (lost > 0 && !emptied) store.toast(`${lost} ${lost === 1 ? 'layer' : 'layers'} of the link cannot be shown here`);
  // Counted as the link has them, with those that cannot be shown.
  const wantedActive = params.get('active');
  const active = wantedActive === NONE ? null : (readable[Number(wantedActive ?? Number.NaN)] ?? layers.at(-1) ?? null);
  const wanted = params.get('in') ?? '';
  const collection = keysOf(wanted) ? wanted : store.now.collection;
  const filters: Filter[] = [];
  for (const [name, value] of params) {
    const dot = name.indexOf('.');
    const op = OPS.find(o => o === name.slice(0, dot));
    const key = name.slice(dot + 1);
    if (op && keysOf(collection)?.includes(key)) filters.push({ key, op, value });
  }
  const [zoom = Number.NaN, lat = 0, lng = 0] = (params.get('at') ?? '').split('/').filter(Boolean).map(Number);
  const swipe = Number(params.get('swipe') ?? Number.NaN);
  const area = (params.get('area') ?? '')
    .split(';')
    .slice(0, CORNERS_MAX)
    .map(readPlace)
    .filter(corner => corner !== null);
  store.set({
    collection,
    filters,
    layers,
    emptied,
    active: active?.id ?? null,
    inView: params.get('view') === '1',
    footprints: params.get('footprints') !== '0',
    view: [zoom, lat, lng].every(Number.isFinite) ? { center: [lng, clamp(lat, -85, 85)], zoom: clamp(zoom, 0, 22) } : null,
    compare: swipe >= 0 && swipe <= 1 ? swipe : null,
    place: readPlace(params.get('ask') ?? ''),
    area: area.length > 2 ? area : null,
  });
  written = text;
}

/** What the map takes. */
function clamp(value: number, low: number, high: number): number {
  return Math.max(low, Math.min(high, value));
}

function place([lng, lat]: LngLat): string {
  return `${lng.toFixed(5)},${lat.toFixed(5)}`;
}

function readPlace(text: string): LngLat | null {
  const [lng = Number.NaN, lat = Number.NaN] = text.split(',').filter(Boolean).map(Number);
  return Math.abs(lat) <= 90 && Number.isFinite(lng) ? [lng, lat] : null;
}
