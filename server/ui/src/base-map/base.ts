/** The bundled base map: coastlines, borders and names of countries, drawn without any other server; or the one a setting names. */
import type { Feature, FeatureCollection, MultiPolygon, Point, Polygon, Position } from 'geojson';
import type { LayerSpecification, Map as MapLibre, StyleSpecification } from 'maplibre-gl';
import { feature, mesh } from 'topojson-client';
import type { GeometryCollection, Topology } from 'topojson-specification';
import worldUrl from 'world-atlas/countries-110m.json?url';
import type { UiConfig } from '../api/collections';
import { graticule } from './graticule';

type World = Topology<{ countries: GeometryCollection<{ name: string }>; land: GeometryCollection }>;

const NOTHING: FeatureCollection = { type: 'FeatureCollection', features: [] };
const LIGHT = { sea: '#dbe4ea', land: '#f7f5f1', coast: '#a9b6bf', border: '#cfc9c0', grid: '#b9c5cd', label: '#6f747b', halo: '#f7f5f1' };
const DARK = { sea: '#10161b', land: '#1b2329', coast: '#3c4b56', border: '#2e3a43', grid: '#26323a', label: '#8796a3', halo: '#151c21' };

/** The style to start a map with. */
export function baseStyle(ui: UiConfig, dark: boolean): StyleSpecification {
  const color = dark ? DARK : LIGHT;
  const style: StyleSpecification = {
    version: 8,
    sources: {
      land: { type: 'geojson', data: NOTHING, attribution: ui.basemap ? '' : 'Natural Earth' },
      borders: { type: 'geojson', data: NOTHING },
      names: { type: 'geojson', data: NOTHING },
      grid: { type: 'geojson', data: NOTHING },
    },
    layers: [
      { id: 'base-sea', type: 'background', paint: { 'background-color': color.sea } },
      { id: 'base-land', type: 'fill', source: 'land', paint: { 'fill-color': color.land, 'fill-antialias': false } },
      { id: 'base-grid', type: 'line', source: 'grid', paint: { 'line-color': color.grid, 'line-width': 0.6 } },
      { id: 'base-coast', type: 'line', source: 'land', paint: { 'line-color': color.coast, 'line-width': 0.9 } },
      { id: 'base-borders', type: 'line', source: 'borders', paint: { 'line-color': color.border, 'line-width': 0.9 } },
    ],
  };
  if (ui.basemap?.kind === 'raster') {
    style.sources.setting = { type: 'raster', tiles: ui.basemap.tiles, tileSize: 256, attribution: ui.basemap.attribution ?? '' };
    style.layers.push({ id: 'base-setting', type: 'raster', source: 'setting' });
  }
  style.layers.push(names(color));
  return style;
}

/** Another theme recolors the map that is there. */
export function paintBase(map: MapLibre, dark: boolean): void {
  for (const layer of baseStyle({ version: '', basemap: null, events: false, ingest: null }, dark).layers) {
    if (!map.getLayer(layer.id)) continue;
    for (const [name, value] of Object.entries(layer.paint ?? {})) map.setPaintProperty(layer.id, name, value);
  }
}

/** Makes a source of the base map anew: MapLibre cannot draw a tile that failed while it is loaded again. */
export function askAgain(map: MapLibre, name: string): void {
  const { sources, layers } = map.getStyle();
  const source = sources[name];
  if (source?.type !== 'raster') return;
  const own = layers.filter(layer => 'source' in layer && layer.source === name);
  for (const layer of own) map.removeLayer(layer.id);
  map.removeSource(name);
  map.addSource(name, source);
  // From the top, so that each finds the one above it.
  for (const layer of own.reverse()) map.addLayer(layer, layers[layers.indexOf(layer) + 1]?.id);
}

let world: Promise<World> | undefined;

