/** What the API says of a layer as a whole: its TileJSON, its legend, and its values in a box. */
import { getJson, request } from './client';
import type { Bounds } from './collections';

export interface TileJson {
  tiles: string[];
  bounds: Bounds;
  minzoom: number;
  maxzoom: number;
  attribution?: string;
}

export type Legend =
  | { type: 'ramp'; unit: string | null; range: [number, number]; colors: { value: number; color: string }[] }
  | { type: 'categories'; unit: string | null; categories: { value: number; label: string | null; color: string }[] };

export function tileJson(path: string, signal?: AbortSignal): Promise<TileJson> {
  return getJson<TileJson>(path, signal);
}

export function legend(path: string, signal?: AbortSignal): Promise<Legend> {
  return getJson<Legend>(path, signal);
}

export async function colormapNames(at: string): Promise<string[]> {
  return (await getJson<{ colormaps: string[] }>(`${at}colormaps`)).colormaps;
}

/** Valid values of a `crop.npy`, from its upper left, `null` where there is none. */
export async function values(path: string, signal?: AbortSignal): Promise<(number | null)[]> {
  const answer = await request(path, signal ? { signal } : {});
  return parseNpy(await answer.arrayBuffer());
}

/** NumPy's format 1.0: two bands, values and then their mask, as `numpy.lib.format` describes it. */
export function parseNpy(bytes: ArrayBuffer): (number | null)[] {
  const view = new DataView(bytes);
  const start = 10 + view.getUint16(8, true);
  const header = new TextDecoder().decode(new Uint8Array(bytes, 10, start - 10));
  const kind = /'descr': '([<>|=]?)([fiub])(\d)'/.exec(header);
  const shape = /'shape': \((\d+), (\d+), (\d+)\)/.exec(header);
  if (!kind || !shape) throw new Error('the server sent values in an unknown form');
  const width = Number(kind[3]);
  const at = reader(view, kind[2] ?? 'f', width, kind[1] !== '>');
  const count = Number(shape[2]) * Number(shape[3]);
  const masked = Number(shape[1]) > 1;
  return Array.from({ length: count }, (_, i) => {
    const value = at(start + i * width);
    return (masked && at(start + (count + i) * width) === 0) || !Number.isFinite(value) ? null : value;
  });
}

function reader(view: DataView, kind: string, width: number, little: boolean): (at: number) => number {
  if (kind === 'f') return width === 4 ? at => view.getFloat32(at, little) : at => view.getFloat64(at, little);
  const signed = kind === 'i';
  if (width === 1) return signed ? at => view.getInt8(at) : at => view.getUint8(at);
  if (width === 2) return signed ? at => view.getInt16(at, little) : at => view.getUint16(at, little);
  if (width === 4) return signed ? at => view.getInt32(at, little) : at => view.getUint32(at, little);
  return signed ? at => Number(view.getBigInt64(at, little)) : at => Number(view.getBigUint64(at, little));
}
