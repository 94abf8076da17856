// Where services stand: callers left, callees right, and apart from each other.
import { forceCollide, forceLink, forceManyBody, forceSimulation, forceX, forceY, type SimulationLinkDatum, type SimulationNodeDatum } from "d3-force";
import { endpointHealth, serviceHealth, type Health } from "../../data/health";
import type { Incident, Service } from "../../data/types";

export type Dot = { name: string; version: string; health: Health; share: number; shown: number };
export type Node = SimulationNodeDatum & {
  name: string; depth: number; rps: number; failures: number; health: Health; radius: number; dots: Dot[]; external: boolean; x: number; y: number;
};
export type Edge = SimulationLinkDatum<Node> & { from: Node; to: Node; rps: number; failures: number };
export type Graph = { nodes: Node[]; edges: Edge[] };

const COLUMN = 150;
/** Endpoints drawn one by one; of more, the sickest. */
export const MAX_DOTS = 1_200;

export const radiusOf = (rps: number): number => 17 + 5.5 * Math.log10(1 + rps);

function dotsOf(service: Service, known: Map<string, Dot>, room: number): Dot[] {
  const weights = service.endpoints.map((one) => (one.ejected ? 0 : one.weight ?? 100));
  const most = Math.max(...weights, 1);
  return service.endpoints.slice(0, room).map((one, n) => ({
    name: one.endpoint, version: one.version, health: endpointHealth(one), share: (weights[n] ?? 0) / most,
    shown: known.get(one.endpoint)?.shown ?? (weights[n] ?? 0) / most,
  }));
}

/** How far each is from where requests enter: callers that nobody calls are first. */
function depths(names: string[], calls: [string, string][]): Map<string, number> {
  const depth = new Map(names.map((name) => [name, 0]));
  for (let round = 0; round < Math.min(names.length, 24); round += 1) {
    for (const [from, to] of calls) {
      if (from !== to && (depth.get(from) ?? 0) + 1 > (depth.get(to) ?? 0)) depth.set(to, Math.min((depth.get(from) ?? 0) + 1, 24));
    }
  }
  return depth;
}

/** The graph of these services; nodes that were there keep their places. */
export function graphOf(services: Service[], open: Incident[], before: Graph | null): Graph {
  const known = new Map(before?.nodes.map((node) => [node.name, node]));
  const calls = services.flatMap((one) => one.callers.map((caller): [string, string] => [caller, one.service]));
  const names = [...new Set([...services.map((one) => one.service), ...calls.map(([caller]) => caller)])];
  const depth = depths(names, calls);
  const by = new Map(services.map((one) => [one.service, one]));
  let room = MAX_DOTS;
  const nodes = names.map((name): Node => {
    const service = by.get(name);
    const old = known.get(name);
    const dots = service ? dotsOf(service, new Map(old?.dots.map((dot) => [dot.name, dot])), room) : [];
    room -= dots.length;
    const rps = service?.rps ?? 0;
    const at = { x: old?.x ?? (depth.get(name) ?? 0) * COLUMN, y: old?.y ?? (names.indexOf(name) % 7) * 30 };
    return {
      ...at, name, rps, dots, external: !service, depth: depth.get(name) ?? 0, failures: service?.failure_share ?? 0,
      health: service ? serviceHealth(service, open) : "quiet", radius: service ? radiusOf(rps) : 15,
    };
  });
  const node = new Map(nodes.map((one) => [one.name, one]));
  const edges = calls.flatMap(([caller, callee]): Edge[] => {
    const [from, to] = [node.get(caller), node.get(callee)];
    if (!from || !to || from === to) return [];
    const call = by.get(callee)?.calls.find((one) => one.caller === caller);
    return [{ from, to, source: from, target: to, rps: call?.rps ?? 0, failures: call?.failure_share ?? 0 }];
  });
  const same = before && before.nodes.length === nodes.length && names.every((name) => known.has(name));
  if (!same) settle(nodes, edges);
  return { nodes, edges };
}

export const reach = (node: Node): number => node.radius + (node.dots.length ? 12 + 7 * Math.ceil(node.dots.length / 28) : 0);

function settle(nodes: Node[], edges: Edge[]): void {
  const simulation = forceSimulation(nodes)
    .force("links", forceLink(edges).distance(COLUMN * 0.8).strength(0.2))
    .force("apart", forceManyBody().strength(-320))
    .force("room", forceCollide<Node>((node) => reach(node) + 18))
    .force("x", forceX<Node>((node) => node.depth * COLUMN).strength(0.9))
    .force("y", forceY(0).strength(0.08))
    .stop();
  simulation.tick(nodes.length > 150 ? 80 : 200);
}
