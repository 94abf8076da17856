// Pages live behind the #, so that every link works from any server path and nothing is asked of the brain.
import { signal } from "@preact/signals";

const read = (): string[] => location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map((part) => {
  try { return decodeURIComponent(part); } catch { return part; }
});
export const route = signal<string[]>(read());
window.addEventListener("hashchange", () => {
  route.value = read();
  window.scrollTo(0, 0);
  document.getElementById("main")?.focus({ preventScroll: true });
});

export const to = (...parts: string[]): string => `#/${parts.map(encodeURIComponent).join("/")}`;
export const go = (...parts: string[]): void => void (location.hash = to(...parts));
