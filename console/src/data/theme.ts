// Dark or light: the system's, until somebody chooses.
import { effect, signal } from "@preact/signals";

const KEY = "lightsout.theme";
const system = matchMedia("(prefers-color-scheme: light)");
const chosen = (): string => localStorage.getItem(KEY) ?? (system.matches ? "light" : "dark");
export const theme = signal(chosen());
system.addEventListener("change", () => (theme.value = chosen()));
effect(() => void (document.documentElement.dataset.theme = theme.value));

export function turn(): void {
  theme.value = theme.value === "light" ? "dark" : "light";
  localStorage.setItem(KEY, theme.value);
}

/** A colour of the theme, for canvases. */
export const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
