// The one place that speaks HTTP. Everything else says what it wants and gets it, or a Refused.
import { closed, credentials, forget } from "./session";

/** The brain's answer when it does not do what it was asked (RFC 9457). */
export class Refused extends Error {
  constructor(readonly status: number, detail: string) {
    super(detail);
  }
}

const PATIENCE_MS = 15_000;

async function call<T>(path: string, init: RequestInit): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(PATIENCE_MS), ...init });
  } catch (why) {
    throw new Refused(0, why instanceof DOMException && why.name === "TimeoutError" ? "The brain did not answer in time." : "The brain cannot be reached.");
  }
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    if (response.status === 401) {
      forget();
      closed.value = init.method === undefined;
    }
    throw new Refused(response.status, typeof problem.detail === "string" ? problem.detail : `Status ${response.status}`);
  }
  return response.json() as Promise<T>;
}

export const get = <T>(path: string): Promise<T> => call<T>(path, {});

/** A write: it carries who asks, in a header that no other site can set. */
export const post = <T = unknown>(path: string, body: unknown = {}): Promise<T> =>
  call<T>(path, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json", ...credentials() } });

/** A query string without what is empty. */
export function query(of: Record<string, string | number | boolean | undefined>): string {
  const kept = Object.entries(of).filter(([, value]) => value !== undefined && value !== "" && value !== false);
  return kept.length ? `?${new URLSearchParams(kept.map(([key, value]) => [key, String(value)]))}` : "";
}

export const words = (why: unknown): string => (why instanceof Error ? why.message : String(why));
