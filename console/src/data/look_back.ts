// Looking back: one question under way at a time, and the newest instant asked for wins.
import { get } from "./client";
import { lookingAt, past } from "./live";
import type { Items, Service } from "./types";

let asking = false;
let wanted: number | null = null;

export async function lookAt(atMs: number | null): Promise<void> {
  lookingAt.value = atMs;
  wanted = atMs;
  if (asking) return;
  asking = true;
  try {
    while (wanted !== null) {
      const instant: number = wanted;
      const found = await get<Items<Service>>(`/v1/services?at=${Math.round(instant)}`);
      past.value = found.items;
      if (wanted === instant) break;
    }
  } catch {
    past.value = [];
  } finally {
    asking = false;
  }
}
