/** Meridians and parallels at a round distance that suits the zoom: they tell where one is where coastlines cannot. */
import type { FeatureCollection } from 'geojson';
import type { Map as MapLibre } from 'maplibre-gl';

const STEPS = [30, 15, 10, 5, 2, 1, 0.5, 0.25, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];
const LINES_WANTED = 7;
const LINES_MAX = 60;

export function graticule(map: MapLibre): FeatureCollection {
  const bounds = map.getBounds();
  const [west, east] = [bounds.getWest(), bounds.getEast()];
  const [south, north] = [Math.max(bounds.getSouth(), -85), Math.min(bounds.getNorth(), 85)];
  const step = STEPS.find(size => (east - west) / size >= LINES_WANTED) ?? 0.001;
  const features: FeatureCollection['features'] = [];
  const line = (coordinates: [number, number][]) =>
    features.push({ type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates } });
  const each = (from: number, to: number, draw: (at: number) => void) => {
    for (let i = Math.ceil(from / step), n = 0; i * step <= to && n < LINES_MAX; i++, n++) draw(i * step);
  };
  const [left, right, low, high] = [west - step, east + step, Math.max(south - step, -85), Math.min(north + step, 85)];
  each(left, right, lng =>
    line([
      [lng, low],
      [lng, high],
    ]),
  );
  each(low, high, lat =>
    line([
      [left, lat],
      [right, lat],
    ]),
  );
  return { type: 'FeatureCollection', features };
}
