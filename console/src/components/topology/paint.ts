// Draws the graph. Health is never told by colour alone: a sick service wears a broken ring and a sign.
import { percent, rate } from "../../data/format";
import { HEALTH_WORDS, type Health } from "../../data/health";
import { colour } from "../../data/theme";
import { reach, type Edge, type Graph, type Node } from "./layout";

export type View = { x: number; y: number; scale: number };
export type Palette = Record<"good" | "warn" | "bad" | "info" | "muted" | "faint" | "text" | "line" | "surface" | "raised" | "accent" | "line-strong" | "sans" | "violet", string>;
const NAMES = ["good", "warn", "bad", "info", "muted", "faint", "text", "line", "surface", "raised", "accent", "line-strong", "sans", "violet"] as const;
export const palette = (): Palette => Object.fromEntries(NAMES.map((name) => [name, colour(name)])) as Palette;

const tone = (health: Health, of: Palette): string => ({ good: of.good, warn: of.warn, bad: of.bad, out: of.info, quiet: of.faint, mute: of.warn, lost: of.violet })[health];
const SIGNS: Partial<Record<Health, string>> = { warn: "!", bad: "✕" };
/** What stands in the ring, and how it is broken, where nothing is heard. */
const SILENCES: Partial<Record<Health, { sign: string; dash: number[] }>> = { quiet: { sign: "–", dash: [] }, mute: { sign: "?", dash: [2, 5] }, lost: { sign: "⌀", dash: [10, 4, 2, 4] } };
const FULL = Math.PI * 2;

function edge(to: CanvasRenderingContext2D, one: Edge, of: Palette, phase: number, moving: boolean): void {
  const [a, b] = [one.from, one.to];
  const angle = Math.atan2(b.y - a.y, b.x - a.x);
  const [x1, y1] = [a.x + Math.cos(angle) * (a.radius + 4), a.y + Math.sin(angle) * (a.radius + 4)];
  const [x2, y2] = [b.x - Math.cos(angle) * (reach(b) + 5), b.y - Math.sin(angle) * (reach(b) + 5)];
  const sick = one.failures > 0.01;
  to.strokeStyle = sick ? of.bad : of["line-strong"];
  to.lineWidth = 1 + Math.min(4, Math.log10(1 + one.rps) * 1.1);
  to.setLineDash(sick ? [5, 4] : []);
  to.beginPath();
  to.moveTo(x1, y1);
  to.lineTo(x2, y2);
  to.stroke();
  to.setLineDash([]);
  to.fillStyle = sick ? of.bad : of.faint;
  to.beginPath();
  to.moveTo(x2 + Math.cos(angle) * 5, y2 + Math.sin(angle) * 5);
  to.lineTo(x2 + Math.cos(angle + 2.5) * 6, y2 + Math.sin(angle + 2.5) * 6);
  to.lineTo(x2 + Math.cos(angle - 2.5) * 6, y2 + Math.sin(angle - 2.5) * 6);
  to.fill();
  if (one.rps > 0 && moving) {
    const [length, count] = [Math.hypot(x2 - x1, y2 - y1), Math.min(8, 1 + Math.floor(Math.log10(1 + one.rps) * 2))];
    to.fillStyle = sick ? of.bad : of.accent;
    for (let n = 0; n < count; n += 1) {
      const part = (phase * 60 / Math.max(length, 60) + n / count) % 1;
      to.beginPath();
      to.arc(x1 + (x2 - x1) * part, y1 + (y2 - y1) * part, 1.9, 0, FULL);
      to.fill();
    }
  }
}

function dots(to: CanvasRenderingContext2D, node: Node, of: Palette): void {
  const a_ring = 28;
  node.dots.forEach((dot, n) => {
    const ring = Math.floor(n / a_ring);
    const in_ring = Math.min(a_ring, node.dots.length - ring * a_ring);
    const angle = -Math.PI / 2 + ((n % a_ring) / in_ring) * FULL;
    const distance = node.radius + 10 + ring * 8;
    const [x, y] = [node.x + Math.cos(angle) * distance, node.y + Math.sin(angle) * distance];
    const size = (node.dots.length > 60 ? 1.4 : 2) + 2.2 * dot.shown;
    to.strokeStyle = to.fillStyle = tone(dot.health, of);
    to.lineWidth = 1.4;
    to.beginPath();
    if (dot.health === "out") {
      to.arc(x, y, 3.6, 0, FULL);
      to.moveTo(x - 2.5, y + 2.5);
      to.lineTo(x + 2.5, y - 2.5);
      to.stroke();
    } else if (dot.health === "bad") {
      to.moveTo(x, y - size - 1);
      to.lineTo(x + size + 1, y + size);
      to.lineTo(x - size - 1, y + size);
      to.fill();
    } else {
      to.arc(x, y, size, 0, FULL);
      to.fill();
    }
  });
}

