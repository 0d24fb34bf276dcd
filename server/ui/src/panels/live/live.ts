/** What happens now: follows the server's events, and says it in a badge and a panel. */
import { html, type TemplateResult } from 'lit-html';
import { collections as askCollections, type Collection } from '../../api/collections';
import { type Jobs, listen, rejected, type SnapshotEvent } from '../../api/live';
import { forgetMetadata } from '../../api/metadata';
import { showValue } from '../../state/date-keys';
import { store } from '../../state/store';
import { icon } from '../../widgets/icons';
import { showAge } from '../../widgets/numbers';

const REJECTED_SHOWN = 100;
const JOBS_SHOWN = 50;
/** How long what could not be told is not asked for again. */
const AGAIN_MS = 5000;

export interface LiveActions {
  /** The first collections are there: a page that was opened before them begins. */
  first(): void;
  /** Shows something of a page that shows nothing yet. */
  begin(): void;
  /** Shows what came in. */
  show(changed: NonNullable<SnapshotEvent['changed']>[number]): void;
}

export function followServer(actions: LiveActions): void {
  const { events, ingest } = store.now.ui;
  listen(events, ingest?.jobs === true, {
    connected: yes => {
      if (store.now.connected === yes) return;
      // What was at work when the connection was lost is not known any more.
      store.set(yes ? { connected: yes } : { connected: yes, jobs: null });
      if (yes && ingest?.rejected) void lookForRejected();
    },
    jobs: jobs => store.set({ jobs }),
    snapshot: event => void newSnapshot(event, actions),
  });
}

async function newSnapshot(event: SnapshotEvent, actions: LiveActions): Promise<void> {
  const before = store.now.snapshot;
  store.set({ snapshot: event });
  // The first only says where we are: all was asked a moment ago.
  const behind = before === null && store.now.collections.reduce((sum, c) => sum + c.datasets, 0) !== event.datasets;
  if ((before === null && !behind) || before?.n === event.n) return;
  forgetMetadata();
  const found = await askUntilTold(event.n);
  if (!found) return;
  const collection = found.some(c => c.id === store.now.collection)
    ? store.now.collection
    : ((found.find(c => c.default) ?? found[0])?.id ?? '');
  const first = store.now.collections.length === 0 && found.length > 0;
  store.set({ collections: found, collection, generation: store.now.generation + 1 });
  if (store.now.ui.ingest?.rejected) void lookForRejected();
  if (first) return actions.first();
  if (store.now.layers.length === 0 && !store.now.emptied) return actions.begin();
  tell(event, before, actions);
}

/** The collections, asked for again while that fails; `null` if a newer snapshot came meanwhile. */
async function askUntilTold(n: number): Promise<Collection[] | null> {
  while (store.now.snapshot?.n === n) {
    const found = await askCollections().catch(() => null);
    if (found) return found;
    await new Promise(resolve => setTimeout(resolve, AGAIN_MS));
  }
  return null;
}

function tell(event: SnapshotEvent, before: SnapshotEvent | null, actions: LiveActions): void {
  const added = before && event.since === before.n ? (event.changed ?? []).filter(change => change.added) : [];
  const newest = added[0];
  if (newest) {
    const name = Object.entries(newest.keys)
      .map(([key, value]) => showValue(newest.collection, key, value))
      .join(' ');
    const text = added.length === 1 ? `New: ${name}` : `${added.length}${event.truncated ? ' or more' : ''} new datasets`;
    return store.toast(text, { label: 'Show', run: () => actions.show(newest) });
  }
  const more = before ? event.datasets - before.datasets : 0;
  if (more > 0) store.toast(`${more} new ${more === 1 ? 'dataset' : 'datasets'}`);
  else if (more < 0) store.toast(`${-more} ${more === -1 ? 'dataset is' : 'datasets are'} gone`);
}

async function lookForRejected(): Promise<void> {
  store.set({ rejected: await rejected().catch(() => store.now.rejected) });
}

