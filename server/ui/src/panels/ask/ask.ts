/** Asking the map: the value of every visible layer at a place, its series over time, statistics of an area. */
import { Latest, said } from '../../api/client';
import { apiBox, at, type Bounds } from '../../api/collections';
import { values } from '../../api/pictures';
import { point, statistics, wrap } from '../../api/questions';
import { type Layer, layerUrl, type Tuple } from '../../state/layer';
import { perLayer } from '../../state/per-layer';
import { type Answer, type AreaAnswer, type LngLat, store } from '../../state/store';
import { show } from '../../widgets/numbers';

const SERIES_MAX = 1000;
/** Dates a formula is asked for, each on its own. */
const COMPUTED_MAX = 40;
const MOSAIC_MAX = 64;
/** A box about a place, in degrees: of one pixel, for values that are computed. */
const PIXEL = 1e-6;
const NO_DATA = 'no data';
const latest = new Latest();
/** The series of each layer at the place asked for: another date that is shown makes no other series. */
const known = perLayer<{ question: string; answer: Answer['series'] }>();

export function followQuestions(): void {
  const names = ['place', 'area', 'layers', 'info', 'generation', 'ready', 'connected'] as const;
  let asked = '';
  store.on(names, (now, before) => {
    if (!now.ready) return;
    // What failed while the server was away.
    if (now.connected && !before.connected && [...(now.answers ?? []), ...(now.areaAnswers ?? [])].some(a => a.error)) asked = '';
    const layers = now.layers.map(({ id, channels, expression, kind, visible, collection, method }) => [
      // What is told of a layer later than it is asked says how its values are to be read.
      visible ? readingOf(id) : null,
      method,
      channels,
      expression,
      kind,
      visible,
      collection,
    ]);
    const question = JSON.stringify([now.place, now.area, layers, now.generation]);
    if (question === asked) return;
    asked = question;
    latest.stop();
    if (!now.place) known.clear();
    if (now.place) void latest.run(signal => askPlace(now.place as LngLat, signal));
    else if (now.area) void latest.run(signal => askArea(now.area as LngLat[], signal));
  });
}

/** What the answers need of what is known of a layer. */
function readingOf(id: string): unknown[] {
  const info = store.now.info[id];
  const labels = info?.legend?.type === 'categories' ? info.legend.categories.map(c => [c.value, c.label]) : null;
  return [info?.time, info?.metadata.map(m => m?.unit), labels];
}

/** Asks for statistics of what is seen. */
export function askView(bounds: Bounds): void {
  const [west, south, right, north] = apiBox(bounds);
  const east = right < west ? right + 360 : right;
  const area: LngLat[] = [
    [west, south],
    [east, south],
    [east, north],
    [west, north],
  ];
  store.set({ area, areaAnswers: null, place: null, answers: null, tool: 'ask' });
}

/** Layers that answer, the topmost first. */
function visible(): Layer[] {
  return store.now.layers.filter(layer => layer.visible).reverse();
}

async function askPlace(place: LngLat, signal: AbortSignal): Promise<void> {
  const answers = await Promise.all(visible().map(layer => ofLayer(layer, place, signal)));
  if (!signal.aborted) store.set({ answers });
}

async function ofLayer(layer: Layer, place: LngLat, signal: AbortSignal): Promise<Answer> {
  const answer: Answer = { layer: layer.id, values: [], series: null };
  const path = at(store.collectionOf(layer.collection), layer.collection);
  try {
    const bands = await Promise.all(layer.channels.map(tuple => valueAt(path, layer, tuple, place, signal)));
    const names = layer.channels.map(tuple => tuple.at(-1) ?? '*');
    answer.values = bands.map((value, i) => ({ label: layer.kind === 'singleband' ? '' : (names[i] ?? ''), value }));
    if (layer.kind === 'compute') answer.values.unshift({ label: '', value: await computed(path, layer, place, signal) });
    answer.series = await seriesOnce(path, layer, place, signal);
  } catch (error) {
    if (!signal.aborted) answer.error = said(error);
  }
  return answer;
}

async function valueAt(path: string, layer: Layer, tuple: Tuple, place: LngLat, signal: AbortSignal): Promise<string> {
  const wild = tuple.includes(null);
  const unit = store.now.info[layer.id]?.metadata[0]?.unit;
  if (wild && layer.method !== 'first') {
    // Not of one dataset: the picture's own way of putting them together.
    const value = await computed(path, { ...layer, kind: 'singleband', channels: [tuple] }, place, signal);
    return unit && value !== NO_DATA ? `${value} ${unit}` : value;
  }
  const results = await point(path, tuple, place, { limit: wild ? MOSAIC_MAX : 1, descending: wild }, signal);
  // Of a mosaic what lies on top: the first that has a value.
  const found = results.find(result => result.scaled !== null) ?? results[0];
  if (!found || found.value === null) return NO_DATA;
  const label = layer.kind === 'singleband' ? labelOf(layer, found.value) : null;
  return label ? `${label} (${found.value})` : `${show(found.scaled ?? Number(found.value), 5)}${unit ? ` ${unit}` : ''}`;
}