function node(to: CanvasRenderingContext2D, one: Node, of: Palette, chosen: boolean, scale: number): void {
  const ring = tone(one.health, of);
  if (chosen) {
    to.fillStyle = of.raised;
    to.beginPath();
    to.arc(one.x, one.y, reach(one) + 8, 0, FULL);
    to.fill();
  }
  to.fillStyle = of.surface;
  to.strokeStyle = one.external ? of["line-strong"] : ring;
  to.lineWidth = one.health === "bad" ? 3 : 2;
  const silence = one.external ? undefined : SILENCES[one.health];
  to.setLineDash(silence?.dash ?? (one.health === "warn" ? [6, 4] : one.health === "bad" ? [3, 3] : []));
  to.beginPath();
  to.arc(one.x, one.y, one.radius, 0, FULL);
  to.fill();
  to.stroke();
  to.setLineDash([]);
  dots(to, one, of);
  to.textAlign = "center";
  to.textBaseline = "middle";
  const sign = SIGNS[one.health];
  if (silence) {
    to.fillStyle = ring;
    to.font = `600 ${one.radius * 0.8}px ${of.sans}`;
    to.fillText(silence.sign, one.x, one.y);
    to.font = `11px ${of.sans}`;
    to.fillText(HEALTH_WORDS[one.health].toLowerCase(), one.x, one.y + reach(one) + 28);
  } else if (!one.external && scale > 0.35) {
    to.fillStyle = sign ? ring : of.text;
    to.font = `600 ${Math.min(13, one.radius * 0.5)}px ${of.sans}`;
    to.fillText(sign ? `${sign} ${percent(one.failures, 0)}` : rate(one.rps), one.x, one.y - (sign ? 0 : 4));
    if (!sign) {
      to.fillStyle = of.muted;
      to.font = `9px ${of.sans}`;
      to.fillText("req/s", one.x, one.y + 8);
    }
  } else if (one.external) {
    to.fillStyle = of.faint;
    to.beginPath();
    to.arc(one.x, one.y, 3, 0, FULL);
    to.fill();
  }
  const most = 26;
  to.fillStyle = of.text;
  to.font = `500 12px ${of.sans}`;
  to.fillText(one.name.length > most ? `${one.name.slice(0, most - 1)}…` : one.name, one.x, one.y + reach(one) + 13);
}

export function paint(to: CanvasRenderingContext2D, graph: Graph, view: View, of: Palette, chosen: string | null, phase: number, moving: boolean): void {
  const ratio = devicePixelRatio;
  to.setTransform(1, 0, 0, 1, 0, 0);
  to.clearRect(0, 0, to.canvas.width, to.canvas.height);
  to.setTransform(view.scale * ratio, 0, 0, view.scale * ratio, view.x * ratio, view.y * ratio);
  for (const one of graph.edges) edge(to, one, of, phase, moving);
  for (const one of graph.nodes) node(to, one, of, one.name === chosen, view.scale);
}

/** A view in which all is seen. */
export function fitted(graph: Graph, width: number, height: number): View {
  if (!graph.nodes.length) return { x: width / 2, y: height / 2, scale: 1 };
  const edges = (pick: (node: Node) => number, sign: number): number => sign * Math.max(...graph.nodes.map((one) => sign * pick(one) + reach(one) + 24));
  const [left, right, top, bottom] = [edges((n) => n.x, -1), edges((n) => n.x, 1), edges((n) => n.y, -1), edges((n) => n.y, 1)];
  const scale = Math.min(1.9, (width - 24) / Math.max(right - left, 1), (height - 60) / Math.max(bottom - top, 1));
  return { scale, x: width / 2 - (scale * (left + right)) / 2, y: (height - 24) / 2 - (scale * (top + bottom)) / 2 };
}
