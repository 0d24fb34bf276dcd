/** Drawing an area: corners by clicks, ended by a double click, Enter or the first corner; or a rectangle by two clicks. Escape gives up. */
import type { Feature } from 'geojson';
import type { Map as MapLibre, MapMouseEvent } from 'maplibre-gl';
import type { LngLat } from '../state/store';
import { dot, line, polygon } from './overlays';

const CORNERS_MAX = 200;
/** Pixels within which a click is on a corner. */
const NEAR = 10;
/** Within which two clicks are a double click. */
const DOUBLE_MS = 400;

export class Draw {
  private corners: LngLat[] = [];
  private ended = Number.NEGATIVE_INFINITY;
  private shape: 'polygon' | 'rectangle' | null = null;

  constructor(
    private readonly map: MapLibre,
    private readonly put: (features: Feature[]) => void,
    private readonly done: (ring: LngLat[] | null) => void,
  ) {
    map.on('click', event => {
      if (!this.shape) {
        // The second click of a double click on the last corner asks nothing.
        if (performance.now() - this.ended < DOUBLE_MS) event.preventDefault();
        return;
      }
      // It is a corner, and asks nothing.
      event.preventDefault();
      this.click(event);
    });
    map.on('mousemove', event => this.shape && this.corners.length > 0 && this.show(at(event)));
    map.on('dblclick', event => {
      if (!this.shape && performance.now() - this.ended >= DOUBLE_MS) return;
      event.preventDefault();
      if (this.shape === 'polygon' && this.ring().length > 2) this.end();
    });
  }

  get active(): boolean {
    return this.shape !== null;
  }

  private finish(ring: LngLat[] | null): void {
    this.ended = performance.now();
    this.cancel();
    this.done(ring);
  }

  begin(shape: 'polygon' | 'rectangle'): void {
    this.shape = shape;
    this.corners = [];
    this.map.getCanvas().style.cursor = 'crosshair';
  }

  cancel(): void {
    this.shape = null;
    this.map.getCanvas().style.cursor = '';
  }

  /** Ends the polygon where it is. */
  end(): void {
    if (!this.shape) return;
    const ring = this.ring();
    this.finish(ring.length > 2 ? ring : null);
  }

  /** The corners; a double click set its own twice. */
  private ring(): LngLat[] {
    return this.corners.filter((corner, i) => i === 0 || !this.same(corner, this.corners[i - 1]));
  }

  private click(event: MapMouseEvent): void {
    const corner = at(event);
    const first = this.corners[0];
    if (this.shape === 'rectangle' && first) {
      return this.finish([first, [corner[0], first[1]], corner, [first[0], corner[1]]]);
    }
    if (first && this.corners.length > 2 && this.same(first, corner)) return this.end();
    this.corners.push(corner);
    if (this.corners.length >= CORNERS_MAX) return this.end();
    this.show(corner);
  }

  private show(pointer: LngLat): void {
    const first = this.corners[0];
    if (!first) return;
    const ring: LngLat[] =
      this.shape === 'rectangle' ? [first, [pointer[0], first[1]], pointer, [first[0], pointer[1]]] : [...this.corners, pointer];
    const shape = ring.length > 2 ? polygon(ring) : line(ring);
    this.put([shape, ...this.corners.map(dot)]);
  }

  private same(a: LngLat, b: LngLat | undefined): boolean {
    if (!b) return false;
    const [p, q] = [this.map.project(a), this.map.project(b)];
    return Math.hypot(p.x - q.x, p.y - q.y) < NEAR;
  }
}

function at(event: MapMouseEvent): LngLat {
  return [event.lngLat.lng, event.lngLat.lat];
}
