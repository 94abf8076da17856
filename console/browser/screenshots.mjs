// Every page of a real mesh, light and dark, at desktop and phone width, into console/screenshots/.
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { signIn, startBrowser, startDemo, until } from "./mesh.mjs";
import { JUDGE, ORIGINS } from "./rollouts.mjs";
import { SmallMesh } from "./small_mesh.mjs";

const OUT = new URL("../screenshots/", import.meta.url).pathname;
const SIZES = { desktop: { width: 1360, height: 860 }, phone: { width: 390, height: 844 } };
mkdirSync(OUT, { recursive: true });

const list = async (url, path) => (await (await fetch(`${url}${path}`)).json()).items;

async function shoot(browser, demo, pages, themes = ["dark", "light"], sizes = Object.keys(SIZES)) {
  for (const theme of themes) {
    for (const size of sizes) {
      const context = await browser.newContext({ viewport: SIZES[size], colorScheme: theme, deviceScaleFactor: size === "phone" ? 2 : 1, hasTouch: size === "phone" });
      const page = await context.newPage();
      page.on("pageerror", (error) => console.error("page error:", error.message));
      await page.goto(demo.url);
      await signIn(page, demo.token);
      for (const [name, path, part] of pages) {
        await page.goto(`${demo.url}/#/${path}`);
        await page.waitForTimeout(1_600);
        if (part) await page.locator(part).evaluate((shown) => shown.scrollIntoView());
        await page.screenshot({ path: `${OUT}${name}-${theme}-${size}.png` });
      }
      await context.close();
    }
  }
}

/** A rollout on its way, and waiting for a person. */
async function shootRollout(browser) {
  const mesh = await SmallMesh.start({});
  try {
    mesh.token = readFileSync(join(mesh.dir, "api.token"), "utf8").trim();
    await mesh.carry(ORIGINS);
    mesh.ask(10);
    const spec = { service: "shop", stable: "v1", canary: "v2", steps: [20, 50, 100], approval: "steps", min_bake_s: 2, judge: JUDGE, error_budget: { failures: 20 } };
    const start = () => fetch(`${mesh.url}/v1/canaries`, { method: "POST", headers: { authorization: `Bearer ${mesh.token}` }, body: JSON.stringify(spec) });
    await until("it begins", 60_000, async () => (await start()).status === 201);
    await until("it asks for the next step", 400_000, async () => (await list(mesh.url, "/v1/canaries"))[0].hold?.kind === "approval");
    await shoot(browser, mesh, [["canary", "canaries"]]);
  } finally {
    await mesh.stop();
  }
}

const browser = await startBrowser();
const demo = await startDemo("advisory", ["--sick-for", "600"]);
try {
  await until("a proposal waits", 90_000, async () => (await list(demo.url, "/v1/proposals")).some((one) => one.state === "pending"));
  const [incident] = await list(demo.url, "/v1/incidents");
  await shoot(browser, demo, [["mesh", ""], ["service", "services/cart"], ["incident", `incidents/${incident.id}`], ["approvals", "approvals"]]);
  const headers = { authorization: `Bearer ${demo.token}`, "content-type": "application/json" };
  const proposal = (await list(demo.url, "/v1/proposals")).find((one) => one.state === "pending");
  await fetch(`${demo.url}/v1/proposals/${proposal.id}/approve`, {
    method: "POST", headers, body: JSON.stringify({ digest: proposal.digest, reason: "the evidence is plain" }),
  });
  await until("its effect is measured", 60_000, async () => (await list(demo.url, "/v1/actions")).some((one) => one.effect));
  const guard = (await list(demo.url, "/v1/policies")).find((one) => one.file === "guard.yaml").text.replace(/eject_endpoint: .*/, "eject_endpoint: { mode: advise, threshold: 0.75 }");
  await fetch(`${demo.url}/v1/backtests`, { method: "POST", headers, body: JSON.stringify({ recording: "demo.jsonl", policies: { "guard.yaml": guard } }) });
  await until("the policy is tried", 60_000, async () => (await list(demo.url, "/v1/backtests"))[0].state === "done");
  const [record] = await list(demo.url, "/v1/audit?kind=verdict&limit=1");
  await shoot(browser, demo, [["mended", ""], ["incidents", "incidents"], ["story", `incidents/${incident.id}`], ["actions", "actions"], ["audit", "audit"], ["record", `audit/${record.seq}`], ["autonomy", "autonomy"], ["trial", "autonomy", "[aria-labelledby=try-head]"], ["canaries", "canaries"]]);
  await shootRollout(browser);
} finally {
  await demo.stop();
  await browser.close();
}
