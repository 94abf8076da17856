// A real mesh for the browser to look at: `lightsout demo`, and the browser itself.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";
import { brains } from "./accounts.mjs";

const here = new URL(".", import.meta.url).pathname;
export const program = (name) => join(process.env.LIGHTSOUT_BIN ?? join(here, "../../target/debug"), name);
const BROWSERS = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** The demo in this mode, once its brain answers. */
export async function startDemo(mode, more = []) {
  const dir = mkdtempSync(join(tmpdir(), "lightsout-console-"));
  const port = 20_000 + Math.floor(Math.random() * 20_000);
  const args = ["demo", "--once", "--mode", mode, "--no-comparison", "--api-port", String(port), "--dir", dir, ...more];
  const process = spawn(program("lightsout"), args, { stdio: ["ignore", "pipe", "inherit"] });
  const lines = [];
  createInterface({ input: process.stdout }).on("line", (line) => lines.push(line));
  const url = `http://127.0.0.1:${port}`;
  await until("the brain answers", 60_000, async () => {
    if (process.exitCode !== null) throw new Error(`the demo ended: ${lines.join("\n")}`);
    return (await fetch(`${url}/ready`).catch(() => null))?.ok;
  });
  brains.add(url);
  const tokenPath = join(dir, "api.token");
  await until("the token is there", 10_000, () => existsSync(tokenPath));
  const ended = new Promise((done) => process.once("exit", done));
  const stop = async () => {
    brains.delete(url);
    process.kill("SIGINT");
    await Promise.race([ended, new Promise((done) => setTimeout(done, 20_000))]);
    process.kill("SIGKILL");
  };
  return { url, dir, lines, token: readFileSync(tokenPath, "utf8").trim(), process, ended, stop };
}

export async function startBrowser() {
  const executablePath = BROWSERS.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error("no Chromium is here: apt-get install chromium, or set CHROMIUM");
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}

/** Waits until `what` is so, at most so long. */
export async function until(what, atMostMs, so) {
  const end = Date.now() + atMostMs;
  for (;;) {
    const found = await so();
    if (found) return found;
    if (Date.now() > end) throw new Error(`not within ${atMostMs} ms: ${what}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** Signs in at the page. */
export async function signIn(page, token) {
  await page.getByRole("button", { name: "Sign in", exact: true }).first().click();
  const dialog = page.getByRole("dialog", { name: "Sign in" });
  await dialog.getByLabel("Token").fill(token);
  await dialog.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("button", { name: /^(Sign out|About this brain)/ }).first().waitFor();
}
