// A brain that has known a mesh for longer than a test may last: what it keeps for its next life, with an earlier past.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { until } from "./mesh.mjs";

const MINUTE_MS = 60_000;
const PATIENCE_MS = 60_000;
const MINUTES = 30;
const LEARNED_S = 1_800;
const AWAY = { maxBuffer: 64 << 20 };

/** What the brain has kept, unpacked; nothing while it has kept nothing of this service. */
function kept(store, service) {
  const hex = execFileSync("sqlite3", [store, "SELECT hex(data) FROM memory"], AWAY).toString().trim();
  const text = hex && execFileSync("zstd", ["-dc"], { ...AWAY, input: Buffer.from(hex, "hex") }).toString();
  const memory = text ? JSON.parse(text) : null;
  return memory?.services[service]?.baseline.learned_s > 0 && memory;
}

/** Ends the brain, gives what it knew of `service` half an hour of `rps` requests a second, and starts it again. */
export async function grow(mesh, service, rps) {
  const store = join(mesh.dir, "lightsout.db");
  const memory = await until("the brain has kept what is normal", PATIENCE_MS, () => kept(store, service));
  await mesh.brain.end("SIGTERM");
  const [newest, known] = [Math.floor(Date.now() / MINUTE_MS) - 1, memory.services[service]];
  const rates = Array.from({ length: MINUTES }, (_, n) => rps * (1 + 0.05 * Math.sin(n)));
  Object.assign(known, { minutes: { rates, newest, open: [newest, 0, 0] } });
  known.baseline.learned_s = LEARNED_S;
  const packed = execFileSync("zstd", ["-c"], { ...AWAY, input: JSON.stringify(memory) }).toString("hex");
  execFileSync("sqlite3", [store], { ...AWAY, input: `UPDATE memory SET data = x'${packed}';` });
  await mesh.wake();
}
