/** What to show of a dataset unless somebody said: its bands as RGB where they look so, else the one band in its own style. */
import { at, type Collection } from '../api/collections';
import { datasets, type Filter, type KeyValues, keyValues } from '../api/datasets';
import { metadata } from '../api/metadata';
import { type Layer, newLayer, type Tuple } from './layer';

/** Names that bands of red, green and blue go by. */
const TRIPLES: readonly (readonly string[])[] = [
  ['red', 'green', 'blue'],
  ['R', 'G', 'B'],
  ['B04', 'B03', 'B02'],
  ['B4', 'B3', 'B2'],
  ['SR_B4', 'SR_B3', 'SR_B2'],
];

/** Three of some values of the last key that make a picture. */
export function triple(values: readonly string[]): readonly [string, string, string] | null {
  const found = TRIPLES.find(names => names.every(name => values.includes(name)));
  if (found) return found as [string, string, string];
  const numbers = ['1', '2', '3'];
  return numbers.every(n => values.includes(n)) ? (numbers as [string, string, string]) : null;
}

/** The first layer of a page that nobody told what to show. */
export async function firstLayer(collections: readonly Collection[]): Promise<Layer | null> {
  const filled = collections.filter(collection => collection.datasets > 0);
  const collection = filled.find(c => c.default) ?? filled[0];
  if (!collection) return null;
  const path = at(collection, collection.id);
  const listed = (await datasets(path, [], { limit: 100, descending: true })).datasets;
  const newest = listed[0];
  if (!newest) return null;
  // Among the first, a picture in true color tells most at once.
  const lastKey = collection.keys.at(-1) ?? '';
  const groups = new Map<string, KeyValues[]>();
  for (const keys of listed) {
    const name = JSON.stringify(collection.keys.slice(0, -1).map(key => keys[key]));
    groups.set(name, [...(groups.get(name) ?? []), keys]);
  }
  for (const group of groups.values()) {
    const bands = triple(group.map(keys => keys[lastKey] ?? ''));
    if (bands && group[0]) return rgbLayer(collection, tupleOf(collection.keys, group[0]), bands);
  }
  return layerOf(collection, newest);
}

/** A new layer of one dataset. */
export async function layerOf(collection: Collection, keys: KeyValues): Promise<Layer> {
  const tuple = tupleOf(collection.keys, keys);
  const path = at(collection, collection.id);
  const lastKey = collection.keys.at(-1) ?? '';
  const [known, siblings] = await Promise.all([
    metadata(path, tuple as string[]),
    keyValues(path, lastKey, fixed(collection.keys, tuple.slice(0, -1)), { limit: 5 }),
  ]);
  const values = siblings.map(sibling => sibling.value);
  const bands = known.dtype === 'uint8' && !known.categorical.is && values.length <= 4 ? triple(values) : null;
  return bands ? rgbLayer(collection, tuple, bands) : newLayer({ collection: collection.id, channels: [tuple] });
}

export function rgbLayer(collection: Collection, tuple: Tuple, bands: readonly string[]): Layer {
  const channels = bands.map(band => [...tuple.slice(0, -1), band]);
  return newLayer({ collection: collection.id, kind: 'rgb', channels, stretches: [null, null, null] });
}

export function tupleOf(keys: readonly string[], values: KeyValues): string[] {
  return keys.map(key => values[key] ?? '');
}

/** Filters that fix the keys a tuple has values for. */
export function fixed(keys: readonly string[], tuple: Tuple): Filter[] {
  return tuple.flatMap((value, i) => (value !== null && value !== undefined ? [{ key: keys[i] ?? '', op: 'is' as const, value }] : []));
}

/** The tuple with one value changed; later keys follow where the combination does not exist. */
export async function withValue(collection: Collection, tuple: Tuple, key: number, value: string | null): Promise<Tuple> {
  const wanted = tuple.map((v, i) => (i === key ? value : v));
  const path = at(collection, collection.id);
  for (let kept = wanted.length; kept > key; kept--) {
    const head = wanted.slice(0, kept);
    const found = (await datasets(path, fixed(collection.keys, head), { limit: 1 })).datasets[0];
    if (found) return wanted.map((v, i) => (i < kept || v === null ? v : (found[collection.keys[i] ?? ''] ?? v)));
  }
  return wanted;
}
