/** A histogram of what is seen of a layer that has none in the catalogue: band maths, mosaics, and datasets without one. */
import { Latest } from '../../api/client';
import { at, turns } from '../../api/collections';
import type { Histogram } from '../../api/metadata';
import { values } from '../../api/pictures';
import { Failures } from '../../state/failures';
import { type Layer, layerUrl } from '../../state/layer';
import { perLayer } from '../../state/per-layer';
import { store } from '../../state/store';
import { histogramOf } from '../../widgets/histogram';

const PIXELS = 128;
const SETTLE_MS = 250;

export interface Sample {
  histogram: Histogram;
  percentiles: number[];
}

interface Entry {
  /** What the values are of, whatever the date: what was seen of another formula says nothing of this one. */
  subject: string;
  asked: string;
  latest: Latest;
  sample: Sample | null;
  timer: number;
}

/** By layer and channel. */
const entries = perLayer<Entry>(stop);
const failures = new Failures();
let boundsOf: () => readonly [number, number, number, number] = () => [-180, -85, 180, 85];

/** Says what is seen. */
export function sampleFrom(bounds: typeof boundsOf): void {
  boundsOf = bounds;
}

/** The newest there is; a better one is asked for if the layer or the view changed. */
export function sampleOf(layer: Layer, channel: number): Sample | null {
  const name = `${layer.id}/${channel}`;
  const subject = `${layer.kind} ${layer.expression}`;
  let entry = entries.get(name);
  if (entry?.subject !== subject) {
    if (entry) stop(entry);
    entry = { subject, asked: '', latest: new Latest(), sample: null, timer: 0 };
    entries.set(name, entry);
  }
  const plain: Layer = {
    ...layer,
    kind: layer.kind === 'compute' ? 'compute' : 'singleband',
    stretches: [null],
    colormap: null,
    classes: null,
    gamma: 1,
    contrast: 0,
    saturation: 1,
  };
  const of = layer.kind === 'compute' ? plain : { ...plain, channels: [layer.channels[channel] ?? []] };
  const path = at(store.collectionOf(layer.collection), layer.collection);
  const info = store.now.info[layer.id];
  const bbox = inside(boundsOf(), info?.tileJson?.bounds);
  if (!info?.tileJson || info.error || !bbox) return entry.sample;
  const url =
    path +
    layerUrl(of, store.keysOf(layer.collection), 'crop.npy', [
      ['bbox', bbox.map(n => n.toFixed(6)).join(',')],
      ['width', String(PIXELS)],
      ['height', String(PIXELS)],
    ]);
  const question = `${store.now.generation} ${url}`;
  if (entry.asked !== question && !failures.has(question)) {
    entry.asked = question;
    clearTimeout(entry.timer);
    const asking = entry;
    entry.timer = window.setTimeout(() => void ask(asking, question, url), SETTLE_MS);
  }
  return entry.sample;
}

function stop(entry: Entry): void {
  clearTimeout(entry.timer);
  entry.latest.stop();
}

async function ask(entry: Entry, question: string, url: string): Promise<void> {
  try {
    const found = await entry.latest.run(signal => values(url, signal));
    if (!found) return;
    entry.sample = histogramOf(found) ?? entry.sample;
    store.set({});
  } catch {
    // The layer itself says what is wrong with it.
    failures.add(question);
    if (entry.asked === question) entry.asked = '';
  }
}

/** What two boxes have in common. */
function inside(view: readonly number[], bounds: readonly number[] | undefined): number[] | null {
  const [w = -180, s = -85, e = 180, n = 85] = view;
  const [west = -180, south = -85, east = 180, north = 85] = bounds ?? [];
  // Where the view is on a copy of the world, that of the layer's own; of several the one most is seen of.
  const shifts = [0, 1, -1].map(k => turns(w) + 360 * k);
  const parts = shifts.map(shift => [Math.max(w - shift, west), Math.min(e - shift, east)] as const);
  const [a, c] = parts.reduce((best, part) => (part[1] - part[0] > best[1] - best[0] ? part : best));
  const [b, d] = [Math.max(s, south), Math.min(n, north)];
  return c - a > 1e-6 && d - b > 1e-6 ? [a, b, c, d] : null;
}
