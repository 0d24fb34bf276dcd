/** The map, its twin for comparing, and how both follow the state. */
import type { Feature } from 'geojson';
import maplibregl from 'maplibre-gl';
import 'maplibre-gl/dist/maplibre-gl.css';
import type { Bounds } from '../api/collections';
import { askAgain, baseStyle, drawBase, paintBase } from '../base-map/base';
import { Failures } from '../state/failures';
import type { Layer } from '../state/layer';
import { type LngLat, type State, store } from '../state/store';
import { isDark } from '../state/theme';
import { Draw } from './draw';
import { addOverlays, box, dot, type Overlay, polygon, setOverlay } from './overlays';
import { RasterLayers } from './raster-layers';

const ACCENT = '#e8590c';
/** How long the base map waits for the first rasters. */
const FIRST_WAIT_MS = 2500;

export class View {
  readonly map: maplibregl.Map;
  readonly draw: Draw;
  private readonly rasters: RasterLayers;
  private twin: { map: maplibregl.Map; rasters: RasterLayers; ready: boolean } | null = null;
  private ready = false;
  /** Whether what may wait for the first pictures is drawn too. */
  private late = false;
  /** Sources of which tiles failed, of any server. */
  private readonly broken = new Set<string>();
  private readonly failures = new Failures(() => this.mend());
  private outlines: readonly Bounds[] = [];
  /** What lies above the rasters, on both sides of a swipe. */
  private readonly overlays = new Map<Overlay, Feature[]>();

