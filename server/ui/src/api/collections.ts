/** `GET /collections`, `/ui.json`: what there is, and what the page may do here. */
import { ApiError, getJson } from './client';

export interface Collection {
  id: string;
  title: string;
  keys: string[];
  default: boolean;
  datasets: number;
  bounds: Bounds | null;
}

/** West, south, east, north in degrees; west > east across the antimeridian. */
export type Bounds = [number, number, number, number];

/** A box of the map, which may be turns further or wider than one, as the API takes it. */
export function apiBox([west, south, east, north]: Bounds): Bounds {
  if (east < west) return [west, south, east, north];
  if (east - west >= 360) return [-180, south, 180, north];
  const shift = turns(west);
  return [west - shift, south, east - shift > 180 ? east - shift - 360 : east - shift, north];
}

/** Degrees of whole turns that a longitude is beyond -180…180. */
export function turns(lng: number): number {
  return 360 * Math.floor((lng + 180) / 360);
}

export interface UiConfig {
  version: string;
  basemap:
    | { kind: 'raster'; tiles: string[]; attribution: string | null }
    | { kind: 'style'; url: string; attribution: string | null }
    | null;
  events: boolean;
  ingest: { jobs: boolean; rejected: boolean; sources: { collection: string; source: string }[] } | null;
}

export async function collections(signal?: AbortSignal): Promise<Collection[]> {
  try {
    return (await getJson<{ collections: Collection[] }>('collections', signal)).collections;
  } catch (error) {
    // Nothing was published yet: an empty catalogue.
    if (error instanceof ApiError && error.status === 503) return [];
    throw error;
  }
}

/** Where a server does not tell, the page asks for nothing that might not be there. */
export async function uiConfig(): Promise<UiConfig> {
  try {
    return await getJson<UiConfig>('ui.json');
  } catch {
    return { version: '', basemap: null, events: true, ingest: null };
  }
}

/** The path below which a collection answers. */
export function at(collection: Collection | undefined, id: string): string {
  return collection?.default ? '' : `collections/${encodeURIComponent(id)}/`;
}
