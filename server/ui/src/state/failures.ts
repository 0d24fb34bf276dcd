/** What failed, and when it may be asked again: after a pause that grows each time it fails again, and at once when the server is back. */
import { store } from './store';

const FIRST_MS = 1000;
const MOST_MS = 60_000;
const KNOWN_MAX = 200;
/** Clocks of browsers are coarse: what may be asked again must look so when the time has come. */
const CLOCK_MS = 150;

export class Failures {
  private readonly known = new Map<string, { until: number; wait: number }>();

  /** `again` asks, or has the page drawn that asks. */
  constructor(private readonly again: () => void = () => store.set({})) {
    store.on(['connected'], now => {
      if (!now.connected || this.known.size === 0) return;
      this.known.clear();
      again();
    });
  }

  /** Whether it failed a moment ago. */
  has(name: string): boolean {
    return performance.now() < (this.known.get(name)?.until ?? 0);
  }

  /** Says whether it is the first failure in a row; some that come together are one. */
  add(name: string): boolean {
    if (this.has(name)) return false;
    const now = performance.now();
    const last = this.known.get(name);
    // One that comes long after the last is another.
    const repeated = last !== undefined && now < last.until + Math.max(last.wait, 10 * FIRST_MS);
    const wait = repeated ? Math.min(2 * last.wait, MOST_MS) : FIRST_MS;
    if (this.known.size >= KNOWN_MAX) this.known.clear();
    this.known.set(name, { until: now + wait, wait });
    setTimeout(this.again, wait + CLOCK_MS);
    return !repeated;
  }

  clear(): void {
    this.known.clear();
  }
}