/** Which snapshot is served, and since when; whether anything is at work. */
export function badge(): TemplateResult {
  const { snapshot, connected, jobs, rejected: refused } = store.now;
  const age = snapshot ? (Date.now() - Date.parse(snapshot.at)) / 1000 : 0;
  const busy = (jobs?.jobs.length ?? 0) + (jobs?.pending ?? 0);
  const text = snapshot ? `Snapshot ${snapshot.n} · ${showAge(age)}` : connected ? 'No snapshot yet' : 'Connecting…';
  const state = connected ? (busy > 0 ? 'busy' : 'live') : 'lost';
  const label = connected ? text : `Connection lost; ${text}`;
  return html`<button type="button" class="badge ${state}" aria-label="${label}${busy > 0 ? `; ${busy} being ingested` : ''}. What happens now" title=${label}
      aria-expanded=${store.now.dialog === 'live'} @click=${() => store.set({ dialog: store.now.dialog === 'live' ? null : 'live' })}>
    <i class="dot"></i><span>${text}</span>
    ${busy > 0 ? html`<b>${busy}</b>` : null}${refused && refused.total > 0 ? html`<b class="warn" title="${refused.total} rejected">${refused.total}</b>` : null}
  </button>`;
}

export function livePanel(): TemplateResult {
  const { snapshot, jobs, rejected: refused, ui, connected } = store.now;
  return html`
    <dl class="facts">
      <div><dt>Snapshot</dt><dd>${snapshot?.n ?? 'none yet'}</dd></div>
      <div><dt>Published</dt><dd>${snapshot ? new Date(snapshot.at).toLocaleString() : '–'}</dd></div>
      <div><dt>Datasets</dt><dd>${snapshot?.datasets.toLocaleString('en') ?? '–'}</dd></div>
      <div><dt>Connection</dt><dd>${connected ? 'live' : 'lost; trying again'}</dd></div>
    </dl>
    ${ui.ingest ? html`${jobs ? jobList(jobs) : null} ${rejectedList()}` : html`<p class="quiet">What is being converted is told only on the machine that converts.</p>`}
    ${refused && refused.total > REJECTED_SHOWN ? html`<p class="quiet">${refused.total - REJECTED_SHOWN} more.</p>` : null}
    ${(ui.ingest?.sources ?? []).map(s => html`<p class="quiet">Drop rasters into <code>${s.source}</code></p>`)}
  `;
}

function jobList(jobs: Jobs): TemplateResult {
  const stages: Record<string, string> = {
    look: 'looking',
    stage: 'reading',
    wait: 'waiting',
    convert: 'converting',
    upload: 'storing',
    commit: 'committing',
  };
  return html`<h3>Being converted</h3>
    ${jobs.jobs.length === 0 ? html`<p class="quiet">${jobs.pending > 0 ? `${jobs.pending} wait` : 'Nothing now.'}</p>` : null}
    <ul class="jobs">${jobs.jobs.slice(0, JOBS_SHOWN).map(
      job => html`<li><span class="names">${job.input}</span><span class="quiet">${stages[job.stage] ?? job.stage} ${job.stage === 'convert' ? `${Math.round(job.done * 100)} %` : ''}</span>
        <progress max="1" .value=${job.stage === 'convert' ? job.done : ['upload', 'commit'].includes(job.stage) ? 1 : 0} aria-label="Progress of ${job.input}"></progress></li>`,
    )}</ul>
    ${jobs.pending > 0 && jobs.jobs.length > 0 ? html`<p class="quiet">${jobs.pending} more wait.</p>` : null}`;
}

function rejectedList(): TemplateResult {
  const refused = store.now.rejected;
  return html`<h3>Rejected</h3>
    ${!refused || refused.total === 0 ? html`<p class="quiet">Nothing.</p>` : null}
    <ul class="rejected">${(refused?.rejected ?? [])
      .slice(0, REJECTED_SHOWN)
      .map(
        row =>
          html`<li>${icon('alert')}<span class="names">${row.input}</span><p>${row.reason ?? 'no reason is known'}${row.may_pass ? ' (tried again by itself)' : ''}</p></li>`,
      )}</ul>`;
}
