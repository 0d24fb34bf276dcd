/** Asks the server about each layer when it or the catalogue changes: its tiles, its legend, what its data are. */
import { ApiError, Latest, said } from '../api/client';
import { at, type Bounds } from '../api/collections';
import { datasets, keyValues } from '../api/datasets';
import { type Metadata, metadata } from '../api/metadata';
import { legend, tileJson } from '../api/pictures';
import { fixed, tupleOf } from './choose';
import { areDates } from './dates';
import { isMosaic, type Layer, layerUrl, type Tuple } from './layer';
import { perLayer } from './per-layer';
import { store } from './store';

/** Dragging changes a style many times a second. */
const SETTLE_MS = 60;
const DATES_MAX = 2000;
const asked = perLayer<{ url: string; latest: Latest; timer: number }>((entry, id) => {
  clearTimeout(entry.timer);
  entry.latest.stop();
  store.forgetInfo(id);
});

export function followLayers(): void {
  // What failed while the server was away is asked again.
  store.on(['connected'], now => {
    if (now.connected) for (const layer of now.layers) if (now.info[layer.id]?.error) follow(layer, true);
  });
  store.on(['layers', 'generation'], (now, before) => {
    const again = now.generation !== before.generation;
    for (const layer of now.layers) follow(layer, again);
  });
}

/** Where a layer lies, once that is known. The TileJSON of one that crosses the antimeridian says the whole world. */
export function placeOf(layer: Layer): Bounds | null {
  const info = store.now.info[layer.id];
  const told = info?.tileJson?.bounds;
  if (!info || !told) return null;
  if (told[0] > -180 || told[2] < 180) return told;
  if (isMosaic(layer)) return store.collectionOf(layer.collection)?.bounds ?? told;
  return info.metadata.length === 0 ? null : (info.metadata[0]?.bounds ?? told);
}

function follow(layer: Layer, again: boolean): void {
  const keys = store.keysOf(layer.collection);
  const url = layerUrl(layer, keys, 'tilejson.json');
  const entry = asked.get(layer.id) ?? { url: '', latest: new Latest(), timer: 0 };
  if (entry.url === url && !again) return;
  const first = entry.url === '';
  entry.url = url;
  asked.set(layer.id, entry);
  clearTimeout(entry.timer);
  entry.timer = window.setTimeout(() => void entry.latest.run(signal => askAbout(layer.id, signal)), first || again ? 0 : SETTLE_MS);
}

async function askAbout(id: string, signal: AbortSignal): Promise<void> {
  const layer = store.layer(id);
  if (!layer) return;
  store.changeInfo(id, { busy: true });
  const collection = store.collectionOf(layer.collection);
  const path = at(collection, layer.collection);
  const keys = collection?.keys ?? [];
  void describe(layer, path, keys, signal).catch(() => undefined);
  try {
    if (layer.kind === 'compute' && !layer.expression.trim()) throw new ApiError('write an expression, such as (v1-v2)/(v1+v2)', 400);
    const dense = devicePixelRatio > 1;
    const size: [string, string][] = dense ? [['tile_size', '[512,512]']] : [];
    const json = await tileJson(path + layerUrl(layer, keys, 'tilejson.json', size), signal);
    const search = new URL(json.tiles[0] ?? '', location.href).search;
    const tiles = `${path}${layerUrl(layer, keys, '{z}/{x}/{y}.png').split('?')[0]}${search}`;
    const drawn = layer.kind === 'singleband' ? await legend(path + legendPath(layer, keys, search), signal).catch(() => null) : null;
    if (!signal.aborted) store.changeInfo(id, { busy: false, error: null, tileJson: json, tiles, legend: drawn });
  } catch (error) {
    if (!signal.aborted) store.changeInfo(id, { busy: false, error: said(error) });
  }
}

/** The legend of the picture with the stretch its TileJSON says; of classes all there are, also where some are hidden. */
function legendPath(layer: Layer, keys: readonly string[], search: string): string {
  const params = new URLSearchParams(search);
  for (const name of ['v', 'tile_size', ...(layer.classes ? ['colormap', 'explicit_color_map'] : [])]) params.delete(name);
  const path = layerUrl(layer, keys, '')
    .split('?')[0]
    ?.replace(/^singleband/, 'legend')
    .replace(/\/$/, '');
  return `${path}.json?${params}`;
}

async function describe(layer: Layer, path: string, keys: readonly string[], signal: AbortSignal): Promise<void> {
  const [found, time] = await Promise.all([
    Promise.all(layer.channels.map(tuple => representative(path, keys, tuple).catch(() => null))),
    dates(layer, path, keys),
  ]);
  // Of the layer as it is by now another asks.
  if (!signal.aborted) store.changeInfo(layer.id, { metadata: found, time });
}

/** Metadata of the dataset of a tuple; of a mosaic, of its topmost. */
async function representative(path: string, keys: readonly string[], tuple: Tuple): Promise<Metadata | null> {
  if (tuple.every(value => value !== null)) return metadata(path, tuple as string[]);
  const found = (await datasets(path, fixed(keys, tuple), { limit: 1, descending: true })).datasets[0];
  return found ? metadata(path, tupleOf(keys, found)) : null;
}

/** The key of dates and its values, under what else the first channel fixes. */
async function dates(layer: Layer, path: string, keys: readonly string[]): Promise<{ key: number; values: string[] } | null> {
  const tuple = layer.channels[0] ?? [];
  for (let key = 0; key < keys.length; key++) {
    const value = tuple[key];
    if (typeof value === 'string' && !areDates([value, value])) continue;
    const others = tuple.map((v, i) => (i === key ? null : v));
    const values = (await keyValues(path, keys[key] ?? '', fixed(keys, others), { limit: DATES_MAX })).map(counted => counted.value);
    if (areDates(values)) return { key, values };
  }
  return null;
}
