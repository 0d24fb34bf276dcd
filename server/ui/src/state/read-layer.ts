/** Reads a layer back from the text that `writeLayer` made, which a person may have edited. */
import { type Bound, type Kind, type Layer, NAMES, newLayer, type Stretch, type Tuple } from './layer';

const KINDS: readonly Kind[] = ['singleband', 'rgb', 'compute'];

/** `null` if it is none. `keysOf` says the keys of a collection. */
export function readLayer(text: string, keysOf: (collection: string) => readonly string[] | undefined): Layer | null {
  const [path = '', search = ''] = text.split('?', 2);
  const [collection, kind, ...rest] = path
    .split('/')
    .filter(Boolean)
    .map((part, i) => (i > 1 && part === '*' ? null : decode(part)));
  const keys = collection ? keysOf(collection) : undefined;
  const params = new URLSearchParams(search.replace(/\+/g, '%2B'));
  const known = KINDS.find(k => k === kind);
  if (!keys || !collection || !known || rest.length !== keys.length - (known === 'singleband' ? 0 : 1)) return null;
  const channels = known === 'singleband' ? [rest] : readChannels(known, rest, keys, params);
  if (channels.length === 0) return null;
  const layer = newLayer({ collection, kind: known, channels, ...readStyle(known, params) });
  return layer;
}

function readChannels(kind: Kind, base: Tuple, keys: readonly string[], params: URLSearchParams): Tuple[] {
  const channels: Tuple[] = [];
  for (const name of NAMES[kind]) {
    const value = params.get(name);
    if (value === null) break;
    const tuple = [...base, value];
    keys.forEach((key, k) => {
      const own = params.get(`${name}.${key}`);
      if (own !== null) tuple[k] = own;
    });
    channels.push(tuple);
  }
  return kind === 'rgb' && channels.length !== 3 ? [] : channels;
}

function readStyle(kind: Kind, params: URLSearchParams): Partial<Layer> {
  const names = kind === 'rgb' ? NAMES.rgb.map(name => `${name}_range`) : ['stretch_range'];
  const part: Partial<Layer> = { stretches: names.map(name => readStretch(params.get(name))) };
  const colormap = params.get('colormap');
  const classes = parse(params.get('explicit_color_map'));
  if (colormap === 'explicit' && classes && typeof classes === 'object') {
    part.classes = Object.fromEntries(Object.entries(classes).filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
  } else if (colormap && colormap !== 'explicit') part.colormap = colormap;
  part.expression = params.get('expression') ?? '';
  const words = (params.get('color_transform') ?? '').split(/[\s,]+/);
  words.forEach((word, i) => {
    const number = (n: number) => Number(words[i + n]);
    if (word === 'gamma' && number(2) > 0) part.gamma = number(2);
    if (word === 'saturation' && number(1) >= 0) part.saturation = number(1);
    if (word === 'sigmoidal' && Number.isFinite(number(2))) [part.contrast, part.bias] = [number(2), number(3) || 0];
  });
  const method = (['min', 'max', 'mean'] as const).find(name => name === params.get('method'));
  if (method) part.method = method;
  const opacity = Number(params.get('opacity') ?? 1);
  part.opacity = opacity >= 0 && opacity <= 1 ? opacity : 1;
  part.visible = params.get('hidden') !== '1';
  const side = params.get('side');
  if (side === 'left' || side === 'right') part.side = side;
  return part;
}

function readStretch(text: string | null): Stretch | null {
  const value = parse(text);
  const isBound = (b: unknown): b is Bound => b === null || Number.isFinite(b) || (typeof b === 'string' && /^p\d/.test(b));
  return Array.isArray(value) && value.length === 2 && isBound(value[0]) && isBound(value[1]) ? [value[0], value[1]] : null;
}

function parse(text: string | null): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
