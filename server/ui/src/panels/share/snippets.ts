/** URLs of a layer, and what to paste into Leaflet, MapLibre and QGIS. */
import { absolute, query, segments } from '../../api/client';
import { at } from '../../api/collections';
import { type Filter, filterParams } from '../../api/datasets';
import { fixed } from '../../state/choose';
import { isMosaic, type Layer, layerUrl } from '../../state/layer';
import { placeOf } from '../../state/resolve';
import { store } from '../../state/store';

export interface LayerUrls {
  xyz: string;
  tilejson: string;
  /** Datasets, each on its own: a mosaic of many is none. */
  wmts: string | null;
  preview: string;
}

export function urlsOf(layer: Layer): LayerUrls {
  const keys = store.keysOf(layer.collection);
  const path = at(store.collectionOf(layer.collection), layer.collection);
  const info = store.now.info[layer.id];
  // The stretch that was chosen for the reader, so that all see the same.
  const params = new URLSearchParams(info?.tiles?.split('?')[1] ?? '');
  const explicit = { ...layer, stretches: layer.stretches.map((own, i) => own ?? spoken(params, layer, i)) };
  const filters = query(filterParams(datasetsOf(keys, layer)));
  return {
    xyz: absolute(path + layerUrl(explicit, keys, '{z}/{x}/{y}.png')),
    tilejson: absolute(path + layerUrl(explicit, keys, 'tilejson.json')),
    wmts: isMosaic(layer) ? null : absolute(`${path}wmts?${filters}`),
    preview: absolute(path + layerUrl(explicit, keys, 'preview.png')),
  };
}

/** Conditions that the datasets of all channels meet. */
function datasetsOf(keys: readonly string[], layer: Layer): Filter[] {
  const all = layer.channels.flatMap(tuple => fixed(keys, tuple));
  return all.filter((filter, i) => all.findIndex(other => other.key === filter.key && other.value === filter.value) === i);
}

function spoken(params: URLSearchParams, layer: Layer, channel: number): [number, number] | null {
  const text = params.get(layer.kind === 'rgb' ? `${'rgb'[channel]}_range` : 'stretch_range');
  const found = text ? (JSON.parse(text) as [number, number]) : null;
  return found;
}

export function snippets(layer: Layer): readonly (readonly [string, string])[] {
  const { xyz, tilejson } = urlsOf(layer);
  const json = store.now.info[layer.id]?.tileJson;
  const [west, south, right, north] = placeOf(layer) ?? [-180, -85, 180, 85];
  const east = right < west ? right + 360 : right;
  const attribution = json?.attribution ? `, attribution: ${JSON.stringify(json.attribution.replace(/</g, '&lt;'))}` : '';
  const leaflet = `const map = L.map('map').fitBounds([[${south}, ${west}], [${north}, ${east}]]);
L.tileLayer(${JSON.stringify(xyz)}, { maxNativeZoom: ${json?.maxzoom ?? 18}, maxZoom: 22${isMosaic(layer) ? `, minZoom: ${json?.minzoom ?? 0}` : ''}${attribution} }).addTo(map);`;
  const maplibre = `map.addSource('kiln', { type: 'raster', url: ${JSON.stringify(tilejson)}, tileSize: 256 });
map.addLayer({ id: 'kiln', type: 'raster', source: 'kiln' });`;
  const uri = `type=xyz&zmin=0&zmax=${json?.maxzoom ?? 18}&url=${encodeURIComponent(xyz.replace(/%5B/gi, '[').replace(/%5D/gi, ']'))}`;
  const qgis = `# QGIS: Plugins → Python Console
iface.addRasterLayer(${JSON.stringify(uri)}, ${JSON.stringify(nameOf(layer))}, 'wms')`;
  return [
    ['Leaflet', leaflet],
    ['MapLibre GL JS', maplibre],
    ['QGIS', qgis],
  ];
}

function nameOf(layer: Layer): string {
  return decodeURIComponent(segments(layer.channels[0] ?? [])).replace(/\//g, ' ');
}
