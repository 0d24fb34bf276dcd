/** `GET /metadata`: what is known of one dataset; remembered for the snapshot it is of. */
import { getJson, request, segments } from './client';
import type { Bounds } from './collections';

export interface Histogram {
  min: number;
  max: number;
  counts: number[];
}

export interface Metadata {
  bounds: Bounds | null;
  convex_hull: { type: 'Polygon'; coordinates: [number, number][][] };
  range: [number, number] | null;
  mean: number | null;
  stdev: number | null;
  percentiles: number[] | null;
  valid_percentage: number;
  dtype: string;
  nodata: number | string | null;
  crs: string | null;
  size: [number, number] | null;
  unit: string | null;
  categorical: { is: boolean; reason?: string };
  histogram: Histogram | null;
  categories: { value: number; label: string }[];
  minzoom: number;
  maxzoom: number;
  ingested_at: string;
  source?: string;
}

const COLUMNS =
  '["bounds","convex_hull","range","mean","stdev","percentiles","valid_percentage","dtype","nodata","crs","size","unit","categorical","histogram","categories","minzoom","maxzoom","ingested_at"]';
const KNOWN_MAX = 200;
const known = new Map<string, Promise<Metadata>>();

export function metadata(at: string, keys: readonly string[]): Promise<Metadata> {
  const path = `${at}metadata/${segments(keys)}?columns=${COLUMNS}`;
  const found = known.get(path);
  if (found) return found;
  const asked = getJson<Metadata>(path);
  if (known.size >= KNOWN_MAX) known.clear();
  known.set(path, asked);
  asked.catch(() => known.delete(path));
  return asked;
}

/** A newer snapshot may say otherwise. */
export function forgetMetadata(): void {
  known.clear();
}

/** The valid hulls of up to a hundred datasets. */
export async function hulls(
  at: string,
  keys: readonly (readonly string[])[],
  signal?: AbortSignal,
): Promise<Pick<Metadata, 'bounds' | 'convex_hull'>[]> {
  const init: RequestInit = { method: 'POST', body: JSON.stringify({ keys }), headers: { 'content-type': 'application/json' } };
  if (signal) init.signal = signal;
  const answer = await request(`${at}metadata?columns=["bounds","convex_hull"]`, init);
  return (await answer.json()) as Pick<Metadata, 'bounds' | 'convex_hull'>[];
}