  constructor(
    private readonly home: HTMLElement,
    private readonly twinHome: HTMLElement,
  ) {
    this.map = this.create(home, store.now.view, true);
    this.map.addControl(new maplibregl.ScaleControl({ maxWidth: 110 }), 'bottom-right');
    this.rasters = new RasterLayers(this.map);
    const shape = (features: Feature[]) => this.put('area', features);
    this.draw = new Draw(this.map, shape, ring =>
      store.set(ring ? { area: ring, areaAnswers: null, tool: 'ask', place: null, answers: null } : { tool: 'ask' }),
    );
    // Not `load`, which waits until the base map is drawn.
    this.map.once('style.load', () => {
      anchor(this.map);
      this.addOverlays(this.map);
      this.ready = true;
      this.follow(store.now);
      this.overlay(store.now);
      this.afterRasters(() => {
        void drawBase(this.map, store.now.ui).catch(() => undefined);
        this.late = true;
        this.footprints(this.outlines);
      });
    });
    this.map.on('moveend', () => {
      const { lng, lat } = this.map.getCenter();
      store.set({ view: { center: [lng, lat], zoom: this.map.getZoom() } });
    });
    this.map.on('move', () => this.twin?.map.jumpTo(camera(this.map)));
    this.map.on('click', event => {
      if (!event.defaultPrevented) store.set({ place: [event.lngLat.lng, event.lngLat.lat], answers: null, area: null, areaAnswers: null });
    });
    store.on(['layers', 'info', 'compare'], now => this.follow(now));
    store.on(['place', 'area'], now => this.overlay(now));
    store.on(['tool'], now => {
      if (now.tool !== 'ask') return this.draw.begin(now.tool);
      this.draw.cancel();
      this.overlay(now);
    });
    store.on(['theme'], () => this.repaint());
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.repaint());
  }

  /** Shows all of a box beside the panels. */
  fit(bounds: Bounds, animate = true): void {
    const [west, south, east, north] = bounds;
    const corners: [LngLat, LngLat] = [
      [west, Math.max(south, -85)],
      [east < west ? east + 360 : east, Math.min(north, 85)],
    ];
    const quiet = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.map.fitBounds(corners, { padding: this.padding(), maxZoom: 17, animate: animate && !quiet, duration: 900 });
  }

  /** West, south, east, north of what is seen. */
  bounds(): Bounds {
    const b = this.map.getBounds();
    return [b.getWest(), Math.max(b.getSouth(), -85.05), b.getEast(), Math.min(b.getNorth(), 85.05)];
  }

  /** Whether the pictures of all layers are there, on both sides. */
  get settled(): boolean {
    return this.ready && this.rasters.loaded() && (this.twin === null || (this.twin.ready && this.twin.rasters.loaded()));
  }

  /** Whom the map thanks, as its corner says. */
  get attribution(): string {
    return this.home.querySelector('.maplibregl-ctrl-attrib-inner')?.textContent ?? '';
  }

  /** What is seen, as one canvas of device pixels. */
  async picture(): Promise<HTMLCanvasElement> {
    const canvas = document.createElement('canvas');
    const { width, height } = this.map.getCanvas();
    [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext('2d');
    context?.drawImage(await drawn(this.map), 0, 0);
    if (this.twin && context) {
      const from = Math.round((store.now.compare ?? 1) * width);
      context.drawImage(await drawn(this.twin.map), from, 0, width - from, height, from, 0, width - from, height);
      context.fillStyle = '#fff';
      context.fillRect(from - 1, 0, 2, height);
    }
    return canvas;
  }

  private create(home: HTMLElement, at: State['view'], interactive: boolean): maplibregl.Map {
    const { ui } = store.now;
    // The operator's own words, which may have links.
    const credit = ui.basemap?.kind === 'style' ? ui.basemap.attribution : null;
    const map = new maplibregl.Map({
      container: home,
      style: ui.basemap?.kind === 'style' ? ui.basemap.url : baseStyle(ui, isDark()),
      center: at?.center ?? [0, 25],
      zoom: at?.zoom ?? 1.3,
      interactive,
      attributionControl: interactive ? { compact: true, ...(credit ? { customAttribution: credit } : {}) } : false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      fadeDuration: 0,
      maxZoom: 22,
      renderWorldCopies: true,
    });
    map.touchZoomRotate.disableRotation();
    map.keyboard.disableRotation();
    map.on('error', event => {
      // What failed is not waited for: the map says so when it is drawn again.
      map.triggerRepaint();
      const source = 'sourceId' in event && mayPass(event.error) ? String(event.sourceId) : null;
      if (source !== null) this.broken.add(source);
      if (source === null || this.failures.add(lasting(source))) this.failed(event.error);
    });
    // Says, to who cannot see it, whether the map is still being drawn.
    const busy = (yes: boolean) => this.home.parentElement?.setAttribute('aria-busy', String(yes));
    map.on('dataloading', () => busy(true));
    map.on('idle', () => busy(!this.settled));
    if (ui.basemap?.kind === 'style') this.orBundled(map);
    return map;
  }

  /** A style that does not come must not keep the rasters away. */
  private orBundled(map: maplibregl.Map): void {
    const instead = () => {
      const ui = { ...store.now.ui, basemap: null };
      store.set({ ui });
      store.toast('the style of the base map does not answer: here is the bundled one');
      map.setStyle(baseStyle(ui, isDark()), { diff: false });
    };
    map.once('error', instead);
    map.once('style.load', () => map.off('error', instead));
  }

  private failed(error: { message?: string; status?: number } | undefined): void {
    // Aborted when superseded: nothing to tell.
    if (!error?.message || /abort/i.test(error.message)) return;
    const text = error.status ? `some tiles were refused: ${error.status}` : `the map: ${error.message}`;
    if (!store.now.toasts.some(toast => toast.text === text)) store.toast(text);
  }

  private follow(now: State): void {
    if (!this.ready) return;
    const comparing = now.compare !== null;
    const left = (layer: Layer) => !comparing || layer.side !== 'right';
    this.rasters.sync(now.layers.filter(left), now.info);
    if (comparing && !this.twin) this.openTwin();
    if (!comparing && this.twin) {
      this.twin.map.remove();
      this.twin = null;
      // If only the twin was still being drawn, this says that nothing is any more.
      this.map.triggerRepaint();
    }
    this.twinHome.hidden = !comparing;
    this.twinHome.style.clipPath = `inset(0 0 0 ${((now.compare ?? 1) * 100).toFixed(3)}%)`;
    if (this.twin?.ready)
      this.twin.rasters.sync(
        now.layers.filter(layer => layer.side !== 'left'),
        now.info,
      );
  }

  /** Pictures come first: every kind of line and label takes the browser time to make ready. */
  private afterRasters(draw: () => void): void {
    const began = performance.now();
    const look = () => {
      const wanted = store.now.layers.some(layer => layer.visible && !store.now.info[layer.id]?.error);
      if (wanted && !this.rasters.drawn() && performance.now() - began < FIRST_WAIT_MS) return void setTimeout(look, 50);
      draw();
    };
    setTimeout(look, 50);
  }

  private openTwin(): void {
    this.twinHome.hidden = false;
    const { lng, lat } = this.map.getCenter();
    const map = this.create(this.twinHome, { center: [lng, lat], zoom: this.map.getZoom() }, false);
    const twin = { map, rasters: new RasterLayers(map), ready: false };
    this.twin = twin;
    map.once('style.load', () => {
      if (this.twin !== twin) return;
      anchor(map);
      this.addOverlays(map);
      twin.ready = true;
      map.jumpTo(camera(this.map));
      void drawBase(map, store.now.ui).catch(() => undefined);
      this.follow(store.now);
    });
  }

  private overlay(now: State): void {
    this.put('place', now.place ? [dot(now.place)] : []);
    this.put('area', now.area ? [polygon(now.area)] : []);
  }

  /** Footprints of datasets, and the one that is pointed at. */
  footprints(boxes: readonly Bounds[]): void {
    this.outlines = boxes;
    if (this.late) this.put('footprints', boxes.map(box));
  }

  hover(bounds: Bounds | null, hull: readonly LngLat[] | null): void {
    this.put('hovered', hull && hull.length > 2 ? [polygon(hull)] : bounds ? [box(bounds)] : []);
  }

  private mend(): void {
    const due = [...this.broken].filter(name => !this.failures.has(lasting(name)));
    const sides = [{ map: this.map, rasters: this.rasters }, ...(this.twin?.ready ? [this.twin] : [])];
    for (const { map, rasters } of sides) {
      for (const name of due) if (!rasters.renew(name)) askAgain(map, name);
    }
    for (const name of due) this.broken.delete(name);
    this.follow(store.now);
  }

  private put(overlay: Overlay, features: Feature[]): void {
    this.overlays.set(overlay, features);
    for (const map of [this.map, this.twin?.map]) if (map) setOverlay(map, overlay, features);
  }

  private addOverlays(map: maplibregl.Map): void {
    addOverlays(map, ACCENT);
    for (const [overlay, features] of this.overlays) setOverlay(map, overlay, features);
  }

  private repaint(): void {
    if (store.now.ui.basemap?.kind === 'style') return;
    for (const map of [this.ready && this.map, this.twin?.ready && this.twin.map]) if (map) paintBase(map, isDark());
  }

  private padding(): maplibregl.PaddingOptions {
    const phone = innerWidth < 760;
    const { clientWidth, clientHeight } = this.home;
    if (phone) return { top: 70, left: 24, right: 24, bottom: Math.min(clientHeight * 0.5, 340) };
    return { top: 48, bottom: 96, left: Math.min(400, clientWidth / 2.5), right: 72 };
  }
}

/** A layer's source has another number whenever it is made anew. */
function lasting(source: string): string {
  return source.replace(/-\d+$/, '');
}

/** Whether a failure may be gone when it is asked again: a tile that is not there is not an outage. */
function mayPass(error: { status?: number } | undefined): boolean {
  const status = error?.status ?? 0;
  return status < 400 || status >= 500 || status === 408 || status === 429;
}

/** What the bundled style has, below which rasters lie. */
function anchor(map: maplibregl.Map): void {
  if (!map.getLayer('base-names')) map.addLayer({ id: 'base-names', type: 'background', layout: { visibility: 'none' } });
}

function camera(map: maplibregl.Map): maplibregl.JumpToOptions {
  return { center: map.getCenter(), zoom: map.getZoom(), bearing: map.getBearing(), pitch: map.getPitch() };
}

/** The canvas of a map just after it was drawn, when its pixels can be read. */
function drawn(map: maplibregl.Map): Promise<ImageBitmap> {
  return new Promise((resolve, reject) => {
    map.once('render', () => createImageBitmap(map.getCanvas()).then(resolve, reject));
    map.triggerRepaint();
  });
}