function labelOf(layer: Layer, value: number | string): string | null {
  const info = store.now.info[layer.id];
  if (info?.legend?.type !== 'categories') return null;
  return info.legend.categories.find(c => String(c.value) === String(value))?.label ?? null;
}

async function computed(path: string, layer: Layer, [lng, lat]: LngLat, signal: AbortSignal): Promise<string> {
  const west = wrap(lng);
  const plain = { ...layer, stretches: [null], colormap: null };
  const bbox = [west, lat, west + PIXEL, lat + PIXEL].map(n => n.toFixed(7)).join(',');
  const found = await values(
    path +
      layerUrl(plain, store.keysOf(layer.collection), 'crop.npy', [
        ['bbox', bbox],
        ['width', '1'],
        ['height', '1'],
      ]),
    signal,
  );
  const value = found[0];
  return value === null || value === undefined ? NO_DATA : show(value, 5);
}

async function seriesOnce(path: string, layer: Layer, place: LngLat, signal: AbortSignal): Promise<Answer['series']> {
  const time = store.now.info[layer.id]?.time;
  if (!time) return null;
  const { kind, expression, collection } = layer;
  const old = layer.channels[0]?.[time.key];
  const channels = layer.channels.map(tuple => tuple.map((value, i) => (i === time.key && value === old ? null : value)));
  const question = JSON.stringify([place, kind, expression, collection, channels, readingOf(layer.id), store.now.generation]);
  const found = known.get(layer.id);
  if (found?.question === question) return found.answer;
  const answer = await seriesOf(path, layer, time.key, place, signal);
  if (!signal.aborted) known.set(layer.id, { question, answer });
  return answer;
}

/** A band over time, of RGB the first. */
async function seriesOf(path: string, layer: Layer, key: number, place: LngLat, signal: AbortSignal): Promise<Answer['series']> {
  if (layer.kind === 'compute') return computedSeries(path, layer, key, place, signal);
  const first = layer.channels[0] ?? [];
  const results = await point(
    path,
    first.map((value, i) => (i === key ? null : value)),
    place,
    { limit: SERIES_MAX, descending: true },
    signal,
  );
  return seriesFrom(
    layer,
    key,
    results.map(r => ({ keys: r.keys, y: r.scaled })),
  );
}

/** A formula over time: at each date of its own, the newest of many. */
async function computedSeries(path: string, layer: Layer, key: number, place: LngLat, signal: AbortSignal): Promise<Answer['series']> {
  const all = store.now.info[layer.id]?.time?.values ?? [];
  const dates = all.slice(-COMPUTED_MAX);
  const old = layer.channels[0]?.[key];
  const rows = await Promise.all(
    dates.map(async date => {
      const channels = layer.channels.map(tuple => tuple.map((value, i) => (i === key && value === old ? date : value)));
      const text = await computed(path, { ...layer, channels }, place, signal).catch(() => NO_DATA);
      const y = Number(text.replace(/,/g, ''));
      return { value: date, y: Number.isFinite(y) ? y : null };
    }),
  );
  return { key, keys: store.keysOf(layer.collection), values: rows, unit: null, newest: dates.length < all.length };
}

function seriesFrom(layer: Layer, key: number, results: { keys: Record<string, string>; y: number | null }[]): Answer['series'] {
  const keys = store.keysOf(layer.collection);
  const name = keys[key] ?? '';
  const byDate = new Map<string, number | null>();
  // From the last: where several datasets of a mosaic have one date, the first that has a value lies on top.
  for (const { keys: values, y } of results) {
    const date = values[name] ?? '';
    if ((byDate.get(date) ?? null) === null) byDate.set(date, y);
  }
  const values = [...byDate].map(([value, y]) => ({ value, y })).sort((a, b) => (a.value < b.value ? -1 : 1));
  const unit = store.now.info[layer.id]?.metadata[0]?.unit ?? null;
  return values.length > 1 ? { key, keys, values, unit, newest: results.length >= SERIES_MAX } : null;
}

async function askArea(ring: readonly LngLat[], signal: AbortSignal): Promise<void> {
  const questions = visible().flatMap(layer => {
    const path = at(store.collectionOf(layer.collection), layer.collection);
    return layer.channels.map(tuple => ({ layer, path, tuple }));
  });
  const answers = await Promise.all(
    questions.map(async ({ layer, path, tuple }): Promise<AreaAnswer> => {
      const answer: AreaAnswer = {
        layer: layer.id,
        band: layer.channels.length > 1 ? ` · ${tuple.at(-1)}` : '',
        tuple,
        unit: store.now.info[layer.id]?.metadata[0]?.unit ?? null,
      };
      if (tuple.includes(null)) return { ...answer, error: 'statistics are of one dataset: choose a value for every key' };
      try {
        return { ...answer, statistics: await statistics(path, tuple as string[], ring, signal) };
      } catch (error) {
        return { ...answer, error: said(error) };
      }
    }),
  );
  if (!signal.aborted) store.set({ areaAnswers: answers });
}
