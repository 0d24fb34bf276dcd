/** What is drawn above the rasters: footprints of what is listed, the one pointed at, the place asked for, the area drawn. */
import type { Feature, FeatureCollection } from 'geojson';
import type { GeoJSONSource, Map as MapLibre } from 'maplibre-gl';
import type { Bounds } from '../api/collections';
import type { LngLat } from '../state/store';

export type Overlay = 'footprints' | 'hovered' | 'place' | 'area';

const NOTHING: FeatureCollection = { type: 'FeatureCollection', features: [] };

export function addOverlays(map: MapLibre, accent: string): void {
  for (const id of ['footprints', 'hovered', 'place', 'area'] as const) map.addSource(id, { type: 'geojson', data: NOTHING });
  map.addLayer({
    id: 'footprints',
    type: 'line',
    source: 'footprints',
    paint: { 'line-color': accent, 'line-width': 1, 'line-opacity': 0.55 },
  });
  map.addLayer({ id: 'hovered-fill', type: 'fill', source: 'hovered', paint: { 'fill-color': accent, 'fill-opacity': 0.12 } });
  map.addLayer({ id: 'hovered', type: 'line', source: 'hovered', paint: { 'line-color': accent, 'line-width': 2.5 } });
  map.addLayer({
    id: 'area-fill',
    type: 'fill',
    source: 'area',
    filter: ['==', '$type', 'Polygon'],
    paint: { 'fill-color': accent, 'fill-opacity': 0.1 },
  });
  map.addLayer({ id: 'area-halo', type: 'line', source: 'area', paint: { 'line-color': '#fff', 'line-width': 4, 'line-opacity': 0.8 } });
  map.addLayer({ id: 'area', type: 'line', source: 'area', paint: { 'line-color': accent, 'line-width': 2 } });
  const circle = { 'circle-color': accent, 'circle-stroke-color': '#fff', 'circle-stroke-width': 2 };
  map.addLayer({
    id: 'area-corners',
    type: 'circle',
    source: 'area',
    filter: ['==', '$type', 'Point'],
    paint: { ...circle, 'circle-radius': 4 },
  });
  map.addLayer({ id: 'place', type: 'circle', source: 'place', paint: { ...circle, 'circle-radius': 6 } });
}

export function setOverlay(map: MapLibre, overlay: Overlay, features: Feature[]): void {
  const source = map.getSource(overlay) as GeoJSONSource | undefined;
  source?.setData({ type: 'FeatureCollection', features });
}

/** A box as a polygon; across the antimeridian it goes on beyond 180°. */
export function box(bounds: Bounds): Feature {
  const [west, south, east, north] = bounds;
  const right = east < west ? east + 360 : east;
  return polygon([
    [west, south],
    [right, south],
    [right, north],
    [west, north],
  ]);
}

export function polygon(ring: readonly LngLat[]): Feature {
  const first = ring[0];
  return { type: 'Feature', properties: {}, geometry: { type: 'Polygon', coordinates: first ? [[...ring, first]] : [] } };
}

export function line(points: readonly LngLat[]): Feature {
  return { type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates: [...points] } };
}

export function dot(at: LngLat): Feature {
  return { type: 'Feature', properties: {}, geometry: { type: 'Point', coordinates: at } };
}
