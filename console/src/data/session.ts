// Who is at the page. A token is shown once and exchanged for a session: a cookie that no script can read, and a
// word that every write carries in a header that no other site can set.
import { computed, signal } from "@preact/signals";

export type Role = "viewer" | "approver" | "operator" | "pipeline";
export type Who = { name: string; role: Role; csrf?: string | null; token?: string };

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
  const known = who.value;
  if (known?.csrf) return { "x-csrf-token": known.csrf };
  return known?.token ? { authorization: `Bearer ${known.token}` } : {};
}

/** Whether this browser is known from before. */
export async function recall(): Promise<void> {
  const answer = await fetch(SESSION, asks).catch(() => null);
  if (answer?.ok) who.value = (await answer.json()) as Who;
}

/** Shows the token; throws the brain's words when it is not taken. */
export async function signIn(token: string): Promise<void> {
  const answer = await fetch(SESSION, { ...asks, method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ token }) });
  // A brain without sessions takes the token with each write; it stays in this page's memory.
  if (answer.status === 404) who.value = { name: "operator", role: "operator", token };
  else if (answer.ok) who.value = (await answer.json()) as Who;
  else throw new Error(answer.status === 429 ? "Too many wrong tokens came from here; wait a little." : "This token is not known.");
  closed.value = false;
}

export async function signOut(): Promise<void> {
  if (who.value?.csrf) await fetch(SESSION, { ...asks, method: "DELETE", headers: credentials() }).catch(() => null);
  forget();
}

export function forget(): void {
  who.value = null;
}
