// What holds on every page: nothing is complained of in the console, and whoever does not see or point can use it.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { assert } from "./assert.mjs";
import { signIn } from "./mesh.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const PAGES = ["", "services/cart", "incidents", "incidents/inc-1", "approvals", "actions", "canaries", "audit", "audit/3", "autonomy", "nowhere"];

/** Collects what the page complains of: errors, refused scripts, broken policies. */
export function calmConsole(page) {
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  return complaints;
}

/** What axe finds of serious things at what is shown now. */
export async function accessible(page) {
  // By the debugger's own world: the page's policy lets no script in, and that stays so.
  const client = await page.context().newCDPSession(page);
  await client.send("Runtime.evaluate", { expression: AXE });
  const { result, exceptionDetails } = await client.send("Runtime.evaluate", {
    expression: `axe.run(document, { resultTypes: ["violations"] }).then((found) => JSON.stringify(found.violations.filter((one) => ["serious", "critical"].includes(one.impact)).map((one) => [one.id, one.nodes.map((node) => [node.html, node.failureSummary].join(" :: ")).slice(0, 4)])))`,
    awaitPromise: true, returnByValue: true,
  });
  assert.equal(exceptionDetails, undefined, JSON.stringify(exceptionDetails));
  await client.detach();
  return JSON.parse(result.value);
}

export function pageSteps(demo, browser, judge) {
  const looks = [["dark", 1360], ["light", 1360], ["dark", 390], ["light", 390]];
  return looks.map(([theme, width]) => [`every page is accessible, ${theme}, ${width} pixels wide`, async () => {
    const context = await browser.newContext({ viewport: { width, height: 844 }, colorScheme: theme });
    const page = await context.newPage();
    await page.goto(demo.url);
    await page.getByRole("heading", { level: 1, name: "Mesh" }).waitFor();
    await signIn(page, demo.token);
    const found = [];
    for (const path of PAGES) {
      await page.goto(`${demo.url}/#/${path}`);
      await page.waitForFunction(() => !document.querySelector("main .loading"), null, { timeout: 15_000 });
      found.push(...(await judge(page)).map((one) => ({ path, one })));
      const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (wider > 0) found.push({ path, one: `${wider} pixels wider than the screen` });
    }
    assert.deepEqual(found, []);
    await context.close();
  }]);
}
