// What the page knows, kept fresh by one stream of server-sent events. Nothing is polled: a list is read again
// when a record says that it changed.
import { computed, signal } from "@preact/signals";
import { get } from "./client";
import { recall } from "./session";
import type { Action, AuditRecord, Incident, Items, Picture, Proposal, Service } from "./types";

export type Connection = "connecting" | "open" | "lost";
export const connection = signal<Connection>("connecting");
export const picture = signal<Picture | null>(null);
/** When the last picture came, by this machine's clock. */
export const heardAt = signal(0);
export const incidents = signal<Incident[] | null>(null);
export const proposals = signal<Proposal[] | null>(null);
export const actions = signal<Action[] | null>(null);
export const records = signal<AuditRecord[]>([]);
/** Counts up with everything that was decided: pages that read more than lists depend on it. */
export const changes = signal(0);
/** The brain's clock less ours: countdowns follow the brain's. */
export const skew = signal(0);
/** Looking back: the instant, and the services as they were; null is now. */
export const lookingAt = signal<number | null>(null);
export const past = signal<Service[]>([]);

export const services = computed<Service[]>(() => (lookingAt.value === null ? picture.value?.services ?? [] : past.value));
export const status = computed(() => picture.value?.status ?? null);
export const openIncidents = computed(() => (incidents.value ?? []).filter((one) => one.state === "open"));
export const waiting = computed(() => (proposals.value ?? []).filter((one) => one.state === "pending"));
export const liveActions = computed(() => (actions.value ?? []).filter((one) => one.phase !== "ended" && one.phase !== "failed"));

const KEPT_RECORDS = 60;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
const SILENCE_MS = 15_000;

let stream: EventSource | null = null;
let pause = FIRST_PAUSE_MS;
let due: number | undefined;
let again: number | undefined;

export async function refresh(): Promise<void> {
  const [i, p, a] = await Promise.all([get<Items<Incident>>("/v1/incidents"), get<Items<Proposal>>("/v1/proposals"), get<Items<Action>>("/v1/actions")]);
  incidents.value = i.items;
  proposals.value = p.items;
  actions.value = a.items;
  changes.value += 1;
}

/** Soon, once, however many records ask for it. */
function refreshSoon(): void {
  if (due !== undefined) return;
  due = window.setTimeout(() => {
    due = undefined;
    refresh().catch(() => undefined);
  }, 300);
}

function reconnect(): void {
  connection.value = "lost";
  stream?.close();
  stream = null;
  window.clearTimeout(again);
  again = window.setTimeout(connect, pause);
  pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  // A stream does not say why it failed; a question does, where it is that nobody is known here.
  refresh().catch(() => undefined);
}

function show(message: MessageEvent<string>): void {
  const shown = JSON.parse(message.data) as Picture;
  heardAt.value = Date.now();
  skew.value = shown.at_ms - Date.now();
  picture.value = shown;
}

function hear(message: MessageEvent<string>): void {
  const record = JSON.parse(message.data) as AuditRecord;
  records.value = [record, ...records.value.filter((known) => known.seq !== record.seq)].slice(0, KEPT_RECORDS);
  refreshSoon();
}

export function connect(): void {
  stream?.close();
  const opened = new EventSource("/v1/events?picture=true");
  stream = opened;
  opened.onopen = () => {
    // A brain that started anew knows nobody.
    if (connection.value === "lost") void recall();
    connection.value = "open";
    heardAt.value = Date.now();
    pause = FIRST_PAUSE_MS;
    refresh().catch(() => undefined);
    get<Items<AuditRecord>>("/v1/audit?newest=true&limit=40").then((page) => (records.value = page.items)).catch(() => undefined);
  };
  opened.onerror = () => opened === stream && reconnect();
  opened.addEventListener("picture", show);
  opened.addEventListener("lagged", refreshSoon);
  opened.addEventListener("record", hear);
}

/** A stream that is open and silent is a stream that is lost. */
export function watchSilence(): void {
  window.setInterval(() => {
    if (connection.value === "open" && Date.now() - heardAt.value > SILENCE_MS) reconnect();
  }, 3_000);
  window.addEventListener("online", () => connection.value === "lost" && connect());
}
