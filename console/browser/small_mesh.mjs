// A mesh of our own, each part of which can be taken away: a brain that may be killed and started again, one proxy
// before some origins, and between them a wire that may be cut.
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { createServer as createOrigin, get } from "node:http";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { brains } from "./accounts.mjs";
import { program, until } from "./mesh.mjs";

const BETWEEN_REQUESTS_MS = 50;
/** Origins without a version, each with the same weight. */
const ALIKE = Array.from({ length: 3 }, () => ({ weight: 100 }));
const listening = (server, port = 0) => new Promise((done, failed) => server.once("error", failed).listen(port, "127.0.0.1", () => done(server.address().port)));

/** A program, once it has said where it listens: `NAME ready: key=address …`. */
async function started(name, args, dir) {
  const child = spawn(program(name), args, { cwd: dir, stdio: ["ignore", "pipe", "ignore"] });
  // Whatever ends this test ends its mesh.
  process.once("exit", () => child.kill("SIGKILL"));
  let said = "";
  createInterface({ input: child.stdout }).on("line", (line) => (said += line.includes(" ready: ") ? line : ""));
  await until(`${name} is ready`, 60_000, () => {
    if (child.exitCode !== null) throw new Error(`${name} ended`);
    return said;
  });
  const ended = new Promise((done) => child.once("exit", done));
  const end = (signal) => (child.kill(signal), ended);
  return { at: Object.fromEntries(said.split(" ready: ")[1].split(" ").map((pair) => pair.split("="))), end };
}

/** A wire that carries bytes both ways, until it is cut. */
async function wire(to) {
  const open = new Set();
  let whole = true;
  const server = createServer((near) => {
    if (!whole) return void near.destroy();
    const far = connect(to, "127.0.0.1");
    for (const end of [near, far]) {
      open.add(end);
      end.on("error", () => end.destroy()).on("close", () => (open.delete(end), near.destroy(), far.destroy()));
    }
    near.pipe(far);
    far.pipe(near);
  });
  const port = await listening(server);
  const cut = () => ((whole = false), open.forEach((end) => end.destroy()));
  return { port, cut, join: () => (whole = true), close: () => (cut(), server.close()) };
}

export class SmallMesh {
  dir = mkdtempSync(join(tmpdir(), "lightsout-small-"));
  origins = [];
  /** The origin that answers nothing but failures, by number. */
  sick = null;
  ports = [];
  /** Milliseconds that an answer takes. */
  lag = () => 0;
  /** Requests that each has answered. */
  answered = [];
  /** What parts of the mesh show each other. */
  secret = randomBytes(24).toString("hex");

  /** The brain alone; `policies` are the texts of its policy files by name. */
  static async start(policies) {
    const mesh = new SmallMesh();
    mesh.write("mesh.token", mesh.secret);
    mkdirSync(join(mesh.dir, "policies"));
    for (const [file, text] of Object.entries(policies)) mesh.write(join("policies", file), text);
    const mine = "bind_address: 127.0.0.1, port:";
    const config = (api, telemetry) => `api: { ${mine} ${api} }\ntelemetry: { ${mine} ${telemetry}, token_path: mesh.token }\nmesh_token_path: mesh.token\nmode: advisory\ndata_dir: .\n`;
    mesh.write("brain.yaml", config(0, 0));
    await mesh.wake();
    // From now on it listens where it does now, so that it is found again.
    const port = (of) => mesh.brain.at[of].split(":")[1];
    mesh.write("brain.yaml", config(port("api"), port("telemetry")));
    mesh.url = `http://${mesh.brain.at.api}`;
    brains.add(mesh.url);
    mesh.wire = await wire(Number(port("telemetry")));
    return mesh;
  }

  write(file, text) {
    writeFileSync(join(this.dir, file), text, { mode: 0o600 });
  }

  async wake() {
    this.brain = await started("lightsout", ["brain", "--config", "brain.yaml"], this.dir);
  }

  /** A token of this role, by the operator's own command. */
  token(name, role) {
    return execFileSync(program("lightsout"), ["token", "add", "--name", name, "--role", role, "--data-dir", this.dir], { stdio: ["ignore", "pipe", "ignore"] }).toString().trim();
  }

  /** The origins, the proxy before them, and somebody who asks. */
  async carry(origins = ALIKE) {
    for (let n = 0; n < origins.length; n += 1) {
      const origin = createOrigin((_, answer) => ((answer.statusCode = this.sick === n ? 500 : 200), (this.answered[n] = (this.answered[n] ?? 0) + 1), setTimeout(() => answer.end("said"), this.lag())));
      this.ports.push(await listening(origin));
      this.origins.push(origin);
    }
    this.configure(origins);
    this.proxy = await started("sidecar-proxy", ["start", "--config", "shop.yaml"], this.dir);
    this.ask();
  }

  /** The proxy's file. */
  configure(origins) {
    const endpoint = ({ weight, version }, n) => `{ address: 127.0.0.1, port: ${this.ports[n]}, weight: ${weight}${version ? `, version: ${version}` : ""} }`;
    const endpoints = origins.map(endpoint).join(", ");
    const lines = [
      "server: { bind_address: 127.0.0.1, port: 0, workers: 1 }", "admin: { bind_address: 127.0.0.1, port: 0, token_path: mesh.token, state_path: shop.state }",
      // Else the proxy itself would take the sick origin out, and leave nothing to the brain.
      "circuit_breaker: { enabled: false }", `upstream: { services: { shop: { endpoints: [${endpoints}] } } }`, `ai: { enabled: true, brain: "http://127.0.0.1:${this.wire.port}", token_path: mesh.token, proxy_id: shop-proxy }`,
    ];
    this.write("shop.yaml", lines.join("\n"));
  }

  /** Gives the endpoints other weights, by the file, as an operator would. */
  async reweigh(origins) {
    this.configure(origins);
    const answer = await fetch(`http://${this.proxy.at.admin}/reload`, { method: "POST", headers: { authorization: `Bearer ${this.secret}` } });
    if (!answer.ok) throw new Error(`the proxy does not take its file: ${await answer.text()}`);
  }

  ask(betweenMs = BETWEEN_REQUESTS_MS) {
    this.rest();
    const url = `http://${this.proxy.at.main}/`;
    this.asking = setInterval(() => get(url, (answer) => answer.resume()).on("error", () => undefined), betweenMs);
  }

  rest() {
    clearInterval(this.asking);
  }

  async stop() {
    this.rest();
    brains.delete(this.url);
    this.wire?.close();
    await Promise.all([this.proxy?.end("SIGKILL"), this.brain?.end("SIGKILL")]);
    for (const origin of this.origins) origin.close();
  }
}
