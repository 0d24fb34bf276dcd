/** All that the page shows, in one place; views are drawn from it once a frame after it changed. */
import type { Collection, UiConfig } from '../api/collections';
import type { Filter, KeyValues } from '../api/datasets';
import type { Jobs, Rejected, SnapshotEvent } from '../api/live';
import type { Metadata } from '../api/metadata';
import type { Legend, TileJson } from '../api/pictures';
import type { Statistics } from '../api/questions';
import type { Layer, Tuple } from './layer';

export type LngLat = [number, number];

/** What is known of a layer beside what it is. */
export interface LayerInfo {
  busy: boolean;
  error: string | null;
  tileJson: TileJson | null;
  /** The tiles, as asked of this page's own server. */
  tiles: string | null;
  /** Of each channel; of a mosaic's, its topmost dataset. */
  metadata: readonly (Metadata | null)[];
  legend: Legend | null;
  /** Key of dates and its values in order, where the layer has one. */
  time: { key: number; values: readonly string[] } | null;
}

/** What a layer has at the place asked for. */
export interface Answer {
  layer: string;
  error?: string;
  values: { label: string; value: string }[];
  series: {
    key: number;
    keys: readonly string[];
    values: { value: string; y: number | null }[];
    unit: string | null;
    /** Whether there are older values that were not asked for. */
    newest: boolean;
  } | null;
}

export interface AreaAnswer {
  layer: string;
  /** Of several, ` · ` and its name. */
  band: string;
  tuple: Tuple;
  unit: string | null;
  error?: string;
  statistics?: Statistics;
}

export interface State {
  ready: boolean;
  fault: string | null;
  /** Why there is no map; all else works without one. */
  mapless: string | null;
  ui: UiConfig;
  collections: readonly Collection[];
  /** The collection that is looked through. */
  collection: string;
  filters: readonly Filter[];
  inView: boolean;
  footprints: boolean;
  hovered: KeyValues | null;
  layers: readonly Layer[];
  /** Whether all layers were removed on purpose: nothing is to appear by itself. */
  emptied: boolean;
  active: string | null;
  info: Readonly<Record<string, LayerInfo>>;
  view: { center: LngLat; zoom: number } | null;
  compare: number | null;
  playing: boolean;
  tool: 'ask' | 'polygon' | 'rectangle';
  tab: 'data' | 'layers';
  /** On a phone: how much of the sheet is up. */
  sheet: boolean;
  dialog: 'share' | 'live' | 'help' | null;
  place: LngLat | null;
  answers: readonly Answer[] | null;
  area: readonly LngLat[] | null;
  areaAnswers: readonly AreaAnswer[] | null;
  theme: 'auto' | 'light' | 'dark';
  /** Whether single characters do something. */
  shortcuts: boolean;
  connected: boolean;
  snapshot: SnapshotEvent | null;
  jobs: Jobs | null;
  rejected: Rejected | null;
  toasts: readonly { id: number; text: string; action?: { label: string; run: () => void } }[];
  /** Counts up when the catalogue changed. */
  generation: number;
}

type Listener = (now: State, before: State) => void;

const TOASTS_MAX = 3;
const TOAST_MS = 8000;

class Store {
  private state: State = {
    ready: false,
    fault: null,
    mapless: null,
    ui: { version: '', basemap: null, events: true, ingest: null },
    collections: [],
    collection: '',
    filters: [],
    inView: false,
    footprints: true,
    hovered: null,
    layers: [],
    emptied: false,
    active: null,
    info: {},
    view: null,
    compare: null,
    playing: false,
    tool: 'ask',
    tab: 'data',
    sheet: false,
    dialog: null,
    place: null,
    answers: null,
    area: null,
    areaAnswers: null,
    theme: 'auto',
    shortcuts: true,
    connected: false,
    snapshot: null,
    jobs: null,
    rejected: null,
    toasts: [],
    generation: 0,
  };
  private listeners: Listener[] = [];
  private toasted = 0;

  get now(): State {
    return this.state;
  }

  set(change: Partial<State>): void {
    const before = this.state;
    this.state = { ...before, ...change };
    for (const listener of this.listeners) listener(this.state, before);
  }

  /** Calls back at each change of any of these members, or at every `set` if none is named, until what it returns is called. */
  on(names: readonly (keyof State)[], listener: Listener): () => void {
    const heard: Listener = (now, before) => {
      if (names.length === 0 || names.some(name => now[name] !== before[name])) listener(now, before);
    };
    this.listeners.push(heard);
    return () => {
      this.listeners = this.listeners.filter(other => other !== heard);
    };
  }

  layer(id: string | null): Layer | undefined {
    return this.state.layers.find(layer => layer.id === id);
  }

  get activeLayer(): Layer | undefined {
    return this.layer(this.state.active);
  }

  changeLayer(id: string, change: Partial<Layer>): void {
    this.set({ layers: this.state.layers.map(layer => (layer.id === id ? { ...layer, ...change } : layer)) });
  }

  changeInfo(id: string, change: Partial<LayerInfo>): void {
    const blank: LayerInfo = { busy: false, error: null, tileJson: null, tiles: null, metadata: [], legend: null, time: null };
    this.set({ info: { ...this.state.info, [id]: { ...blank, ...this.state.info[id], ...change } } });
  }

  forgetInfo(id: string): void {
    const { [id]: _, ...info } = this.state.info;
    this.set({ info });
  }

  collectionOf(id: string): Collection | undefined {
    return this.state.collections.find(collection => collection.id === id);
  }

  keysOf(id: string): readonly string[] {
    return this.collectionOf(id)?.keys ?? [];
  }

  toast(text: string, action?: { label: string; run: () => void }): void {
    const id = ++this.toasted;
    this.set({ toasts: [...this.state.toasts, action ? { id, text, action } : { id, text }].slice(-TOASTS_MAX) });
    setTimeout(() => this.dismiss(id), TOAST_MS);
  }

  dismiss(id: number): void {
    this.set({ toasts: this.state.toasts.filter(toast => toast.id !== id) });
  }
}

export const store = new Store();
