/** Keeps the raster layers of a map as the state says. A changed layer is loaded above the old one, which goes when the new one is there. */
import type { Map as MapLibre, RasterTileSource } from 'maplibre-gl';
import { absolute } from '../api/client';
import { isMosaic, type Layer } from '../state/layer';
import type { LayerInfo } from '../state/store';

/** How long an old picture stays while the new one loads. */
const LINGER_MS = 6000;
/** Overlays, and names of countries, lie above all rasters. */
const ABOVE = 'base-names';

interface Shown {
  tiles: string;
  current: string;
  old: string[];
}

export class RasterLayers {
  private shown = new Map<string, Shown>();
  private count = 0;

  constructor(private readonly map: MapLibre) {}

  /** From the bottom to the top. */
  sync(layers: readonly Layer[], info: Readonly<Record<string, LayerInfo>>): void {
    for (const [id, shown] of this.shown) {
      if (layers.some(layer => layer.id === id)) continue;
      for (const name of [...shown.old, shown.current]) this.remove(name);
      this.shown.delete(id);
    }
    for (const layer of layers) {
      const known = info[layer.id];
      if (known?.tiles && known.tileJson) this.show(layer, known, known.tiles);
    }
    this.arrange(layers.flatMap(layer => this.namesOf(layer.id)));
  }

  /** From the bottom to the top; moving a layer has the map drawn again, also to where it is. */
  private arrange(names: readonly string[]): void {
    const there = names.filter(name => this.map.getLayer(name));
    if (
      there.join() ===
      this.map
        .getLayersOrder()
        .filter(name => there.includes(name))
        .join()
    )
      return;
    for (const name of there) this.map.moveLayer(name, ABOVE);
  }

  private namesOf(id: string): string[] {
    const shown = this.shown.get(id);
    return shown ? [...shown.old, shown.current] : [];
  }

  /** Has a source loaded again with the next `sync`, if it is one of these. */
  renew(source: string): boolean {
    const own = [...this.shown].find(([id]) => this.namesOf(id).includes(source));
    if (own?.[1].current === source) own[1].tiles = '';
    return own !== undefined;
  }

  /** Whether all that is to be seen has been loaded. */
  loaded(): boolean {
    return [...this.shown.values()].every(shown => this.isLoaded(shown.current));
  }

  /** Whether there is anything, and all of it has been loaded. */
  drawn(): boolean {
    return this.shown.size > 0 && this.loaded();
  }

  private show(layer: Layer, info: LayerInfo, tiles: string): void {
    const shown = this.shown.get(layer.id) ?? { tiles: '', current: '', old: [] };
    this.shown.set(layer.id, shown);
    if (shown.tiles !== tiles) {
      if (shown.current) this.retire(shown);
      shown.current = this.add(layer, info, tiles);
      shown.tiles = tiles;
      this.replace(shown);
    }
    const visibility = layer.visible ? 'visible' : 'none';
    for (const name of [...shown.old, shown.current]) {
      if (!this.map.getLayer(name)) continue;
      this.map.setPaintProperty(name, 'raster-opacity', layer.opacity);
      this.map.setLayoutProperty(name, 'visibility', visibility);
    }
  }

  /** Of what came before, one picture stays: the last that was there. Others go at once, and their tiles are not waited for. */
  private retire(shown: Shown): void {
    const kept = this.isLoaded(shown.current) ? shown.current : (shown.old[0] ?? shown.current);
    for (const name of [...shown.old, shown.current]) if (name !== kept) this.remove(name);
    shown.old = [kept];
  }

  private add(layer: Layer, info: LayerInfo, tiles: string): string {
    const name = `${layer.id}-${++this.count}`;
    const json = info.tileJson;
    this.map.addSource(name, {
      type: 'raster',
      tiles: [absolute(tiles).replace(/%7B([zxy])%7D/gi, '{$1}')],
      tileSize: 256,
      // One dataset has pictures of any zoom; what is finer than its pixels the browser enlarges.
      minzoom: isMosaic(layer) ? (json?.minzoom ?? 0) : 0,
      maxzoom: json?.maxzoom ?? 22,
      ...(json && json.bounds[0] < json.bounds[2] ? { bounds: json.bounds } : {}),
      ...(json?.attribution ? { attribution: json.attribution.replace(/</g, '&lt;') } : {}),
    });
    const classes = layer.classes !== null || info.legend?.type === 'categories';
    this.map.addLayer(
      {
        id: name,
        type: 'raster',
        source: name,
        paint: { 'raster-fade-duration': 0, 'raster-opacity': layer.opacity, 'raster-resampling': classes ? 'nearest' : 'linear' },
      },
      ABOVE,
    );
    return name;
  }

  private replace(shown: Shown): void {
    if (shown.old.length === 0) return;
    const name = shown.current;
    const began = performance.now();
    const done = () => {
      const late = performance.now() - began > LINGER_MS;
      if (shown.current === name && !late && !this.isLoaded(name)) return;
      this.map.off('render', done);
      if (shown.current !== name) return;
      for (const old of shown.old.splice(0)) this.remove(old);
    };
    this.map.on('render', done);
    setTimeout(() => this.map.triggerRepaint(), LINGER_MS + 100);
  }

  private isLoaded(name: string): boolean {
    const source = this.map.getSource(name) as RasterTileSource | undefined;
    return source?.loaded() === true && this.map.isSourceLoaded(name);
  }

  private remove(name: string): void {
    if (this.map.getLayer(name)) this.map.removeLayer(name);
    if (this.map.getSource(name)) this.map.removeSource(name);
  }
}
