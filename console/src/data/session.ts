// Who is at the page. A token is shown once and exchanged for a session: a cookie that no script can read, and a
// word that every write carries in a header that no other site can set.
import { computed, signal } from "@preact/signals";
import type { components } from "./api";

export type Who = components["schemas"]["SessionView"];

export const who = signal<Who | null>(null);
/** Whether the brain shows nothing to whoever is not known. */
export const closed = signal(false);
export const asksToSignIn = signal(false);
/** Says yes or no to proposals. */
export const mayAnswer = computed(() => who.value?.role === "operator" || who.value?.role === "approver");
/** Undoes, freezes, sets modes. */
export const maySteer = computed(() => who.value?.role === "operator");
/** Drives canaries. */
export const mayPropose = computed(() => who.value?.role === "operator" || who.value?.role === "pipeline");

const SESSION = "/v1/session";
const asks: RequestInit = { cache: "no-store", credentials: "same-origin" };

/** What a write carries besides what it says. */
export function credentials(): Record<string, string> {
  const word = who.value?.csrf;
  return word ? { "x-csrf-token": word } : {};
}

/** Whether this browser is known from before. */
export async function recall(): Promise<void> {
  const answer = await fetch(SESSION, asks).catch(() => null);
  if (answer?.ok) who.value = (await answer.json()) as Who;
  else if (answer?.status === 401) forget();
}

/** Shows the token; throws the brain's words when it is not taken. */
export async function signIn(token: string): Promise<void> {
  const answer = await fetch(SESSION, { ...asks, method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token }) });
  if (!answer.ok) throw new Error(answer.status === 429 ? "Too many wrong tokens came from here; wait a little." : "This token is not known.");
  who.value = (await answer.json()) as Who;
  closed.value = false;
}

export async function signOut(): Promise<void> {
  if (who.value?.csrf) await fetch(SESSION, { ...asks, method: "DELETE", headers: credentials() }).catch(() => null);
  forget();
}

export function forget(): void {
  who.value = null;
}