/** Fetches the coastlines and draws them, and keeps the grid of meridians and parallels as fine as the zoom. */
export async function drawBase(map: MapLibre, ui: UiConfig): Promise<void> {
  const grid = () => setData(map, 'grid', graticule(map));
  grid();
  map.on('moveend', grid);
  if (ui.basemap) return;
  world ??= fetch(worldUrl).then(answer => answer.json() as Promise<World>);
  const topology = await world;
  const { countries, land } = topology.objects;
  setData(map, 'land', unwrapped(feature(topology, land)));
  setData(map, 'borders', { type: 'Feature', properties: {}, geometry: mesh(topology, countries, (a, b) => a !== b) });
  setData(map, 'names', {
    type: 'FeatureCollection',
    features: unwrapped(feature(topology, countries))
      .features.map(nameOf)
      .filter(f => f !== null),
  });
}

function names(color: typeof LIGHT): LayerSpecification {
  return {
    id: 'base-names',
    type: 'symbol',
    source: 'names',
    maxzoom: 8,
    layout: {
      'text-field': ['get', 'name'],
      'text-font': ['system-ui'],
      'text-size': ['interpolate', ['linear'], ['zoom'], 1, 10, 6, 14],
      'text-max-width': 7,
      'symbol-sort-key': ['-', 0, ['get', 'size']],
    },
    paint: { 'text-color': color.label, 'text-halo-color': color.halo, 'text-halo-width': 1.2 },
  };
}

/** Rings that go on where they cross the antimeridian, in place of round the world; what goes round the south pole is closed there. */
function unwrapped(collection: FeatureCollection): FeatureCollection {
  const ring = (points: Position[]): Position[] => {
    let turn = 0;
    const out = points.map((point, i) => {
      const step = (point[0] ?? 0) - (points[i - 1]?.[0] ?? point[0] ?? 0);
      if (Math.abs(step) > 180) turn -= Math.sign(step) * 360;
      return [(point[0] ?? 0) + turn, point[1] ?? 0];
    });
    const [first, last] = [out[0]?.[0] ?? 0, out.at(-1)?.[0] ?? 0];
    return Math.abs(last - first) > 180 ? [...out, [last, -90], [first, -90], out[0] ?? []] : out;
  };
  const features = collection.features.map((found): Feature => {
    const { geometry } = found;
    if (geometry.type === 'Polygon') return { ...found, geometry: { ...geometry, coordinates: geometry.coordinates.map(ring) } };
    if (geometry.type === 'MultiPolygon')
      return { ...found, geometry: { ...geometry, coordinates: geometry.coordinates.map(part => part.map(ring)) } };
    return found;
  });
  return { ...collection, features };
}

/** A country's name in the middle of its largest part. */
function nameOf(country: Feature): Feature<Point> | null {
  const geometry = country.geometry as Polygon | MultiPolygon;
  const polygons = geometry.type === 'Polygon' ? [geometry.coordinates] : geometry.coordinates;
  let best = { size: 0, x: 0, y: 0 };
  for (const ring of polygons.map(polygon => polygon[0] ?? [])) {
    let [size, x, y] = [0, 0, 0];
    ring.forEach((a, i) => {
      const b = ring[(i + 1) % ring.length] ?? a;
      const cross = (a[0] ?? 0) * (b[1] ?? 0) - (b[0] ?? 0) * (a[1] ?? 0);
      size += cross;
      x += ((a[0] ?? 0) + (b[0] ?? 0)) * cross;
      y += ((a[1] ?? 0) + (b[1] ?? 0)) * cross;
    });
    if (Math.abs(size) > best.size) best = { size: Math.abs(size), x: x / (3 * size), y: y / (3 * size) };
  }
  if (best.size === 0) return null;
  const properties = { name: country.properties?.name ?? '', size: best.size };
  return { type: 'Feature', properties, geometry: { type: 'Point', coordinates: [best.x, best.y] } };
}

function setData(map: MapLibre, id: string, data: GeoJSON.GeoJSON): void {
  const source = map.getSource(id);
  if (source && 'setData' in source) (source as { setData(data: GeoJSON.GeoJSON): void }).setData(data);
}
