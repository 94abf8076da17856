// The live map: drag to move, wheel or two fingers to come nearer, click a service to open it. The table beside it
// says the same to those who do not see it.
import { useEffect, useRef } from "preact/hooks";
import { plural } from "../../data/format";
import { HEALTH_WORDS, serviceHealth } from "../../data/health";
import { go } from "../../data/route";
import { theme } from "../../data/theme";
import type { Incident, Service } from "../../data/types";
import { Icon } from "../icons";
import { graphOf, reach, type Graph } from "./layout";
import { fitted, paint, palette, type View } from "./paint";

const calm = matchMedia("(prefers-reduced-motion: reduce)");
const FRAME_MS = 33;

/** What the canvas holds between renders. */
class Stage {
  graph: Graph = { nodes: [], edges: [] };
  view: View | null = null;
  touched = false;
  over: string | null = null;
  of = palette();
  dirty = true;
  private last = 0;
  private frame = 0;

  constructor(readonly canvas: HTMLCanvasElement) {
    const draw = (now: number): void => {
      this.frame = requestAnimationFrame(draw);
      const flowing = !calm.matches && document.visibilityState === "visible" && this.graph.edges.some((edge) => edge.rps > 0);
      if (!this.dirty && !(flowing && now - this.last > FRAME_MS)) return;
      this.last = now;
      this.dirty = this.step();
      const to = this.canvas.getContext("2d");
      if (to && this.view) paint(to, this.graph, this.view, this.of, this.over, now / 1000, !calm.matches);
    };
    this.frame = requestAnimationFrame(draw);
  }

  /** Lets weights go to where they are; whether any still moves. */
  private step(): boolean {
    let moving = false;
    for (const dot of this.graph.nodes.flatMap((node) => node.dots)) {
      const off = dot.share - dot.shown;
      if (Math.abs(off) < 0.01 || calm.matches) dot.shown = dot.share;
      else {
        dot.shown += off * 0.12;
        moving = true;
      }
    }
    return moving;
  }

  size(): void {
    const { clientWidth: w, clientHeight: h } = this.canvas;
    [this.canvas.width, this.canvas.height] = [w * devicePixelRatio, h * devicePixelRatio];
    if (!this.touched) this.fit();
    this.dirty = true;
  }

  fit(): void {
    this.view = fitted(this.graph, this.canvas.clientWidth, this.canvas.clientHeight);
    this.dirty = true;
  }

  at(x: number, y: number): string | null {
    const view = this.view;
    if (!view) return null;
    const [gx, gy] = [(x - view.x) / view.scale, (y - view.y) / view.scale];
    return this.graph.nodes.find((node) => !node.external && Math.hypot(node.x - gx, node.y - gy) < reach(node) + 4)?.name ?? null;
  }

  nearer(x: number, y: number, by: number): void {
    const view = this.view;
    if (!view) return;
    const scale = Math.min(4, Math.max(0.08, view.scale * by));
    const part = scale / view.scale;
    this.view = { scale, x: x - (x - view.x) * part, y: y - (y - view.y) * part };
    this.touched = this.dirty = true;
  }

  end(): void {
    cancelAnimationFrame(this.frame);
  }
}

function listen(stage: Stage): () => void {
  const { canvas } = stage;
  const down = new Map<number, { x: number; y: number }>();
  let moved = 0;
  const place = (event: MouseEvent): [number, number] => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const spread = (): number => {
    const [a, b] = [...down.values()];
    return a && b ? Math.hypot(a.x - b.x, a.y - b.y) : 0;
  };
  const on = new AbortController();
  const { signal } = on;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    const [x, y] = place(event);
    down.set(event.pointerId, { x, y });
    moved = 0;
  }, { signal });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    const from = down.get(event.pointerId);
    if (!from) {
      const over = stage.at(x, y);
      if (over !== stage.over) [stage.over, stage.dirty] = [over, true];
      canvas.style.cursor = over ? "pointer" : "";
      return;
    }
    const before = spread();
    down.set(event.pointerId, { x, y });
    moved += Math.abs(x - from.x) + Math.abs(y - from.y);
    if (down.size === 2 && before > 0) stage.nearer(x, y, spread() / before);
    else if (stage.view) stage.view = { ...stage.view, x: stage.view.x + x - from.x, y: stage.view.y + y - from.y };
    stage.touched = stage.dirty = true;
  }, { signal });
  const up = (event: PointerEvent): void => {
    const was = down.delete(event.pointerId);
    const name = was && moved < 5 ? stage.at(...place(event)) : null;
    if (name) go("services", name);
  };
  canvas.addEventListener("pointerup", up, { signal });
  canvas.addEventListener("pointercancel", (event) => down.delete(event.pointerId), { signal });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    stage.nearer(...place(event), Math.exp(-event.deltaY * 0.0015));
  }, { signal, passive: false });
  return () => on.abort();
}

export function Topology({ services, open }: { services: Service[]; open: Incident[] }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const stage = useRef<Stage | null>(null);
  useEffect(() => {
    if (!canvas.current) return;
    const made = new Stage(canvas.current);
    stage.current = made;
    const deaf = listen(made);
    const watch = new ResizeObserver(() => made.size());
    watch.observe(canvas.current);
    return () => {
      watch.disconnect();
      deaf();
      made.end();
    };
  }, []);
  useEffect(() => {
    const made = stage.current;
    if (!made) return;
    const count = made.graph.nodes.length;
    made.graph = graphOf(services, open, made.graph);
    made.of = palette();
    if (!made.touched && made.graph.nodes.length !== count) made.fit();
    made.dirty = true;
  }, [services, open, theme.value]);
  const sick = services.map((one) => ({ name: one.service, health: serviceHealth(one, open) })).filter(({ health }) => health !== "good");
  const told = sick.map(({ name, health }) => `${name}: ${HEALTH_WORDS[health].toLowerCase()}`).join(", ") || "all are healthy";
  return (
    <>
      <canvas ref={canvas} role="img" aria-label={`Map of ${plural(services.length, "service")}: ${told}. The table beside it tells the same.`} />
      <div class="mesh-tools">
        <button class="btn small" title="See all" aria-label="See the whole map" onClick={() => stage.current && ((stage.current.touched = false), stage.current.fit())}><Icon name="fit" /></button>
      </div>
    </>
  );
}
