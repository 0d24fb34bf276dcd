/** A layer: what is looked at and how. It is written as the path of the API that shows it, so that the one is the other. */
import { encode, query, segments } from '../api/client';

export type Kind = 'singleband' | 'rgb' | 'compute';
/** A number, a percentile, or `null` for the end of the data's own range. */
export type Bound = number | null | `p${number}`;
export type Stretch = readonly [Bound, Bound];
/** A value for each key, in the order of keys; `null` is any: a mosaic. */
export type Tuple = readonly (string | null)[];

export interface Layer {
  /** Of this session only. */
  id: string;
  collection: string;
  kind: Kind;
  /** One of a single band, three of RGB, one to five of band maths. */
  channels: readonly Tuple[];
  /** One for each channel of RGB, else one; `null` is what the server chooses. */
  stretches: readonly (Stretch | null)[];
  colormap: string | null;
  /** Color by value, in place of a color map. */
  classes: Readonly<Record<string, string>> | null;
  expression: string;
  gamma: number;
  contrast: number;
  bias: number;
  saturation: number;
  method: 'first' | 'min' | 'max' | 'mean';
  opacity: number;
  visible: boolean;
  side: 'both' | 'left' | 'right';
}

let last = 0;

export function newLayer(part: Partial<Layer> & Pick<Layer, 'collection' | 'channels'>): Layer {
  return {
    id: `layer${++last}`,
    kind: 'singleband',
    stretches: [null],
    colormap: null,
    classes: null,
    expression: '',
    gamma: 1,
    contrast: 0,
    bias: 0.5,
    saturation: 1,
    method: 'first',
    opacity: 1,
    visible: true,
    side: 'both',
    ...part,
  };
}

export function copyLayer(layer: Layer): Layer {
  return { ...layer, id: `layer${++last}` };
}

export function isMosaic(layer: Layer): boolean {
  return layer.channels.some(tuple => tuple.includes(null));
}

export const NAMES: Record<Kind, readonly string[]> = {
  singleband: ['value'],
  rgb: ['r', 'g', 'b'],
  compute: ['v1', 'v2', 'v3', 'v4', 'v5'],
};

/** `singleband/a/b` and so on: the layer's path without its suffix. */
export function layerPath(layer: Layer): string {
  const first = layer.channels[0] ?? [];
  // RGB and band maths of one key have no segments.
  return [layer.kind, ...(layer.kind === 'singleband' ? first : first.slice(0, -1)).map(value => segments([value]))].join('/');
}

/** The parameters of a layer, as its route takes them. */
export function layerParams(layer: Layer, keys: readonly string[]): [string, string][] {
  const params: [string, string][] = [];
  const first = layer.channels[0] ?? [];
  if (layer.kind !== 'singleband') {
    layer.channels.forEach((tuple, i) => {
      const name = NAMES[layer.kind][i] ?? 'v5';
      params.push([name, tuple.at(-1) ?? '']);
      for (let k = 0; k + 1 < tuple.length; k++) {
        const value = tuple[k];
        const key = keys[k];
        if (value !== first[k] && typeof value === 'string' && key) params.push([`${name}.${key}`, value]);
      }
    });
  }
  if (layer.kind === 'compute') params.push(['expression', layer.expression]);
  layer.stretches.forEach((stretch, i) => {
    const name = layer.kind === 'rgb' ? `${NAMES.rgb[i]}_range` : 'stretch_range';
    if (stretch && !layer.classes) params.push([name, JSON.stringify(stretch)]);
  });
  if (layer.classes) params.push(['colormap', 'explicit'], ['explicit_color_map', JSON.stringify(layer.classes)]);
  else if (layer.colormap && layer.kind !== 'rgb') params.push(['colormap', layer.colormap]);
  const transform = colorTransform(layer);
  if (transform) params.push(['color_transform', transform]);
  if (isMosaic(layer) && layer.method !== 'first') params.push(['method', layer.method]);
  return params;
}

/** Path and parameters below the collection, `suffix` such as `tilejson.json` between them. */
export function layerUrl(layer: Layer, keys: readonly string[], suffix: string, more: readonly [string, string][] = []): string {
  const params = query([...layerParams(layer, keys), ...more]);
  return `${layerPath(layer)}/${suffix}${params ? `?${params}` : ''}`;
}

/** A layer as text for the page's own URL. */
export function writeLayer(layer: Layer, keys: readonly string[]): string {
  const own: [string, string][] = [];
  if (layer.opacity !== 1) own.push(['opacity', String(layer.opacity)]);
  if (!layer.visible) own.push(['hidden', '1']);
  if (layer.side !== 'both') own.push(['side', layer.side]);
  return `${encode(layer.collection)}/${layerUrl(layer, keys, '', own)}`.replace('/?', '?').replace(/\/$/, '');
}

function colorTransform(layer: Layer): string {
  // Band maths and classes have none.
  if (layer.kind === 'compute' || layer.classes) return '';
  const bands = layer.kind === 'rgb' ? 'rgb' : '1';
  const operations: string[] = [];
  if (layer.gamma !== 1) operations.push(`gamma ${bands} ${layer.gamma}`);
  if (layer.contrast !== 0) operations.push(`sigmoidal ${bands} ${layer.contrast} ${layer.bias}`);
  if (layer.kind === 'rgb' && layer.saturation !== 1) operations.push(`saturation ${layer.saturation}`);
  return operations.join(' ');
}
