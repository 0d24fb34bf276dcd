/** `GET /events`, or `/ready` again and again where there are none; `/rejected`. */
import { absolute, getJson } from './client';
import type { Bounds } from './collections';
import type { KeyValues } from './datasets';

export interface SnapshotEvent {
  n: number;
  since?: number;
  at: string;
  datasets: number;
  changed?: { collection: string; keys: KeyValues; bounds: Bounds | null; added: boolean }[];
  truncated?: boolean;
}

export interface Jobs {
  pending: number;
  jobs: { source: string; input: string; stage: string; done: number; seconds: number }[];
}

export interface Rejected {
  total: number;
  rejected: { source: string; input: string; reason: string | null; may_pass: boolean | null; source_time: string }[];
}

export interface Listener {
  snapshot(event: SnapshotEvent): void;
  jobs(jobs: Jobs): void;
  connected(yes: boolean): void;
}

const POLL_MS = 5000;
/** How long it is polled before the stream is tried again: a restart behind a proxy ends a stream for good. */
const STREAM_AGAIN_MS = 30_000;

/** Listens until the page ends; `jobs` says whether they may be asked for where no stream tells them. */
export function listen(events: boolean, jobs: boolean, listener: Listener): void {
  if (!events) return void poll(jobs, listener, Number.POSITIVE_INFINITY);
  let answered = false;
  let faults = 0;
  const source = new EventSource(absolute('events'));
  source.onopen = () => {
    answered = true;
    faults = 0;
    listener.connected(true);
  };
  source.onerror = () => {
    // One that refuses the stream may answer all else: polling says.
    if (answered || source.readyState !== EventSource.CLOSED) listener.connected(false);
    // A server without events, or with too many listeners, will not be asked for ever.
    if (source.readyState === EventSource.CLOSED || (!answered && ++faults > 3)) {
      source.close();
      void poll(jobs, listener, STREAM_AGAIN_MS).then(() => listen(true, jobs, listener));
    }
  };
  source.addEventListener('snapshot', event => listener.snapshot(JSON.parse(event.data) as SnapshotEvent));
  source.addEventListener('jobs', event => listener.jobs(JSON.parse(event.data) as Jobs));
}

export function rejected(): Promise<Rejected> {
  return getJson<Rejected>('rejected');
}

async function poll(jobs: boolean, listener: Listener, wait: number): Promise<void> {
  const until = performance.now() + wait;
  let last = -1;
  while (performance.now() < until) {
    try {
      const ready = await getJson<{ snapshot: number | null; datasets: number; published_at: string }>('ready');
      listener.connected(true);
      if (ready.snapshot !== null && ready.snapshot !== last) {
        last = ready.snapshot;
        listener.snapshot({ n: ready.snapshot, at: ready.published_at, datasets: ready.datasets });
      }
      if (jobs) listener.jobs(await getJson<Jobs>('jobs'));
    } catch {
      listener.connected(false);
    }
    await new Promise(resolve => setTimeout(resolve, POLL_MS));
  }
}
