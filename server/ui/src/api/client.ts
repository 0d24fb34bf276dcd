/** How the page asks the API: relative to where the page lies, aborted when superseded, bounded in time, errors as the API says them. */

/** The folder of the page, which is the base of the API. */
export const BASE = new URL('.', document.baseURI.split('#')[0]);
const WAIT_MS = 30_000;

/** An answer that is not a success; its message is the API's own. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

/** The absolute URL of a path of the API. */
export function absolute(path: string): string {
  return BASE.href + path;
}

export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const limit = AbortSignal.timeout(WAIT_MS);
  const signal = init.signal ? AbortSignal.any([init.signal, limit]) : limit;
  let answer: Response;
  try {
    answer = await fetch(absolute(path), { ...init, signal });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError(limit.aborted ? `the server did not answer within ${WAIT_MS / 1000} s` : 'the server cannot be reached', 0);
  }
  if (!answer.ok) throw new ApiError(await messageOf(answer), answer.status);
  return answer;
}

export async function getJson<T>(path: string, signal?: AbortSignal): Promise<T> {
  const answer = await request(path, signal ? { signal } : {});
  return (await answer.json()) as T;
}

/** Path segments, each encoded on its own as the API decodes them; `null` is any value. */
export function segments(values: readonly (string | null)[]): string {
  return values.map(value => (value === null ? '*' : encodeSegment(value))).join('/');
}

/** A query readable where it may be: brackets, commas, colons and stars need no encoding. */
export function query(params: readonly (readonly [string, string])[]): string {
  return params.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&');
}

export function encode(text: string): string {
  return encodeURIComponent(text).replace(/%(5B|5D|2C|3A|2F|7B|7D|40)/gi, found => decodeURIComponent(found));
}

function encodeSegment(value: string): string {
  const text = encodeURIComponent(value).replace(/%3A/gi, ':').replace(/\*/g, '%2A');
  return text === '.' || text === '..' ? text.replace(/\./g, '%2E') : text;
}

/** Runs one question at a time: a new one aborts the one before. */
export class Latest {
  private controller = new AbortController();

  /** `undefined` if it was superseded. */
  async run<T>(ask: (signal: AbortSignal) => Promise<T>): Promise<T | undefined> {
    this.controller.abort();
    const controller = new AbortController();
    this.controller = controller;
    try {
      const answer = await ask(controller.signal);
      return controller.signal.aborted ? undefined : answer;
    } catch (error) {
      if (controller.signal.aborted) return undefined;
      throw error;
    }
  }

  stop(): void {
    this.controller.abort();
  }
}

/** What to show of anything thrown. */
export function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function messageOf(answer: Response): Promise<string> {
  try {
    const body = (await answer.json()) as { message?: string };
    if (body.message) return body.message;
  } catch {
    // Not JSON: a proxy's page, say. The status tells enough.
  }
  return `the server answered ${answer.status} ${answer.statusText}`.trim();
}
