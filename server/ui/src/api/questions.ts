/** `GET /point` and `POST /statistics`: values at a place, statistics of an area. */
import { getJson, request, segments } from './client';
import { turns } from './collections';
import type { KeyValues } from './datasets';

export interface PointResult {
  keys: KeyValues;
  value: number | string | null;
  scaled: number | null;
}

export interface Statistics {
  of: string;
  zoom?: number;
  min?: number;
  max?: number;
  mean?: number;
  std?: number;
  median?: number;
  count: number;
  valid_percent: number;
  percentile_2?: number;
  percentile_98?: number;
  histogram?: [number[], number[]];
}

/** At most `limit` datasets, in the order of their keys or from the last. */
export async function point(
  at: string,
  keys: readonly (string | null)[],
  [lng, lat]: readonly [number, number],
  ask: { limit: number; descending?: boolean },
  signal?: AbortSignal,
): Promise<PointResult[]> {
  const order = ask.descending ? '&ascending=false' : '';
  const path = `${at}point/${segments(keys)}?lon=${wrap(lng).toFixed(7)}&lat=${lat.toFixed(7)}&limit=${ask.limit}${order}`;
  return (await getJson<{ results: PointResult[] }>(path, signal)).results;
}

export async function statistics(
  at: string,
  keys: readonly string[],
  ring: readonly [number, number][],
  signal?: AbortSignal,
): Promise<Statistics> {
  const first = ring[0];
  if (!first) throw new Error('an area needs corners');
  // One drawn on a copy of the world is asked of where it is copied from.
  const shift = turns(Math.min(...ring.map(corner => corner[0])));
  const geometry = { type: 'Polygon', coordinates: [[...ring, first].map(([lng, lat]) => [lng - shift, lat])] };
  const init: RequestInit = { method: 'POST', body: JSON.stringify(geometry), headers: { 'content-type': 'application/json' } };
  if (signal) init.signal = signal;
  const answer = await request(`${at}statistics/${segments(keys)}`, init);
  return ((await answer.json()) as { properties: { statistics: Statistics } }).properties.statistics;
}

/** A longitude as the API takes it. */
export function wrap(lng: number): number {
  return lng - turns(lng);
}
